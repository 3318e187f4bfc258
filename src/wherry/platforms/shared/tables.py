"""A table as the store keeps it: which entries of indexes an item has, and when it expires."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET

from wherry import limits
from wherry.codec import ENCODED_PARTITION_KEY_BYTES, ENCODED_SORT_KEY_BYTES, field_key
from wherry.platforms.shared.shapes import Queue, TableShape

EXACT_INT = 2**53
Entry: TypeAlias = tuple[int, bytes, bytes]  # index, key, sort


class Index:
    """An index that is kept up to date. `plain`: its definition without defaults."""

    __slots__ = (
        "id",
        "key",
        "key_default",
        "key_kind",
        "name",
        "plain",
        "ready",
        "sort",
        "sort_default",
        "sort_kind",
    )

    def __init__(self, number: int, name: str, definition: str, ready: bool) -> None:
        self.id, self.name, self.ready = number, name, ready
        parts: list[Any] = msgspec.json.decode(definition)
        self.plain = msgspec.json.encode(parts[:4]).decode()
        self.key: str = parts[0] or ""
        self.sort: str | None = parts[1]
        self.key_kind: str | None = parts[2]
        self.sort_kind: str | None = parts[3]
        self.key_default: Any
        self.sort_default: Any
        self.key_default, self.sort_default = parts[4:] or (None, None)


class Table:
    """A table and how the keys of its index entries come from an item's JSON.

    Args:
        followers: The queues that every change of an item goes into.
    """

    __slots__ = ("_decode", "_expires_at", "_plan", "blind", "followers", "id", "indexes", "shape")

    def __init__(
        self,
        number: int,
        shape: TableShape,
        indexes: list[Index],
        followers: tuple[Queue, ...] = (),
    ) -> None:
        self.id, self.shape, self.indexes, self.followers = number, shape, indexes, followers
        self.blind = not indexes and not followers  # what stands there need not be known
        fields: list[str] = []
        for index in indexes:
            fields += [index.key, *([index.sort] if index.sort else [])]
        if shape.expires:
            fields.append(shape.expires)
        fields = list(dict.fromkeys(fields))
        self._expires_at = fields.index(shape.expires) if shape.expires else None
        self._plan = [
            (
                index.id,
                fields.index(index.key),
                index.key_kind,
                index.key_default,
                fields.index(index.sort) if index.sort else -1,
                index.sort_kind,
                index.sort_default,
            )
            for index in indexes
        ]
        self._decode: Any = None
        if fields:
            # A type with just these fields: the rest of a large item is skipped, not built.
            names = {f"f{number}": field for number, field in enumerate(fields)}
            kind = msgspec.defstruct(
                "Fields", [(name, Any, UNSET) for name in names], rename=names, array_like=False
            )
            self._decode = msgspec.json.Decoder(kind).decode

    def derive(self, body: bytes) -> tuple[list[Entry], int | None]:
        """Return the index entries of an item to be stored, and when it expires.

        Raises:
            ValueError: The JSON is no object, or holds a number that no key can hold.
        """
        if self._decode is None:
            return [], None
        values = _values(self._decode(body))
        entries: list[Entry] = []
        for number, key_at, key_kind, key_default, sort_at, sort_kind, sort_default in self._plan:
            key = _key(values[key_at], key_kind, key_default)
            if key is None:
                continue
            sort = b"" if sort_at < 0 else _key(values[sort_at], sort_kind, sort_default)
            if sort is not None:
                _refuse_long(key, sort)
                entries.append((number, key, sort))
        expires = None if self._expires_at is None else expiry_ms(values[self._expires_at])
        return entries, expires

    def entries(self, body: bytes) -> list[Entry]:
        """Return the index entries that a stored item has.

        It may have been stored before an index was declared, with what no key can hold; then it
        is absent from all that were declared since.
        """
        try:
            return self.derive(body)[0]
        except (ValueError, OverflowError, msgspec.MsgspecError):
            return self._tolerant(body)

    def _tolerant(self, body: bytes) -> list[Entry]:
        try:
            values = _values(self._decode(body))
        except (ValueError, msgspec.MsgspecError):
            return []
        found: list[Entry] = []
        for number, key_at, key_kind, key_default, sort_at, sort_kind, sort_default in self._plan:
            try:
                key = _key(values[key_at], key_kind, key_default)
                sort = b"" if sort_at < 0 else _key(values[sort_at], sort_kind, sort_default)
                if key is not None and sort is not None:
                    _refuse_long(key, sort)
                    found.append((number, key, sort))
            except (ValueError, OverflowError):
                continue
        return found


_values = msgspec.structs.astuple


def _key(value: Any, kind: str | None, default: Any) -> bytes | None:
    if value is UNSET:  # the item was stored without it
        value = default
    if kind is None:
        kind = "text" if isinstance(value, str) else "number"
    if kind == "text":  # the common cases, without a call
        return b"s" + value.encode() if isinstance(value, str) else None
    if kind == "moment" and isinstance(value, str) and len(value) == 27 and _plain(value):
        return b"s" + value.encode()
    return field_key(value, kind)


def _refuse_long(key: bytes, sort: bytes) -> None:
    if len(key) > ENCODED_PARTITION_KEY_BYTES or len(sort) > ENCODED_SORT_KEY_BYTES:
        raise ValueError(
            f"the key of an index has at most {limits.PARTITION_KEY_BYTES} bytes, its sort key "
            f"{limits.SORT_KEY_BYTES}; these have {len(key) - 1} and {max(len(sort) - 1, 0)}"
        )


def _plain(text: str) -> bool:
    """Whether a moment has the form of keys already: 2026-11-21T12:00:00.000000Z."""
    marks = (text[4], text[7], text[10], text[13], text[16], text[19], text[26])
    if marks != ("-", "-", "T", ":", ":", ".", "Z"):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return text.isascii()


def expiry_ms(value: Any) -> int | None:
    """Read an `expires` field: seconds since the epoch, or a date and time (RFC 3339).

    Anything else never expires. A date and time without a zone counts as UTC; handlers write none.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value * 1000) if abs(value) < EXACT_INT / 1000 else None
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    return None
