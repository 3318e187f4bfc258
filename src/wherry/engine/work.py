"""Work: one event on its way through the engine, from admission to acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.invocation import Event, Failure, Invocation, Outcome, Reply

if TYPE_CHECKING:
    from wherry.engine.environments import Environment
    from wherry.engine.releases import ActiveFunction
    from wherry.engine.workflows.step import Step
    from wherry.ports import Claimed, First


class Task(msgspec.Struct, eq=False):
    """Which call of which execution a task is. `failure`: why its run came to nothing.

    `waits`: when it has ended, its state goes on waiting for its token.
    """

    execution: int
    call: int
    waits: bool
    failure: Failure | None = None


class Work(msgspec.Struct, eq=False):
    """An event, what is known of its run, and whom to tell how it ended.

    `done` gets the reply for a request, or None for a message; it is called exactly once.
    A batch is work too: it is run as one, and its members end one by one (`engine.batches`).
    A Struct because one is made for every event: its fields are set without code of ours.
    """

    function: ActiveFunction
    event: Event
    trigger: str
    number: int
    key: str
    request_id: str
    correlation_id: str
    trace: str
    traceparent: str  # of this attempt: the trace, and the attempt as its span
    parent: str
    attempt: int
    started_ms: int
    at_ms: int
    at_s: float
    ran_from_s: float  # when its last run began; `at_s` until then
    deadline_s: float
    done: Callable[[Work, Reply | None], None]
    message: Claimed | None = None
    cause: str = ""
    idempotency: bool = False
    cold: bool = False
    environment: Environment | None = None
    ran_ms: float = 0.0
    reruns: int = 0
    solo: str = ""
    steps: int = 0
    kept: dict[str, bytes] = {}  # what its last run got from the outside
    offered: dict[str, int] = {}
    outcome: Outcome | None = None
    finished: bool = False
    members: list[Work] | None = None  # of a batch: the work of each of its messages
    task: Task | None = None  # of a workflow
    begins: list[Step] = []  # the first steps of the executions that its commit starts ...
    firsts: list[First] = []  # ... as they go with it
    follower: Work | None = None  # of a batch's group: goes on when this one is done, not before
    unwritten: int = 0  # commits of it that the store's trouble has brought to nothing

    @property
    def unwritable(self) -> bool:
        """Whether the store takes no commit of it, so that its attempt is over, and counts."""
        return self.unwritten >= limits.COMMIT_TRIES

    def renumber(self, number: int) -> None:
        """Make this another attempt, with a span of its own in the trace."""
        self.number = number
        self.traceparent = traceparent(self.trace, f"{number:016x}")

    def wall_ms(self, steady_s: float) -> int:
        """Return what the clock on the wall shows at a moment on the steady one."""
        return self.at_ms + int((steady_s - self.at_s) * 1000)

    def invocation(self) -> Invocation:
        """Return this attempt as the environment gets it."""
        return Invocation(
            self.number,
            self.function.spec.name,
            self.key,
            self.request_id,
            self.correlation_id,
            self.traceparent,
            self.attempt,
            self.started_ms,
            self.wall_ms(self.deadline_s),
            self.event,
            self.kept,
        )


def traceparent(trace: str, span: str) -> str:
    """Return the W3C trace context of a span (16 hexadecimal digits) of a trace."""
    return f"00-{trace}-{span}-01"
