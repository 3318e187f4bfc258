"""Clock and chance: the only place where wherry touches time and randomness.

Everything else takes a `Clock` or a `Chance` as an argument, so that a test can run
days of retries in milliseconds and repeat a run from its seed.
"""

import os
import time
from typing import Protocol


class Clock(Protocol):
    """Two readings of time: the wall's, to tell people; a steady one, to measure with."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, UTC. May jump."""
        ...

    def steady_s(self) -> float:
        """Seconds on a clock that never goes back. Only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def steady_s(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._ms = float(start_ms)
        self._start_ms = float(start_ms)

    def now_ms(self) -> int:
        return int(self._ms)

    def steady_s(self) -> float:
        return (self._ms - self._start_ms) / 1000

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` (not negative)."""
        if seconds < 0:
            raise ValueError("a clock is only moved forward")
        self._ms += seconds * 1000


class Chance:
    """A source of chance. Without a seed it asks the system, so that a fork never repeats it."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = None
        if seed is not None:
            from random import Random

            self._random = Random(seed)

    def token(self, length_bytes: int) -> bytes:
        """Return `length_bytes` bytes that nobody can guess (when there is no seed)."""
        if self._random is not None:
            return self._random.randbytes(length_bytes)
        return os.urandom(length_bytes)

    def below(self, bound: int) -> int:
        """Return a whole number in [0, bound); `bound` is at most 2**48."""
        return int.from_bytes(self.token(8), "big") % bound

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * (self.below(1 << 48) / (1 << 48))


def pause(seconds: float) -> None:
    """Wait on the system's clock. For a command line that polls; never in a handler's path."""
    time.sleep(seconds)
