"""Gathering: messages of one queue become batches, full ones or those that have waited enough.

A batch that waits for an environment may still be joined: while all are busy, batches fill up.
What is tried again keeps company with what is tried again, so that a poison message does not cost
fresh ones a run each time it comes.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.engine.batches import behind_of, company, members_of
from wherry.engine.feed import Feed
from wherry.invocation import BatchEvent
from wherry.ports import ListPaused, Paused

if TYPE_CHECKING:
    from wherry.blueprint import QueueSpec, QueueTrigger
    from wherry.engine.feeds import Feeds
    from wherry.engine.releases import ActiveFunction
    from wherry.engine.work import Work
    from wherry.ports import Claimed
    from wherry.world import Timer


class _Gathering:
    """A batch that may be joined: it has not begun."""

    __slots__ = ("asked", "bytes", "due_s", "submitted", "work")

    def __init__(self, work: Work, due_s: float) -> None:
        self.work = work
        self.bytes = 0
        self.due_s = due_s  # when its first message has waited for its window
        self.submitted = False
        self.asked = False  # whether it may begin; there is no answer yet

    def open(self) -> bool:
        """Whether nobody has begun or ended it."""
        event = self.work.event
        assert isinstance(event, BatchEvent)
        return not (event.messages or self.work.finished)


class BatchFeed(Feed):
    """One queue and its consumer of batches."""

    def __init__(
        self, feeds: Feeds, queue: QueueSpec, function: ActiveFunction, trigger: QueueTrigger
    ) -> None:
        super().__init__(feeds, queue, function, trigger.endpoint)
        self.most = trigger.batch
        self.prefix = trigger.batch if queue.fifo else 1
        self._window_s = trigger.window_s
        self._gathered: dict[bool, _Gathering] = {}  # of fresh messages, and of those tried before
        self._held_bytes = 0
        self._looking: Timer | None = None

    # -- room ------------------------------------------------------------------------------------

    def wanted(self) -> int:
        pool = self.function.pool
        runs = min(pool.concurrency, len(pool.idle) + len(pool.busy))
        return self.most * (runs + 1)

    def room(self) -> int:
        return super().room() if self._held_bytes < limits.BATCHES_HELD_BYTES else 0

    @property
    def due_ms(self) -> int | None:
        """When the next message falls due, or the window of the first one ends (epoch ms)."""
        due_s = [found.due_s for found in self._gathered.values() if not found.submitted]
        if not due_s:
            return super().due_ms
        clock = self._feeds.clock
        ends_ms = clock.now_ms() + int((min(due_s) - clock.steady_s()) * 1000) + 1
        due_ms = super().due_ms
        return ends_ms if due_ms is None else min(ends_ms, due_ms)

    @property
    def gathering(self) -> bool:
        """Whether messages wait here for others."""
        return any(not found.submitted for found in self._gathered.values())

    # -- taking and beginning --------------------------------------------------------------------

    def take_all(self, messages: list[Claimed]) -> None:
        """Put what was claimed into batches: what is of one group never into two."""
        for _, run in groupby(messages, key=_group_or_id):
            self._join(list(run))

    def take(self, message: Claimed) -> None:
        """Put a message that is leased to us into a batch."""
        self._join([message])

    def _join(self, messages: list[Claimed]) -> None:
        works = [self.work_of(message) for message in messages]
        self.in_hand.update((work.cause, work) for work in works)
        size, again = sum(len(one.body) for one in messages), messages[0].attempt > 1
        self._held_bytes += size
        found = self._gathered.get(again)
        if found is not None and not found.open():
            found = None
        if found is not None and not self._fits(found, len(works), size):
            self._submit(found)
            found = None
        if found is None:
            batch = company(works, self._feeds.dispatcher.numbers.next())
            due_s = works[0].at_s + self._window_s
            found = self._gathered[again] = _Gathering(batch, due_s)
        else:
            members_of(found.work).extend(works)
        found.bytes += size
        if len(members_of(found.work)) >= self.most:
            del self._gathered[again]
            self._submit(found)
        elif not found.submitted:
            self._look_at(0.0)

    def _fits(self, found: _Gathering, count: int, size: int) -> bool:
        members = len(members_of(found.work))
        return members + count <= self.most and found.bytes + size <= limits.BATCH_BYTES

    def claim(self) -> None:
        self._look_at(0.0)  # what a pause has kept
        super().claim()

    def _claimed(self, answer: Any, asked: int) -> None:
        super()._claimed(answer, asked)
        self._look_at(0.0)  # what has waited for this answer

    def _look_at(self, delay_s: float) -> None:
        """Look for what may begin, after all that arrives at this moment."""
        if self._looking is not None:
            self._looking.cancel()
        loop = self._feeds.loop
        if delay_s > 0.0:
            self._looking = loop.call_later(delay_s, self._look)
        else:
            self._looking = loop.call_soon(self._look)

    def _look(self) -> None:
        """Begin what has waited for its window, unless more of a backlog is on its way."""
        self._looking = None
        if self.paused or self._feeds.stopping:
            return
        now_s = self._feeds.clock.steady_s()
        more = self._claiming and self.backlog
        waits_s = []
        for found in [one for one in self._gathered.values() if not one.submitted]:
            if found.due_s > now_s:
                waits_s.append(found.due_s - now_s)
            elif not more:
                self._end_window(found)
        if waits_s:
            self._look_at(min(waits_s))

    def _end_window(self, found: _Gathering) -> None:
        """Begin it, or give it back if its function was paused while it waited for its window."""
        if self._window_s == 0.0:
            self._submit(found)
            return

        def answered(answer: Any) -> None:
            found.asked = False
            if found.submitted or found not in self._gathered.values():
                return  # it was full, or is nobody's here any more
            rows = answer.rows if isinstance(answer, Paused) else ()
            if {row.function for row in rows} & {"", self.function.spec.name}:
                self._give_back(found)
            else:
                self._submit(found)

        if not found.asked:
            found.asked = True
            self._feeds.store.send("", ListPaused(), answered)

    def _give_back(self, found: _Gathering) -> None:
        """Let its messages wait in the queue: nothing has begun."""
        self._gathered = {key: one for key, one in self._gathered.items() if one is not found}
        for member in members_of(found.work):
            if member.message is not None:
                self._feeds.give_back([member.message])
            self.finished(member)

    def _submit(self, found: _Gathering) -> None:
        if not found.submitted:
            found.submitted = True
            found.work.function = self.function
            self._feeds.dispatcher.submit(found.work)

    # -- ending ----------------------------------------------------------------------------------

    def finished(self, work: Work) -> None:
        if work.message is not None:
            self._held_bytes -= len(work.message.body)
        super().finished(work)

    def inherit(self, old: Feed) -> None:
        super().inherit(old)
        bodies = [work.message.body for work in self.in_hand.values() if work.message is not None]
        self._held_bytes = sum(map(len, bodies))

    def retire(self) -> None:
        for found in self._gathered.values():
            self._submit(found)
        self._gathered.clear()
        super().retire()

    def withdraw(self) -> list[Work]:
        found = super().withdraw()  # what runs again alone
        for behind in [behind for one in found for behind in behind_of(one)]:
            self._feeds.dispatcher.forget(behind)
            found.append(behind)
        for batch in self._batches_that_wait():
            batch.function.pool.withdraw(batch)
            self._feeds.dispatcher.forget(batch)
            found += members_of(batch)
        for one in self._gathered.values():
            if not one.submitted:
                found += members_of(one.work)
        self._gathered.clear()
        return found

    def _batches_that_wait(self) -> list[Work]:
        pools = {id(one.function.pool): one.function.pool for one in self.in_hand.values()}
        pools[id(self.function.pool)] = self.function.pool
        return [
            work
            for pool in pools.values()
            for work in pool.pending
            if work.members and work.message is not None and work.message.queue == self.queue.name
        ]


def _group_or_id(message: Claimed) -> tuple[bool, str]:
    """Return what messages that must stay together have in common."""
    alone = message.group is None
    return alone, message.id if message.group is None else message.group
