"""From what the interpreter asks for to one step of an execution, and how a run is kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wherry.blueprint import WorkflowSpec
from wherry.codec import from_json
from wherry.engine.workflows.held import Compiled, Held, Loaded, loaded_of
from wherry.engine.workflows.packing import only_frame, pack_event, pack_head
from wherry.engine.workflows.step import first_step, step_of
from wherry.ports import Advance, Execution, Happened, Part, TaskBody
from wherry.statemachine.machine import compile_machine
from wherry.statemachine.records import (
    Begin,
    Event,
    Failed,
    HistoryEvent,
    Stop,
    Succeeded,
    TokenSucceeded,
    Wake,
)
from wherry.world import Chance

NOW_MS = 1_795_255_438_000
QUEUES = {"charge": "charge", "ship": "ship-queue"}
INVOKE = "arn:aws:states:::lambda:invoke"


class Stored:
    """An execution as a store would keep it."""

    def __init__(self, states: dict[str, Any], start: str, input: Any = None, **more: Any) -> None:
        definition = {"StartAt": start, "States": states, **more}
        text = msgspec.json.encode(definition).decode()
        spec = WorkflowSpec(name="refund", definition=text)
        self.compiled = Compiled("d", spec, compile_machine(definition))
        self.input = msgspec.json.encode(input)
        self.head, self.version, self.now_ms = b"", 0, NOW_MS
        self.parts: dict[tuple[str, str], bytes] = {}
        self.history: list[HistoryEvent] = []
        self.calls = 0

    def loaded(self) -> Loaded:
        parts = [Part(kind, key, body) for (kind, key), body in self.parts.items()]  # type: ignore[arg-type]
        return loaded_of(
            Execution(
                7, "refund", "r-1", self.version, "d", "RUNNING", self.head, parts, self.input,
                NOW_MS, None, 0, "corr", "",
            ),
            self.compiled,
        )  # fmt: skip

    def step(self, *events: Event) -> Advance:
        """Let this happen to what is stored; store what comes of it."""
        step = step_of(self.loaded(), QUEUES, Chance(1))
        step.pending += events
        while step.pending:
            event = step.pending.popleft()
            step.absorb(
                *self.compiled.machine.advance(step.run, event, self.now_ms, Chance(1), reuse=True)
            )
        advance = step.advance()
        assert advance.version == self.version
        self.head, self.version = advance.head, self.version + 1
        for part in advance.parts:
            self.parts.pop((part.kind, part.key), None)
            if part.body is not None:
                self.parts[part.kind, part.key] = part.body
        self.history += [
            msgspec.msgpack.decode(body, type=HistoryEvent) for _, body in advance.history
        ]
        assert [event.id for event in self.history] == list(range(1, len(self.history) + 1))
        return advance


def task(resource: str, following: str | None = None, **more: Any) -> dict[str, Any]:
    end = {"End": True} if following is None else {"Next": following}
    return {"Type": "Task", "Resource": resource, **end, **more}


def bodies(advance: Advance) -> list[TaskBody]:
    return [msgspec.json.decode(send.body, type=TaskBody) for send in advance.sends]


def test_ten_states_that_wait_for_nothing_are_one_step_that_keeps_no_part() -> None:
    states: dict[str, Any] = {f"P{n}": {"Type": "Pass", "Next": f"P{n + 1}"} for n in range(9)}
    states["P9"] = {"Type": "Pass", "End": True, "Result": {"done": 1.0}}
    stored = Stored(states, "P0", {"a": 1})
    advance = stored.step(Begin())
    assert advance.ended is not None
    assert (advance.ended.status, advance.ended.output) == ("SUCCEEDED", b'{"done":1.0}')
    assert (advance.parts, advance.sends, advance.wake_ms) == ([], [], None)
    assert len(advance.history) == 22
    assert advance.states == []


def test_a_call_of_a_function_is_a_message_and_its_answer_the_next_one() -> None:
    states = {
        "Charge": task("charge", "Ship", Parameters={"id.$": "$.id", "n": 5}, ResultPath="$.paid"),
        "Ship": task("arn:aws:lambda:eu-west-1:123456789012:function:ship", TimeoutSeconds=60),
    }
    stored = Stored(states, "Charge", {"id": "o-1"})
    advance = stored.step(Begin())
    assert [(send.queue, send.id) for send in advance.sends] == [("charge", "7.call.1")]
    payload = {"id": "o-1", "n": 5}
    assert bodies(advance) == [TaskBody(7, 1, "refund", "r-1", "Charge", payload, entered=2)]
    assert (advance.states, advance.ended, advance.cancels) == (["Charge"], None, [])
    assert advance.parts == []  # its only frame is in the head
    advance = stored.step(Succeeded(1, {"ok": True}))
    assert [(send.queue, send.id) for send in advance.sends] == [("ship-queue", "7.call.2")]
    assert bodies(advance)[0].payload == {"id": "o-1", "paid": {"ok": True}}
    assert advance.wake_ms == NOW_MS + 60_000
    advance = stored.step(Succeeded(2, "sent"))
    assert advance.ended is not None
    assert advance.ended.output == b'"sent"'
    assert advance.parts == []
    assert stored.parts == {}


def test_what_was_called_and_is_no_longer_waited_for_is_cancelled() -> None:
    stored = Stored({"Charge": task("charge", TimeoutSeconds=10)}, "Charge")
    stored.step(Begin())
    stored.now_ms += 10_000
    advance = stored.step(Wake())
    assert (advance.cancels, advance.stops) == ([("", "7.call.1")], [1])
    assert advance.ended is not None
    assert (advance.ended.status, advance.ended.error) == ("FAILED", "States.Timeout")
    assert advance.inboxed is not None
    assert (advance.inboxed.id, advance.inboxed.code) == ("7.0", "execution_failed")
    assert from_json(advance.inboxed.body) == {"execution": 7, "event": "redrive"}


def test_a_function_that_there_is_not_fails_within_the_same_step() -> None:
    catch = [{"ErrorEquals": ["Lambda.ResourceNotFoundException"], "Next": "Ship"}]
    states = {
        "Ask": task(
            f"{INVOKE}", Parameters={"FunctionName.$": "$.name", "Payload": {}}, Catch=catch
        ),
        "Ship": task("ship"),
    }
    stored = Stored(states, "Ask", {"name": "nobody"})
    advance = stored.step(Begin())
    assert [(send.queue, send.id) for send in advance.sends] == [("ship-queue", "7.call.2")]
    assert "TaskFailed" in [event.type for event in stored.history]


def test_a_token_is_told_when_it_begins_to_wait_and_when_it_is_over() -> None:
    parameters = {"FunctionName": "charge", "Payload": {"token.$": "$$.Task.Token"}}
    states = {"Ask": task(f"{INVOKE}.waitForTaskToken", Parameters=parameters)}
    stored = Stored(states, "Ask")
    advance = stored.step(Begin())
    (body,), (token,) = bodies(advance), advance.tokens
    assert (body.payload, body.waits) == ({"token": token}, True)
    advance = stored.step(Succeeded(1, {}))
    assert (advance.tokens, advance.tokens_over, advance.ended) == ([], [], None)
    advance = stored.step(TokenSucceeded(token, {"approved": True}))
    assert advance.tokens_over == [token]
    assert advance.ended is not None
    assert advance.ended.output == b'{"approved":true}'


def test_an_integration_is_kept_as_a_call_and_a_message_to_the_workflow_itself() -> None:
    resource = "arn:aws:states:::sqs:sendMessage"
    parameters = {"QueueUrl": "jobs", "MessageBody": {"a": 1}}
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Ship"}]
    states = {
        "Send": task(resource, Parameters=parameters, Catch=catch),
        "Ship": task("ship"),
    }
    stored = Stored(states, "Send")
    advance = stored.step(Begin())
    (send,) = advance.sends
    assert (send.queue, send.id) == ("refund", "7.call.1")
    assert msgspec.json.decode(send.body, type=Happened) == Happened(7, "call", 1)
    assert stored.loaded().calls[1].arguments == parameters
    loaded = stored.loaded()
    step = step_of(loaded, QUEUES, Chance(1))
    step.close(1)
    step.absorb(*stored.compiled.machine.advance(step.run, Failed(1, "No"), NOW_MS, Chance(1)))
    assert ("c", "~1", None) in [(part.kind, part.key, part.body) for part in step.advance().parts]


def test_children_begin_with_their_step_and_are_stopped_with_it() -> None:
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Ship",
        "States": {"Ship": task("ship")},
    }
    states = {"All": {"Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 2, "End": True}}
    stored = Stored(states, "All", ["a", "b", "c"])
    advance = stored.step(Begin())
    assert [(child.call, child.input) for child in advance.children] == [(1, b'"a"'), (2, b'"b"')]
    assert advance.sends == []
    advance = stored.step(Succeeded(1, "A"), Succeeded(2, "B"))
    assert [(child.call, child.input) for child in advance.children] == [(3, b'"c"')]
    child = advance.children[0]
    found = loaded_of(
        Execution(
            8, "refund", child.name, 0, "d", "RUNNING", child.head, [], child.input, NOW_MS, 7, 3,
            "", "",
        ),
        stored.compiled,
    )  # fmt: skip
    assert (found.run.input, found.run.item, found.run.index) == ("c", "c", 2)
    advance = stored.step(Stop("Enough"))
    assert advance.stops == [3]
    assert advance.ended is not None
    assert (advance.ended.status, advance.inboxed) == ("ABORTED", None)


@pytest.mark.parametrize("value", [10**30, -(10**25), "half \ud800", {"\udc00": [1.5, 2**70]}])
def test_values_that_messagepack_cannot_say_are_kept_all_the_same(value: Any) -> None:
    branches = [
        {"StartAt": "Charge", "States": {"Charge": task("charge")}},
        {"StartAt": "Ship", "States": {"Ship": task("ship")}},
    ]
    states = {"Both": {"Type": "Parallel", "Branches": branches, "End": True}}
    stored = Stored(states, "Both")
    stored.step(Begin())
    stored.step(Succeeded(1, value))
    loaded = stored.loaded()
    assert value in loaded.run.cells.values()
    advance = stored.step(Succeeded(2, 1))
    assert advance.ended is not None


def test_a_text_in_a_history_that_no_utf8_can_say_is_replaced() -> None:
    number, body = pack_event(HistoryEvent(3, 0, "X", NOW_MS, {"input": "a\ud800", "n": 2**80}))
    found = msgspec.msgpack.decode(body, type=HistoryEvent)
    assert (number, found.details) == (3, {"input": "a?", "n": str(2**80)})


def test_a_head_has_neither_the_input_nor_what_is_kept_apart() -> None:
    branches = [{"StartAt": "Charge", "States": {"Charge": task("charge")}}]
    states = {"All": {"Type": "Parallel", "Branches": branches, "End": True}}
    stored = Stored(states, "All", {"large": "x" * 100_000})
    advance = stored.step(Begin())
    assert len(advance.head) < 1_000
    run = stored.loaded().run
    assert run.input == {"large": "x" * 100_000}
    assert pack_head(run, only_frame(run)) == advance.head
    assert run.frames[1].state == "Charge"  # as it was before it was packed


def test_the_only_frame_is_in_the_head_until_there_are_branches_and_again_after_them() -> None:
    branches = [{"StartAt": name, "States": {name: task("charge")}} for name in ("A", "B")]
    states = {
        "First": task("charge", "Both"),
        "Both": {"Type": "Parallel", "Branches": branches, "Next": "Last"},
        "Last": task("charge"),
    }
    stored = Stored(states, "First", 1)
    stored.step(Begin())
    assert stored.parts == {}
    assert stored.loaded().run.frames[0].state == "First"
    stored.step(Succeeded(1, 2))
    assert sorted(stored.parts) == [("f", "0"), ("f", "1"), ("f", "2")]
    stored.step(Succeeded(2, 3))
    stored.step(Succeeded(3, 4))
    assert stored.parts == {}
    run = stored.loaded().run
    assert (list(run.frames), run.frames[0].state) == ([0], "Last")
    advance = stored.step(Succeeded(4, 5))
    assert advance.ended is not None
    assert advance.ended.output == b"5"


def test_a_frame_that_was_stored_beside_the_head_moves_into_it() -> None:
    """As an earlier wherry has stored it."""
    stored = Stored({"A": task("charge", "B"), "B": task("charge")}, "A", 1)
    stored.step(Begin())
    run = stored.loaded().run
    stored.parts["f", "0"] = msgspec.msgpack.encode(run.frames[0])
    bare, shared = msgspec.msgpack.decode(stored.head)
    del bare["frames"]
    stored.head = msgspec.msgpack.encode((bare, shared))
    stored.step(Succeeded(1, 2))
    assert stored.parts == {}
    assert stored.loaded().run.frames[0].state == "B"


def test_what_begins_with_its_first_step_has_no_number_yet() -> None:
    stored = Stored({"Charge": task("charge")}, "Charge", 1)
    loaded = stored.loaded()
    loaded.id = 0
    found = first_step(loaded, QUEUES, Chance(1), NOW_MS)
    assert found is not None
    advance = found.advance
    assert (advance.execution, advance.version, advance.wake_ms) == (0, 0, found.step.wake_ms)
    assert len(advance.head) < found.size_bytes < 2_000
    assert [send.id for send in advance.sends] == ["0.call.1"]
    assert [body.execution for body in bodies(advance)] == [0]
    assert advance.sends[0].body.startswith(b'{"execution":0,"call":1,')


@pytest.mark.parametrize("kind", ["Fail", "Map"])
def test_what_fails_at_once_or_begins_others_begins_by_its_message(kind: str) -> None:
    state = {"Type": "Fail"} if kind == "Fail" else distributed()
    loaded = Stored({"All": state}, "All", [1, 2]).loaded()
    assert first_step(loaded, QUEUES, Chance(1), NOW_MS) is None


def test_children_begin_with_the_step_that_begins_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many of one step: the others get a message."""
    monkeypatch.setattr("wherry.limits.BEGINNINGS", 2)
    states = {"All": distributed()}
    step = step_of(Stored(states, "All", [10, 11, 12]).loaded(), QUEUES, Chance(1))
    machine = step.loaded.compiled.machine
    step.absorb(*machine.advance(step.run, Begin(), NOW_MS, Chance(1), reuse=True))
    step.begin_children(NOW_MS)
    assert step.wanted() == {"charge": 2, "refund": 1}
    first, second, third = step.advance().children
    assert first.first is not None
    assert [json_of(send.body)["payload"] for send in first.first.sends] == [10]
    assert (second.first is None, third.first is None) == (False, True)
    assert [one.loaded.parent for one in step.begins] == [7, 7]


