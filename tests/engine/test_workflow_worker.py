"""The processes that evaluate expressions: the same steps as here, bounded, and never missed."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any

import msgspec
import pytest

from tests.garbage_kit import paused
from wherry.engine.workflows.expressions import Server
from wherry.engine.workflows.wire import Ask, Fault, Told, applied, length_of, pack, unpack
from wherry.statemachine.machine import compile_machine, needs_worker
from wherry.statemachine.overtime import TIMEOUT, expire, reset
from wherry.statemachine.records import (
    Begin,
    Commands,
    Failed,
    Frame,
    Run,
    Stop,
    Succeeded,
)
from wherry.world import Chance

from .workers_kit import (
    NOW,
    PASS,
    SOON_S,
    TASK,
    Asking,
    begun,
    machine,
    with_worker,
)

WILD: dict[str, Any] = {"big": 2**70, "text": "é\ud800", "f": 1.5, "none": None}


def test_a_run_is_moved_as_it_would_be_here() -> None:
    definition = machine(PASS, TASK, PASS)

    async def scene(asking: Asking) -> None:
        run, (commands,) = await asking.move(begun(definition, {"n": 1, **WILD}), Begin())
        (call,) = commands.calls
        assert call.arguments == {"n": 2}
        assert run.input["big"] == 2**70
        assert [one.type for one in commands.history][:2] == [
            "ExecutionStarted",
            "PassStateEntered",
        ]
        run, (commands,) = await asking.move(run, Succeeded(call.id, {"n": 9}))
        assert (run.status, run.output) == ("SUCCEEDED", {"n": 10})
        assert commands.finished
        assert run.frames == {}

    with_worker(definition, scene)


def test_several_runs_and_events_go_through_one_process() -> None:
    inner = {**machine(TASK), "QueryLanguage": "JSONata"}
    inner.pop("QueryLanguage")
    each = {"Type": "Map", "Items": "{% $states.input %}", "ItemProcessor": inner}
    definition = machine(each)

    async def scene(asking: Asking) -> None:
        runs = {
            key: await asking.move(begun(definition, [{"n": key}, {"n": 2}]), Begin(), key=key)
            for key in (1, 2, 3)
        }
        (pid,) = asking.pids
        for key, (run, (commands,)) in runs.items():
            events = [Succeeded(call.id, call.arguments["n"]) for call in commands.calls]
            ended, both = await asking.move(run, *events, key=key)
            assert (ended.status, ended.output) == ("SUCCEEDED", [key, 2])
            assert len(both) == 2
        assert asking.pids == [pid]

    with_worker(definition, scene)


def test_a_run_that_was_read_anew_is_sent_whole() -> None:
    definition = machine(TASK)

    async def scene(asking: Asking) -> None:
        run, (commands,) = await asking.move(begun(definition, {"n": 1}), Begin())
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run)
        await asking.move(run, Stop())  # a step whose commit has lost
        run, _ = await asking.move(stored, Succeeded(commands.calls[0].id, 7))
        assert (run.status, run.output) == ("SUCCEEDED", 7)

    with_worker(definition, scene)


def test_a_step_that_ends_the_process_fails_its_state_and_the_next_process_goes_on() -> None:
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]
    definition = machine({**TASK, "Catch": catch}, {"Type": "Pass", "Output": "{% 1 %}"})
    definition["States"]["B"] = {"Type": "Task", "Resource": "g", "End": True}

    async def scene(asking: Asking) -> None:
        run, (commands,) = await asking.move(begun(definition, {"n": 1}), Begin())
        (first,) = asking.pids
        os.kill(first, signal.SIGSTOP)
        answer = asking.send(run, [Succeeded(commands.calls[0].id, {"n": 5})])
        os.kill(first, signal.SIGKILL)
        run, (commands,) = await asyncio.wait_for(answer, SOON_S)
        (second,) = asking.pids
        assert second != first
        (call,) = commands.calls
        assert call.resource == "g"
        assert call.arguments["Error"] == "States.QueryEvaluationError"
        assert TIMEOUT in call.arguments["Cause"]
        assert len(asking.told) == 1
        run, _ = await asking.move(run, Succeeded(call.id, "done"))
        assert run.output == "done"
        assert asking.pids == [second]

    with_worker(definition, scene)


def test_a_step_that_ends_every_process_ends_the_run() -> None:
    definition = machine(TASK)

    async def scene(asking: Asking) -> None:
        run, (commands,) = await asking.move(begun(definition, {"n": 1}), Begin())
        os.kill(asking.pids[0], signal.SIGSTOP)  # else it may answer first
        answer = asking.send(run, [Succeeded(commands.calls[0].id, 1)])
        for _ in range(2):
            (pid,) = asking.pids
            os.kill(pid, signal.SIGSTOP)
            os.kill(pid, signal.SIGKILL)
            while asking.pids == [pid] and not answer.done():
                await asyncio.sleep(0)
        run, (commands,) = await asyncio.wait_for(answer, SOON_S)
        assert (run.status, run.error) == ("FAILED", "States.QueryEvaluationError")
        assert commands.finished

    with_worker(definition, scene)


def test_a_run_is_redriven_there_too() -> None:
    definition = machine(TASK)

    async def scene(asking: Asking) -> None:
        run, (commands,) = await asking.move(begun(definition, {"n": 1}), Begin())
        run, _ = await asking.move(run, Failed(commands.calls[0].id, "E"))
        assert run.status == "FAILED"
        run, (commands,) = await asking.ask(run, None)
        (call,) = commands.calls
        run, _ = await asking.move(run, Succeeded(call.id, 3))
        assert (run.status, run.output) == ("SUCCEEDED", 3)
        _, fault = await asking.ask(run, None)
        assert "cannot be redriven" in fault

    with_worker(definition, scene)


# --- without a process ---------------------------------------------------------------------------


def test_what_has_no_time_left_fails_as_an_expression() -> None:
    definition = machine({"Type": "Pass", "Output": "{% $states.input.n %}"})
    compiled, run = compile_machine(definition), begun(definition, {"n": 1})
    expire()
    try:
        ended, _ = compiled.advance(run, Begin(), NOW, Chance(1))
    finally:
        reset()
    assert ended.error == "States.QueryEvaluationError"
    assert ended.cause is not None
    assert TIMEOUT in ended.cause


class Alarm(Chance):
    """Chance that takes too long."""

    def between(self, low: float, high: float) -> float:
        expire()
        return low

    def token(self, length_bytes: int) -> bytes:
        expire()
        return super().token(length_bytes)


def test_an_expression_is_broken_off_in_the_middle() -> None:
    definition = machine({"Type": "Pass", "Output": "{% $map([1..9], function($x) {$random()}) %}"})
    try:
        ended, _ = compile_machine(definition).advance(
            begun(definition, {}), Begin(), NOW, Alarm(1)
        )
    finally:
        reset()
    assert ended.error == "States.QueryEvaluationError"
    assert ended.cause is not None
    assert TIMEOUT in ended.cause


def test_a_path_is_broken_off_in_the_middle_and_its_catch_is_heeded() -> None:
    """900 lists in each other have 120,000,000 results of this path, and each is a list."""
    catch = [{"ErrorEquals": ["States.QueryEvaluationError"], "Next": "B"}]
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    look = {"Type": "Task", "Resource": "f", "Parameters": {"x.$": "$..*..*..*"}, "Catch": catch}
    states = {"A": look | {"End": True}, "B": {"Type": "Pass", "End": True}}
    definition = {"StartAt": "A", "States": states}
    before = signal.signal(signal.SIGALRM, lambda _number, _frame: expire())
    try:
        # In a callback of the garbage collector (Hypothesis has one) the alarm would be lost.
        with paused():
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            ended, _ = compile_machine(definition).advance(
                begun(definition, {"d": deep}), Begin(), NOW, Chance(1)
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        reset()
    assert ended.status == "SUCCEEDED"
    assert ended.output["Error"] == "States.QueryEvaluationError"
    assert TIMEOUT in ended.output["Cause"]


def test_a_poisoned_step_fails_what_evaluates_and_nothing_else() -> None:
    definition = machine({"Type": "Pass"}, PASS)
    text = msgspec.json.encode(definition).decode()
    server = Server()
    ask = Ask("d", 1, [Begin()], NOW, b"1", text, begun(definition, {"n": 1}), poisoned=True)
    told = server.answer(ask)
    assert isinstance(told, Told)
    assert told.head.error == "States.QueryEvaluationError"
    healthy = server.answer(Ask("d", 2, [Begin()], NOW, b"1", None, begun(definition, {"n": 1})))
    assert isinstance(healthy, Told)
    assert healthy.head.status == "SUCCEEDED"


def test_what_is_not_there_is_a_fault_and_no_guess() -> None:
    assert isinstance(Server().answer(Ask("d", 1, [Begin()], NOW, b"1")), Fault)


def test_only_what_changed_comes_back() -> None:
    before = Run("a", "r", "m", "m", input=[1], frames={1: Frame(1, 0, "A"), 2: Frame(2, 0, "B")},
                 cells={"1.items": [1], "1.0": "x"})  # fmt: skip
    head = msgspec.structs.replace(before, frames={}, cells={}, input=None, events=9)
    frames = {1: None, 2: Frame(2, 0, "C"), 3: Frame(3, 0, "D")}
    told = Told(head, frames, {"1.1": 2**80}, ["1.0"], [Commands()])
    body = pack(told)
    assert length_of(body[:4]) == len(body) - 4
    after = applied(unpack(body[4:], Told), before)
    assert (after.events, after.input) == (9, [1])
    assert {number: one.state for number, one in after.frames.items()} == {2: "C", 3: "D"}
    assert after.cells == {"1.items": [1], "1.1": 2**80}


@pytest.mark.parametrize(
    ("definition", "needs"),
    [
        (machine(PASS), True),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "QueryLanguage": "JSONata"}}}, True),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$.l[?(@ =~ /x/)]"}}},
            True,
        ),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$.l[? (@.a)]"}}}, True),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$..*..*"}}}, True),
        ({"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": "$.l"}}}, False),
    ],
)
def test_only_what_may_take_long_needs_the_process(definition: dict[str, Any], needs: bool) -> None:
    assert needs_worker(definition) is needs
