"""Task, Wait and Fail: retries, catches, timeouts, heartbeats, tokens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.unit.statemachine.machines import chain, in_state, links, only, run, types
from wherry.testing import NEVER, TaskCall, TaskFailed, run_workflow
from wherry.world import ManualClock


def failing(*errors: str, then: Any = "ok") -> Any:
    """A task that fails so often, with these errors, and then answers."""
    left = list(errors)

    def task(payload: Any) -> Any:
        if left:
            raise TaskFailed(left.pop(0), "why")
        return then

    return task


def at_seconds(result: Any, kind: str) -> list[float]:
    """When the events of a type were, in seconds from the start."""
    began = result.history[0]["timestamp"]
    moments = [one["timestamp"] for one in result.history if one["type"] == kind]
    return [(moment - began).total_seconds() for moment in moments]


TASK = {"Type": "Task", "Resource": "f"}


@pytest.mark.parametrize(
    ("retry", "moments"),
    [
        ({}, [0, 1, 3, 7]),
        ({"IntervalSeconds": 5}, [0, 5, 15, 35]),
        ({"IntervalSeconds": 2, "BackoffRate": 1}, [0, 2, 4, 6]),
        ({"BackoffRate": 1.5}, [0, 1, 2.5, 4.75]),
        ({"MaxAttempts": 1}, [0, 1]),
        ({"MaxAttempts": 0}, [0]),
        ({"IntervalSeconds": 0}, [0, 0, 0, 0]),
        ({"IntervalSeconds": 3, "BackoffRate": 10, "MaxDelaySeconds": 7}, [0, 3, 10, 17]),
    ],
)
def test_attempts_follow_each_other_as_retry_says(retry: Any, moments: list[float]) -> None:
    machine = only({**TASK, "Retry": [{"ErrorEquals": ["E"], **retry}]})
    result = run_workflow(machine, {}, {"f": failing(*["E"] * 9)})
    assert (result.status, result.error, result.cause) == ("FAILED", "E", "why")
    assert at_seconds(result, "LambdaFunctionScheduled") == moments


def test_full_jitter_waits_at_most_the_delay() -> None:
    retry = {"ErrorEquals": ["E"], "IntervalSeconds": 100, "JitterStrategy": "FULL"}
    result = run_workflow(only({**TASK, "Retry": [retry]}), {}, {"f": failing("E")})
    assert result.status == "SUCCEEDED"
    assert 0 <= at_seconds(result, "LambdaFunctionScheduled")[1] < 100


def test_every_retrier_counts_for_itself() -> None:
    retriers = [
        {"ErrorEquals": ["A"], "IntervalSeconds": 1, "MaxAttempts": 1},
        {"ErrorEquals": ["B"], "IntervalSeconds": 10, "MaxAttempts": 2},
    ]
    result = run_workflow(only({**TASK, "Retry": retriers}), {}, {"f": failing("A", "B", "B", "A")})
    assert result.error == "A"
    assert at_seconds(result, "LambdaFunctionScheduled") == [0, 1, 11, 31]


CAUGHT = [
    (["States.ALL"], "Own", True),
    (["States.TaskFailed"], "Own", True),
    (["Own"], "Own", True),
    (["Other", "Own"], "Own", True),
    (["Other"], "Own", False),
    (["States.TaskFailed"], "States.Timeout", False),
    (["States.Timeout"], "States.Timeout", True),
    (["States.ALL"], "States.Timeout", True),
    (["States.ALL"], "States.Runtime", False),
    (["States.Runtime"], "States.Runtime", False),
    (["own"], "Own", False),
]


@pytest.mark.parametrize(("names", "error", "is_caught"), CAUGHT)
def test_a_clause_means_an_error_by_name(names: list[str], error: str, is_caught: bool) -> None:
    machine = chain({**TASK, "Catch": [{"ErrorEquals": names, "Next": "B"}]}, {"Type": "Pass"})
    result = run_workflow(machine, {}, {"f": failing(error)})
    assert result.status == ("SUCCEEDED" if is_caught else "FAILED")
    if is_caught:
        assert result.output == {"Error": error, "Cause": "why"}


def test_a_catch_places_the_error_and_is_asked_after_all_retries() -> None:
    machine = chain(
        {
            **TASK,
            "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 2}],
            "Catch": [
                {"ErrorEquals": ["X"], "Next": "B"},
                {"ErrorEquals": ["E"], "Next": "B", "ResultPath": "$.error"},
            ],
        },
        {"Type": "Pass"},
    )
    result = run_workflow(machine, {"a": 1}, {"f": failing("E", "E", "E")})
    assert result.output == {"a": 1, "error": {"Error": "E", "Cause": "why"}}
    assert types(result).count("LambdaFunctionFailed") == 3


def test_an_exception_of_a_function_is_what_lambda_makes_of_it() -> None:
    def broken(payload: Any) -> None:
        raise ValueError("no")

    result = run_workflow(only(TASK), {}, {"f": broken})
    assert result.error == "ValueError"
    assert result.cause is not None
    assert '"errorMessage":"no","errorType":"ValueError"' in result.cause


# --- time ----------------------------------------------------------------------------------------


def test_a_task_that_does_not_answer_times_out() -> None:
    result = run_workflow(only({**TASK, "TimeoutSeconds": 30}), {}, {"f": lambda _: NEVER})
    assert (result.status, result.error, result.cause) == ("FAILED", "States.Timeout", None)
    assert types(result)[-2:] == ["LambdaFunctionTimedOut", "ExecutionFailed"]
    assert at_seconds(result, "LambdaFunctionTimedOut") == [30]


def test_a_task_that_takes_too_long_on_the_clock_times_out() -> None:
    clock = ManualClock()

    def slow(payload: Any) -> str:
        clock.advance(31)
        return "late"

    result = run_workflow(only({**TASK, "TimeoutSeconds": 30}), {}, {"f": slow}, clock=clock)
    assert result.error == "States.Timeout"


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout", "States.ALL"])
def test_a_missing_heartbeat_is_a_timeout_with_a_name_of_its_own(name: str) -> None:
    resource = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
    task = {
        "Type": "Task", "Resource": resource, "HeartbeatSeconds": 5, "TimeoutSeconds": 60,
        "Parameters": {"QueueUrl": "q", "MessageBody": "b"},
        "Catch": [{"ErrorEquals": [name], "Next": "B"}],
    }  # fmt: skip
    result = run_workflow(chain(task, {"Type": "Pass"}), {}, lambda call: NEVER)
    assert result.output == {"Error": "States.Timeout", "Cause": ""}
    assert at_seconds(result, "TaskTimedOut") == [5]


def test_timeouts_can_come_from_the_input() -> None:
    task = {**TASK, "TimeoutSecondsPath": "$.t"}
    result = run_workflow(only(task), {"t": 7}, {"f": lambda _: NEVER})
    assert at_seconds(result, "LambdaFunctionTimedOut") == [7]
    assert run(only(task), {}, {"f": lambda _: NEVER}) == (
        "States.Runtime",
        in_state("Invalid path '$.t' : No results for path: $['t']"),
    )


def test_an_execution_that_takes_too_long_times_out() -> None:
    machine = {**only({"Type": "Wait", "Seconds": 100}), "TimeoutSeconds": 10}
    result = run_workflow(machine, {})
    assert (result.status, result.error, result.cause) == ("TIMED_OUT", None, None)
    assert links(result)[-1] == (3, 0, "ExecutionTimedOut")
    assert result.history[-1]["executionTimedOutEventDetails"] == {"error": "States.Timeout"}


def test_an_express_execution_ends_after_five_minutes() -> None:
    result = run_workflow(only({"Type": "Wait", "Seconds": 1_000}), {}, type="EXPRESS")
    assert result.status == "TIMED_OUT"
    assert at_seconds(result, "ExecutionTimedOut") == [300]


def test_a_standard_execution_ends_after_a_year() -> None:
    result = run_workflow(only({"Type": "Wait", "Seconds": 99_999_999}), {})
    assert at_seconds(result, "ExecutionTimedOut") == [365 * 86_400]


WAITS: list[tuple[dict[str, Any], Any, float]] = [
    ({"Seconds": 30 * 86_400}, {}, 30 * 86_400),
    ({"Seconds": 0}, {}, 0),
    ({"SecondsPath": "$.s"}, {"s": 12}, 12),
    ({"Timestamp": "2026-01-01T00:01:00Z"}, {}, 60),
    ({"Timestamp": "2020-01-01T00:00:00Z"}, {}, 0),
    ({"TimestampPath": "$.t"}, {"t": "2026-01-01T02:00:00+01:00"}, 3_600),
]


@pytest.mark.parametrize(("fields", "data", "seconds"), WAITS)
def test_a_wait_ends_when_it_says(fields: dict[str, Any], data: Any, seconds: float) -> None:
    result = run_workflow(only({"Type": "Wait", **fields}), data)
    assert result.output == data
    assert at_seconds(result, "WaitStateExited") == [seconds]


BAD_WAITS = [
    ("SecondsPath", {}, "The SecondsPath parameter does not reference an input value: $.v"),
    (
        "SecondsPath",
        {"v": {"a": 1}},
        'The SecondsPath parameter cannot be parsed as a long value: $.v == {"a":1}',
    ),
    ("SecondsPath", {"v": -1}, "The SecondsPath parameter references a negative value: $.v == -1"),
    ("TimestampPath", {}, "The TimestampPath parameter does not reference an input value: $.v"),
    (
        "TimestampPath",
        {"v": "soon"},
        "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time"
        " format string: $.v == soon",
    ),
]


@pytest.mark.parametrize(("field", "data", "cause"), BAD_WAITS)
def test_a_wait_that_cannot_be_read_ends_the_run(field: str, data: Any, cause: str) -> None:
    machine = only({"Type": "Wait", field: "$.v"})
    assert run(machine, data) == ("States.Runtime", in_state(cause))


# --- resources -----------------------------------------------------------------------------------

ARN = "arn:aws:lambda:eu-central-1:123456789012:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"


@pytest.mark.parametrize("key", ["S", "f", ARN])
@pytest.mark.parametrize("resource", ["f", ARN])
def test_a_function_is_found_under_each_of_its_names(key: str, resource: str) -> None:
    if key == ARN and resource == "f":
        return
    assert run(only({"Type": "Task", "Resource": resource}), 3, {key: lambda n: n + 1}) == 4


@pytest.mark.parametrize("function", ["f", "f:live", ARN, f"{ARN}:$LATEST"])
def test_lambda_invoke_hands_over_the_payload_and_wraps_the_answer(function: str) -> None:
    task = {
        "Type": "Task", "Resource": INVOKE,
        "Parameters": {"FunctionName": function, "Payload.$": "$.n"},
    }  # fmt: skip
    output = run(only(task), {"n": 3}, {"f": lambda n: n + 1})
    assert output["Payload"] == 4
    assert output["StatusCode"] == 200
    assert output["ExecutedVersion"] == "$LATEST"


def test_one_callable_sees_every_call_and_answers_the_whole_of_it() -> None:
    seen: list[TaskCall] = []

    def answer(call: TaskCall) -> Any:
        seen.append(call)
        if call.attempt == 1:
            raise TaskFailed("E")
        return {"id": "m-1"}

    task = {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": {"QueueUrl": "q", "MessageBody.$": "$.b"}, "Retry": [{"ErrorEquals": ["E"]}],
    }  # fmt: skip
    assert run(only(task), {"b": "hi"}, answer) == {"id": "m-1"}
    assert [(one.state, one.arguments, one.attempt) for one in seen] == [
        ("S", {"QueueUrl": "q", "MessageBody": "hi"}, 1),
        ("S", {"QueueUrl": "q", "MessageBody": "hi"}, 2),
    ]


def test_what_the_token_brings_is_the_result() -> None:
    tokens = []

    def answer(call: TaskCall) -> Any:
        tokens.append((call.token, call.arguments["MessageBody"]))
        return {"approved": True}

    task = {
        "Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"},
    }  # fmt: skip
    result = run_workflow(only(task), {}, answer)
    assert result.output == {"approved": True}
    assert tokens[0][0] == tokens[0][1] is not None
    assert types(result)[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


def test_a_task_nobody_stands_for_is_the_test_s_mistake() -> None:
    with pytest.raises(LookupError, match="No task for state 'S'"):
        run_workflow(only(TASK), {}, {"g": lambda _: None})


def test_a_function_cannot_change_what_the_run_holds() -> None:
    def greedy(payload: dict[str, Any]) -> None:
        payload.clear()

    machine = only({**TASK, "ResultPath": None})
    assert run(machine, {"a": [1]}, {"f": greedy}) == {"a": [1]}


# --- Fail and Succeed ----------------------------------------------------------------------------

FAILS: list[tuple[dict[str, Any], Any, Any]] = [
    ({"Error": "E", "Cause": "c"}, {}, ("E", "c")),
    ({"Error": "E"}, {}, ("E", None)),
    ({"Cause": "c"}, {}, (None, "c")),
    ({}, {}, (None, None)),
    ({"ErrorPath": "$.e", "CausePath": "$.c"}, {"e": "E", "c": "x"}, ("E", "x")),
    (
        {"Error": "E", "CausePath": "States.Format('{} {}', $.a, $.b)"},
        {"a": 1, "b": "x"},
        ("E", "1 x"),
    ),
    (
        {"ErrorPath": "$.gone"},
        {"a": 1},
        (
            "States.Runtime",
            in_state(
                "The JSONPath '$.gone' specified for the field 'ErrorPath' could not be found in"
                " the input '{\"a\":1}'"
            ),
        ),
    ),
]


@pytest.mark.parametrize(("fields", "data", "outcome"), FAILS)
def test_a_fail_state_gives_error_and_cause(fields: Any, data: Any, outcome: Any) -> None:
    assert run(only({"Type": "Fail", **fields}), data) == outcome


def test_succeed_ends_the_run_with_its_input() -> None:
    machine = only({"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"})
    assert run(machine, {"a": {"b": 1}}) == 1


def test_the_history_carries_moments_of_the_clock() -> None:
    clock = ManualClock(1_700_000_000_000)
    result = run_workflow(only({"Type": "Wait", "Seconds": 1}), {}, clock=clock)
    assert result.history[0]["timestamp"] == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert clock.now_ms() == 1_700_000_001_000


ENDS = [
    ("arn:aws:states:::sqs:sendMessage", ["TaskFailed"]),
    ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", ["TaskSubmitted", "TaskFailed"]),
    ("arn:aws:states:::states:startExecution.sync:2", ["TaskSubmitted", "TaskFailed"]),
    ("arn:aws:states:eu-central-1:123456789012:activity:sign", ["ActivityFailed"]),
    ("f", ["LambdaFunctionFailed"]),
]


@pytest.mark.parametrize(("resource", "events"), ENDS)
def test_each_kind_of_resource_fails_with_its_own_events(resource: str, events: list[str]) -> None:
    given = {"QueueUrl": "q", "MessageBody": "b", "StateMachineArn": "a"}
    task = {"Type": "Task", "Resource": resource, "Parameters": given}
    result = run_workflow(only(task), {}, failing("E"))
    assert (result.error, result.cause) == ("E", "why")
    assert types(result)[4:-1] == events
