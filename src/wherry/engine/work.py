"""Work: one event on its way through the engine, from admission to acknowledgement."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from wherry.invocation import Event, Invocation, Outcome, Reply

if TYPE_CHECKING:
    from wherry.engine.environments import Environment
    from wherry.engine.releases import ActiveFunction
    from wherry.ports import Claimed


class Work:
    """An event, what is known of its run, and whom to tell how it ended.

    `done` gets the reply for a request, or None for a message; it is called exactly once.
    """

    __slots__ = (
        "at_ms",
        "at_s",
        "attempt",
        "cause",
        "cold",
        "correlation_id",
        "deadline_s",
        "done",
        "environment",
        "event",
        "finished",
        "function",
        "idempotency",
        "kept",
        "key",
        "message",
        "number",
        "offered",
        "outcome",
        "parent",
        "ran_from_s",
        "ran_ms",
        "request_id",
        "reruns",
        "solo",
        "started_ms",
        "steps",
        "trace",
        "trigger",
    )

    def __init__(
        self,
        function: ActiveFunction,
        event: Event,
        trigger: str,
        *,
        number: int,
        key: str,
        request_id: str,
        correlation_id: str,
        trace: str,
        parent: str,
        attempt: int,
        started_ms: int,
        at_ms: int,
        at_s: float,
        done: Callable[[Work, Reply | None], None],
        message: Claimed | None = None,
        cause: str = "",
    ) -> None:
        self.function = function
        self.event = event
        self.trigger = trigger
        self.number = number
        self.key = key
        self.request_id = request_id
        self.correlation_id = correlation_id
        self.trace = trace
        self.parent = parent
        self.attempt = attempt
        self.started_ms = started_ms
        self.at_ms = at_ms
        self.at_s = at_s
        self.done = done
        self.message = message
        self.cause = cause
        self.idempotency = False
        self.cold = False
        self.environment: Environment | None = None
        self.deadline_s = at_s + function.spec.timeout_s
        self.ran_from_s = at_s
        self.ran_ms = 0.0
        self.reruns = 0
        self.solo = ""
        self.steps = 0
        self.kept: dict[str, bytes] = {}  # what its last run got from the outside
        self.offered: dict[str, int] = {}
        self.outcome: Outcome | None = None
        self.finished = False

    def traceparent(self) -> str:
        """The W3C trace context of this attempt: the trace, and the attempt as its span."""
        return f"00-{self.trace}-{self.number:016x}-01"

    def invocation(self, now_ms: int, now_s: float) -> Invocation:
        """Return this attempt as the environment gets it."""
        return Invocation(
            self.number,
            self.function.spec.name,
            self.key,
            self.request_id,
            self.correlation_id,
            self.traceparent(),
            self.attempt,
            self.started_ms,
            now_ms + int((self.deadline_s - now_s) * 1000),
            self.event,
            self.kept,
        )
