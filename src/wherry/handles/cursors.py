"""Cursors: where a query goes on, bound to that query, opaque to whoever passes them around."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any, TypeVar

from wherry.codec import digest
from wherry.errors import BadRequest

T = TypeVar("T")


def write_cursor(after: bytes | None, query: tuple[Any, ...]) -> str | None:
    """Return the text form of a position in a query."""
    if after is None:
        return None
    return urlsafe_b64encode(_mark(query) + after).decode().rstrip("=")


def read_cursor(cursor: str | None, query: tuple[Any, ...], read: Callable[[bytes], T]) -> T | None:
    """Return the position, which `read` makes of its bytes, or raises a `ValueError` for.

    Raises:
        BadRequest: The cursor is not of this query: a client may have sent anything.
    """
    if cursor is None:
        return None
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        if len(data) >= 6 and data[:6] == _mark(query):
            return read(data[6:])
    except ValueError:
        pass
    raise BadRequest("The cursor is not one of this query.")


def _mark(query: tuple[Any, ...]) -> bytes:
    return bytes.fromhex(digest(repr(query))[:12])
