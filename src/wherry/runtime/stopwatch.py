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
    """Times the runs of one environment.

    Only what follows a slow run is measured closely: reading the usage costs as much as a tenth of
    a quick run. The first run of an environment, which warms it up, is thus never told of.
    """

    def __init__(self, clock: Clock, meter: Meter, link: EngineLink) -> None:
        self._clock = clock
        self._link = link
        self._meter = meter
        self._slow = False
        self.took_s = 0.0  # the last run, with what it waited for the engine
        self.start()

    def start(self) -> None:
        """A run begins."""
        self._before = self._meter.read() if self._slow else None
        self._asked_s = self._link.asked_s
        self._began_s = self._clock.steady_s()

    def stop(self) -> Spent | None:
        """A run has ended. None: it was quick, as most are, or was not measured."""
        self.took_s = self._clock.steady_s() - self._began_s
        took_s = self.took_s - (self._link.asked_s - self._asked_s)
        self._slow = took_s >= limits.QUICK_OWN_S
        if not self._slow or self._before is None:
            return None
        used = self._meter.read()
        cpu_s = used.cpu_s - self._before.cpu_s
        away_s = max(0.0, took_s - cpu_s - (used.queued_s - self._before.queued_s))
        return Spent(cpu_s, away_s) if cpu_s + away_s >= limits.QUICK_OWN_S else None
