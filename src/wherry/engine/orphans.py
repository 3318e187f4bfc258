"""Blobs that nobody names: of a run that died between staging and its commit, of an upload that
was refused at the end. Looked for from time to time, on another thread, a few files at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.platforms.files.sweeping import OrphanSweep
from wherry.ports import FindOrphans, Orphans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wherry.engine.journal import Journal
    from wherry.engine.offload import Offload
    from wherry.platforms.files.blobs import Blobs
    from wherry.ports import Request
    from wherry.world import Clock, Loop

PAUSE_S = 0.05  # between two steps: the disk is for others


class OrphanSweeper:
    """Removes orphans of all buckets, round after round.

    Args:
        ask: Asks the store and waits for the answer; called on the offload's threads.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        offload: Offload,
        blobs: Blobs,
        ask: Callable[[Request], Any],
        journal: Journal,
        stopping: Callable[[], bool],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._offload = offload
        self._blobs = blobs
        self._ask = ask
        self._journal = journal
        self._stopping = stopping
        self._seen_ms = 0  # what was written before has been looked at
        self._removed = 0

    def begin(self) -> None:
        """Look for the first time in a minute, when everything has started."""
        self._loop.call_later(limits.ORPHANS_FIRST_S, self.sweep)

    def sweep(self) -> None:
        """Go through all buckets once, and do so again later."""
        before_ms = self._clock.now_ms() - limits.STAGING_S * 1000
        self._removed = 0
        self._step(self._steps(before_ms), before_ms)

    def _steps(self, before_ms: int) -> Iterator[int]:
        for bucket in self._blobs.buckets():

            def orphans(sealed: list[str], bucket: str = bucket) -> list[str]:
                answer = self._ask(FindOrphans(bucket, sealed))
                return answer.blobs if isinstance(answer, Orphans) else []

            sweep = OrphanSweep(before_ms, orphans, self._seen_ms)
            yield from self._blobs.sweep_steps(bucket, sweep)

    def _step(self, steps: Iterator[int], before_ms: int) -> None:
        if self._stopping():
            return

        def then(removed: Any) -> None:
            if isinstance(removed, int):
                self._removed += removed
                self._loop.call_later(PAUSE_S, self._step, steps, before_ms)
                return
            if isinstance(removed, Exception):  # what was not looked at is so next time
                self._journal.say("WARNING", f"orphaned content could not be removed: {removed}")
            else:
                self._seen_ms = before_ms
            if self._removed:
                self._journal.say("INFO", f"{self._removed} orphaned files of objects were removed")
            self._loop.call_later(limits.ORPHANS_EVERY_S, self.sweep)

        self._offload(lambda: next(steps, None), then)
