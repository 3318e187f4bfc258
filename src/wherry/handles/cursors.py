"""Cursors: where a query goes on, bound to that query, opaque to whoever passes them around."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from wherry.codec import digest
from wherry.errors import BadRequest


def write_cursor(after: bytes | None, query: tuple[Any, ...]) -> str | None:
    """Return the text form of a position in a query."""
    if after is None:
        return None
    return urlsafe_b64encode(_mark(query) + after).decode().rstrip("=")


def read_cursor(cursor: str | None, query: tuple[Any, ...]) -> bytes | None:
    """Return the position. Raises `BadRequest` where the cursor is not of this query."""
    if cursor is None:
        return None
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        data = b""
    if len(data) < 6 or data[:6] != _mark(query):
        raise BadRequest("The cursor is not one of this query.")
    return data[6:]


def _mark(query: tuple[Any, ...]) -> bytes:
    return bytes.fromhex(digest(repr(query))[:12])
