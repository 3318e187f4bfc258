"""Reads, as far as they need no reading: who may, from where to where, what a row says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wherry import limits
from wherry.codec import from_msgpack, prefix_end, to_msgpack
from wherry.errors import BadRequest, Refused
from wherry.platforms.shared.rights import Rights, rekeyed_since
from wherry.ports import Broken, Denied, ListObjects, ObjectPage, ObjectRow, QueryItems

Position = tuple[bytes, bytes, bytes]  # sort, pk, sk

_ABOVE_ALL = b"\xff"  # every key begins with a letter, and no UTF-8 begins with it
_position = msgspec.msgpack.Decoder(Position)


def unread(rights: Rights, kind: str, name: str) -> Denied | None:
    """Refuse a read of what a function may not read."""
    return None if rights.allows(kind, name, "read") else Denied(name, "read")


def table_unread(rights: Rights, name: str) -> Denied | Broken | None:
    """Refuse a read of a table that a function may not read, or would not find the items of."""
    if name in rights.rekeyed and rights.allows("table", name, "read"):
        return Broken(Refused.code, rekeyed_since(name))
    return unread(rights, "table", name)


def reply_unread(function: str, key: str) -> Denied | None:
    """Refuse a stored reply that is not the function's own; "" is the engine itself.

    Args:
        key: "kind/function/...".
    """
    parts = key.split("/", 2)
    own = len(parts) == 3 and parts[1] == function.partition("@")[0]
    return Denied("replies", "read") if function and not own else None


def wrong_cursor() -> Broken:
    """Say that a query cannot go on from there."""
    return Broken(BadRequest.code, "The cursor is not one of this query.")


def unreadable(error: Exception) -> Broken:
    """Say that a request is none: who asked for it gave a value of a wrong type."""
    return Broken(Refused.code, f"The request is unreadable: {error}")


def list_limit(limit: int) -> int:
    """Return how many rows a page of a list may have that asks for so many."""
    return max(1, min(limit, limits.LIST_LIMIT))


def query_limit(query: QueryItems) -> int:
    """Return how many items a page may have."""
    return max(1, min(query.limit, limits.QUERY_LIMIT_MAX))


def key_bounds(query: QueryItems) -> tuple[bytes, bytes]:
    """Return the first sort key of a query's next page, and the one before which it ends."""
    low, high = query.low or b"", _ABOVE_ALL if query.high is None else query.high
    if query.after is not None:
        if query.descending:
            high = min(high, query.after)
        else:
            low = max(low, query.after + b"\0")
    return low, high


def index_bounds(query: QueryItems) -> tuple[Position, Position]:
    """Return behind which entry of an index a query's next page begins, and before which it ends.

    Raises:
        msgspec.MsgspecError: The cursor is not one of an index query.
    """
    low = (query.low or b"", b"", b"")
    high = (_ABOVE_ALL if query.high is None else query.high, b"", b"")
    if query.after is not None:
        after = _position.decode(query.after)
        if query.descending:
            high = min(high, after)
        else:
            low = max(low, after)
    return low, high


def index_cursor(position: Position) -> bytes:
    """Return what a query by index goes on with, behind this entry."""
    return to_msgpack(position)


def object_bounds(request: ListObjects) -> tuple[bytes, bytes, bytes, int]:
    """Return behind which key a list begins, its first and last key, and how many to read.

    One more is read than the page has, which tells whether there are more.
    """
    low = request.prefix.encode()
    after, read = (request.after or "").encode(), list_limit(request.limit) + 1
    return after, low, prefix_end(low) or _ABOVE_ALL, read


def object_page(request: ListObjects, rows: Sequence[Any], read: int) -> ObjectPage:
    """Return the page of the rows that `object_bounds` has asked for."""
    page = [object_row(request.bucket, row) for row in rows[: read - 1]]
    return ObjectPage(page, page[-1].key if len(rows) == read else None)


def object_row(bucket: str, row: Any) -> ObjectRow:
    """Return an object from its row."""
    key, blob, size, sha256, media_type, metadata, created = row
    return ObjectRow(
        bucket, key.decode(), blob, size, sha256, media_type, from_msgpack(metadata), created
    )
