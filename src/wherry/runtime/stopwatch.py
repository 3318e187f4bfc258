"""What a run's time went into, as far as it is the handler's own.

The engine decides by it how many environments help. How long a run took would mislead it: under
load that is mostly waiting for a processor, for the engine and for the store, and another
environment makes these waits longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits
from wherry.invocation import Spent

if TYPE_CHECKING:
    from wherry.platforms.socket import EngineLink
    from wherry.world import Clock, Meter


class Stopwatch:
    """Times the runs of one environment."""

    def __init__(self, clock: Clock, meter: Meter, link: EngineLink) -> None:
        self._clock = clock
        self._link = link
        self._meter = meter
        self._before = meter.read()
        self.start()

    def start(self) -> None:
        """A run begins."""
        self._began_s = self._clock.steady_s()
        self._asked_s = self._link.asked_s

    def stop(self) -> Spent | None:
        """A run has ended. None: it was quick, as most are."""
        took_s = self._clock.steady_s() - self._began_s
        before, self._before = self._before, self._meter.read()
        if took_s < limits.QUICK_OWN_S:
            return None
        cpu_s = self._before.cpu_s - before.cpu_s
        queued_s = self._before.queued_s - before.queued_s
        away_s = max(0.0, took_s - (self._link.asked_s - self._asked_s) - cpu_s - queued_s)
        return Spent(cpu_s, away_s) if cpu_s + away_s >= limits.QUICK_OWN_S else None
