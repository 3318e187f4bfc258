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

    The hash is BLAKE2s-80 of key, NUL and purpose in UTF-8; its bits are all used but for those in
    the places of the version and the variant. The same arguments give the same ID, here and on AWS.
    """
    # Not SHA-256, and no formatted integer: both touch so much code that a cold run feels it.
    hashed = hashlib.blake2s(f"{key}\0{purpose}".encode(), digest_size=10).digest()
    digits = ((started_ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + hashed).hex()
    variant = _VARIANT[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
