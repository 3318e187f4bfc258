"""What the store must know of a release: tables, indexes, queues, buckets, grants.

A release may come from another version of wherry, so only these fields are read, and leniently.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from wherry import limits
from wherry.codec import keyed_by
from wherry.effects import SendMessage

PARKED = 1 << 32  # above all numbers of queues: what is added to a queue's slot for its parked ones


class IndexShape(Struct, frozen=True):
    """An index as declared."""

    name: str
    key: str
    sort: str | None = None


class TableShape(Struct, frozen=True):
    """A table as declared.

    Args:
        defaults: What fields are read as where an item was stored without them, of its `schema`.
    """

    name: str
    key: str
    sort: str | None = None
    indexes: tuple[IndexShape, ...] = ()
    expires: str | None = None
    kinds: dict[str, str] = {}
    schema: dict[str, Any] = {}
    defaults: dict[str, Any] = {}

    @property
    def keyed(self) -> str:
        """Return where its items lie."""
        return keyed_by(self.key, self.sort, self.kinds)

    def definition(self, index: IndexShape) -> str:
        """Return what tells this index from another of the same name."""
        return msgspec.json.encode(self._parts(index)).decode()

    def making(self, index: IndexShape) -> str:
        """Return the definition of an index that is made now: with its fields' defaults.

        It keeps those: where another one is declared later, its entries are found all the same.
        """
        parts = self._parts(index)
        defaults = [self.defaults.get(index.key), self.defaults.get(index.sort or "")]
        if defaults != [None, None]:
            parts += defaults
        return msgspec.json.encode(parts).decode()

    def _parts(self, index: IndexShape) -> list[Any]:
        kinds = [self.kinds.get(index.key), self.kinds.get(index.sort or "")]
        return [index.key, index.sort, *kinds]


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

    app: str = ""
    functions: tuple[FunctionShape, ...] = ()
    tables: tuple[TableShape, ...] = ()
    queues: tuple[QueueShape, ...] = ()
    buckets: tuple[BucketShape, ...] = ()
    events: tuple[EventShape, ...] = ()
    sources: tuple[SourceShape, ...] = ()
    workflows: tuple[dict[str, Any], ...] = ()  # whole: their executions keep them


_release = msgspec.json.Decoder(ReleaseShape).decode


@lru_cache(maxsize=4)  # taking one over reads it several times, and the one before it
def read_release(blueprint: bytes) -> ReleaseShape:
    """Read what the store must know of a blueprint.

    Raises:
        msgspec.ValidationError: It is none.
    """
    release = _release(blueprint)
    tables = [replace(one, schema={}, defaults=_defaults(one.schema)) for one in release.tables]
    return replace(release, tables=tuple(tables))


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    fields = schema.get("$defs", {}).get(name, schema).get("properties", {})
    found = {field: one.get("default") for field, one in fields.items() if isinstance(one, dict)}
    return {field: default for field, default in found.items() if default is not None}


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
