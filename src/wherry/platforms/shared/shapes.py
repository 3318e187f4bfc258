"""What the store must know of a release: tables, indexes, queues, buckets, grants.

A release may come from another version of wherry, so only these fields are read, and leniently.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct

from wherry import limits
from wherry.codec import (
    ENCODED_PARTITION_KEY_BYTES,
    ENCODED_SORT_KEY_BYTES,
    field_key,
    keyed_by,
)
from wherry.effects import SendMessage

EXACT_INT = 2**53
PARKED = 1 << 32  # above all numbers of queues: what is added to a queue's slot for its parked ones
Entry: TypeAlias = tuple[int, bytes, bytes]  # index, key, sort


class IndexShape(Struct, frozen=True):
    """An index as declared."""

    name: str
    key: str
    sort: str | None = None


class TableShape(Struct, frozen=True):
    """A table as declared."""

    name: str
    key: str
    sort: str | None = None
    indexes: tuple[IndexShape, ...] = ()
    expires: str | None = None
    kinds: dict[str, str] = {}

    @property
    def keyed(self) -> str:
        """Return where its items lie."""
        return keyed_by(self.key, self.sort, self.kinds)

    def definition(self, index: IndexShape) -> str:
        """Return what tells this index from another of the same name."""
        kinds = [self.kinds.get(index.key), self.kinds.get(index.sort or "")]
        return msgspec.json.encode([index.key, index.sort, *kinds]).decode()


class QueueShape(Struct, frozen=True):
    """A queue as declared."""

    name: str
    max_attempts: int = limits.MAX_ATTEMPTS
    retention_s: int = limits.MESSAGE_RETENTION_S
    fifo: bool = False
    on_failure: str = "skip"
    fair: bool = False
    claim_check: bool = False


class BucketShape(Struct, frozen=True):
    """A bucket as declared."""

    name: str


class SourceShape(Struct, frozen=True):
    """Any source as declared; `type` says which of these fields count."""

    type: str
    queue: str
    event: str = ""
    version: int = 0
    pattern: str | None = None
    name: str = ""
    expression: str = ""
    timezone: str = "UTC"
    window_s: int = 0
    overlap: str = "queue"
    missed: str = "latest"
    missed_max: int = limits.SCHEDULE_MISSED_MAX
    bucket: str = ""
    kind: str = ""
    prefix: str = ""
    suffix: str = ""
    table: str = ""


class EventShape(Struct, frozen=True):
    """A type of event as declared."""

    name: str
    version: int


class GrantShape(Struct, frozen=True):
    """A grant as declared."""

    kind: str
    resource: str
    action: str


class FunctionShape(Struct, frozen=True):
    """A function as declared."""

    name: str
    grants: tuple[GrantShape, ...] = ()
    triggers: tuple[dict[str, Any], ...] = ()


class ReleaseShape(Struct, frozen=True):
    """A blueprint, as far as the store reads it."""

    functions: tuple[FunctionShape, ...] = ()
    tables: tuple[TableShape, ...] = ()
    queues: tuple[QueueShape, ...] = ()
    buckets: tuple[BucketShape, ...] = ()
    events: tuple[EventShape, ...] = ()
    sources: tuple[SourceShape, ...] = ()
    workflows: tuple[dict[str, Any], ...] = ()  # whole: their executions keep them


read_release = msgspec.json.Decoder(ReleaseShape).decode


class Queue:
    """A queue that some release declares; `active`: the activated one does.

    Args:
        paused: A person has paused its consumer, so that nothing of it is handed out.
        kept_ms: Until then what waits does not outlive its retention.
        sourced: A source fills it: the IDs of its messages are never used twice.
        kept: Whether its messages are those of executions, which outlive no retention: "tasks" that
            their states wait for, or what happens to "executions".
    """

    __slots__ = (
        "active",
        "blocks",
        "consumer",
        "fair",
        "fifo",
        "grouped",
        "id",
        "kept",
        "kept_ms",
        "max_attempts",
        "name",
        "paused",
        "retention_ms",
        "sourced",
        "special",
        "tasks",
    )

    def __init__(
        self,
        number: int,
        shape: QueueShape,
        consumer: str,
        active: bool,
        paused: bool = False,
        resumed_ms: int = 0,
        sourced: bool = False,
        kept: Literal["", "tasks", "executions"] = "",
    ) -> None:
        self.active = active
        self.kept, self.tasks = bool(kept), kept == "tasks"
        self.id, self.name, self.consumer = number, shape.name, consumer
        self.max_attempts = shape.max_attempts
        self.retention_ms = shape.retention_s * 1000
        self.fifo = shape.fifo
        self.blocks = shape.fifo and shape.on_failure == "block"
        self.fair = shape.fair and not shape.fifo
        self.grouped = self.fifo or self.fair
        self.paused, self.sourced = paused, sourced
        self.kept_ms = resumed_ms + self.retention_ms if resumed_ms else 0
        self.special = self.grouped or paused

    def dedup(self, message: SendMessage) -> str:
        """Return by what repeats of a message are known; empty: by nothing."""
        own = self.fifo and not self.sourced
        return message.dedup or (message.id if own else "")

    def is_over(self, expires_ms: int, now_ms: int) -> bool:
        """Whether a message's retention has ended."""
        over = max(expires_ms, self.kept_ms) <= now_ms
        return over and self.active and not self.paused and not self.kept


class Index:
    """An index that is kept up to date."""

    __slots__ = ("id", "key", "key_kind", "name", "ready", "sort", "sort_kind")

    def __init__(self, number: int, name: str, definition: str, ready: bool) -> None:
        self.id, self.name, self.ready = number, name, ready
        parts: list[str | None] = msgspec.json.decode(definition)
        self.key: str = parts[0] or ""
        self.sort, self.key_kind, self.sort_kind = parts[1], parts[2], parts[3]


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
                fields.index(index.sort) if index.sort else -1,
                index.sort_kind,
            )
            for index in indexes
        ]
        self._decode: Any = None
        if fields:
            # A type with just these fields: the rest of a large item is skipped, not built.
            names = {f"f{number}": field for number, field in enumerate(fields)}
            kind = msgspec.defstruct(
                "Fields", [(name, Any, None) for name in names], rename=names, array_like=False
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
        for number, key_at, key_kind, sort_at, sort_kind in self._plan:
            key = _key(values[key_at], key_kind)
            if key is None:
                continue
            sort = b"" if sort_at < 0 else _key(values[sort_at], sort_kind)
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
        for number, key_at, key_kind, sort_at, sort_kind in self._plan:
            try:
                key = _key(values[key_at], key_kind)
                sort = b"" if sort_at < 0 else _key(values[sort_at], sort_kind)
                if key is not None and sort is not None:
                    _refuse_long(key, sort)
                    found.append((number, key, sort))
            except (ValueError, OverflowError):
                continue
        return found


_values = msgspec.structs.astuple


def _key(value: Any, kind: str | None) -> bytes | None:
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
