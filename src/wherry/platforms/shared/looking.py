"""Executions as the engine loads them and people look at them, from rows that a store has read."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.shared.origins import Standing
from wherry.platforms.shared.pages import list_limit, unread
from wherry.platforms.shared.rights import Rights
from wherry.platforms.shared.steps import STATUSES
from wherry.ports import (
    Denied,
    Execution,
    FindExecution,
    GetHistory,
    History,
    ListExecutions,
    Part,
)

_NEWEST = (1 << 63) - 1


def refused(
    function: str, request: FindExecution | ListExecutions, rights: Rights
) -> Denied | None:
    """Refuse a function what it may not look at; "" is the engine itself."""
    match request:
        case FindExecution():
            if function and request.id is not None:
                return Denied("engine", "FindExecution by number")
            return unread(rights, "workflow", request.workflow)
        case ListExecutions():
            if function and (request.workflow is None or request.parent is not None):
                return Denied("engine", "ListExecutions of all")
            return (
                None if request.workflow is None else unread(rights, "workflow", request.workflow)
            )


def page_of(request: ListExecutions) -> tuple[int, int, range]:
    """Return before which number a page begins, how many it has, and of which statuses."""
    before = _NEWEST if request.after is None else request.after
    limit = list_limit(request.limit)
    if request.status is None:
        return before, limit, range(len(STATUSES))
    status = STATUSES.index(request.status)
    return before, limit, range(status, status + 1)


def loaded(
    row: Standing, workflow: str, digest: str, head: bytes, parts: list[Part], input: bytes
) -> Execution:
    """Return all of an execution that its next step needs."""
    return Execution(
        row.id,
        workflow,
        row.name,
        row.version,
        digest,
        STATUSES[row.status],  # type: ignore[arg-type]
        head,
        parts,
        input,
        row.started_ms,
        row.parent,
        row.parent_call,
        row.correlation,
        row.traceparent,
        row.redrives,
    )


class Events:
    """Events of an answer, in order, as many as fit into it, at least one.

    Attributes:
        last: The number of the last event that has been taken.
    """

    def __init__(self, request: GetHistory, count: int) -> None:
        self.last = request.after
        self._limit = list_limit(request.limit)
        self._count = count  # of the whole history
        self._events: list[bytes] = []
        self._size = 0
        self._full = False

    @property
    def wants(self) -> bool:
        """Whether there are more, and room for them."""
        return self.last < self._count and len(self._events) < self._limit and not self._full

    def take(self, found: list[bytes]) -> None:
        """Take those that follow, as far as there is room; none: there are no more."""
        self._full = not found
        for event in found:
            self._size += len(event)
            over = self._size > limits.CLAIMED_BYTES
            if self._events and (len(self._events) == self._limit or over):
                self._full = True
                return
            self._events.append(event)
            self.last += 1

    def answer(self) -> History:
        """Return the answer, and where more follows."""
        more = self._events and self.last < self._count
        return History(self._events, self.last if more else None)
