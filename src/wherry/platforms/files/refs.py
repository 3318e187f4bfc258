"""What names a sealed blob, and how files are opened."""

from __future__ import annotations

import os

import msgspec

# NONBLOCK: opening a FIFO that somebody put there must not wait for its other end.
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PART = ".part"  # how the name of a file ends that is not sealed


class BlobRef(msgspec.Struct, frozen=True, array_like=True):
    """A sealed blob: its id, its size and its SHA-256 (64 hexadecimal digits)."""

    blob: str
    size_bytes: int
    sha256: str
