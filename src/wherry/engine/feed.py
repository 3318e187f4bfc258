"""A feed: one queue, what of it is in hand, and when to look for more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from wherry import limits
from wherry.blueprint import QueueTrigger, TaskTrigger, WorkflowSpec
from wherry.engine.work import Work, traceparent
from wherry.invocation import MessageEvent
from wherry.ports import Claim, Claims
from wherry.runtime.keys import message_key
from wherry.telemetry import cause_of

if TYPE_CHECKING:
    from wherry.blueprint import QueueSpec
    from wherry.engine.feeds import Feeds
    from wherry.engine.releases import ActiveFunction, Consumer
    from wherry.invocation import Event
    from wherry.ports import Claimed
    from wherry.world import Timer


_LEAST_S = 1e-6  # no run is quicker; an average of none would grow infinitely small


class Feed:
    """One queue and its consumer."""

    def __init__(self, feeds: Feeds, queue: QueueSpec, function: ActiveFunction, endpoint: str):
        self.queue = queue
        self.function = function
        self.endpoint = endpoint
        self.trigger = f"queue {queue.name}"
        self._fed = queue.name in function.fed
        self.in_hand: dict[str, Work] = {}
        self.backlog = False  # more may be due than we hold
        self.paused = False
        self.lag_s = 0.0  # how long the message that was claimed last had been due
        self.most = 1  # messages of a run, and of a commit that are born leased
        self.prefix = 1  # messages of a FIFO group that may be held at once
        self.offered = 0  # places promised to commits that are on their way
        self._feeds = feeds
        self._claiming = False
        self._again = False  # woken while a claim was under way, which may not know of it
        self._timer: Timer | None = None
        self._due_ms = 0

    def wanted(self) -> int:
        """How many messages this engine wants to hold for the consumer: some more than run."""
        pool = self.function.pool
        environments = len(pool.idle) + len(pool.busy) + 1
        wanted = limits.HELD_PER_ENVIRONMENT * environments
        if pool.pace_s:  # a claim is a question to a database, or waits for a sync
            ahead = int(limits.HELD_AHEAD_S * environments / max(pool.pace_s, _LEAST_S))
            wanted = max(wanted, min(ahead, limits.CLAIM_BATCH))
        return wanted if wanted < pool.concurrency else pool.concurrency

    def room(self) -> int:
        """How many more messages this engine wants to hold.

        One whose run is over, and waits for its commit, keeps nobody from running; but where one
        runs at a time the next has to find what it wrote.
        """
        if self.paused:
            return 0
        wanted, held = self.wanted(), len(self.in_hand)
        if wanted > 1:
            over = sum(work.outcome is not None for work in self.in_hand.values())
            held -= over if over < wanted else wanted
        room = wanted - held - self.offered
        return room if room > 0 else 0

    @property
    def due_ms(self) -> int | None:
        """When the next message falls due, as far as is known (epoch ms)."""
        return None if self._timer is None else self._due_ms

    @property
    def gathering(self) -> bool:
        """Whether messages are in hand that wait for others."""
        return False

    @property
    def patient(self) -> bool:
        """Whether nothing goes on with the end of a message: no other one, here or elsewhere."""
        queue, function = self.queue, self.function
        return not (queue.fifo or self.backlog or function.leads_on) and self.room() > 0

    def wake(self, due_ms: int) -> None:
        """A message falls due at `due_ms`: claim then."""
        now_ms = self._feeds.clock.now_ms()
        if due_ms <= now_ms:
            self.backlog = True
            self._again = self._claiming and self._feeds.shared
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
        self._again = self._claiming and self._feeds.shared
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
        if not isinstance(answer, Claims):  # the store is in trouble: look again soon
            self.backlog = False
            self.wake(self._feeds.clock.now_ms() + 1000)
            return
        if answer.now_ms:
            self._feeds.clock.told(answer.now_ms)
        if answer.messages:
            due_ms = answer.messages[-1].visible_at_ms
            self.lag_s = max(0.0, (self._feeds.clock.now_ms() - due_ms) / 1000)
        feed = self._feeds.consumer(self.queue.name)  # a new version may have taken over
        if feed is None:
            self._feeds.give_back(answer.messages)
        else:
            feed.take_all(answer.messages)
        self._feeds.told(answer)
        self.backlog = len(answer.messages) == asked or self._again
        self._again = False
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
        work = self.work_of(message)
        self.in_hand[message.id] = work
        self._feeds.dispatcher.submit(work)

    def finished(self, work: Work) -> None:
        """A message is off our hands."""
        assert work.message is not None
        if self.in_hand.get(work.message.id) is work:  # else it was leased anew meanwhile
            del self.in_hand[work.message.id]
        self.go_on()

    def go_on(self) -> None:
        """Claim more, where more is due and there is room for half of what is wanted at once."""
        if self.backlog and not self._claiming and 2 * self.room() >= self.wanted():
            self.claim()

    def work_of(self, message: Claimed) -> Work:
        """Return the work that a message is."""
        event = MessageEvent(
            self.endpoint, message.queue, message.id, message.body, message.sent_at_ms
        )
        trigger = (cause_of(message.body) or self.trigger) if self._fed else self.trigger
        return self.work(message, event, trigger, message_key(self.function.spec.name, message.id))

    def work(self, message: Claimed, event: Event, trigger: str, key: str) -> Work:
        """Return the work of a message that is this event."""
        feeds, function = self._feeds, self.function
        number = feeds.dispatcher.numbers.next()
        request_id = f"{number:016x}"
        trace, parent = _trace(message.traceparent)
        waited_s = max(0, feeds.clock.now_ms() - message.visible_at_ms) / 1000
        at_s = feeds.clock.steady_s() - waited_s
        return Work(
            function,
            event,
            trigger,
            number=number,
            key=key,
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
            done=feeds.done,
            message=message,
            cause=message.id,
        )


def feed_of(feeds: Feeds, queue: QueueSpec, function: ActiveFunction, consumer: Consumer) -> Feed:
    """Return the feed of a queue, by what takes its messages."""
    match consumer:
        case QueueTrigger(batch=1):
            return Feed(feeds, queue, function, consumer.endpoint)
        case QueueTrigger():
            from wherry.engine.gathering import BatchFeed

            return BatchFeed(feeds, queue, function, consumer)
        case TaskTrigger():
            from wherry.engine.workflows.feed import TaskFeed

            return TaskFeed(feeds, queue, function, consumer.endpoint)
        case WorkflowSpec():
            from wherry.engine.workflows.feed import WorkflowFeed

            return WorkflowFeed(feeds, queue, function)
        case _:
            assert_never(consumer)


def _trace(traceparent: str) -> tuple[str, str]:
    try:
        _, trace, parent, _ = traceparent.split("-")
    except ValueError:
        return "0" * 32, "0" * 16
    return trace, parent
