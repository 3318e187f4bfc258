"""Identifiers that a repeated run makes again: derived from the invocation's key."""

from __future__ import annotations


def derived_id(key: str, purpose: str, started_ms: int) -> str:
    """Return an UUID (version 7 form) from a key: time-ordered by `started_ms`, else a hash.

    The same arguments give the same ID, here and on AWS.
    """
    import hashlib  # late: only what makes IDs pays for it

    material = hashlib.sha256(f"{key}\0{purpose}".encode()).digest()
    number = (
        (started_ms & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (int.from_bytes(material[:2], "big") & 0xFFF) << 64
        | 0b10 << 62
        | (int.from_bytes(material[2:10], "big") & 0x3FFF_FFFF_FFFF_FFFF)
    )
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
