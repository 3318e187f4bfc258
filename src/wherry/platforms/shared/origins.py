"""What a message comes from: a run, or something that no run has done."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from wherry import limits
from wherry.codec import digest


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
