"""A definition, compiled once; and `advance`, which takes a run from one event to the next.

    machine = compile_machine(definition)
    run = machine.new_run(arn=..., ...)
    run, commands = machine.advance(run, Begin(), now_ms, chance)

`commands` says what to write to the history, what to call, and when to wake the run; each answer
is an event for the next `advance`. An event of a call that is no longer open changes nothing, so
that an answer may come twice.
"""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from wherry import limits
from wherry.statemachine.faults import QUERY, StatesError, runtime
from wherry.statemachine.functions import Draw
from wherry.statemachine.history import WHOLE
from wherry.statemachine.jsonata import Query, compile_query
from wherry.statemachine.quantities import queried_integer
from wherry.statemachine.records import (
    Begin,
    Call,
    Commands,
    Event,
    Failed,
    Frame,
    Heartbeat,
    Read,
    Run,
    Started,
    Stop,
    Submitted,
    Succeeded,
    TokenFailed,
    TokenSucceeded,
    Type,
    Wake,
)
from wherry.statemachine.redriving import NotRedrivable, reopen, why_not_redrivable
from wherry.statemachine.states import State
from wherry.statemachine.states_choice import ChoiceState
from wherry.statemachine.states_distributed import DistributedMapState
from wherry.statemachine.states_map import MapState
from wherry.statemachine.states_parallel import ParallelState
from wherry.statemachine.states_simple import FailState, PassState, SucceedState
from wherry.statemachine.states_task import TaskState, task_error
from wherry.statemachine.states_wait import WaitState
from wherry.statemachine.stepping import Walk
from wherry.statemachine.text import to_text

_KINDS: dict[str, type[State]] = {
    "Choice": ChoiceState,
    "Fail": FailState,
    "Map": MapState,
    "Parallel": ParallelState,
    "Pass": PassState,
    "Succeed": SucceedState,
    "Task": TaskState,
    "Wait": WaitState,
}


class Block:
    """The states of the machine itself, of a branch, or of a Map's processor."""

    __slots__ = ("start_at", "states")

    def __init__(self, start_at: str) -> None:
        self.start_at = start_at
        self.states: dict[str, State] = {}


