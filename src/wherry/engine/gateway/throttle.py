"""Token buckets: a rate on average, a burst at once, as API Gateway has it."""

from __future__ import annotations

from collections import OrderedDict
from math import ceil

from wherry import limits
from wherry.world import Clock


class Buckets:
    """One bucket a name; the names least recently used are forgotten (they were full)."""

    def __init__(self, rate_per_s: float, burst: int, clock: Clock) -> None:
        self._rate = rate_per_s
        self._burst = burst
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> int:
        """Take a token. 0: taken; else the seconds until there is one."""
        now_s = self._clock.steady_s()
        level, at_s = self._levels.get(name, (float(self._burst), now_s))
        level = min(float(self._burst), level + (now_s - at_s) * self._rate)
        if level < 1.0:
            return max(1, ceil((1.0 - level) / self._rate))
        self._levels[name] = (level - 1.0, now_s)
        self._levels.move_to_end(name)
        if len(self._levels) > limits.THROTTLE_CLIENTS:
            self._levels.popitem(last=False)
        return 0
