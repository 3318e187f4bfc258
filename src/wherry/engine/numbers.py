"""Numbers of invocations: unique among the engines of one store, ordered by time."""

from __future__ import annotations

from wherry.world import Clock

NUMBER_BITS = 20  # below the milliseconds: the engine's own, then a count
_COUNT_BITS = 12
_COUNT = (1 << _COUNT_BITS) - 1
NODES = 1 << (NUMBER_BITS - _COUNT_BITS)


class Numbers:
    """A source of numbers of 61 bits: milliseconds since 1970, the engine, then a count.

    Args:
        node: Which engine of its store this is, 0 to 255: no two of them give the same number.

    Attributes:
        given: How many it has given away.
    """

    __slots__ = ("_clock", "_count", "_ms", "_node", "given")

    def __init__(self, clock: Clock, node: int = 0) -> None:
        self._clock = clock
        self._ms = 0
        self._count = 0
        self.given = 0
        self.move(node)

    def move(self, node: int) -> None:
        """Be another engine from now on."""
        if not 0 <= node < NODES:
            raise ValueError(f"node={node} is not in 0..{NODES - 1}")
        self._node = node << _COUNT_BITS

    def go_on_after(self, number: int) -> None:
        """Return only greater numbers: this one was given away before the engine was started."""
        self._ms = max(self._ms, (number >> NUMBER_BITS) + 1)
        self._count = 0

    def next(self) -> int:
        """Return the next number. It never goes back, although the wall clock may."""
        self.given += 1
        now_ms = self._clock.now_ms()
        if now_ms > self._ms:
            self._ms, self._count = now_ms, 0
        elif self._count == _COUNT:  # more than 4,096 a millisecond: a little of the future
            self._ms, self._count = self._ms + 1, 0
        else:
            self._count += 1
        return self._ms << NUMBER_BITS | self._node | self._count
