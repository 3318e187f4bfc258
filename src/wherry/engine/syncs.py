"""Which commits share a sync: on a busy engine those of runs that end in one turn of the loop.

And where a sync takes its time a job's goes with the next one of a request: by itself it would keep
the store at its sync when that comes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from wherry import limits

if TYPE_CHECKING:
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.feed import Feed
    from wherry.engine.store import Store, When
    from wherry.engine.work import Work
    from wherry.ports import Commit
    from wherry.world import Clock, Loop, Timer

Then: TypeAlias = Callable[[Any], None]


class Syncs:
    """Sends commits for the dispatcher, together where that costs nobody much."""

    def __init__(self, dispatcher: Dispatcher, loop: Loop, clock: Clock, store: Store) -> None:
        self._dispatcher = dispatcher
        self._loop = loop
        self._clock = clock
        self._store = store
        self._held: list[tuple[Commit, Then]] = []
        self._feeds: list[Feed] = []  # those of it that wait for a request
        self._going = False  # at the end of this turn
        self._until_s = 0.0
        self._took_s = 0.0  # to commit a request's, on a moving average
        self._came = False  # at the last look there were requests
        self._timer: Timer | None = None

    def send(self, work: Work, commit: Commit, then: Then) -> None:
        """Send a commit that ends `work`, now or in a moment."""
        dispatcher = self._dispatcher
        if dispatcher.open == 1:  # else there is what may have something to commit in a moment
            self._send(commit, then, "now")
        elif not self._store.gathers:
            self._send(commit, then)
        elif dispatcher.busy:
            self._held.append((commit, then))
            if not self._going:
                self._going = True
                self._loop.call_soon(self._let_go)
        elif (feed := self._may_wait(work, commit)) is None or not self._requests():
            self._send(commit, self._timed(then) if work.message is None else then)
            self._let_go()  # behind it: a request has not seen what they write
        else:
            self._held.append((commit, then))
            self._feeds.append(feed)
            if self._timer is None:
                self._came = True
                self._until_s = self._clock.steady_s() + limits.COMMIT_ALONG_S
                self._wait()

    def _send(self, commit: Commit, then: Then, when: When = "soon") -> None:
        self._store.send(commit.function, commit, then, when)

    def _timed(self, then: Then) -> Then:
        began_s = self._clock.steady_s()

        def answered(answer: Any) -> None:
            took_s = self._clock.steady_s() - began_s
            self._took_s += limits.AVERAGE_SHARE * (took_s - self._took_s)
            then(answer)

        return answered

    def _may_wait(self, work: Work, commit: Commit) -> Feed | None:
        """Return where a message is from with whose end nothing goes on; None: do not wait.

        What its run has read would change meanwhile, and who has a key for himself keeps others
        from it.
        """
        feeds = self._dispatcher.feeds
        if self._took_s < limits.COMMIT_SLOW_S or feeds is None or work.message is None:
            return None
        if commit.guards or work.solo:
            return None
        feed = feeds.feeds.get(work.message.queue)
        return feed if feed is not None and feed.patient else None

    def _requests(self) -> bool:
        """Whether there are requests that commit, or may do so in a moment."""
        return bool(self._dispatcher.committing) or any(
            one.message is None and one.function.writes for one in self._dispatcher.running
        )

    def _wait(self) -> None:
        self._timer = self._loop.call_later(limits.COMMIT_LOOK_S, self._look)

    def _look(self) -> None:
        """Go on waiting for a request's commit while requests come."""
        self._timer = None
        came, self._came = self._came, self._requests()
        if (
            not self._dispatcher.busy
            and all(feed.patient for feed in self._feeds)
            and self._clock.steady_s() < self._until_s
            and (came or self._came)  # one look may fall between two requests of a caller
        ):
            self._wait()
        else:
            self._let_go()

    def _let_go(self) -> None:
        """Send all that is held: in one turn of the loop, so that they are one batch."""
        self._going = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._feeds.clear()
        while self._held:
            self._send(*self._held.pop(0))
