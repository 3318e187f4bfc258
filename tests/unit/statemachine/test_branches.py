"""Parallel and the inline Map: results, order, failures, what the history shows of them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.statemachine.machines import chain, in_state, links, only, run, types
from wherry import limits
from wherry.testing import NEVER, TaskFailed, run_workflow


def block(*states: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """A branch or a processor, with names of its own."""
    found = chain(*states)
    names = {name: prefix + name for name in found["States"]}

    def renamed(fields: dict[str, Any]) -> dict[str, Any]:
        if "Next" in fields:
            return {**fields, "Next": names[fields["Next"]]}
        return fields

    return {
        "StartAt": prefix + found["StartAt"],
        "States": {names[name]: renamed(fields) for name, fields in found["States"].items()},
    }


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return only({"Type": "Parallel", "Branches": list(branches), **fields})


def mapped(*states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return only({"Type": "Map", "ItemProcessor": block(*states), **fields})


PASS: dict[str, Any] = {"Type": "Pass"}
TASK = {"Type": "Task", "Resource": "f"}
FAIL = {"Type": "Fail", "Error": "E", "Cause": "c"}


def test_a_parallel_gives_its_branches_outputs_in_their_order() -> None:
    slow = block({"Type": "Wait", "Seconds": 60}, {"Type": "Pass", "Result": 1}, prefix="x")
    fast = block({"Type": "Pass", "Result": 2}, prefix="y")
    assert run(parallel(slow, fast)) == [1, 2]
    assert run(parallel(slow, fast, ResultPath="$.r", ResultSelector={"all.$": "$[*]"})) == {
        "r": {"all": [1, 2]}
    }
    assert run(parallel(block(PASS), Parameters={"v.$": "$.a"}), {"a": 1}) == [{"v": 1}]


def test_a_parallel_s_history_links_each_branch_to_its_start() -> None:
    machine = parallel(block(PASS, prefix="x"), block(PASS, prefix="y"))
    assert links(run_workflow(machine, {})) == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "ParallelStateEntered"),
        (3, 2, "ParallelStateStarted"),
        (4, 3, "PassStateEntered"),
        (5, 4, "PassStateExited"),
        (6, 3, "PassStateEntered"),
        (7, 6, "PassStateExited"),
        (8, 7, "ParallelStateSucceeded"),
        (9, 7, "ParallelStateExited"),
        (10, 9, "ExecutionSucceeded"),
    ]


def test_one_failing_branch_ends_the_others() -> None:
    waiting = block({"Type": "Wait", "Seconds": 60}, prefix="x")
    result = run_workflow(parallel(waiting, block(FAIL, prefix="y")), {})
    assert (result.status, result.error, result.cause) == ("FAILED", "E", "c")
    assert links(result)[3:] == [
        (4, 3, "WaitStateEntered"),
        (5, 3, "FailStateEntered"),
        (6, 5, "WaitStateAborted"),
        (7, 5, "ParallelStateFailed"),
        (8, 7, "ExecutionFailed"),
    ]


def test_a_parallel_can_be_caught_and_retried() -> None:
    catch = [{"ErrorEquals": ["E"], "Next": "B"}]
    machine = chain(
        {"Type": "Parallel", "Branches": [block(FAIL, prefix="x")], "Catch": catch}, PASS
    )
    result = run_workflow(machine, {})
    assert result.output == {"Error": "E", "Cause": "c"}
    assert "ParallelStateExited" in types(result)
    tries: list[int] = []

    def second_time(payload: Any) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise TaskFailed("E")
        return "ok"

    again = parallel(block(TASK), Retry=[{"ErrorEquals": ["E"]}])
    result = run_workflow(again, {}, {"f": second_time})
    assert result.output == ["ok"]
    assert types(result).count("ParallelStateStarted") == 2
    assert "ParallelStateFailed" not in types(result)


def test_a_runtime_error_in_a_branch_ends_the_run_at_once() -> None:
    broken = block({"Type": "Pass", "InputPath": "$.gone"}, prefix="y")
    result = run_workflow(
        parallel(broken, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "S"}]), {}
    )
    assert result.error == "States.Runtime"
    assert types(result)[-2:] == ["PassStateEntered", "ExecutionFailed"]


# --- Map -----------------------------------------------------------------------------------------

MAPS: list[tuple[dict[str, Any], Any, Any]] = [
    ({}, [1, 2, 3], [1, 2, 3]),
    ({}, [], []),
    ({"ItemsPath": "$.l"}, {"l": ["a"]}, ["a"]),
    ({"InputPath": "$.in", "ItemsPath": "$.l"}, {"in": {"l": [1]}}, [1]),
    (
        {"ItemsPath": "$.l", "ItemSelector": {
            "i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "k.$": "$.k"}},
        {"l": ["a", "b"], "k": 9},
        [{"i": 0, "v": "a", "k": 9}, {"i": 1, "v": "b", "k": 9}],
    ),
    ({"Parameters": {"v.$": "$$.Map.Item.Value"}}, [1], [{"v": 1}]),
    ({"ResultSelector": {"n.$": "States.ArrayLength($)"}}, [1, 2], {"n": 2}),
    ({"ItemsPath": "$.l", "ResultPath": "$.r"}, {"l": [1]}, {"l": [1], "r": [1]}),
    ({"MaxConcurrency": 1}, [3, 2, 1], [3, 2, 1]),
    ({"ItemsPath": "$.l", "MaxConcurrencyPath": "$.c"}, {"l": [1, 2], "c": 1}, [1, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "data", "output"), MAPS)
def test_a_map_gives(fields: dict[str, Any], data: Any, output: Any) -> None:
    assert run(mapped(PASS, **fields), data) == output


def test_iterations_see_their_item_in_the_context() -> None:
    seen = mapped({"Type": "Pass", "Parameters": {"m.$": "$$.Map.Item"}})
    assert run(seen, ["x", "y"]) == [
        {"m": {"Index": 0, "Value": "x", "Source": "STATE_DATA"}},
        {"m": {"Index": 1, "Value": "y", "Source": "STATE_DATA"}},
    ]


def test_the_history_of_a_map_at_concurrency_one() -> None:
    result = run_workflow(mapped(PASS, MaxConcurrency=1), ["a", "b"])
    assert links(result) == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "MapStateEntered"),
        (3, 2, "MapStateStarted"),
        (4, 3, "MapIterationStarted"),
        (5, 4, "PassStateEntered"),
        (6, 5, "PassStateExited"),
        (7, 6, "MapIterationSucceeded"),
        (8, 6, "MapIterationStarted"),
        (9, 8, "PassStateEntered"),
        (10, 9, "PassStateExited"),
        (11, 10, "MapIterationSucceeded"),
        (12, 11, "MapStateSucceeded"),
        (13, 11, "MapStateExited"),
        (14, 13, "ExecutionSucceeded"),
    ]
    assert result.history[2]["mapStateStartedEventDetails"] == {"length": 2}
    assert result.history[7]["mapIterationStartedEventDetails"] == {"name": "S", "index": 1}


def test_the_history_of_an_empty_map() -> None:
    assert links(run_workflow(mapped(PASS), []))[2:5] == [
        (3, 2, "MapStateStarted"),
        (4, 3, "MapStateSucceeded"),
        (5, 3, "MapStateExited"),
    ]


def test_at_most_forty_iterations_run_at_once() -> None:
    result = run_workflow(mapped({**TASK, "TimeoutSeconds": 1}), [0] * 50, {"f": lambda _: NEVER})
    assert types(result).count("MapIterationStarted") == 40


def test_one_failing_iteration_ends_the_map() -> None:
    def second_fails(payload: Any) -> Any:
        if payload == 1:
            raise TaskFailed("E", "c")
        return NEVER

    result = run_workflow(mapped(TASK), [0, 1], {"f": second_fails})
    assert (result.error, result.cause) == ("E", "c")
    assert types(result)[-6:] == [
        "LambdaFunctionFailed",
        "MapIterationAborted",
        "TaskStateAborted",
        "MapIterationFailed",
        "MapStateFailed",
        "ExecutionFailed",
    ]


BAD_MAPS = [
    ({"ItemsPath": "$.l"}, {"l": 5}, 'Reference path "$.l" must point to array.'),
    (
        {"ItemsPath": "$.l", "MaxConcurrencyPath": "$.c"},
        {"l": [1], "c": "x"},
        'The MaxConcurrencyPath field refers to value "x" which is not a valid integer: $.c',
    ),
    (
        {"ItemsPath": "$.l", "MaxConcurrencyPath": "$.c"},
        {"l": [1], "c": -1},
        "Expected non-negative integer for MaxConcurrency, got '-1' instead.",
    ),
]


@pytest.mark.parametrize(("fields", "data", "cause"), BAD_MAPS)
def test_a_map_that_cannot_be_read_ends_the_run(fields: Any, data: Any, cause: str) -> None:
    assert run(mapped(PASS, **fields), data) == ("States.Runtime", in_state(cause))


def test_an_items_path_that_names_nothing_tells_the_step_that_is_missing() -> None:
    assert run(mapped(PASS, ItemsPath="$.d.gone.l"), {"d": {"s": 1}}) == (
        "States.ReferencePathConflict",
        'Unable to apply step "gone" to input {"d":{"s":1}}',
    )


def test_a_map_within_a_map_sees_its_own_items() -> None:
    inner = {
        "Type": "Map",
        "ItemProcessor": block({"Type": "Pass", "InputPath": "$$.Map.Item.Value"}),
    }
    machine = only({"Type": "Map", "ItemProcessor": block(inner, prefix="o")})
    assert run(machine, [[1, 2], [3]]) == [[1, 2], [3]]


# --- distributed ---------------------------------------------------------------------------------


def distributed(*states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {
        **block(*states),
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    }
    return only({"Type": "Map", "ItemProcessor": processor, **fields})


def test_the_history_of_a_distributed_map_shows_the_map_run() -> None:
    result = run_workflow(distributed(PASS, Label="L"), [1, 2], machine_name="M")
    assert result.output == [1, 2]
    assert links(result) == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "MapStateEntered"),
        (3, 2, "MapStateStarted"),
        (4, 3, "MapRunStarted"),
        (5, 4, "MapRunSucceeded"),
        (6, 5, "MapStateSucceeded"),
        (7, 4, "MapStateExited"),
        (8, 7, "ExecutionSucceeded"),
    ]
    arn = result.history[3]["mapRunStartedEventDetails"]["mapRunArn"]
    assert arn.startswith("arn:aws:states:eu-central-1:123456789012:mapRun:M/L:")


def test_a_distributed_map_without_a_label_has_a_uuid_for_one() -> None:
    result = run_workflow(distributed(PASS), [1], machine_name="M")
    arn = result.history[3]["mapRunStartedEventDetails"]["mapRunArn"]
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.search(f":mapRun:M/{uuid}:{uuid}$", arn)


WRITER: dict[str, Any] = {
    "Resource": "arn:aws:states:::s3:putObject",
    "Parameters": {"Bucket": "b"},
}
LARGE = "x" * (limits.STATE_DATA_BYTES - 2)


@pytest.mark.parametrize(
    ("fields", "error"),
    [({"ResultWriter": WRITER}, "States.ResultWriterFailed"), ({}, "States.DataLimitExceeded")],
)
def test_a_map_run_fails_with_its_results(fields: dict[str, Any], error: str) -> None:
    def unwritten(results: Any) -> Any:
        raise TaskFailed("States.ResultWriterFailed", "c")

    tasks = {"f": lambda _: LARGE, WRITER["Resource"]: unwritten}
    result = run_workflow(distributed(TASK, **fields), [1], tasks)
    assert result.error == error
    assert types(result)[-4:] == [
        "MapRunStarted", "MapRunFailed", "MapStateFailed", "ExecutionFailed",
    ]  # fmt: skip
    assert result.history[-3]["mapRunFailedEventDetails"] == {
        "error": result.error, "cause": result.cause,
    }  # fmt: skip


BATCHES: list[tuple[dict[str, Any], list[Any]]] = [
    ({"MaxItemsPerBatch": 2}, [{"Items": [1, 2]}, {"Items": [3]}]),
    ({"MaxItemsPerBatchPath": "$.two"}, [{"Items": [1, 2]}, {"Items": [3]}]),
    (
        {"MaxItemsPerBatch": 5, "BatchInput": {"k.$": "$.two"}},
        [{"BatchInput": {"k": 2}, "Items": [1, 2, 3]}],
    ),
    ({"MaxInputBytesPerBatch": 15}, [{"Items": [1, 2]}, {"Items": [3]}]),
]


@pytest.mark.parametrize(("batcher", "output"), BATCHES)
def test_items_go_to_children_in_batches(batcher: dict[str, Any], output: Any) -> None:
    machine = distributed(PASS, ItemsPath="$.l", ItemBatcher=batcher)
    assert run(machine, {"l": [1, 2, 3], "two": 2}) == output


TOLERANCES: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"ToleratedFailureCount": 1}, False),
    ({"ToleratedFailureCount": 2}, True),
    ({"ToleratedFailurePercentage": 49}, False),
    ({"ToleratedFailurePercentage": 50}, True),
    ({"ToleratedFailureCount": 2, "ToleratedFailurePercentage": 10}, False),
    ({"ToleratedFailureCountPath": "$.two"}, True),
    ({"ToleratedFailurePercentagePath": "$.two"}, False),
]


@pytest.mark.parametrize(("tolerance", "is_tolerated"), TOLERANCES)
def test_failures_are_tolerated_up_to_a_bound(tolerance: Any, is_tolerated: bool) -> None:
    def odd_fails(payload: int) -> int:
        if payload % 2:
            raise TaskFailed("E")
        return payload

    machine = distributed(TASK, ItemsPath="$.l", **tolerance)
    result = run_workflow(machine, {"l": [0, 1, 2, 3], "two": 2}, {"f": odd_fails})
    if is_tolerated:
        failed = {"Status": "FAILED", "Error": "E", "Cause": ""}
        assert result.output == [0, failed, 2, failed]
    else:
        assert (result.error, result.cause) == (
            "States.ExceedToleratedFailureThreshold",
            "The specified tolerated failure threshold was exceeded",
        )
        assert types(result)[-3:] == ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]


def test_items_are_read_and_results_written_outside() -> None:
    reader = {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Key.$": "$.key"},
              "ReaderConfig": {"InputType": "JSON", "MaxItems": 2}}  # fmt: skip
    writer = {
        "Resource": "arn:aws:states:::s3:putObject",
        "Parameters": {"Bucket": "b", "Prefix": "p"},
    }
    tasks = {reader["Resource"]: lambda arguments: [arguments["Key"], "b", "c"]}
    assert run(distributed(PASS, ItemReader=reader), {"key": "in.json"}, tasks) == ["in.json", "b"]
    output = run(distributed(PASS, ItemReader=reader, ResultWriter=writer), {"key": "k"}, tasks)
    run_id = output["MapRunArn"].rsplit(":", 1)[-1]
    assert output["ResultWriterDetails"] == {"Bucket": "b", "Key": f"p/{run_id}/manifest.json"}


NO_LONG = 'The MaxItemsPath field refers to value "{}" which is not a valid integer: $.n'


@pytest.mark.parametrize(
    ("most", "found"),
    [
        (2, [1, 2]),
        ("2", [1, 2]),
        (0, [1, 2, 3]),
        (2.0, ("States.Runtime", in_state(NO_LONG.format("2.0")))),
        (2**63, ("States.Runtime", in_state(NO_LONG.format(2**63)))),
        (-1, ("States.ItemReaderFailed", "field MaxItems must be positive")),
    ],
)
def test_a_path_gives_how_many_items_are_read_as_a_long(most: Any, found: Any) -> None:
    resource = "arn:aws:states:::s3:getObject"
    reader = {"Resource": resource, "ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$.n"}}
    machine = distributed(PASS, ItemReader=reader)
    assert run(machine, {"n": most}, {resource: lambda _: [1, 2, 3]}) == found


@pytest.mark.parametrize("fields", [{"ItemsPath": "$.o"}, {"InputPath": "$.o"}])
def test_an_object_s_fields_are_items_of_a_distributed_map(fields: dict[str, Any]) -> None:
    data = {"o": {"a": 1, "b": {"x": 2}}}
    assert run(distributed(PASS, **fields), data) == [
        {"Key": "a", "Value": 1},
        {"Key": "b", "Value": {"x": 2}},
    ]
    selector = {"k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index"}
    assert run(distributed(PASS, ItemSelector=selector, **fields), data) == [
        {"k": "a", "v": 1, "i": 0},
        {"k": "b", "v": {"x": 2}, "i": 1},
    ]
    assert run(mapped(PASS, **fields), data)[0] == "States.Runtime"
