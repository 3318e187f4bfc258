"""Admission: requests make room for the background while it falls behind.

On a busy machine requests and messages compete for the same processors, and requests, which never
end, would win. While messages that are due wait longer than they should, and their handlers are
quick (so that it is processors they lack, not time), each function with routes is given fewer
environments at once; when the wait is over it gets them back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits
from wherry.blueprint import HttpTrigger

if TYPE_CHECKING:
    from wherry.engine.feeds import Feeds
    from wherry.engine.releases import ActiveRelease


class Admission:
    """Sets the width of the pools that serve requests; called many times a second."""

    def __init__(self) -> None:
        self.width = float(limits.CONCURRENCY)

    def adjust(self, feeds: Feeds, releases: list[ActiveRelease]) -> None:
        """Look at the background's wait and widen or narrow the way of requests."""
        behind = any(
            feed.backlog
            and feed.lag_s > limits.LAG_S
            and feed.function.pool.run_s < limits.QUICK_RUN_S
            for feed in feeds.feeds.values()
        )
        before = self.width
        if behind:
            self.width = max(1.0, min(self.width, limits.QUICK_ENVIRONMENTS) * 0.9)
        elif self.width < limits.CONCURRENCY:
            self.width = min(float(limits.CONCURRENCY), self.width + 0.25)
        if self.width == before:
            return
        for release in releases:
            for function in release.functions.values():
                if isinstance(function.spec.triggers[0], HttpTrigger):
                    function.pool.narrow(int(self.width))
