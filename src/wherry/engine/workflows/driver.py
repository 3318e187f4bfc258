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

from wherry.engine.workflows.beginnings import Beginnings
from wherry.engine.workflows.commits import commit_of, moved_elsewhere
from wherry.engine.workflows.endings import Endings
from wherry.engine.workflows.failures import PASSING, failed_of
from wherry.engine.workflows.held import Held, Loaded
from wherry.engine.workflows.integrations import Outcome
from wherry.engine.workflows.loading import Loader
from wherry.engine.workflows.own import CONFLICTS, OwnCalls
from wherry.engine.workflows.step import Step, step_of
from wherry.engine.workflows.turns import Line, Turn, event_of
from wherry.ports import (
    Already,
    Broken,
    Committed,
    Conflicted,
    Denied,
    Execution,
    Happened,
    LeaseLost,
    Nothing,
    Rejected,
    Unmet,
)
from wherry.statemachine.records import Submitted
from wherry.statemachine.redriving import why_not_redrivable

if TYPE_CHECKING:
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.feeds import Feeds
    from wherry.engine.journal import Journal
    from wherry.engine.releases import ActiveRelease
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.engine.workflows.aside import Aside as Aside  # noqa: PLC0414 - core names it
    from wherry.ports import Advance
    from wherry.statemachine.records import Run
    from wherry.telemetry import Ending
    from wherry.world import Chance, Clock

_happened = msgspec.json.Decoder(Happened)


