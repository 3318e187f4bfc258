"""What goes into a JSONPath state and what comes out: the five paths, templates, the context."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import chain, in_state, only, run

ORDER: dict[str, Any] = {"order": {"id": "o-1", "items": [{"n": 1}, {"n": 2}]}, "who": "alice"}

PASSES: list[tuple[dict[str, Any], Any]] = [
    ({}, ORDER),
    ({"InputPath": "$.order.id"}, "o-1"),
    ({"InputPath": None}, {}),
    ({"OutputPath": "$.who"}, "alice"),
    ({"OutputPath": None}, {}),
    ({"InputPath": "$.order", "OutputPath": "$.items[1].n"}, 2),
    ({"InputPath": "$.order.items[*].n"}, [1, 2]),
    ({"Result": {"a.$": "$.who"}}, {"a.$": "$.who"}),
    ({"Result": 7, "ResultPath": "$.seven"}, {**ORDER, "seven": 7}),
    ({"Result": 7, "ResultPath": "$.x.y.z"}, {**ORDER, "x": {"y": {"z": 7}}}),
    ({"Result": 7, "ResultPath": "$.order.id"}, {**ORDER, "order": {**ORDER["order"], "id": 7}}),
    ({"Result": 7, "ResultPath": None}, ORDER),
    ({"Result": 7, "ResultPath": "$"}, 7),
    ({"Parameters": {"id.$": "$.order.id", "k": 1}}, {"id": "o-1", "k": 1}),
    ({"Parameters": {"deep": [{"w.$": "$.who"}]}}, {"deep": [{"w": "alice"}]}),
    ({"Parameters": {"n.$": "$.order.items[9]"}}, {"n": None}),
    ({"Parameters": {"n.$": "$.order.items[?(@.n > 1)].n"}}, {"n": [2]}),
    ({"Parameters": {"x.$": "$$.Execution.Name"}}, {"x": "run"}),
    ({"InputPath": "$$.State.Name"}, "S"),
    ({"Parameters": {"v": 1}, "ResultPath": "$.p", "OutputPath": "$.p"}, {"v": 1}),
]


@pytest.mark.parametrize(("fields", "output"), PASSES)
def test_a_pass_state_gives(fields: dict[str, Any], output: Any) -> None:
    assert run(only({"Type": "Pass", **fields}), ORDER) == output


TASKS: list[tuple[dict[str, Any], Any]] = [
    ({}, {"got": ORDER}),
    ({"ResultSelector": {"w.$": "$.got.who"}}, {"w": "alice"}),
    ({"Parameters": {"w.$": "$.who"}}, {"got": {"w": "alice"}}),
    ({"ResultPath": "$.r", "OutputPath": "$.r.got.who"}, "alice"),
    ({"ResultPath": None}, ORDER),
    ({"InputPath": "$.order.id", "ResultPath": "$.r"}, {**ORDER, "r": {"got": "o-1"}}),
]


@pytest.mark.parametrize(("fields", "output"), TASKS)
def test_a_task_gives(fields: dict[str, Any], output: Any) -> None:
    tasks = {"f": lambda payload: {"got": payload}}
    assert run(only({"Type": "Task", "Resource": "f", **fields}), ORDER, tasks) == output


ERRORS = [
    ({"InputPath": "$.gone"}, "Invalid path '$.gone' : No results for path: $['gone']"),
    ({"OutputPath": "$.gone"}, "Invalid path '$.gone' : No results for path: $['gone']"),
    (
        {"Parameters": {"a.$": "$.gone"}},
        "The JSONPath '$.gone' specified for the field 'a.$' could not be found in the input"
        ' \'{"who":"alice"}\'',
    ),
    (
        {"Parameters": {"a.$": "$.who.length()"}},
        "The JSONPath '$.who.length()' specified for the field 'a.$' could not be found in the"
        ' input \'{"who":"alice"}\'',
    ),
    (
        {"InputPath": "$.who.x"},
        "Invalid path '$.who.x' : Property ['x'] not found in path $['who']",
    ),
]


@pytest.mark.parametrize(("fields", "cause"), ERRORS)
def test_a_path_that_names_nothing_ends_the_run(fields: dict[str, Any], cause: str) -> None:
    outcome = run(only({"Type": "Pass", **fields}), {"who": "alice"})
    assert outcome == ("States.Runtime", in_state(cause))


@pytest.mark.parametrize("fields", [{"Parameters": {"a.$": "$"}}, {"InputPath": "$.a"}])
def test_no_path_is_read_from_null(fields: dict[str, Any]) -> None:
    machine = chain({"Type": "Pass", "Result": None}, {"Type": "Pass", **fields})
    cause = "Unable to apply Path transformation to null or empty input."
    assert run(machine) == ("States.Runtime", in_state(cause, "B", 4))


@pytest.mark.parametrize(
    ("path", "data", "cause"),
    [
        ("$.a.b", {"a": "text"}, 'Unable to apply ReferencePath $.a.b to input {"a":"text"}'),
        ("$.a", "text", 'Unable to apply ReferencePath $.a to input "text"'),
        ("$.a", [1], 'Unable to apply step "a" to input [1]'),
    ],
)
def test_a_result_cannot_go_into_what_is_no_object(path: str, data: Any, cause: str) -> None:
    outcome = run(only({"Type": "Pass", "Result": 1, "ResultPath": path}), data)
    assert outcome == ("States.ReferencePathConflict", cause)


def test_the_context_object_tells_of_execution_machine_and_state() -> None:
    machine = chain({"Type": "Wait", "Seconds": 2}, {"Type": "Pass", "InputPath": "$$"})
    context = run(machine, {"a": 1}, name="n-1", machine_name="M", role_arn="arn:r")
    assert context == {
        "Execution": {
            "Id": "arn:aws:states:eu-central-1:123456789012:execution:M:n-1",
            "Input": {"a": 1},
            "StartTime": "2026-01-01T00:00:00.000Z",
            "Name": "n-1",
            "RoleArn": "arn:r",
            "RedriveCount": 0,
        },
        "StateMachine": {
            "Id": "arn:aws:states:eu-central-1:123456789012:stateMachine:M",
            "Name": "M",
        },
        "State": {"Name": "B", "EnteredTime": "2026-01-01T00:00:02.000Z"},
    }
    assert list(context) == ["Execution", "StateMachine", "State"]


def test_texts_are_written_as_jackson_does() -> None:
    machine = only({"Type": "Pass", "Parameters": {"v.$": "States.JsonToString($)"}})
    text, written = "\x1b\\u001b\n\x7fé", '"\\u001B\\\\u001b\\n\x7fé"'
    assert run(machine, text) == {"v": written}
    assert run(machine, [text, 0.5]) == {"v": f"[{written},0.5]"}


@pytest.mark.parametrize(
    ("number", "text"),
    [(1.5, "1.5"), (1e10, "1.0E10"), (1e-7, "1.0E-7"), (100.0, "100.0"), (7, "7")],
)
def test_numbers_are_written_as_java_does(number: float, text: str) -> None:
    machine = only({"Type": "Pass", "Parameters": {"v.$": "States.JsonToString($)"}})
    assert run(machine, number) == {"v": text}
