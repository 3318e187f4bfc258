"""Numbers of invocations: unique on this machine, ordered by time."""

from __future__ import annotations

from wherry.world import Clock

NUMBER_BITS = 20  # of the count: a million a millisecond


class Numbers:
    """A source of numbers of 61 bits: milliseconds since 1970, then a count."""

    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def go_on_after(self, number: int) -> None:
        """Return only greater numbers: this one was given away before the engine was started."""
        self._last = max(self._last, number)

    def next(self) -> int:
        """Return the next number. It never goes back, although the wall clock may."""
        number = self._clock.now_ms() << NUMBER_BITS
        self._last = number if number > self._last else self._last + 1
        return self._last