class Driver:
    """Moves the executions of all workflows.

    Attributes:
        held: The executions that moved lately.
        beginnings: How those begin that a commit starts.
    """

    def __init__(
        self,
        clock: Clock,
        chance: Chance,
        store: Store,
        dispatcher: Dispatcher,
        feeds: Feeds,
        journal: Journal,
        own: OwnCalls,
        worker: Aside | None,
    ) -> None:
        self.held = Held()
        self._clock = clock
        self._chance = chance
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._endings = Endings(dispatcher, feeds, journal)
        self._own = own
        self._worker = worker
        self._loader = Loader(store)
        self.beginnings = Beginnings(clock, chance, feeds, self._loader, self.held)
        self._lines: dict[int, Line] = {}
        self._queues: dict[str, str] = {}  # of the functions that are tasks

    def follow(self, release: ActiveRelease) -> None:
        """Call the functions of this release from now on."""
        self._queues = self.beginnings.queues = release.task_queues()
        self._loader.follow(release.blueprint.workflows)
        self._own.blueprint = release.blueprint

    # -- what happens ----------------------------------------------------------------------------

    def happened(self, work: Work) -> None:
        """A message to a workflow has come."""
        message = work.message
        assert message is not None
        try:
            happened = _happened.decode(message.body)
        except (msgspec.DecodeError, RecursionError) as error:
            self._endings.give_up(work, f"The message is none to a workflow: {error}", retry=False)
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
        undone = code in PASSING or work.unwritable
        if undone or not (counted or ending in ("timeout", "conflict")):
            return False
        failed = failed_of(work, task, ending, error)
        self._queue(Turn(work, task.execution, None, failed, ending, error))
        return True

    def begun(self, executions: list[Execution]) -> None:
        """These begin with messages that are leased to us: they need not be loaded."""
        for found in executions:
            loaded = self._loader.loaded(found) if found.head or not found.version else None
            if loaded is not None:
                self.held.put(loaded)

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
        if not line.busy:
            self._go(line)

    def _go(self, line: Line) -> None:
        """Take the next turn of a line that is free."""
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

    def _load_again(self, line: Line, turns: list[Turn]) -> None:
        """What is in memory may be old: these turns are taken with what the store has."""
        line.put_back(turns)
        self._load(line)

    def _missed(self, line: Line, answer: Any) -> None:
        """There is no such execution, or the store is in trouble."""
        if isinstance(answer, Nothing) and line.turns:
            self._send(line, line.take(1), None)
            return
        turns = line.take(len(line.turns))
        self._endings.give_back(turns, getattr(answer, "message", "the store is in trouble"))
        self._go_on(line)

    # -- a step ----------------------------------------------------------------------------------

    def _move(self, line: Line, loaded: Loaded, fresh: bool) -> None:
        """Work out what the next turn, or some of them at once, come to; commit it."""
        turns = line.together(loaded)
        if not turns:
            self.held.put(loaded)
            self._go_on(line)
            return
        if turns[0].happened is not None and not turns[0].joins(loaded):
            self._alone(line, loaded, turns[0], fresh)
            return
        try:
            events = [event_of(turn, loaded) for turn in turns]
        except Exception as error:
            self._fault(line, turns, error)
            return
        if None in events and not fresh:  # it may be open by now
            self._load_again(line, turns)
            return
        now_ms = max(self._clock.now_ms(), *[turn.message.sent_at_ms for turn in turns])
        step = step_of(loaded, self._queues, self._chance)
        step.pending += filter(None, events)
        self._advance(line, turns, step, now_ms)

    def _alone(self, line: Line, loaded: Loaded, turn: Turn, fresh: bool) -> None:
        """Take a turn that is not for the interpreter alone: a redrive, a call of the engine's."""
        happened = turn.happened
        assert happened is not None
        call = loaded.calls.get(happened.call)
        there = loaded.run.status != "RUNNING"
        if happened.event != "redrive":
            there = call is not None and happened.call in loaded.run.calls
        if not there and not fresh:
            self._load_again(line, [turn])
            return
        now_ms = max(self._clock.now_ms(), turn.message.sent_at_ms)
        step = step_of(loaded, self._queues, self._chance)
        step.about = call if happened.event == "call" else None

        def done(found: Any) -> None:
            if not isinstance(found, Outcome):
                self._endings.give_back([turn], getattr(found, "message", str(found)))
                self._go_on(line)
                return
            step.pending.append(found.event)
            step.effects, step.guards = found.effects, found.guards
            if not isinstance(found.event, Submitted):
                step.close(happened.call)
            self._advance(line, [turn], step, now_ms)

        try:
            if not there:
                self._send(line, [turn], None)
            elif call is None:
                self._redrive(line, turn, step, now_ms)
            elif turn.failed is not None:
                done(Outcome(turn.failed))
            elif happened.event == "call":
                self._own.do(loaded, call, turn.message.id, now_ms, done)
            else:
                self._own.nested(loaded, call, happened.child, done)
        except Exception as error:
            self._fault(line, [turn], error)

    def _redrive(self, line: Line, turn: Turn, step: Step, now_ms: int) -> None:
        """Let an execution that failed go on; where it cannot, its failure stays in the inbox."""
        why = why_not_redrivable(step.run, now_ms)
        if why is not None:
            self._endings.give_up(turn.work, why, retry=False, code="not_redrivable")
            self._go_on(line)
            return
        step.redriven = True
        self._advance(line, [turn], step, now_ms)

    def _advance(self, line: Line, turns: list[Turn], step: Step, now_ms: int) -> None:
        """Let the interpreter work a step out: here, or where it may take its time."""
        compiled = step.loaded.compiled
        again = step.redriven and not step.moved
        if compiled.aside and self._worker is not None and (again or step.pending):
            events = None if again else list(step.pending)
            if not again:
                step.pending.clear()
            moved = partial(self._moved_aside, line, turns, step, now_ms)
            definition, execution = compiled.spec.definition, step.loaded.id
            self._worker.advance(
                compiled.digest, definition, execution, step.run, events, now_ms, moved
            )
            return
        try:
            if again:
                redrive = compiled.machine.redrive
                step.absorb(*redrive(step.run, now_ms, self._chance, reuse=True))
            step.work_out(now_ms)
            self._send(line, turns, step)
        except Exception as error:
            self._fault(line, turns, error)

    def _moved_aside(
        self, line: Line, turns: list[Turn], step: Step, now_ms: int, run: Run, found: Any
    ) -> None:
        if isinstance(found, str):
            self._fault(line, turns, RuntimeError(found))
            return
        try:
            for commands in found:
                step.absorb(run, commands)
        except Exception as error:
            self._fault(line, turns, error)
            return
        self._advance(line, turns, step, now_ms)

    def _send(self, line: Line, turns: list[Turn], step: Step | None) -> None:
        """Commit a step; without one the turns come to nothing."""
        work = turns[0].work
        moves = step is not None and (step.moved or _wakes(turns))
        leases = self._dispatcher.leases(work)
        advances: list[Advance] = []
        if step is not None and moves:
            if step.children:
                step.begin_children(self._clock.now_ms())
            leases = self._feeds.offer_more(work, step.wanted())
            advances.append(step.advance())
        commit = commit_of(turns, step, advances, leases)
        then = partial(self._answered, line, turns, step if moves else None)
        self._dispatcher.insistence.send(work, commit, then)

    # -- the answer ------------------------------------------------------------------------------

    def _answered(self, line: Line, turns: list[Turn], step: Step | None, answer: Any) -> None:
        first = turns[0]
        work = first.work
        if isinstance(answer, Conflicted) and moved_elsewhere(answer, line.execution):
            if work.offered:
                self._feeds.take_back(work)
            line.put_back(turns)
        elif first.happened is None and first.failed is None:
            if isinstance(answer, Committed):
                begins = work.begins if step is None else work.begins + step.begins
                self._feeds.sent(answer, begins)  # first of all: the next task begins
                self._moved(step)
                answer = Committed([])
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
                self._dispatcher.sent(answer, step.begins if step is not None else ())
                self._moved(step)
                self._endings.done(turns)
            case Already():
                self._endings.done(turns)
            case LeaseLost(ids=ids):
                lost = [turn for turn in turns if turn.work.cause in ids] or turns
                self._endings.lost(lost)
                line.put_back([turn for turn in turns if turn not in lost])
            case Broken(message=message):
                self._endings.give_back(turns, message)
            case _ if self._refused(turns, step, answer):
                line.put_back(turns)
            case _:
                for turn in turns:
                    self._endings.give_up(turn.work, f"The store refuses a step: {answer!r}")

    def _refused(self, turns: list[Turn], step: Step | None, answer: Any) -> bool:
        """Let a call of the engine's own be done again, or fail: its effects were not taken."""
        turn = turns[0]
        call = None if step is None else step.about
        refusal = isinstance(answer, Denied | Unmet | Conflicted | Rejected)
        if call is None or step is None or turn.failed is not None or not refusal:
            return False
        turn.conflicts += isinstance(answer, Conflicted)
        if not isinstance(answer, Conflicted) or turn.conflicts == CONFLICTS:
            turn.failed = self._own.refused(step.loaded, call, answer)
        return True

    def _moved(self, step: Step | None) -> None:
        """A step is in the store."""
        if step is None:
            return
        loaded = step.loaded
        step.applied(loaded.id, loaded.version + 1)
        if step.ended:
            self._endings.tell(loaded)
            return
        self.held.put(loaded)
        if step.wake_ms is not None:
            self.beginnings.wake(step.wake_ms)

    def _fault(self, line: Line, turns: list[Turn], error: Exception) -> None:
        """The interpreter, or we, have a mistake: nothing of the step is kept."""
        for turn in turns:
            self._endings.give_up(turn.work, f"{type(error).__name__}: {error}")
        self._go_on(line)


def _wakes(turns: list[Turn]) -> bool:
    """Whether a wake-up is among them: it has to be set anew although nothing moved."""
    return any(turn.happened is not None and turn.happened.event == "wake" for turn in turns)