class Machine:
    """A compiled state machine."""

    def __init__(self, definition: dict[str, Any]) -> None:
        self._jsonata = definition.get("QueryLanguage") == "JSONata"
        self.blocks: list[Block] = []
        self.timeout_s: int | Query | None = definition.get("TimeoutSeconds")
        if isinstance(self.timeout_s, str):
            self.timeout_s = compile_query(self.timeout_s, "TimeoutSeconds")
        self.block(definition)

    def block(self, definition: dict[str, Any]) -> int:
        """Compile a block and those inside it; return its number."""
        number = len(self.blocks)
        block = Block(definition["StartAt"])
        self.blocks.append(block)
        for name, fields in definition["States"].items():
            jsonata = fields.get("QueryLanguage", "JSONata" if self._jsonata else "") == "JSONata"
            kind = _KINDS[fields["Type"]]
            if kind is MapState and _is_distributed(fields):
                kind = DistributedMapState
            block.states[name] = kind(name, fields, jsonata, self)
        return number

    def new_run(
        self,
        *,
        arn: str,
        name: str,
        machine_arn: str,
        machine_name: str,
        input: Any,
        type: Type = "STANDARD",
        role_arn: str = "",
    ) -> Run:
        """Return a run that has not begun."""
        return Run(
            arn=arn,
            name=name,
            machine_arn=machine_arn,
            machine_name=machine_name,
            type=type,
            role_arn=role_arn,
            input=input,
        )

    def child(self, parent: Run, call: Call, name: str) -> Run:
        """Return the run of a distributed Map's child, which has not begun."""
        label = call.map_run.rsplit("/", 1)[-1].split(":")[0]
        arn = f"{parent.arn.rsplit(':', 1)[0]}/{label}:{name}"
        if call.type == "EXPRESS":  # its last part is an ID of AWS's, here that of the map run
            run_id = call.map_run.rsplit(":", 1)[-1]
            arn = f"{arn.replace(':execution:', ':express:', 1)}:{run_id}"
        return Run(
            arn=arn,
            name=name,
            machine_arn=f"{parent.machine_arn}/{label}",
            machine_name=f"{parent.machine_name}/{label}",
            type=call.type,
            role_arn=parent.role_arn,
            input=call.arguments,
            block=call.block,
            item=call.item,
            index=call.index,
        )

    def advance(
        self, run: Run, event: Event, now_ms: int, chance: Draw, *, reuse: bool = False
    ) -> tuple[Run, Commands]:
        """Return the run after an event, and what it asks for now.

        The run that is passed in stays as it is, unless `reuse` gives it away: then the cost does
        not depend on how much the run holds. A run that has ended is returned unchanged.
        """
        if run.status != "RUNNING":
            return run, Commands(finished=True)
        walk = Walk(self, run, now_ms, chance, reuse)
        if run.deadline_ms is not None and now_ms >= run.deadline_ms:
            walk.end_timed_out()
        else:
            _take(walk, event, self)
            walk.drain()
        return self._done(walk)

    def why_not_redrivable(self, run: Run, now_ms: int) -> str | None:
        """Return why a run cannot be redriven, in AWS's words; None: it can."""
        return why_not_redrivable(run, now_ms)

    def redrive(
        self, run: Run, now_ms: int, chance: Draw, *, reuse: bool = False
    ) -> tuple[Run, Commands]:
        """Let a run that did not succeed go on; return it, and what it asks for now.

        Raises:
            NotRedrivable: It cannot (`why_not_redrivable`).
        """
        why_not = why_not_redrivable(run, now_ms)
        if why_not is not None:
            raise NotRedrivable(why_not)
        walk = Walk(self, run, now_ms, chance, reuse)
        if not run.frames:  # it failed before its first state
            _first_frame(walk)
        reopen(walk)
        if walk.run.status == "RUNNING":
            _set_deadline(walk, self)
            walk.drain()
        return self._done(walk)

    def _done(self, walk: Walk) -> tuple[Run, Commands]:
        commands = walk.commands
        commands.wake_ms = _wake_ms(walk.run, walk.now_ms)
        if commands.calls and commands.stopped:
            both = {call.id for call in commands.calls} & set(commands.stopped)
            commands.calls = [call for call in commands.calls if call.id not in both]
            commands.stopped = [call for call in commands.stopped if call not in both]
        return walk.run, commands


def _is_distributed(fields: dict[str, Any]) -> bool:
    processor = fields.get("ItemProcessor") or fields.get("Iterator") or {}
    return (processor.get("ProcessorConfig") or {}).get("Mode") == "DISTRIBUTED"


def _wake_ms(run: Run, now_ms: int) -> int | None:
    if run.status != "RUNNING":
        return None
    if run.ready:
        return now_ms
    first = run.deadline_ms
    for frame in run.frames.values():
        for moment in _moments(frame):
            if first is None or moment < first:
                first = moment
    return first


def _moments(frame: Frame) -> list[int]:
    found = [] if frame.due_ms is None else [frame.due_ms]
    if frame.phase == "task":
        if frame.timeout_ms is not None:
            found.append(frame.timeout_ms)
        if frame.beat_ms is not None:
            found.append(frame.beat_ms)
    return found


def _take(walk: Walk, event: Event, machine: Machine) -> None:
    match event:
        case Succeeded() | Failed() | Started() | Submitted() | Read():
            _take_call(walk, event)
        case Begin():
            _begin(walk, machine)
        case Wake():
            _wake(walk)
        case TokenSucceeded() | TokenFailed() | Heartbeat():
            _take_token(walk, event)
        case Stop():
            walk.end_aborted(event.error, event.cause)
        case _:
            assert_never(event)


def _begin(walk: Walk, machine: Machine) -> None:
    run = walk.run
    if run.events:
        return
    run.started_ms = walk.now_ms
    try:
        details: dict[str, Any] = {"input": walk.text(run.input), "inputDetails": WHOLE}
    except RecursionError:
        walk.record("ExecutionStarted", 0, {"inputDetails": {"truncated": True}})
        walk.end_failed(runtime("The input is nested too deeply."), run.events)
        return
    details["roleArn"] = run.role_arn
    walk.record("ExecutionStarted", 0, details)
    frame = _first_frame(walk)
    walk.queue.append(frame.id)
    _set_deadline(walk, machine)


