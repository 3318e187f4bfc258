"""Clock and chance: the only place where wherry touches time and randomness.

Everything else takes a `Clock` or a `Chance` as an argument, so that a test can run
days of retries in milliseconds and repeat a run from its seed.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, NamedTuple, Protocol


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

    steady_s = staticmethod(time.monotonic)

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start_ms: int = 1_767_225_600_000) -> None:
        self._start_ms = start_ms
        self._passed_s = 0.0

    def now_ms(self) -> int:
        return self._start_ms + int(self._passed_s * 1000 + 1e-6)

    def steady_s(self) -> float:
        return self._passed_s

    def advance(self, seconds: float) -> None:
        """Move forward by `seconds` (not negative)."""
        if seconds < 0:
            raise ValueError("a clock is only moved forward")
        self._passed_s += seconds

    def advance_to(self, steady_s: float) -> None:
        """Move forward to a moment of `steady_s()`, exactly; never back."""
        self._passed_s = max(self._passed_s, steady_s)


class Timer(Protocol):
    """A call that will be made, unless it is cancelled."""

    def cancel(self) -> None:
        """Do not make the call."""
        ...


class Loop(Protocol):
    """Where calls are made later: asyncio's event loop, or a `ManualLoop`."""

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Timer:
        """Call back after what runs now."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call back after `delay` seconds."""
        ...


class _ManualTimer:
    __slots__ = ("args", "callback", "cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback, self.args, self.cancelled = callback, args, False

    def cancel(self) -> None:
        self.cancelled = True


class ManualLoop:
    """A loop on a manual clock: days pass in milliseconds, and always in the same order."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self._ready: deque[_ManualTimer] = deque()
        self._later: list[tuple[float, int, _ManualTimer]] = []
        self._count = 0

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Timer:
        timer = _ManualTimer(callback, args)
        self._ready.append(timer)
        return timer

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        timer = _ManualTimer(callback, args)
        self._count += 1
        due_s = self.clock.steady_s() + (delay if delay > 0.0 else 0.0)
        heappush(self._later, (due_s, self._count, timer))
        return timer

    def run_ready(self) -> None:
        """Make all calls that are due now, and those that they add for now."""
        self._run(-1.0)

    def _run(self, end_s: float) -> None:
        """Make all calls that are due now; then those up to `end_s`, each at its own moment."""
        ready, later, clock = self._ready, self._later, self.clock
        while True:
            if later:
                now_s = clock.steady_s()
                while later and later[0][0] <= now_s:
                    ready.append(heappop(later)[2])
            if ready:
                timer = ready.popleft()
                if not timer.cancelled:
                    timer.callback(*timer.args)
                continue
            while later and later[0][2].cancelled:
                heappop(later)
            if not later or later[0][0] > end_s:
                return
            clock.advance_to(later[0][0])

    def next_due_s(self) -> float | None:
        """Return when (`steady_s`) the next call is due, or None where none is waiting."""
        while self._later and self._later[0][2].cancelled:
            heappop(self._later)
        return self._later[0][0] if self._later else None

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; every call is made at its own moment."""
        end_s = self.clock.steady_s() + seconds
        self._run(end_s)
        self.clock.advance_to(end_s)
        self.run_ready()


class Chance:
    """A source of chance. Without a seed it asks the system, so that a fork never repeats it."""

    def __init__(self, seed: int | None = None) -> None:
        self._random: Any = None
        if seed is not None:
            from random import Random

            self._random = Random(seed)

    def token(self, length_bytes: int) -> bytes:
        """Return `length_bytes` bytes that nobody can guess (when there is no seed)."""
        if self._random is not None:
            seeded: bytes = self._random.randbytes(length_bytes)
            return seeded
        return os.urandom(length_bytes)

    def below(self, bound: int) -> int:
        """Return a whole number in [0, bound); `bound` is at most 2**48."""
        return int.from_bytes(self.token(8), "big") % bound

    def between(self, low: float, high: float) -> float:
        """Return a number in [low, high)."""
        return low + (high - low) * (self.below(1 << 48) / (1 << 48))


class Usage(NamedTuple):
    """What this process's first thread has had of the processors so far."""

    cpu_s: float
    queued_s: float  # it could have run, but others had them


class Meter:
    """Reads this process's usage, in a microsecond; opens a file for that."""

    def __init__(self) -> None:
        try:
            self._fd = os.open(f"/proc/{os.getpid()}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._fd = -1

    def read(self) -> Usage:
        """Return the usage; no queueing where the kernel does not tell."""
        try:
            cpu_ns, queued_ns, _ = os.pread(self._fd, 64, 0).split()
            return Usage(int(cpu_ns) / 1e9, int(queued_ns) / 1e9)
        except (OSError, ValueError):
            return Usage(time.process_time(), 0.0)


def pause(seconds: float) -> None:
    """Wait on the system's clock. For a command line that polls; never in a handler's path."""
    time.sleep(seconds)
