"""Keys as the database indexes them, and the locks that stand for keys."""

from __future__ import annotations

import hashlib

INDEXED_BYTES = 256  # four such keys and two sort keys fit into a row of an index (2,704 bytes)
DIGEST_BYTES = 32


def indexed(key: bytes) -> bytes:
    """Return a key of which only equality counts, short enough for an index."""
    if len(key) <= INDEXED_BYTES:
        return key
    return key[: INDEXED_BYTES - DIGEST_BYTES] + hashlib.sha256(key).digest()


def whole(key: bytes) -> bytes | None:
    """Return the key where `indexed` makes another one of it."""
    return key if len(key) > INDEXED_BYTES else None


CATALOG = -(1 << 63)  # the lock of the catalog, which comes first


def in_order(locks: list[tuple[int, bool]]) -> list[tuple[int, bool]]:
    """Return the locks that are to be taken, each once, in the order in which all take them."""
    found = {CATALOG: False}
    for key, alone in locks:
        found[key] = alone or found.get(key, False)
    return sorted(found.items())


def lock(kind: bytes, *parts: object) -> int:
    """Return the number of the lock of a key: two keys may share one, which only lets them wait."""
    data = kind
    for part in parts:
        text = part if isinstance(part, bytes) else str(part).encode()
        data += len(text).to_bytes(4, "big") + text
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big", signed=True)
