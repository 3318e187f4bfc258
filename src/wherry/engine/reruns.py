"""Runs that lost a version conflict: again at once, with backoff, and at last one after another.

A key that many want becomes serial, and never a 503.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from wherry import limits

if TYPE_CHECKING:
    from wherry.engine.work import Work
    from wherry.world import Chance, Loop


class Reruns:
    """Decides when work that lost runs again. `again` starts it."""

    def __init__(self, loop: Loop, chance: Chance, again: Callable[[Work], None]) -> None:
        self._loop = loop
        self._chance = chance
        self._again = again
        self._queues: dict[str, deque[Work]] = {}

    def again(self, work: Work, where: str, now_s: float) -> bool:
        """Run `work` again. False: its time is over, which alone bounds it."""
        work.reruns += 1
        if work.outcome is not None:
            work.kept = work.outcome.kept
        if now_s >= work.deadline_s:
            return False
        if work.solo:  # it has the key for itself but for newcomers, who lose their turn next time
            self._loop.call_soon(self._again, work)
            return True
        if where in self._queues or work.reruns > limits.CONFLICT_SOLO_AFTER:
            self._queue(work, where)
            return True
        backoff_s = self._chance.between(0.0, 0.001 * 2**work.reruns)
        self._loop.call_later(backoff_s, self._again, work)
        return True

    def _queue(self, work: Work, where: str) -> None:
        work.solo = where
        waiting = self._queues.get(where)
        if waiting is None:
            self._queues[where] = deque()
            self._loop.call_soon(self._again, work)
        else:
            waiting.append(work)

    def finished(self, work: Work) -> None:
        """Work that had a key for itself is done: the next one is run."""
        waiting = self._queues[work.solo]
        if waiting:
            self._loop.call_soon(self._again, waiting.popleft())
        else:
            del self._queues[work.solo]