def _first_frame(walk: Walk) -> Frame:
    return walk.add_frame(walk.run.block, walk.run.input)


def _set_deadline(walk: Walk, machine: Machine) -> None:
    """Give the run its time, counted from now; a standard one ends a year after its start."""
    run = walk.run
    seconds = machine.timeout_s if run.block == 0 else None
    if isinstance(seconds, Query):
        frame = next(iter(run.frames.values()))
        try:
            found = seconds.evaluate(walk.scope(frame), {"input": run.input})
            seconds = queried_integer(seconds.text, "TimeoutSeconds", found)
        except StatesError as error:
            walk.end_failed(error, run.events)
            return
    most = limits.STATE_EXPRESS_S if run.type == "EXPRESS" else limits.STATE_STANDARD_S
    last_ms = run.started_ms + 1000 * most
    run.deadline_ms = min(walk.now_ms + 1000 * (seconds or most), last_ms)


def _wake(walk: Walk) -> None:
    due = sorted(
        (moment, frame.id)
        for frame in walk.run.frames.values()
        for moment in _moments(frame)
        if moment <= walk.now_ms
    )
    for number in dict.fromkeys(number for _, number in due):
        if number not in walk.run.frames:
            continue
        frame = walk.touch(number)
        if frame.phase == "retry":
            frame.due_ms = None
            walk.queue.append(number)
            continue
        walk.guarded(frame, walk.state_of(frame).due)


def _take_call(walk: Walk, event: Succeeded | Failed | Started | Submitted | Read) -> None:
    number = walk.run.calls.get(event.call)
    if number is None:
        return
    frame = walk.touch(number)
    state = walk.state_of(frame)
    match event:
        case Succeeded():
            walk.guarded(frame, state.answered, event.call, event.output)
        case Read() if isinstance(state, DistributedMapState):
            walk.guarded(frame, state.answered, event.call, event)
        case Failed():
            error = task_error(event.error, event.cause)
            walk.guarded(frame, state.refused, event.call, error)
        case Submitted():
            walk.guarded(frame, state.submitted, event)
        case Started() if isinstance(state, TaskState):
            walk.guarded(frame, state.taken, event.worker)


def _take_token(walk: Walk, event: TokenSucceeded | TokenFailed | Heartbeat) -> None:
    number = walk.run.tokens.get(event.token)
    if number is None:
        return
    frame = walk.touch(number)
    state = walk.state_of(frame)
    assert isinstance(state, TaskState)
    match event:
        case TokenSucceeded():
            walk.guarded(frame, state.succeeded, event.output)
        case TokenFailed():
            walk.guarded(frame, state.refused, 0, task_error(event.error, event.cause))
        case Heartbeat():
            walk.guarded(frame, state.beat)


_LONG = ("JSONata", "..", "[?")


def needs_worker(definition: str | dict[str, Any]) -> bool:
    """Whether a machine evaluates what may take long.

    That is JSONata, and what of a path takes more than one look at each value: descents, filters
    and their regular expressions. `$..*..*` of a value that is 900 deep has 400,000 results.
    """
    text = definition if isinstance(definition, str) else to_text(definition)
    return any(sign in text for sign in _LONG)


def give_up(run: Run, now_ms: int, cause: str) -> tuple[Run, Commands]:
    """End a run whose next step cannot be worked out at all; nothing of its machine is asked."""
    walk = Walk(None, run, now_ms, None)  # type: ignore[arg-type]
    walk.end_failed(StatesError(QUERY, cause, final=True), run.events)
    return walk.run, walk.commands


def compile_machine(definition: str | bytes | dict[str, Any]) -> Machine:
    """Compile a definition that `validate` has no findings about."""
    if not isinstance(definition, dict):
        definition = msgspec.json.decode(definition)
    return Machine(definition)  # type: ignore[arg-type]
