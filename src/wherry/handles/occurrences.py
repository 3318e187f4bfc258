"""What a function is called with when nobody has sent it a message: a firing, an object, a change.

A test makes them itself: `call(app, check_asset, ObjectCreated("assets", "a.png", 1))`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class Firing(Struct, frozen=True):
    """A schedule has fired. `at` is the moment it was due, UTC; the run may begin later."""

    schedule: str
    at: datetime = _BEGINNING


class ObjectCreated(Struct, frozen=True):
    """An object has appeared under a key, or replaced another one. It may be gone by now."""

    bucket: str
    key: str
    size_bytes: int = 0
    sha256: str = ""
    media_type: str = "application/octet-stream"
    metadata: dict[str, str] = {}
    at: datetime = _BEGINNING


class ObjectRemoved(Struct, frozen=True):
    """The object under a key was removed. There may be another one by now."""

    bucket: str
    key: str
    at: datetime = _BEGINNING


class Change(Struct, Generic[T], frozen=True):
    """An item of a table was written or removed.

    Changes of one key arrive one after the other, in their order. `old` is None for an insert,
    `new` for a removal. `version` counts up with every change of the table's items.
    """

    kind: Literal["insert", "modify", "remove"]
    table: str
    old: T | None = None
    new: T | None = None
    version: int = 0
    at: datetime = _BEGINNING

    @property
    def item(self) -> T:
        """The item as it is now; as it was, where it was removed."""
        found = self.old if self.new is None else self.new
        if found is None:
            raise ValueError("This change has neither an old nor a new item.")
        return found