def test_children_begin_by_messages_where_their_steps_would_be_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wherry.limits.BEGINNINGS_BYTES", 100)
    states = {"All": distributed()}
    step = step_of(Stored(states, "All", [10, 11]).loaded(), QUEUES, Chance(1))
    machine = step.loaded.compiled.machine
    step.absorb(*machine.advance(step.run, Begin(), NOW_MS, Chance(1), reuse=True))
    step.begin_children(NOW_MS)
    assert step.wanted() == {"refund": 2}
    assert [child.first for child in step.advance().children] == [None, None]


def distributed() -> dict[str, Any]:
    """A map whose children call a function."""
    return {
        "Type": "Map",
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "Charge",
            "States": {"Charge": task("charge")},
        },
        "End": True,
    }


def json_of(body: bytes) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(body)
    return found


def test_what_is_held_is_bounded_and_who_moved_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wherry.limits.EXECUTIONS_HELD", 3)
    stored, held = Stored({"Charge": task("charge")}, "Charge"), Held()
    for number in range(5):
        loaded = stored.loaded()
        loaded.id = number
        held.put(loaded)
    assert len(held) == 3
    assert held.take(0) is None
    assert held.take(4) is not None
    monkeypatch.setattr("wherry.limits.EXECUTIONS_HELD_BYTES", 10)
    loaded = stored.loaded()
    loaded.count(b"head", [Part("c", "large", b"x" * 1_000), Part("c", "large", b"x" * 100)])
    assert loaded.size_bytes == 104 + len(b"null")
    held.put(loaded)
    assert len(held) == 1
    assert held.take(loaded.id) is loaded
