"""Retry and Catch: which error a clause means, and how long to wait before the next attempt."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.statemachine import faults
from wherry.statemachine.faults import StatesError
from wherry.statemachine.functions import Draw

_NO_TASK_FAILURES = (faults.TIMEOUT, faults.QUERY)
INTERVAL_S, ATTEMPTS, RATE = 1, 3, 2.0


class Retrier:
    """One element of Retry."""

    __slots__ = ("attempts", "full_jitter", "interval_s", "max_delay_s", "names", "rate")

    def __init__(self, clause: dict[str, Any]) -> None:
        self.names: list[str] = clause["ErrorEquals"]
        self.interval_s: int = clause.get("IntervalSeconds", INTERVAL_S)
        self.attempts: int = clause.get("MaxAttempts", ATTEMPTS)
        self.rate: float = clause.get("BackoffRate", RATE)
        self.max_delay_s: int = clause.get("MaxDelaySeconds", limits.STATE_DELAY_MAX_S)
        self.full_jitter = clause.get("JitterStrategy") == "FULL"

    def delay_ms(self, retried: int, draw: Draw) -> int:
        """Return how long to wait after this clause has retried so often."""
        try:
            delay_s = min(self.interval_s * float(self.rate) ** retried, self.max_delay_s)
        except OverflowError:
            delay_s = self.max_delay_s
        if self.full_jitter and delay_s > 0:
            delay_s = draw.between(0, delay_s)
        return int(delay_s * 1000)


def matches(names: list[str], error: StatesError) -> bool:
    """Whether a clause's ErrorEquals means this error; States.Runtime is meant by none."""
    if error.is_runtime:
        return False
    for name in names:
        if name == error.error or (error.also and name == error.also):
            return True
        if name == faults.ALL and not error.terminal:
            return True
        if error.terminal:
            continue
        if name == faults.TASK_FAILED and error.error not in _NO_TASK_FAILURES:
            return True
    return False


def error_output(error: StatesError) -> dict[str, Any]:
    """Return what a Catch sees of an error."""
    return {"Error": error.error or "", "Cause": error.cause or ""}
