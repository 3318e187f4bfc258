"""Feeds: from queues to their consumers. The one delivery path of all that is asynchronous.

Messages come born leased with the commit that sent them (when the consumer has room and nothing
older waits), or are claimed in batches. Every end of an attempt is a change of the leased row:
deleted in the commit, given back after a wait, or moved to the failure inbox.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.engine.work import Work, traceparent
from wherry.invocation import MessageEvent
from wherry.ports import Bury, Claim, Claims, Done, LeaseLost, Recover, Release, Renew
from wherry.runtime.keys import message_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from wherry.blueprint import QueueSpec, QueueTrigger
    from wherry.engine.admission import Admission
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.releases import ActiveFunction
    from wherry.engine.store import Store
    from wherry.ports import Claimed, Committed
    from wherry.telemetry import InvocationRecord
    from wherry.world import Chance, Clock, Loop, Timer

INSIST_S = 1.0  # between two tries to tell a store that cannot write


class Feed:
    """One queue and its consumer."""

    def __init__(self, feeds: Feeds, queue: QueueSpec, function: ActiveFunction, endpoint: str):
        self.queue = queue
        self.function = function
        self.endpoint = endpoint
        self.trigger = f"queue {queue.name}"
        self.in_hand: dict[str, Work] = {}
        self.backlog = False  # more may be due than we hold
        self.paused = False
        self.lag_s = 0.0  # how long the message that was claimed last had been due
        self.most = 1  # messages of a run, and of a commit that are born leased
        self.prefix = 1  # messages of a FIFO group that may be held at once
        self.offered = 0  # places promised to commits that are on their way
        self._feeds = feeds
        self._claiming = False
        self._timer: Timer | None = None
        self._due_ms = 0

    def wanted(self) -> int:
        """How many messages this engine wants to hold for the consumer: some more than run."""
        pool = self.function.pool
        wanted = limits.HELD_PER_ENVIRONMENT * (len(pool.idle) + len(pool.busy) + 1)
        return wanted if wanted < pool.concurrency else pool.concurrency

    def room(self) -> int:
        """How many more messages this engine wants to hold."""
        room = 0 if self.paused else self.wanted() - len(self.in_hand) - self.offered
        return room if room > 0 else 0

    @property
    def due_ms(self) -> int | None:
        """When the next message falls due, as far as is known (epoch ms)."""
        return None if self._timer is None else self._due_ms

    @property
    def gathering(self) -> bool:
        """Whether messages are in hand that wait for others."""
        return False

    def wake(self, due_ms: int) -> None:
        """A message falls due at `due_ms`: claim then."""
        now_ms = self._feeds.clock.now_ms()
        if due_ms <= now_ms:
            self.backlog = True
            self.claim()
            return
        if self._timer is not None:
            if self._due_ms <= due_ms:
                return
            self._timer.cancel()
        self._due_ms = due_ms
        delay_s = min((due_ms - now_ms) / 1000, limits.POLL_S)
        self._timer = self._feeds.loop.call_later(delay_s, self._timer_due)

    def _timer_due(self) -> None:
        self._timer = None
        self.backlog = True
        self.claim()

    def claim(self) -> None:
        """Lease what is due, as much as there is room for."""
        room = min(self.room(), limits.CLAIM_BATCH)
        if room == 0 or self._claiming or self._feeds.stopping:
            return
        self._claiming = True
        request = Claim(self.queue.name, room, self._feeds.owner, self.prefix)
        self._feeds.store.send("", request, lambda answer: self._claimed(answer, room))

    def _claimed(self, answer: Any, asked: int) -> None:
        self._claiming = False
        feed = self._feeds.feeds.get(self.queue.name, self)  # a new version may have taken over
        if not isinstance(answer, Claims):  # the store is in trouble: look again soon
            self.wake(self._feeds.clock.now_ms() + 1000)
            return
        if answer.messages:
            due_ms = answer.messages[-1].visible_at_ms
            self.lag_s = max(0.0, (self._feeds.clock.now_ms() - due_ms) / 1000)
        feed.take_all(answer.messages)
        self.backlog = len(answer.messages) == asked
        if self.backlog:
            self.claim()
        elif answer.next_due_ms is not None:
            self.wake(max(answer.next_due_ms, self._feeds.clock.now_ms() + 1))

    def retire(self) -> None:
        """A new version has taken over: look for nothing more."""
        self.paused = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def inherit(self, old: Feed) -> None:
        """Take over from the feed of an older version: what it holds, it finishes."""
        self.in_hand, self.offered = old.in_hand, old.offered
        old.retire()

    def withdraw(self) -> list[Work]:
        """Take back what has not begun; its message is still leased."""
        found = [work for work in self.in_hand.values() if work.function.pool.withdraw(work)]
        for work in found:
            self._feeds.dispatcher.forget(work)
        return found

    def take_all(self, messages: list[Claimed]) -> None:
        """Run what was claimed at once."""
        for message in messages:
            self.take(message)

    def take(self, message: Claimed) -> None:
        """Run a message that is leased to us."""
        work = self._feeds.work_of(self, message)
        self.in_hand[message.id] = work
        self._feeds.dispatcher.submit(work)

    def finished(self, work: Work) -> None:
        """A message is off our hands."""
        assert work.message is not None
        if self.in_hand.get(work.message.id) is work:  # else it was leased anew meanwhile
            del self.in_hand[work.message.id]
        if self.backlog and not (self._claiming or self.paused):
            wanted = self.wanted()
            if 2 * (wanted - len(self.in_hand) - self.offered) >= wanted:  # half of them at once
                self.claim()


class Feeds:
    """All feeds of this engine."""

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
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
        self.feeds: dict[str, Feed] = {}
        self._former: dict[str, Feed] = {}  # of queues that are declared no more, till all is done
        self._chance = chance
        self._done = done
        self._leaving: set[str] = set()  # being given back or buried, unanswered yet

    def follow(self, consumers: Iterable[tuple[QueueSpec, ActiveFunction, QueueTrigger]]) -> None:
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
            if name not in self.feeds and old.in_hand:
                old.retire()
                self._former[name] = old

    def _of(self, queue: str) -> Feed | None:
        return self.feeds.get(queue) or self._former.get(queue)

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
        for feed in self.feeds.values():
            feed.claim()

    def renew(self) -> None:
        """Extend the leases of what is in hand."""
        ids = self._held()
        if ids:
            self.store.send("", Renew(self.owner, ids), lambda answer: None)

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
        return leases

    def take_back(self, work: Work) -> None:
        """The commit is answered: its offers are used or free again."""
        for name, places in work.offered.items():
            feed = self._of(name)
            if feed is not None:  # 0: the queue was declared anew meanwhile
                feed.offered = max(0, feed.offered - places)
        work.offered = {}

    def sent(self, answer: Committed) -> None:
        """A commit sent messages: begin those that are ours, look for the others when due."""
        for message in answer.leased:
            feed = self.feeds.get(message.queue)
            if feed is not None:
                feed.take(message)
        for name, due_ms in answer.queued.items():
            feed = self.feeds.get(name)
            if feed is not None:
                feed.wake(due_ms)

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

            def buried() -> None:
                if feed is not None and feed.queue.fifo:  # the next of its group may come
                    feed.wake(self.clock.now_ms())

            self._insist(bury, buried)
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
            for work in feed.withdraw():
                message = work.message
                assert message is not None
                release = Release(message.id, message.token, 0, False, "")
                self.store.send("", release, lambda answer: None)

    def work_of(self, feed: Feed, message: Claimed) -> Work:
        """Return the work that a message is."""
        function = feed.function
        number = self.dispatcher.numbers.next()
        request_id = f"{number:016x}"
        trace, parent = _trace(message.traceparent)
        waited_s = max(0, self.clock.now_ms() - message.visible_at_ms) / 1000
        at_s = self.clock.steady_s() - waited_s
        event = MessageEvent(
            feed.endpoint, message.queue, message.id, message.body, message.sent_at_ms
        )
        return Work(
            function,
            event,
            feed.trigger,
            number=number,
            key=message_key(function.spec.name, message.id),
            request_id=request_id,
            correlation_id=message.correlation_id,
            trace=trace,
            traceparent=traceparent(trace, request_id),
            parent=parent,
            attempt=message.attempt,
            started_ms=message.started_ms,
            at_ms=message.visible_at_ms,
            at_s=at_s,
            ran_from_s=at_s,
            deadline_s=at_s + function.spec.timeout_s,
            done=self._done,
            message=message,
            cause=message.id,
        )


def feed_of(
    feeds: Feeds, queue: QueueSpec, function: ActiveFunction, trigger: QueueTrigger
) -> Feed:
    """Return the feed of a queue: for a consumer of single messages, or of batches."""
    if trigger.batch == 1:
        return Feed(feeds, queue, function, trigger.endpoint)
    from wherry.engine.gathering import BatchFeed

    return BatchFeed(feeds, queue, function, trigger)


def _trace(traceparent: str) -> tuple[str, str]:
    parts = traceparent.split("-")
    return (parts[1], parts[2]) if len(parts) == 4 else ("0" * 32, "0" * 16)
