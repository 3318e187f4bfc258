"""A run as data: it is never changed, it can be written down, and answers may come twice."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.statemachine.machines import chain, only, run, types
from tests.unit.statemachine.test_branches import block, distributed, mapped, parallel
from wherry import limits
from wherry.statemachine import compile_machine
from wherry.statemachine.machine import Machine
from wherry.statemachine.records import (
    Begin,
    Commands,
    Event,
    Failed,
    Heartbeat,
    Run,
    Started,
    Stop,
    Submitted,
    Succeeded,
    TokenSucceeded,
    Wake,
)
from wherry.testing import run_workflow
from wherry.world import Chance

NOW = 1_767_225_600_000
TASK: dict[str, Any] = {"Type": "Task", "Resource": "f"}


class Bench:
    """A run, advanced by hand; every state of it is written down and read again."""

    def __init__(self, definition: dict[str, Any], data: Any = None, **more: Any) -> None:
        self.machine: Machine = compile_machine(definition)
        self.run: Run = self.machine.new_run(
            arn="arn:aws:states:eu-central-1:1:execution:M:r", name="r",
            machine_arn="arn:aws:states:eu-central-1:1:stateMachine:M", machine_name="M",
            input=data, **more,
        )  # fmt: skip
        self.chance = Chance(1)
        self.types: list[str] = []

    def advance(self, event: Event, at_s: float = 0) -> Commands:
        before = msgspec.json.encode(self.run)
        run, commands = self.machine.advance(self.run, event, NOW + int(at_s * 1000), self.chance)
        assert msgspec.json.encode(self.run) == before
        assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
        self.run = msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run)
        self.types += [event.type for event in commands.history]
        return commands


def test_a_task_is_a_call_and_its_answer_the_next_event() -> None:
    bench = Bench(only({**TASK, "TimeoutSeconds": 5}), {"a": 1})
    commands = bench.advance(Begin())
    (call,) = commands.calls
    assert (call.state, call.resource, call.arguments, call.attempt) == ("S", "f", {"a": 1}, 1)
    assert commands.wake_ms == NOW + 5_000
    assert bench.advance(Succeeded(call.id, "ok"), 1).finished
    assert (bench.run.status, bench.run.output) == ("SUCCEEDED", "ok")


STALE: list[Event] = [
    Wake(), Succeeded(9, 1), Failed(9, "E"), Submitted(9, 1), Started(9), Heartbeat("x"),
    TokenSucceeded("x", 1), Begin(),
]  # fmt: skip


@pytest.mark.parametrize("event", STALE)
def test_an_event_that_nobody_waits_for_changes_nothing(event: Event) -> None:
    bench = Bench(only(TASK))
    bench.advance(Begin())
    before = bench.run
    commands = bench.advance(event, 1)
    assert bench.run == before
    assert commands.history == []


def test_an_answer_that_comes_twice_counts_once() -> None:
    bench = Bench(only({**TASK, "Retry": [{"ErrorEquals": ["E"]}]}))
    (call,) = bench.advance(Begin()).calls
    bench.advance(Failed(call.id, "E"))
    assert bench.advance(Succeeded(call.id, "late")).history == []
    assert bench.run.status == "RUNNING"
    (again,) = bench.advance(Wake(), 1).calls
    assert again.attempt == 2
    bench.advance(Succeeded(again.id, "ok"))
    assert bench.run.output == "ok"
    assert bench.advance(Succeeded(again.id, "more")).history == []


def test_stopping_a_run_stops_its_calls() -> None:
    bench = Bench(parallel(block(TASK, prefix="x"), block(TASK, prefix="y")))
    calls = bench.advance(Begin()).calls
    commands = bench.advance(Stop("E", "why"), 1)
    assert sorted(commands.stopped) == [call.id for call in calls]
    assert (bench.run.status, bench.run.error, bench.run.cause) == ("ABORTED", "E", "why")
    assert bench.types[-1] == "ExecutionAborted"


def test_a_worker_s_heartbeat_keeps_its_task() -> None:
    resource = "arn:aws:states:eu-central-1:123456789012:activity:sign"
    bench = Bench(only({"Type": "Task", "Resource": resource, "HeartbeatSeconds": 10}))
    (call,) = bench.advance(Begin()).calls
    assert call.token
    bench.advance(Started(call.id, "w-1"), 100)
    bench.advance(Heartbeat(call.token), 108)
    assert bench.advance(Wake(), 111).wake_ms == NOW + 118_000
    bench.advance(TokenSucceeded(call.token, 1), 117)
    assert bench.run.output == 1
    assert bench.types[1:6] == [
        "TaskStateEntered", "ActivityScheduled", "ActivityStarted", "ActivitySucceeded",
        "TaskStateExited",
    ]  # fmt: skip


def test_a_sync_job_is_submitted_and_then_done() -> None:
    resource = "arn:aws:states:::states:startExecution.sync:2"
    bench = Bench(only({"Type": "Task", "Resource": resource}))
    (call,) = bench.advance(Begin()).calls
    bench.advance(Submitted(call.id, {"ExecutionArn": "arn"}))
    bench.advance(Succeeded(call.id, {"Output": {}}), 9)
    assert bench.types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


def test_a_long_chain_pauses_and_goes_on() -> None:
    loop = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Next": "B"},
            "B": {"Type": "Choice", "Choices": [
                {"Variable": "$$.Execution.Name", "StringEquals": "x", "Next": "C"}],
                "Default": "A"},
            "C": {"Type": "Succeed"},
        },
    }  # fmt: skip
    bench = Bench(loop, type="EXPRESS")
    assert bench.advance(Begin()).wake_ms == NOW
    assert len(bench.types) > limits.STATE_STEPS
    assert bench.advance(Wake(), 1).wake_ms == NOW + 1_000
    assert bench.advance(Wake(), 300).finished
    assert bench.run.status == "TIMED_OUT"
    result = run_workflow(loop, {})
    assert (result.status, result.error, result.cause) == (
        "FAILED",
        "States.Runtime",
        "The execution reached the maximum number of history events (25000).",
    )
    assert [result.history[-1]["id"], len(result.history)] == [25_000, 25_000]


def test_the_frames_that_changed_are_named() -> None:
    bench = Bench(mapped(TASK), list(range(5)))
    calls = bench.advance(Begin()).calls
    moved = bench.run.calls[calls[3].id]
    commands = bench.advance(Succeeded(calls[3].id, "x"))
    assert commands.frames == {0, moved}
    assert commands.cells == {"0.3"}


def test_children_of_a_distributed_map_are_runs_of_their_own() -> None:
    bench = Bench(distributed(TASK, MaxConcurrency=2), ["a", "b", "c"])
    calls = bench.advance(Begin()).calls
    assert [(call.kind, call.index, call.arguments) for call in calls] == [
        ("child", 0, "a"),
        ("child", 1, "b"),
    ]
    child = bench.machine.child(bench.run, calls[1], "c-1")
    child, commands = bench.machine.advance(child, Begin(), NOW, bench.chance)
    assert commands.calls[0].arguments == "b"
    assert bench.advance(Succeeded(calls[0].id, 1)).calls[0].arguments == "c"


@pytest.mark.parametrize(
    ("kind", "arn"),
    [("STANDARD", "execution:M/L:c-1"), ("EXPRESS", "express:M/L:c-1:{run}")],
)
def test_a_child_s_arn_has_the_map_s_label_and_the_child_s_type(kind: str, arn: str) -> None:
    machine = distributed(TASK, Label="L")
    processor = machine["States"]["S"]["ItemProcessor"]
    processor["ProcessorConfig"] = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    bench = Bench(machine, ["a"])
    (call,) = bench.advance(Begin()).calls
    child = bench.machine.child(bench.run, call, "c-1")
    run = call.map_run.rsplit(":", 1)[-1]
    assert child.arn == f"arn:aws:states:eu-central-1:1:{arn.format(run=run)}"


# --- limits --------------------------------------------------------------------------------------

LARGE = "x" * limits.STATE_DATA_BYTES


def too_large(what: str) -> tuple[str, str]:
    return (
        "States.DataLimitExceeded",
        f"The state/task '{what}' returned a result with a size exceeding the maximum number of"
        " bytes service limit.",
    )


def test_a_result_above_256_kib_fails_its_task() -> None:
    fits = "x" * (limits.STATE_DATA_BYTES - 2)
    assert run(only(TASK), {}, {"f": lambda _: fits}) == fits
    result = run_workflow(only(TASK), {}, {"f": lambda _: LARGE})
    assert (result.error, result.cause) == too_large("f")
    assert "LambdaFunctionFailed" in types(result)


def test_an_output_above_256_kib_fails_its_state() -> None:
    half = "x" * (limits.STATE_DATA_BYTES // 2)
    doubled = only({"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}})
    assert run(doubled, half) == too_large("S")


def test_states_all_means_too_large_a_task_s_result_and_no_other() -> None:
    catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}
    named = {"Catch": [{"ErrorEquals": ["States.DataLimitExceeded"], "Next": "B"}]}
    passed: dict[str, Any] = {"Type": "Pass"}
    large = {"f": lambda _: LARGE}
    half = {"f": lambda _: "x" * (limits.STATE_DATA_BYTES // 2)}
    doubled = {**TASK, "ResultSelector": {"a.$": "$", "b.$": "$"}}
    assert run(chain({**TASK, **catch}, passed), {}, large)["Error"] == too_large("f")[0]
    assert run(chain({**doubled, **catch}, passed), {}, half) == too_large("A")
    assert run(chain({**doubled, **named}, passed), {}, half)["Error"] == too_large("A")[0]


def test_a_map_s_results_are_not_kept_beyond_the_limit() -> None:
    bench = Bench(mapped(TASK), list(range(30)))
    todo = list(bench.advance(Begin()).calls)
    for call in todo:
        bench.advance(Succeeded(call.id, "x" * 200_000))
        assert len(msgspec.json.encode(bench.run)) < 3 * limits.STATE_DATA_BYTES
    assert (bench.run.error, bench.run.cause) == too_large("S")


def test_null_is_an_input_as_any_other_and_none_is_an_empty_object() -> None:
    """As on AWS: StartExecution without an input begins with {}."""
    machine = only({"Type": "Pass"})
    assert run(machine, None) is None
    assert run(machine) == {}


def test_what_json_cannot_say_is_no_input_and_no_result() -> None:
    """NaN was null, without a word; a task that returns it fails, as a real one does."""
    with pytest.raises(ValueError, match="nan"):
        run(only({"Type": "Pass"}), float("nan"))
    task = only({"Type": "Task", "Resource": "f"})
    assert run(task, {}, {"f": lambda _: float("nan")})[0] == "NotFinite"
