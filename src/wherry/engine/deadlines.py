"""Deadlines: what runs, waits or is committed for too long is ended, and whoever waits is told."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from wherry import errors, limits
from wherry.runtime.problems import store_trouble

if TYPE_CHECKING:
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.work import Work
    from wherry.world import Clock


class Deadlines:
    """Looks every few milliseconds."""

    def __init__(self, dispatcher: Dispatcher, clock: Clock) -> None:
        self._dispatcher = dispatcher
        self._clock = clock

    def check(self) -> None:
        """End what has run out of time; what waits behind a run that goes on is taken back."""
        dispatcher, now_s = self._dispatcher, self._clock.steady_s()
        slow_s = now_s - limits.RECALL_S
        for work in [found for found in dispatcher.running if found.ran_from_s <= slow_s]:
            assert work.environment is not None
            work.function.pool.recall(work.environment)
        for work in [found for found in dispatcher.running if found.deadline_s <= now_s]:
            environment = work.environment
            assert environment is not None
            environment.work = None
            dispatcher.stopped(work, now_s)
            environment.drain_output()
            environment.kill(f"over its time of {work.function.spec.timeout_s} s")
            dispatcher.fail(work, "timeout", errors.DeadlineExceeded())
        patience_s = now_s - limits.STORE_SILENT_S  # its run was in time; now the disk has to be
        for work in [found for found in dispatcher.committing if found.deadline_s <= patience_s]:
            del dispatcher.committing[work]
            # The record goes with the commit, if that is applied.
            doubt = store_trouble(errors.FateUnknown.code)
            dispatcher.fail(work, "failed", doubt, noted=True)

    def expire(self, pending: deque[Work]) -> None:
        """Refuse requests that have waited for an environment until their deadline."""
        now_s = self._clock.steady_s()
        while pending and pending[0].message is None and pending[0].deadline_s <= now_s:
            self._dispatcher.refuse(pending.popleft())
