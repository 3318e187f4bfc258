"""Identifiers that a repeated run makes again: derived from the invocation's key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.handles.late import Late

if TYPE_CHECKING:
    import hashlib
else:
    hashlib = Late("hashlib", globals())  # only what makes IDs pays for it

_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def derived_id(key: str, purpose: str, started_ms: int) -> str:
    """Return an UUID (version 7 form) from a key: time-ordered by `started_ms`, else a hash.

    The hash is SHA-256 of key, NUL and purpose; its first 20 hexadecimal digits are used, but for
    the one in the version's place and half of the one in the variant's. The same arguments give
    the same ID, here and on AWS.
    """
    digits = hashlib.sha256(f"{key}\0{purpose}".encode()).hexdigest()
    moment = f"{started_ms & 0xFFFF_FFFF_FFFF:012x}"
    variant = _VARIANT[digits[4]]
    return f"{moment[:8]}-{moment[8:]}-7{digits[1:4]}-{variant}{digits[5:8]}-{digits[8:20]}"
