"""Java's `Random`: AWS draws seeded numbers from it, so one seed gives one number everywhere."""

from __future__ import annotations

_MULTIPLIER = 0x5DEECE66D
_MASK = (1 << 48) - 1


class JavaRandom:
    """`java.util.Random` with a seed: `next_double` and `next_long` as far as AWS uses them."""

    def __init__(self, seed: int) -> None:
        self._seed = (seed ^ _MULTIPLIER) & _MASK

    def _next(self, bits: int) -> int:
        self._seed = (self._seed * _MULTIPLIER + 0xB) & _MASK
        value = self._seed >> (48 - bits)
        return value - (1 << bits) if value >> (bits - 1) else value

    def next_double(self) -> float:
        """Return a number in [0, 1)."""
        high = self._next(26) & ((1 << 26) - 1)
        low = self._next(27) & ((1 << 27) - 1)
        return ((high << 27) + low) / float(1 << 53)

    def _next_long(self) -> int:
        value = (self._next(32) << 32) + self._next(32)
        value &= (1 << 64) - 1
        return value - (1 << 64) if value >> 63 else value

    def below(self, start: int, end: int) -> int:
        """Return a whole number in [start, end), as `nextLong(origin, bound)` of Java 17."""
        drawn = self._next_long()
        spread = end - start
        if spread & (spread - 1) == 0:
            return (drawn & (spread - 1)) + start
        unsigned = (drawn & ((1 << 64) - 1)) >> 1
        drawn = unsigned % spread
        while unsigned + (spread - 1) - drawn >= 1 << 63:
            unsigned = (self._next_long() & ((1 << 64) - 1)) >> 1
            drawn = unsigned % spread
        return drawn + start
