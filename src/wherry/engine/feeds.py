"""Feeds: from queues to their consumers. The one delivery path of all that is asynchronous.

Messages come born leased with the commit that sent them (when the consumer has room and nothing
older waits), or are claimed in batches. Every end of an attempt is a change of the leased row:
deleted in the commit, given back after a wait, or moved to the failure inbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.engine.feed import feed_of
from wherry.ports import Bury, Done, LeaseLost, Poll, Polled, Recover, Release, Renew

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from wherry.blueprint import QueueSpec
    from wherry.engine.admission import Admission
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.feed import Feed
    from wherry.engine.releases import ActiveFunction, Consumer
    from wherry.engine.store import Store
    from wherry.engine.storetime import StoreTime
    from wherry.engine.work import Work
    from wherry.engine.workflows.step import Step
    from wherry.ports import Claimed, Committed
    from wherry.telemetry import InvocationRecord
    from wherry.world import Chance, Loop

INSIST_S = 1.0  # between two tries to tell a store that cannot write


class Feeds:
    """All feeds of this engine."""

    def __init__(
        self,
        loop: Loop,
        clock: StoreTime,
        chance: Chance,
        store: Store,
        dispatcher: Dispatcher,
        owner: str,
        done: Callable[[Work, Any], None],
    ) -> None:
        self.loop = loop
        self.clock = clock
        self.store = store
        self.dispatcher = dispatcher
        self.owner = owner
        self.stopping = False
        self.admission: Admission | None = None
        self.paused = False
        self.shared = False  # the store: an answer may not know of what was answered before it
        self.feeds: dict[str, Feed] = {}
        self._former: dict[str, Feed] = {}  # of queues that are declared no more, till all is done
        self._polling = False
        self._chance = chance
        self.done = done
        self._leaving: set[str] = set()  # being given back or buried, unanswered yet

    def follow(self, consumers: Iterable[tuple[QueueSpec, ActiveFunction, Consumer]]) -> None:
        """Feed these consumers from now on; what others hold, they finish."""
        before, self.feeds = self._former | self.feeds, {}
        for queue, function, trigger in consumers:
            feed = feed_of(self, queue, function, trigger)
            feed.paused = self.paused
            old = before.get(queue.name)
            if old is not None:
                feed.inherit(old)
            self.feeds[queue.name] = feed
            feed.backlog = True
            feed.claim()
        self._former = {}
        for name, old in before.items():
            if name not in self.feeds:
                old.retire()  # else it would claim for nobody when its timer fires
                if old.in_hand:
                    self._former[name] = old

    def _of(self, queue: str) -> Feed | None:
        return self.feeds.get(queue) or self._former.get(queue)

    def consumer(self, queue: str) -> Feed | None:
        """The feed that takes what is leased now; None: nothing is begun of it here any more."""
        return None if self.stopping else self.feeds.get(queue)

    def _held(self) -> list[str]:
        """The messages in hand, also of queues that are declared no more."""
        every = (*self.feeds.values(), *self._former.values())
        return [found for feed in every for found in feed.in_hand]

    def pause(self, paused: bool) -> None:
        """Let all messages wait, or go on."""
        self.paused = paused
        for feed in self.feeds.values():
            feed.paused = paused
            feed.claim()

    def poll(self) -> None:
        """Look for messages whose time or lease has run out; the truth behind all hints."""
        if self._polling or self.stopping:
            return
        names = [name for name, feed in self.feeds.items() if feed.room()]
        if names:
            self._polling = True
            self.store.send("", Poll(names), self._polled)

    def _polled(self, answer: Any) -> None:
        self._polling = False
        if isinstance(answer, Polled):  # else the next poll asks again
            self.clock.told(answer.now_ms)
            self.told(answer)

    def renew(self) -> None:
        """Extend the leases of what is in hand."""
        ids = self._held()
        if ids:
            self.store.send("", Renew(self.owner, ids), self.told)

    def recover(self) -> Recover:
        """Return what a store that started again has to be asked before anything else.

        What it had leased to us in answers that never came, nobody here would begin.
        """
        return Recover(self.owner, [*self._held(), *self._leaving])

    # -- born leased -----------------------------------------------------------------------------

    def offer(self, work: Work) -> dict[str, int]:
        """Offer a commit places in each queue that its function sends to, where some are free."""
        leases: dict[str, int] = {}
        if self.stopping:
            return leases
        for name in work.function.sends:
            feed = self.feeds.get(name)
            if feed is not None and not feed.backlog and (room := feed.room()):
                places = 1 if feed.most == 1 else min(room, feed.most)
                feed.offered += places
                leases[name] = places
        work.offered = leases
        if work.function.starts:
            self.dispatcher.driver.beginnings.prepare(work)
        return leases

    def offer_more(self, work: Work, wanted: dict[str, int]) -> dict[str, int]:
        """Offer a commit places for messages whose number is known, beside what it has."""
        leases = work.offered
        if self.stopping:
            return leases
        for name, count in wanted.items():
            feed = self.feeds.get(name)
            if feed is not None and not feed.backlog and (room := feed.room()):
                places = min(room, count)
                feed.offered += places
                leases[name] = leases.get(name, 0) + places
        return leases

    def take_back(self, work: Work) -> None:
        """The commit is answered: its offers are used or free again."""
        for name, places in work.offered.items():
            feed = self._of(name)
            if feed is not None:  # 0: the queue was declared anew meanwhile
                feed.offered = max(0, feed.offered - places)
        work.offered = {}

    def sent(self, answer: Committed, begins: Sequence[Step] = ()) -> None:
        """A commit sent messages: begin those that are ours, look for the others when due.

        Args:
            begins: The first steps of executions that it may have begun with.
        """
        if begins:
            self.dispatcher.driver.beginnings.began(begins, answer.begun)
        if answer.begun:
            self.dispatcher.driver.begun(answer.begun)
        for message in answer.leased:
            feed = self.consumer(message.queue)
            if feed is None:
                self.give_back([message])
            else:
                feed.take(message)
        self.told(answer)

    def told(self, answer: Any) -> None:
        """Look for the messages of which an answer says that their turn has come."""
        for name, due_ms in getattr(answer, "queued", {}).items():
            feed = self.feeds.get(name)
            if feed is not None:
                feed.wake(due_ms)

    def heard(self, queues: Iterable[str]) -> None:
        """Another engine has put something into these queues, or says so: a hint."""
        now_ms = self.clock.now_ms()
        for name in queues:
            feed = self.feeds.get(name)
            if feed is not None:
                feed.wake(now_ms)

    # -- the ends of an attempt ------------------------------------------------------------------

    def failed(
        self,
        work: Work,
        code: str,
        error: str,
        retry: bool,
        counted: bool,
        record: InvocationRecord,
    ) -> bool:
        """Give a message back, or move it to the failure inbox. True: its record went with it."""
        message = work.message
        assert message is not None
        feed = self._of(message.queue)
        most = feed.queue.max_attempts if feed is not None else limits.MAX_ATTEMPTS
        name = work.function.spec.name
        if counted and (not retry or message.attempt >= most):
            bury = Bury(message.id, message.token, name, code, error[:4000], record)
            self._insist(bury, lambda: None)
            return True
        delay_s = self._delay_s(feed, message.attempt) if counted else 0.2
        give_back = Release(message.id, message.token, int(delay_s * 1000), counted, error[:4000])
        due_ms = self.clock.now_ms() + int(delay_s * 1000)
        self._insist(give_back, lambda: feed.wake(due_ms) if feed is not None else None)
        return False

    def _insist(self, request: Release | Bury, then: Callable[[], None]) -> None:
        """Tell the store how an attempt ended; again while it cannot write (a full disk).

        Else the message would come back only when its lease has run out. The token fences it.
        """
        self._leaving.add(request.id)

        def answered(answer: Any) -> None:
            if isinstance(answer, Done | LeaseLost):
                self._leaving.discard(request.id)
                then()
                self.told(answer)
            elif not self.stopping:
                self.loop.call_later(INSIST_S, self._insist, request, then)

        self.store.send("", request, answered)

    def _delay_s(self, feed: Feed | None, attempt: int) -> float:
        base_s = feed.queue.retry_base_s if feed else limits.RETRY_BASE_S
        most_s = feed.queue.retry_max_s if feed else limits.RETRY_MAX_S
        wait_s = min(most_s, base_s * 2.0 ** min(attempt - 1, 30))
        return wait_s * self._chance.between(0.5, 1.0)

    def finished(self, work: Work) -> None:
        """A message is off our hands."""
        assert work.message is not None
        feed = self._of(work.message.queue)
        if feed is not None:
            feed.finished(work)
            if not feed.in_hand:
                self._former.pop(feed.queue.name, None)
        if self.admission is not None:
            self.admission.done()

    def give_back_waiting(self) -> None:
        """Stop: messages that have not begun go back to their queue, their attempt uncounted."""
        self.stopping = True
        for feed in (*self.feeds.values(), *self._former.values()):
            found = [work.message for work in feed.withdraw()]
            self.give_back([message for message in found if message is not None])

    def give_back(self, messages: Iterable[Claimed]) -> None:
        """Nobody here begins these: their attempt is uncounted, and who can take them finds them.

        Nothing follows where it fails: their leases end.
        """
        for message in messages:
            release = Release(message.id, message.token, 0, False, "")
            self.store.send("", release, lambda answer: None)
