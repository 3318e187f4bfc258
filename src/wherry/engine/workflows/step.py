"""A step of an execution: what the interpreter asks for becomes one `Advance` of a commit."""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from wherry import limits
from wherry.codec import to_json
from wherry.effects import Effect, Guard, SendMessage
from wherry.engine.workflows.failures import not_found
from wherry.engine.workflows.held import Loaded
from wherry.engine.workflows.packing import (
    call_done,
    call_part,
    cell_part,
    frame_gone,
    frame_part,
    only_frame,
    pack_event,
    pack_head,
)
from wherry.engine.workflows.results import child_name
from wherry.ports import Advance, ChildExecution, Ended, Happened, Inboxed, TaskBody
from wherry.statemachine.calls import function_name
from wherry.statemachine.faults import StatesError
from wherry.statemachine.functions import uuid4
from wherry.statemachine.integrations import InvokePlan, plan
from wherry.statemachine.records import Begin, Failed
from wherry.statemachine.resources import Resource
from wherry.statemachine.text import to_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wherry.ports import Part
    from wherry.statemachine.records import Call, Commands, Event, HistoryEvent, Run
    from wherry.world import Chance

STATES_SHOWN = 20  # states of an execution that are told to people
ERROR_LENGTH = 4_000  # of what the inbox shows
resource_of = lru_cache(1024)(Resource)
function_of = lru_cache(1024)(function_name)
_CODES = {"FAILED": "execution_failed", "TIMED_OUT": "execution_timed_out"}


