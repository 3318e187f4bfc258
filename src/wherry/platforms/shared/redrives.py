"""The pace of redrives: of one message that fails again, and of a job for a whole queue."""

from __future__ import annotations

from typing import NamedTuple

from wherry import limits

BURST_MS = 1_000  # a job that nobody has moved on for long catches up with so much of its rate


class Job(NamedTuple):
    """A row of `redrives`: `through` is the last failure that is part of it."""

    queue: int
    through: int
    per_s: float
    next_ms: float
    done: int
    begun_ms: int
    actor: str

    def allowance(self, now_ms: int, most: int) -> tuple[int, float]:
        """Return how many messages may go back by now, and from when on they are counted."""
        step_ms = 1000 / self.per_s
        next_ms = max(self.next_ms, now_ms - BURST_MS)
        if next_ms > now_ms + step_ms:  # the clock was set back
            next_ms = now_ms
        if next_ms > now_ms:
            return 0, next_ms
        return min(most, int((now_ms - next_ms) / step_ms) + 1), next_ms


def waits_ms(redrives: int) -> int:
    """Return how long a message waits that goes back after so many redrives that failed."""
    if redrives == 0:
        return 0
    wait_s = limits.REDRIVE_BASE_S * 2.0 ** min(redrives - 1, 30)
    return int(1000 * min(wait_s, limits.REDRIVE_MAX_S))
