"""The store's time, as an engine knows it: machines whose clocks are minutes apart agree on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wherry.world import Clock


SLOW_ANSWER_MS = 2_000


class StoreTime:
    """A clock that goes by the store's, between two answers by the steady one of this machine.

    Args:
        clock: Ours, which counts until the store has said what it has.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.steady_s = clock.steady_s  # seconds by the clock that never goes back
        self._ahead_ms: float | None = None  # of the steady clock

    def told(self, now_ms: int) -> None:
        """The store's clock showed this a moment ago: how long ago is not known.

        So the answer that was the quickest counts, until the clocks differ by more than answers
        take.
        """
        ahead_ms = now_ms - self.steady_s() * 1000
        before_ms = self._ahead_ms
        if before_ms is None or not before_ms - SLOW_ANSWER_MS < ahead_ms < before_ms:
            self._ahead_ms = ahead_ms

    def now_ms(self) -> int:
        """Milliseconds since 1970 by the store's clock."""
        if self._ahead_ms is None:
            return self._clock.now_ms()
        return int(self._ahead_ms + self.steady_s() * 1000)