class Step(msgspec.Struct, eq=False):
    """What several calls of `advance` came to, one after the other.

    A Struct, as `Work` is one: its fields are set without code of ours.

    Attributes:
        run: What has become of that of `loaded`.
        queues: The queue of each function that workflows may call.
        pending: What is to happen next, in this step.
        about: The call of the engine's own that has been done.
        wake_ms: When it wants to be woken.
        children: The calls that are executions which begin with it.
        begins: Their first steps, as far as they are worked out with it.
    """

    loaded: Loaded
    run: Run
    queues: Mapping[str, str]
    chance: Chance
    pending: deque[Event]
    tokens_before: frozenset[str]
    effects: list[Effect] = []
    guards: list[Guard] = []
    redriven: bool = False
    about: Call | None = None
    moved: bool = False
    wake_ms: int | None = None
    children: dict[int, Call] = {}
    begins: list[Step] = []
    _events: list[HistoryEvent] = []
    _frames: set[int] = set()
    _cells: set[str] = set()
    _own: dict[int, Part] = {}
    _sends: dict[int, SendMessage] = {}
    _opened: list[str] = []
    _stopped: list[int] = []
    _begun: dict[int, ChildExecution] = {}
    _advance: Advance | None = None

    # -- what is asked for -----------------------------------------------------------------------

    def absorb(self, run: Run, commands: Commands) -> None:
        """Take over what one call of `advance` has asked for."""
        self.run = run
        self.wake_ms = commands.wake_ms
        if not (commands.history or commands.frames):
            return
        self.moved = True
        self._events += commands.history
        self._frames |= commands.frames
        self._cells |= commands.cells
        for number in commands.stopped:
            self._stop(number)
        for call in commands.calls:
            self._open(call)

    def _stop(self, number: int) -> None:
        if number in self._sends:  # it was asked for in this very step
            del self._sends[number]
            self.close(number)
        elif number in self.children:
            del self.children[number]
        else:
            self._stopped.append(number)
            if number in self.loaded.calls:
                self.close(number)

    def _open(self, call: Call) -> None:
        if call.token is not None:
            self._opened.append(call.token)
        if call.kind == "child":
            self.children[call.id] = call
            return
        resource = resource_of(call.resource)
        if call.kind != "task":
            self._do_ourselves(call)
        elif resource.family == "LambdaFunction" or resource.is_lambda_invoke:
            self._call_function(call, resource)
        elif resource.family != "Activity":  # whoever has its token ends it
            self._do_ourselves(call)

    def _call_function(self, call: Call, resource: Resource) -> None:
        name, payload = resource.text, call.arguments
        if resource.is_lambda_invoke:
            try:
                planned = plan(call)
            except StatesError as error:
                self.pending.append(Failed(call.id, error.error, error.cause))
                return
            assert isinstance(planned, InvokePlan)
            name, payload = planned.function, planned.payload
        function = function_of(name)
        queue = self.queues.get(function)
        if queue is None:
            self.pending.append(not_found(call, function, uuid4(self.chance)))
            return
        loaded, run = self.loaded, self.run
        number = run.calls.get(call.id)  # None: it is closed already
        body = TaskBody(
            loaded.id,
            call.id,
            loaded.workflow,
            loaded.name,
            call.state,
            msgspec.Raw(to_text(payload).encode()),
            call.attempt,
            call.token is not None,
            0 if number is None else run.frames[number].entered,
        )
        self._sends[call.id] = SendMessage(queue, message_id(loaded.id, call.id), to_json(body))

    def _do_ourselves(self, call: Call) -> None:
        """An integration: a message to ourselves, so that what comes of it is a step of its own."""
        loaded = self.loaded
        loaded.calls[call.id] = call
        self._own[call.id] = call_part(call)
        body = to_json(Happened(loaded.id, "call", call.id))
        self._sends[call.id] = SendMessage(loaded.workflow, message_id(loaded.id, call.id), body)

    def close(self, call: int) -> None:
        """A call of the engine's own is done, or not to be done any more."""
        if self.loaded.calls.pop(call, None) is not None:
            self._own[call] = call_done(call)

    def work_out(self, now_ms: int) -> None:
        """Let all that is to happen in this step happen."""
        advance = self.loaded.compiled.machine.advance
        while self.pending:
            event = self.pending.popleft()
            self.absorb(*advance(self.run, event, now_ms, self.chance, reuse=True))

    def begin_children(self, now_ms: int) -> None:
        """Work out the first steps of the children that begin with it, of so many."""
        loaded, room = self.loaded, limits.BEGINNINGS_BYTES
        for call in list(self.children.values())[: limits.BEGINNINGS]:
            child, begun = self._child(call)
            found = Loaded(
                0, loaded.workflow, begun.name, 0, loaded.compiled, child, {}, loaded.id, 0,
                loaded.correlation_id, len(begun.input),
            )  # fmt: skip
            first = first_step(found, self.queues, self.chance, now_ms)
            if first is not None and first.size_bytes <= room:
                room -= first.size_bytes
                self._begun[call.id] = replace(begun, first=first.advance)
                self.begins.append(first.step)

    # -- what it comes to ------------------------------------------------------------------------

    @property
    def is_first(self) -> bool:
        """Whether it may be that of an execution which has no number yet."""
        status = self.run.status
        plain = status == "RUNNING" or (status == "SUCCEEDED" and self.loaded.parent is None)
        return plain and not (self.children or self._stopped)

    @property
    def entered(self) -> list[str]:
        """The states that were entered, in words for the timeline."""
        found = [
            f"entered {event.details['name']}"
            for event in self._events
            if event.type.endswith("StateEntered") and event.details is not None
        ]
        return found[:STATES_SHOWN]

    @property
    def ended(self) -> bool:
        """Whether the execution has ended."""
        return self.run.status != "RUNNING"

    def wanted(self) -> dict[str, int]:
        """How many messages go to which queue, for places to be born leased in."""
        wanted: dict[str, int] = {}
        for send in self._sends.values():
            wanted[send.queue] = wanted.get(send.queue, 0) + 1
        loaded = self.loaded
        own = len(self.children) - len(self.begins)
        if loaded.parent is not None:
            own += self.ended
        if own:
            wanted[loaded.workflow] = wanted.get(loaded.workflow, 0) + own
        for step in self.begins:
            for queue, count in step.wanted().items():
                wanted[queue] = wanted.get(queue, 0) + count
        return wanted

    def advance(self) -> Advance:
        """Return the step as a part of a commit."""
        loaded, run, ended = self.loaded, self.run, self.ended
        before, inside = loaded.inside, only_frame(run)
        loaded.inside = inside
        opened, over = self._opened, self.tokens_before
        self._advance = advance = Advance(
            loaded.id,
            loaded.version,
            pack_head(run, inside),
            self._parts(before),
            list(map(pack_event, self._events)),
            self.wake_ms,
            [token for token in opened if token in run.tokens] if opened else [],
            [token for token in over if token not in run.tokens] if over else [],
            list(self._sends.values()),
            self._cancels() if self._stopped else [],
            self.effects,
            self._children_begun() if self.children else [],
            self._end() if ended else None,
            self.redriven,
            self._inboxed() if ended else None,
            self._stopped,
            [] if ended else self._where(),
        )
        return advance

    def applied(self, execution: int, version: int) -> None:
        """It is in the store: what is in memory is what is there, under this number."""
        loaded, advance = self.loaded, self._advance
        assert advance is not None
        loaded.id, loaded.version, loaded.run = execution, version, self.run
        loaded.redrives += self.redriven
        loaded.count(advance.head, advance.parts)

    def _parts(self, before: int | None) -> list[Part]:
        """Return what changes of what is stored beside the head, where this frame was before."""
        loaded, run = self.loaded, self.run
        inside, stored = loaded.inside, loaded.sizes
        parts: list[Part] = []
        if inside is None or stored:  # else there was and is no other frame
            if before is not None and inside is None:
                self._frames.add(before)
            parts += [
                frame_part(run, number) if number != inside else frame_gone(number)
                for number in self._frames
                if ("f", str(number)) in stored or (number in run.frames and number != inside)
            ]
        if self._cells:
            first = loaded.version == 0  # nothing is stored
            names = [name for name in self._cells if not first or name in run.cells]
            parts += [cell_part(run, name) for name in names]
        parts += self._own.values()
        return parts

    def _cancels(self) -> list[tuple[str, str]]:
        return [("", message_id(self.loaded.id, number)) for number in self._stopped]

    def _children_begun(self) -> list[ChildExecution]:
        calls = self.children.values()
        return [self._begun.get(call.id) or self._child(call)[1] for call in calls]

    def _child(self, call: Call) -> tuple[Run, ChildExecution]:
        name = child_name(call.map_run, call.index, uuid4(self.chance))
        child = self.loaded.compiled.machine.child(self.run, call, name)
        input = to_text(child.input).encode()
        return child, ChildExecution(name, call.id, pack_head(child, None), input)

    def _end(self) -> Ended:
        run = self.run
        assert run.status != "RUNNING"
        succeeded = run.status == "SUCCEEDED"
        output = to_text(run.output).encode() if succeeded else None
        return Ended(run.status, output, run.error, run.cause)

    def _inboxed(self) -> Inboxed | None:
        run, loaded = self.run, self.loaded
        if run.status not in _CODES or loaded.parent is not None:
            return None
        body = to_json(Happened(loaded.id, "redrive"))
        redrives = loaded.redrives + self.redriven
        return Inboxed(f"{loaded.id}.{redrives}", _CODES[run.status], told(run), body)

    def _where(self) -> list[str]:
        found = [frame.state for frame in self.run.frames.values()]
        return list(dict.fromkeys(found))[:STATES_SHOWN]


