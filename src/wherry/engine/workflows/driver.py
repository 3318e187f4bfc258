"""The driver: it moves executions, each by one commit at a time, and holds none of them.

What happens to an execution waits in its line for its turn. A step is worked out from what is in
memory of the execution, or from what the store has of it, and its commit compares the version: who
lost looks again. So nothing here has to be true but what the store says.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.engine.settling import record_of
from wherry.engine.workflows.failures import PASSING, failed_of
from wherry.engine.workflows.held import Held, Loaded
from wherry.engine.workflows.loading import Loader
from wherry.engine.workflows.step import Step, told
from wherry.engine.workflows.turns import Line, Turn, event_of
from wherry.invocation import EMPTY
from wherry.ports import (
    Already,
    Broken,
    Commit,
    Committed,
    Conflicted,
    Happened,
    LeaseLost,
    MessageAck,
    Nothing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.feeds import Feeds
    from wherry.engine.journal import Journal
    from wherry.engine.releases import ActiveRelease
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.ports import Ack, Advance
    from wherry.telemetry import Ending
    from wherry.world import Chance, Clock

_happened = msgspec.json.Decoder(Happened)
FAULT = "workflow_fault"  # the code of what went wrong here, not in the workflow
FAULTS = 5  # attempts of a message that meets with one


class Driver:
    """Moves the executions of all workflows.

    Attributes:
        wake: Called with the moment when an execution wants to be woken.
    """

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        store: Store,
        dispatcher: Dispatcher,
        feeds: Feeds,
        journal: Journal,
    ) -> None:
        self.held = Held()
        self.wake: Callable[[int], None] = lambda moment_ms: None
        self._clock = clock
        self._chance = chance
        self._store = store
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._journal = journal
        self._loader = Loader(store)
        self._lines: dict[int, Line] = {}
        self._queues: dict[str, str] = {}  # of the functions that are tasks

    def follow(self, release: ActiveRelease) -> None:
        """Call the functions of this release from now on."""
        self._queues = release.task_queues()

    # -- what happens ----------------------------------------------------------------------------

    def happened(self, work: Work) -> None:
        """A message to a workflow has come."""
        message = work.message
        assert message is not None
        try:
            happened = _happened.decode(message.body)
        except (msgspec.DecodeError, RecursionError) as error:
            self._give_up(work, f"The message is none to a workflow: {error}", retry=False)
            return
        self._queue(Turn(work, happened.execution, happened))

    def returned(self, work: Work) -> None:
        """The function of a task has come to something (`work.outcome`)."""
        assert work.task is not None
        self._queue(Turn(work, work.task.execution))

    def failed(self, work: Work, ending: Ending, code: str, error: str, counted: bool) -> bool:
        """A task has failed. False: it has not, its message is to come again."""
        task = work.task
        assert task is not None
        if code in PASSING or not (counted or ending in ("timeout", "conflict")):
            return False
        failed = failed_of(work, task, ending, error)
        self._queue(Turn(work, task.execution, None, failed, ending, error))
        return True

    def withdraw(self, queue: str) -> list[Work]:
        """Take back the messages of a workflow that wait for their turn."""
        found: list[Work] = []
        for line in self._lines.values():
            found += [turn.work for turn in line.withdraw(queue)]
        return found

    # -- lines -----------------------------------------------------------------------------------

    def _queue(self, turn: Turn) -> None:
        line = self._lines.get(turn.execution)
        if line is None:
            line = self._lines[turn.execution] = Line(turn.execution, deque())
        line.turns.append(turn)
        self._go(line)

    def _go(self, line: Line) -> None:
        """Take the next turn, if it is free."""
        if line.busy:
            return
        if not line.turns:
            self._lines.pop(line.execution, None)
            return
        line.busy = True
        loaded = self.held.take(line.execution)
        if loaded is None:
            self._load(line)
        else:
            self._move(line, loaded, fresh=False)

    def _go_on(self, line: Line) -> None:
        line.busy = False
        self._go(line)

    def _load(self, line: Line) -> None:
        """Look what the store has of an execution, and go on with that."""

        def loaded(found: Any) -> None:
            if isinstance(found, Loaded):
                self._move(line, found, fresh=True)
            elif isinstance(found, Exception):
                self._fault(line, line.take(len(line.turns)), found)
            else:
                self._missed(line, found)

        self._loader.load(line.execution, loaded)

    def _missed(self, line: Line, answer: Any) -> None:
        """There is no such execution, or the store is in trouble."""
        if isinstance(answer, Nothing) and line.turns:
            self._send(line, line.take(1), None)
            return
        turns = line.take(len(line.turns))
        self._give_back(turns, getattr(answer, "message", "the store is in trouble"))
        self._go_on(line)

    # -- a step ----------------------------------------------------------------------------------

    def _move(self, line: Line, loaded: Loaded, fresh: bool) -> None:
        """Work out what the next turn, or some of them at once, come to; commit it."""
        chosen = line.together(loaded)
        if not chosen:
            self.held.put(loaded)
            self._go_on(line)
            return
        try:
            events = [event_of(turn, loaded) for turn in chosen]
        except Exception as error:
            self._fault(line, line.take(len(chosen)), error)
            return
        if None in events and not fresh:  # it may be open by now
            self._load(line)
            return
        turns = line.take(len(chosen))
        step = Step(loaded, self._queues, self._chance)
        step.pending += [event for event in events if event is not None]
        now_ms = max(self._clock.now_ms(), *(turn.message.sent_at_ms for turn in turns))
        self._advance(line, turns, step, now_ms)

    def _advance(self, line: Line, turns: list[Turn], step: Step, now_ms: int) -> None:
        machine = step.loaded.compiled.machine
        try:
            while step.pending:
                event = step.pending.popleft()
                step.absorb(*machine.advance(step.run, event, now_ms, self._chance, reuse=True))
            self._send(line, turns, step)
        except Exception as error:
            self._fault(line, turns, error)

    def _send(self, line: Line, turns: list[Turn], step: Step | None) -> None:
        """Commit a step; without one the turns come to nothing."""
        first, work = turns[0], turns[0].work
        moves = step is not None and (step.moved or _wakes(turns))
        leases = self._dispatcher.leases(work)
        if step is not None and moves:
            leases = self._feeds.offer_more(work, step.wanted())
        advances = [step.advance()] if step is not None and moves else []
        acks: list[Ack] = [MessageAck(turn.message.id, turn.message.token) for turn in turns]
        if first.happened is not None:
            record, *others = [
                record_of(turn.work, "ok", marks=step.entered if step is not None else [])
                for turn in turns
            ]
            owner = work.function.owner
            commit = Commit(
                "", EMPTY, [], acks, record, leases, owner, "", others, advances
            )  # fmt: skip
        else:
            commit = self._end_of_task(first, acks, leases, advances)
        patient = self._dispatcher.open >= limits.PATIENT_FROM
        then = partial(self._answered, line, turns, step if moves else None)
        self._store.send("", commit, then, patient)

    def _end_of_task(
        self, turn: Turn, acks: list[Ack], leases: dict[str, int], advances: list[Advance]
    ) -> Commit:
        work, task, outcome = turn.work, turn.work.task, turn.work.outcome
        assert task is not None
        name, owner = work.function.spec.name, work.function.owner
        if turn.failed is not None:
            record = record_of(work, turn.ending, error=turn.error)
        elif advances or task.waits:  # its token may have come before it has returned
            assert outcome is not None
            record = record_of(work, "ok")
            return Commit(
                name, outcome.effects, outcome.guards, acks, record, leases, owner, work.key, [],
                advances,
            )  # fmt: skip
        else:
            record = record_of(work, "duplicate", error="nobody waits for it any more")
        return Commit(name, EMPTY, [], acks, record, leases, owner, work.key, [], advances)

    # -- the answer ------------------------------------------------------------------------------

    def _answered(self, line: Line, turns: list[Turn], step: Step | None, answer: Any) -> None:
        work = turns[0].work
        if isinstance(answer, Conflicted) and answer.table.startswith("workflow"):
            if work.offered:
                self._feeds.take_back(work)
            line.put_back(turns)
        elif turns[0].happened is None and turns[0].failed is None:
            if isinstance(answer, Committed):
                self._moved(step)
            self._dispatcher.answered(work, answer)
        else:
            if work.offered:
                self._feeds.take_back(work)
            self._settle(line, turns, step, answer)
        self._go_on(line)

    def _settle(self, line: Line, turns: list[Turn], step: Step | None, answer: Any) -> None:
        """End messages to a workflow, or a task that failed."""
        match answer:
            case Committed():
                self._moved(step)
                self._dispatcher.sent(answer)
                self._finish(turns)
            case Already():
                self._finish(turns)
            case LeaseLost(ids=ids):
                lost = [turn for turn in turns if turn.work.cause in ids] or turns
                for turn in lost:
                    record = record_of(turn.work, "duplicate", error="the lease was lost")
                    self._journal.note(record)
                    self._dispatcher.finish(turn.work, None)
                line.put_back([turn for turn in turns if turn not in lost])
            case Broken(message=message):
                self._give_back(turns, message)
            case _:
                for turn in turns:
                    self._give_up(turn.work, f"The store refuses a step: {answer!r}")

    def _moved(self, step: Step | None) -> None:
        """A step is in the store."""
        if step is None:
            return
        loaded = step.loaded
        loaded.run = step.run
        loaded.version += 1
        loaded.redrives += step.redriven
        if step.ended:
            self._tell_end(loaded)
            return
        self.held.put(loaded)
        if step.wake_ms is not None:
            self.wake(step.wake_ms)

    def _tell_end(self, loaded: Loaded) -> None:
        run = loaded.run
        if run.status in ("FAILED", "TIMED_OUT") and loaded.parent is None:
            self._journal.say(
                "ERROR",
                f"the execution {loaded.name!r} of {loaded.workflow!r} has failed: {told(run)}",
                function_name=loaded.workflow,
                correlation_id=loaded.correlation_id,
                execution=loaded.name,
                status=run.status,
            )

    # -- ends of messages ------------------------------------------------------------------------

    def _finish(self, turns: list[Turn]) -> None:
        for turn in turns:
            if turn.failed is not None:
                self._journal.line(turn.work, turn.ending, None)
            self._dispatcher.finish(turn.work, None)

    def _give_back(self, turns: list[Turn], error: str) -> None:
        """The store is in trouble: these come again, their attempt not counted."""
        for turn in turns:
            work = turn.work
            record = record_of(work, "failed", error=error)
            self._feeds.failed(work, "", error, True, False, record)
            self._journal.note(record)
            self._dispatcher.finish(work, None)

    def _give_up(self, work: Work, error: str, retry: bool = True) -> None:
        """Something is wrong here: the message is tried again, and ends in the inbox."""
        retry = retry and work.attempt < FAULTS
        record = record_of(work, "failed", error=error)
        self._journal.say("ERROR", error, function_name=work.function.spec.name, code=FAULT)
        if not self._feeds.failed(work, FAULT, error, retry, True, record):
            self._journal.note(record)
        self._dispatcher.finish(work, None)

    def _fault(self, line: Line, turns: list[Turn], error: Exception) -> None:
        """The interpreter, or we, have a mistake: nothing of the step is kept."""
        for turn in turns:
            self._give_up(turn.work, f"{type(error).__name__}: {error}")
        self._go_on(line)


def _wakes(turns: list[Turn]) -> bool:
    """Whether a wake-up is among them: it has to be set anew although nothing moved."""
    return any(turn.happened is not None and turn.happened.event == "wake" for turn in turns)
