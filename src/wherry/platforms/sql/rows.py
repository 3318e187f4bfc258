"""A message as it is stored, and its lease as it is kept in memory."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from wherry import limits
from wherry.codec import digest


class Message(NamedTuple):
    """A row of `messages`, in the order of its columns. `grp` and `place`: see `parking`."""

    seq: int
    id: str
    slot: int
    due_ms: int
    queue: int
    token: int
    attempts: int
    redrives: int
    sent_ms: int
    started_ms: int
    expires_ms: int
    correlation: str
    traceparent: str
    error: str
    body: bytes
    grp: str | None = None
    place: int | None = None


class Lease(Struct, frozen=True, gc=False):
    """Who holds a message, until when on the steady clock, and where it is."""

    until_s: float
    owner: int
    seq: int
    token: int
    queue: int
    grp: str | None = None


class Cause:
    """A message that no run has sent. It begins a correlation and a trace of its own.

    Args:
        id: The message's ID, which is the correlation ID too.
    """

    __slots__ = ("correlation_id", "traceparent")

    def __init__(self, id: str) -> None:
        self.correlation_id = id[: limits.CORRELATION_ID_LENGTH]
        self.traceparent = f"00-{digest('trace', id)}-{digest('span', id)[:16]}-01"


class Thread(NamedTuple):
    """What a message belongs to that no run sends: an execution, or a message before it."""

    correlation_id: str
    traceparent: str


class Standing(NamedTuple):
    """A row of `executions`, without what only some need."""

    id: int
    workflow: int
    name: str
    version: int
    definition: int
    status: int
    wake_ms: int | None
    started_ms: int
    ended_ms: int | None
    parent: int | None
    parent_call: int
    events: int
    redrives: int
    correlation: str
    traceparent: str

    @property
    def thread(self) -> Thread:
        """What its messages belong to."""
        return Thread(self.correlation, self.traceparent)


class Origin(Protocol):
    """What a message comes from: the record of a run, a schedule, an execution."""

    @property
    def correlation_id(self) -> str: ...
    @property
    def traceparent(self) -> str: ...


def fitting(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the first of these claimed rows whose bodies fit into one answer, at least one."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row[8])
        if size > limits.CLAIMED_BYTES:
            return rows[: max(1, number)]
    return rows
