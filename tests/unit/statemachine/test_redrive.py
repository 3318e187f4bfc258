"""Redrive: a run that did not succeed goes on from where it failed, by AWS's rules."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.statemachine.machines import chain, only
from tests.unit.statemachine.test_branches import block, distributed, mapped, parallel
from tests.unit.statemachine.test_runs import NOW, TASK, Bench
from wherry import limits
from wherry.statemachine.records import (
    Begin,
    Call,
    Commands,
    Failed,
    Run,
    Stop,
    Succeeded,
    Wake,
)
from wherry.statemachine.redriving import NotRedrivable

DAY_S = 86_400


class Again(Bench):
    """A bench that redrives, too."""

    @property
    def status(self) -> str:
        return self.run.status

    def redrive(self, at_s: float = 100) -> Commands:
        before = msgspec.json.encode(self.run)
        run, commands = self.machine.redrive(self.run, NOW + int(at_s * 1000), self.chance)
        assert msgspec.json.encode(self.run) == before
        assert {*commands.frames} >= {*run.frames}, "every frame of it has changed"
        self.run = msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=Run)
        self.types += [event.type for event in commands.history]
        self.links = [(one.id, one.previous, one.type) for one in commands.history]
        return commands

    def fail(self, call: Call, error: str = "E") -> Commands:
        return self.advance(Failed(call.id, error, "why"))

    def succeed(self, call: Call, output: Any = None) -> Commands:
        return self.advance(Succeeded(call.id, output))


def test_a_task_is_scheduled_again_with_the_same_input() -> None:
    bench = Again(chain({"Type": "Pass", "Result": 1}, TASK), {"a": 1})
    (call,) = bench.advance(Begin()).calls
    bench.fail(call)
    ended = bench.run.events
    (again,) = bench.redrive().calls
    assert (again.arguments, again.attempt) == (1, 1)
    assert again.id != call.id
    assert bench.links == [
        (ended + 1, ended, "ExecutionRedriven"),
        (ended + 2, ended + 1, "LambdaFunctionScheduled"),
        (ended + 3, ended + 2, "LambdaFunctionStarted"),
    ]
    assert bench.succeed(again, "ok").finished
    assert (bench.status, bench.run.output) == ("SUCCEEDED", "ok")
    assert (bench.run.error, bench.run.cause) == (None, None)
    assert bench.types.count("TaskStateEntered") == 1
    assert bench.run.frames == {}


def test_retries_count_anew_after_a_redrive() -> None:
    bench = Again(only({**TASK, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}]}))
    (call,) = bench.advance(Begin()).calls
    bench.fail(call)
    (call,) = bench.advance(Wake(), 1).calls
    bench.fail(call)
    assert bench.status == "FAILED"
    (call,) = bench.redrive().calls
    assert call.attempt == 1
    bench.fail(call)
    assert bench.status == "RUNNING"


def test_the_context_counts_redrives() -> None:
    reads = {"e.$": "$$.Execution", "s.$": "$$.State"}
    bench = Again(only({**TASK, "Parameters": reads}))
    (call,) = bench.advance(Begin()).calls
    assert "RedriveTime" not in call.arguments["e"]
    for count in (1, 2):
        bench.fail(call)
        (call,) = bench.redrive(60).calls
        assert call.arguments["e"]["RedriveCount"] == count
        assert call.arguments["e"]["RedriveTime"] == "2026-01-01T00:01:00.000Z"
    assert call.arguments["s"]["RetryCount"] == 0
    assert bench.types.count("ExecutionRedriven") == 2


def test_a_fail_state_is_entered_again_and_fails_again() -> None:
    bench = Again(only({"Type": "Fail", "Error": "E"}))
    bench.advance(Begin())
    assert bench.redrive().finished
    assert bench.status == "FAILED"
    assert bench.types.count("FailStateEntered") == 2


def test_a_choice_is_evaluated_again_and_a_runtime_error_comes_again() -> None:
    rule = {"Variable": "$.a", "NumericEquals": 1, "Next": "S"}
    bench = Again(only({"Type": "Choice", "Choices": [rule]}), {"a": 2})
    bench.advance(Begin())
    assert bench.redrive().finished
    assert bench.run.error == "States.Runtime"
    assert bench.types.count("ChoiceStateEntered") == 1


def test_a_wait_until_a_moment_that_has_passed_is_left() -> None:
    bench = Again(only({"Type": "Wait", "Timestamp": "2026-01-01T00:00:50Z"}))
    bench.advance(Begin())
    bench.advance(Stop("E"), 10)
    assert bench.status == "ABORTED"
    assert bench.redrive(100).finished
    assert bench.status == "SUCCEEDED"


def test_a_run_that_timed_out_gets_its_time_anew() -> None:
    bench = Again({**only(TASK), "TimeoutSeconds": 10})
    bench.advance(Begin())
    bench.advance(Wake(), 10)
    assert bench.status == "TIMED_OUT"
    commands = bench.redrive(100)
    assert commands.wake_ms == NOW + 110_000
    assert bench.succeed(commands.calls[0]).finished
    late = Again(only(TASK))
    late.advance(Begin())
    late.advance(Stop(), (365 - 3) * DAY_S)
    year_ms = NOW + 1000 * limits.STATE_STANDARD_S
    assert late.redrive((365 - 2) * DAY_S).wake_ms == year_ms


def tasks(count: int) -> list[dict[str, Any]]:
    return [block(TASK, prefix=f"x{number}") for number in range(count)]


def test_of_a_parallel_only_branches_that_had_not_succeeded_go_on() -> None:
    bench = Again(parallel(*tasks(3)), {"a": 1})
    one, two, three = bench.advance(Begin()).calls
    bench.succeed(one, "first")
    bench.fail(two)
    assert bench.status == "FAILED"
    again = bench.redrive().calls
    assert [call.state for call in again] == [two.state, three.state]
    bench.succeed(again[1], "third")
    assert bench.succeed(again[0], "second").finished
    assert bench.run.output == ["first", "second", "third"]
    assert bench.types.count("ParallelStateStarted") == 1


def test_branches_within_branches_go_on_where_they_were() -> None:
    inner = {"Type": "Parallel", "Branches": [block(TASK, TASK, prefix="i"), *tasks(1)]}
    bench = Again(parallel(block(inner, prefix="o")))
    first, other = bench.advance(Begin()).calls
    (second,) = bench.succeed(first, 1).calls
    bench.succeed(other, "other")
    bench.fail(second)
    (again,) = bench.redrive().calls
    assert (again.state, again.arguments) == (second.state, 1)
    assert bench.succeed(again, "done").finished
    assert bench.run.output == [["done", "other"]]


def test_of_a_map_only_iterations_that_had_not_succeeded_go_on() -> None:
    bench = Again(mapped(TASK, MaxConcurrency=2), [10, 20, 30])
    one, two = bench.advance(Begin()).calls
    (three,) = bench.succeed(one, "a").calls
    bench.fail(three)
    again = bench.redrive().calls
    assert [call.arguments for call in again] == [20, 30]
    assert two.arguments == 20
    bench.succeed(again[1], "c")
    assert bench.succeed(again[0], "b").finished
    assert bench.run.output == ["a", "b", "c"]


def test_a_map_that_had_not_started_all_goes_on_with_the_rest() -> None:
    bench = Again(mapped(TASK, MaxConcurrency=1), [10, 20])
    (one,) = bench.advance(Begin()).calls
    bench.fail(one)
    (one,) = bench.redrive().calls
    (two,) = bench.succeed(one, 1).calls
    assert two.arguments == 20
    assert bench.succeed(two, 2).finished
    assert bench.run.output == [1, 2]


def test_a_parallel_that_failed_after_its_branches_is_done_again_as_a_whole() -> None:
    bench = Again(parallel(*tasks(2), OutputPath="$.gone"))
    for call in bench.advance(Begin()).calls:
        bench.succeed(call)
    assert bench.status == "FAILED"
    assert len(bench.redrive().calls) == 2
    assert bench.types.count("ParallelStateStarted") == 2
    large = "x" * (limits.STATE_DATA_BYTES - 100)
    bench = Again(parallel(*tasks(2)))
    for call in bench.advance(Begin()).calls:
        bench.succeed(call, large)
    assert bench.run.error == "States.DataLimitExceeded"
    assert len(bench.redrive().calls) == 2


def test_variables_and_waiting_retries_survive() -> None:
    set_variable = {"Type": "Pass", "Assign": {"v": 7}}
    bench = Again(chain(set_variable, {**TASK, "Parameters": {"v.$": "$v"}}))
    (call,) = bench.advance(Begin()).calls
    bench.fail(call)
    (call,) = bench.redrive().calls
    assert call.arguments == {"v": 7}
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}]
    bench = Again(only({**TASK, "Retry": retry}))
    (call,) = bench.advance(Begin()).calls
    bench.fail(call)
    bench.advance(Stop(), 1)
    assert len(bench.redrive(2).calls) == 1


# --- distributed ---------------------------------------------------------------------------------


def test_of_a_map_run_only_children_that_had_not_succeeded_are_begun_again() -> None:
    bench = Again(distributed(TASK, MaxConcurrency=2, Label="L"), ["a", "b", "c", "d"])
    one, two = bench.advance(Begin()).calls
    (three,) = bench.succeed(one, 1).calls
    bench.fail(two)
    assert bench.run.error == "States.ExceedToleratedFailureThreshold"
    again = bench.redrive()
    assert [(call.arguments, call.index, call.again) for call in again.calls] == [
        ("b", 1, two.id), ("c", 2, three.id),
    ]  # fmt: skip
    assert "MapRunRedriven" in bench.types
    assert {call.map_run for call in again.calls} == {one.map_run}
    (four,) = bench.succeed(again.calls[0], 2).calls
    assert (four.arguments, four.again) == ("d", 0)
    bench.succeed(four, 4)
    assert bench.succeed(again.calls[1], 3).finished
    assert bench.run.output == [1, 2, 3, 4]
    assert bench.run.cells == {}


def test_tolerated_failures_count_anew() -> None:
    bench = Again(distributed(TASK, ToleratedFailureCount=1), ["a", "b", "c"])
    one, two, three = bench.advance(Begin()).calls
    bench.fail(one)
    bench.fail(two)
    assert bench.status == "FAILED"
    again = bench.redrive().calls
    assert [call.arguments for call in again] == ["a", "b", "c"]
    bench.fail(again[0])
    bench.succeed(again[1], 2)
    assert bench.succeed(again[2], 3).finished
    assert bench.run.output[1:] == [2, 3]
    assert three.again == 0


def test_results_that_could_not_be_written_are_written_again() -> None:
    writer = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}}
    bench = Again(distributed(TASK, ResultWriter=writer), ["a"])
    (child,) = bench.advance(Begin()).calls
    (write,) = bench.succeed(child, 1).calls
    bench.fail(write, "States.ResultWriterFailed")
    (write,) = bench.redrive().calls
    assert (write.kind, write.results) == ("results", [1])
    assert [kind for kind in bench.types if kind.startswith("MapRun")] == [
        "MapRunStarted", "MapRunFailed", "MapRunRedriven",
    ]  # fmt: skip
    assert bench.succeed(write, "there").finished
    assert bench.run.output == "there"


def test_items_that_could_not_be_read_are_read_again() -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject"}
    bench = Again(distributed(TASK, ItemReader=reader), {})
    (call,) = bench.advance(Begin()).calls
    bench.fail(call, "States.ItemReaderFailed")
    (call,) = bench.redrive().calls
    assert call.kind == "items"


def test_a_map_run_whose_results_are_too_large_is_a_new_one() -> None:
    bench = Again(distributed(TASK), ["a", "b", "c"])
    for call in bench.advance(Begin()).calls:
        bench.succeed(call, "x" * (limits.STATE_DATA_BYTES - 10))
    assert bench.run.error == "States.DataLimitExceeded"
    assert len(bench.redrive().calls) == 3
    assert bench.types.count("MapRunStarted") == 2


# --- what cannot be redriven ---------------------------------------------------------------------


def test_only_what_ended_otherwise_than_well_and_not_long_ago_can_be_redriven() -> None:
    bench = Again(only(TASK))
    (call,) = bench.advance(Begin()).calls
    reasons = [bench.machine.why_not_redrivable(bench.run, NOW)]
    bench.fail(call)
    assert bench.machine.why_not_redrivable(bench.run, NOW + 1000 * 14 * DAY_S) is None
    reasons.append(bench.machine.why_not_redrivable(bench.run, NOW + 1000 * 14 * DAY_S + 1))
    reasons.append(bench.machine.why_not_redrivable(bench.run, NOW + 1000 * 365 * DAY_S))
    full = msgspec.structs.replace(bench.run, events=limits.STATE_EVENTS - 1)
    reasons.append(bench.machine.why_not_redrivable(full, NOW))
    done = msgspec.structs.replace(bench.run, status="SUCCEEDED")
    reasons.append(bench.machine.why_not_redrivable(done, NOW))
    assert reasons == [
        "Execution is RUNNING and cannot be redriven",
        "Execution redrivable period exceeded",
        "Execution has exceeded the max execution time",
        "Execution history event limit exceeded",
        "Execution is SUCCEEDED and cannot be redriven",
    ]
    with pytest.raises(NotRedrivable, match="period exceeded"):
        bench.redrive(15 * DAY_S)


def test_an_express_run_keeps_nothing_and_cannot_be_redriven() -> None:
    bench = Again(only(TASK), type="EXPRESS")
    (call,) = bench.advance(Begin()).calls
    bench.fail(call)
    assert (bench.run.frames, bench.run.cells) == ({}, {})
    with pytest.raises(NotRedrivable):
        bench.redrive()


def test_a_machine_s_timeout_that_cannot_be_computed_fails_the_run() -> None:
    machine = {**only({"Type": "Pass"}, jsonata=True), "TimeoutSeconds": "{% $states.input.t %}"}
    bench = Again(machine, {"t": "x"})
    assert bench.advance(Begin()).finished
    assert bench.run.error == "States.QueryEvaluationError"
    assert bench.redrive().finished
