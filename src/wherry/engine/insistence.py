"""Commits of messages, made again while the store is in trouble: what a run came to is kept, and
its handler is not run once more for that.

A commit is known by the number of its record, so that making it again is harmless. The lease is
renewed meanwhile; where it ends, somebody else has the message, its attempt counted. And where the
store takes other things but not this, it gives up, and the attempt counts: no message is run
without a bound.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wherry import limits
from wherry.engine.feeds import INSIST_S
from wherry.engine.syncs import Syncs
from wherry.errors import StoreFull
from wherry.ports import Broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.journal import Journal
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.ports import Commit, CommitAnswer
    from wherry.world import Chance, Clock, Loop


class Insistence:
    """Sends commits for the dispatcher, those of messages until the store has taken them."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        loop: Loop,
        clock: Clock,
        chance: Chance,
        store: Store,
        journal: Journal,
    ) -> None:
        self._dispatcher = dispatcher
        self._loop = loop
        self._chance = chance
        self._syncs = Syncs(dispatcher, loop, clock, store)
        self._journal = journal

    def send(self, work: Work, commit: Commit, then: Callable[[CommitAnswer], None]) -> None:
        """Send a commit that ends `work`; `then` gets what came of it in the end."""
        if work.message is not None:
            then = partial(self._answered, work, commit, then)
            if not work.unwritten:
                self._more(work.message.queue)
        self._syncs.send(work, commit, then)

    def _more(self, queue: str) -> None:
        """A run of a message is over, and its environment free for the next."""
        feeds = self._dispatcher.feeds
        if feeds is not None and (feed := feeds.feeds.get(queue)) is not None:
            feed.go_on()

    def _answered(
        self,
        work: Work,
        commit: Commit,
        then: Callable[[CommitAnswer], None],
        answer: CommitAnswer,
    ) -> None:
        feeds = self._dispatcher.feeds
        if not isinstance(answer, Broken) or feeds is None or feeds.stopping:
            then(answer)
            return
        full = answer.code == StoreFull.code  # it waits for room, however long that takes
        self._dispatcher.store_faults.add(answer.code)
        if work.unwritten == 0:
            self._tell(work, answer)
        if not full or work.unwritten == 0:
            work.unwritten += 1
        if work.unwritable:
            told = f"{limits.COMMIT_TRIES} commits of it failed: {answer.message}"
            then(Broken(answer.code, told))
            return
        if work.offered:  # others may have the places meanwhile
            feeds.take_back(work)
        again_s = INSIST_S if full else limits.COMMIT_AGAIN_S * 2.0 ** (work.unwritten - 1)
        again_s = min(again_s, limits.COMMIT_AGAIN_MAX_S) * self._chance.between(0.5, 1.0)
        self._loop.call_later(again_s, self.send, work, replace(commit, leases={}), then)

    def _tell(self, work: Work, answer: Broken) -> None:
        self._journal.say(
            "WARNING",
            f"the store did not take what {work.trigger} came to, it is sent again: "
            f"{answer.message}",
            function_name=work.function.spec.name,
            correlation_id=work.correlation_id,
            function_request_id=work.request_id,
            attempt=work.attempt,
            code=answer.code,
        )
