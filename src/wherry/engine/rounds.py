"""What falls due without anybody asking: schedules, the next messages of a redrive, and what
executions wait for.

The store decides, in one transaction, so that each firing happens once however many engines ask.
Here is only when to ask: at the moment that the last answer named, and every few seconds as the
truth behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.ports import Fire, Fired, Redriven, RedriveTick, WakeExecutions, Woken

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.feeds import Feeds
    from wherry.engine.journal import Journal
    from wherry.engine.store import Store
    from wherry.engine.storetime import StoreTime
    from wherry.world import Clock, Loop, Timer


class Round:
    """One question, asked again and again.

    Args:
        request: What is asked; answered with the queues that got messages and the next moment.
        told: Gets each answer.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        store: Store,
        feeds: Feeds,
        request: Fire | RedriveTick | WakeExecutions,
        told: Callable[[Fired | Redriven | Woken], None] = lambda answer: None,
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._store = store
        self._feeds = feeds
        self._request = request
        self._told = told
        self._asking = False
        self._again = False  # asked for while an answer was under way, which may not know of it
        self._timer: Timer | None = None
        self._in_vain = 0  # answers in a row that had nothing of what should be due
        self.polls = False  # also while nothing is known to fall due: others may know
        self._by_ms: int | None = None
        self.due_ms: int | None = None  # when the next question is of use, as far as is known

    def ask(self) -> None:
        """Ask now."""
        if self._feeds.stopping:
            return
        if self._asking:
            self._again = True
            return
        self._asking = True
        self._store.send("", self._request, self._answered)

    def _answered(self, answer: Any) -> None:
        self._asking = False
        if isinstance(answer, Fired | Redriven | Woken):
            self._feeds.told(answer)
            self._told(answer)
            self.due_ms = due_ms = answer.next_ms
            late = due_ms is not None and due_ms <= self._clock.now_ms()
            late = late and not (answer.queued or (isinstance(answer, Fired) and answer.skipped))
            self._in_vain = self._in_vain + 1 if late else 0
        else:  # the store is in trouble
            self.due_ms = self._clock.now_ms() + 1000
        if self._by_ms is not None:
            by_ms, self._by_ms = self._by_ms, None
            self.due_ms = by_ms if self.due_ms is None else min(by_ms, self.due_ms)
        if self._again:
            self._again = False
            self.ask()
        else:
            self._wait()

    def ask_by(self, due_ms: int) -> None:
        """Ask at this moment, if not before."""
        if self._asking:  # what is under way may not know of it
            self._by_ms = due_ms if self._by_ms is None else min(due_ms, self._by_ms)
        elif self.due_ms is None or due_ms < self.due_ms:
            self.due_ms = due_ms
            self._wait()

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.due_ms is None and self.polls:
            self._timer = self._loop.call_later(limits.POLL_S, self._due)
        elif self.due_ms is not None:
            delay_s = (self.due_ms - self._clock.now_ms()) / 1000
            # The store's clock counts. Ours may be ahead of it, or be set while we wait.
            least_s = 0.005 * 2 ** min(self._in_vain, 8) if self._in_vain else 0.0
            delay_s = min(max(delay_s, least_s), limits.POLL_S)
            self._timer = self._loop.call_later(delay_s, self._due)

    def _due(self) -> None:
        self._timer = None
        self.ask()


class Rounds:
    """The rounds of an engine. They cost nothing where nothing waits for its moment."""

    def __init__(
        self, loop: Loop, time: StoreTime, store: Store, feeds: Feeds, journal: Journal
    ) -> None:
        self._journal = journal
        self._time = time
        self._feeds = feeds
        fire, tick = Fire(limits.FIRE_BATCH), RedriveTick(limits.REDRIVE_BATCH)
        self.schedules = Round(loop, time, store, feeds, fire, self._fired)
        self.redrives = Round(loop, time, store, feeds, tick)
        wake = WakeExecutions(limits.WAKE_BATCH)
        self.executions = Round(loop, time, store, feeds, wake, self._woken)

    def begin(self, workflows: bool) -> None:
        """Ask for the first time: of what fell due, or was under way, while no engine ran, too.

        Args:
            workflows: Whether the app has any.
        """
        self.executions.polls = workflows
        self.redrives.polls = self._feeds.shared  # another engine may have begun one, and died
        self.schedules.ask()
        self.redrives.ask()
        self.executions.ask()

    def _woken(self, answer: Fired | Redriven | Woken) -> None:
        if isinstance(answer, Woken):
            self._time.told(answer.now_ms)

    def _fired(self, answer: Fired | Redriven | Woken) -> None:
        if not isinstance(answer, Fired):
            return
        for one in answer.skipped:
            self._journal.say(
                "INFO" if one.why == "paused" else "WARNING",
                f"the schedule {one.schedule!r} has skipped {one.count} firing(s): {WHY[one.why]}",
                function_name=one.queue,
                schedule=one.schedule,
                skipped=one.count,
                why=one.why,
            )


WHY = {
    "missed": "they were missed, and its policy does not make up for them",
    "overlap": "an earlier one is not done",
    "paused": "its function is paused",
    "invalid": "its expression or time zone cannot be read on this machine",
}
