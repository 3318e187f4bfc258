"""Admission: requests make room for the background while it falls behind.

On a busy machine requests and messages compete for the same processors, and requests, which never
end, would win. While messages that are due wait longer than they should, and their handlers are
quick (so that it is processors they lack, not time), a quick request is begun for each message
that is done: neither starves. Slow requests, which wait for something else, are not held back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits

if TYPE_CHECKING:
    from wherry.engine.feeds import Feeds
    from wherry.engine.pools import Pool

_PER_MESSAGE = 0.9  # requests begun for a message done: below 1, so that the background catches up
_CREDITS = 64.0


class Admission:
    """Lets quick requests begin. `adjust` is called many times a second."""

    def __init__(self) -> None:
        self.behind = False
        self.pools: list[Pool] = []  # those that serve requests
        self._credits = 0.0
        self._done = 0  # messages since the last look

    def take(self) -> bool:
        """Ask to begin a quick request while the background is behind."""
        if self._credits < 1.0:
            return False
        self._credits -= 1.0
        return True

    def give_back(self) -> None:
        """What was taken is not begun now."""
        self._credits += self.behind

    def done(self) -> None:
        """A message is done."""
        self._done += 1
        if self.behind:
            self._credits = min(_CREDITS, self._credits + _PER_MESSAGE)
            if self._credits >= 1.0:
                self._go_on()

    def adjust(self, feeds: Feeds) -> None:
        """Look at the background's wait."""
        self.behind = any(
            feed.backlog
            and feed.in_hand
            and feed.lag_s > limits.LAG_S
            and feed.function.pool.run_s < limits.QUICK_RUN_S
            for feed in feeds.feeds.values()
        )
        if self._done == 0:  # something is let in all the same
            self._credits = min(_CREDITS, self._credits + 1.0)
        self._done = 0
        self._go_on()

    def _go_on(self) -> None:
        for pool in self.pools:
            if pool.pending and pool.idle:
                pool.go_on()