def step_of(loaded: Loaded, queues: Mapping[str, str], chance: Chance) -> Step:
    """Return a step of which nothing has been worked out yet."""
    run = loaded.run
    return Step(loaded, run, queues, chance, deque(), frozenset(run.tokens))


class FirstStep(NamedTuple):
    """How an execution begins that has no number yet."""

    step: Step
    advance: Advance

    @property
    def size_bytes(self) -> int:
        """About how much it adds to a commit."""
        advance = self.advance
        texts = [one.body for one in advance.sends] + [
            one.body for one in advance.parts if one.body
        ]
        events = sum(len(body) for _, body in advance.history)
        return len(advance.head) + events + sum(map(len, texts))


def first_step(
    loaded: Loaded, queues: Mapping[str, str], chance: Chance, now_ms: int
) -> FirstStep | None:
    """Work out how an execution begins that has no number yet; None: it has to begin by itself."""
    step = step_of(loaded, queues, chance)
    step.pending.append(Begin())
    step.work_out(now_ms)
    return FirstStep(step, step.advance()) if step.is_first else None


def message_id(execution: int, call: int) -> str:
    """Return the ID of the message that is a call of an execution."""
    return f"{execution}.call.{call}"


def told(run: Run) -> str:
    """Return in words how an execution failed."""
    error = run.error or ("States.Timeout" if run.status == "TIMED_OUT" else "")
    return ": ".join(filter(None, [error, run.cause]))[:ERROR_LENGTH]
