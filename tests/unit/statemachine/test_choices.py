"""Choice in JSONPath: each operator on each kind of value, and paths that are missing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import in_state, run

INPUT: dict[str, Any] = {
    "text": "hello", "star": "a*b", "n": 5, "f": 5.0, "yes": True, "no": False, "nothing": None,
    "time": "2024-03-01T12:00:00Z", "later": "2024-03-01T13:00:00+00:30", "other": "hello",
    "list": [1], "log": "zebra.log",
}  # fmt: skip


def holds(rule: dict[str, Any], data: Any = None) -> Any:
    """Whether a rule holds; or (error, cause)."""
    machine = {
        "StartAt": "S",
        "States": {
            "S": {"Type": "Choice", "Choices": [{**rule, "Next": "Y"}], "Default": "N"},
            "Y": {"Type": "Pass", "Result": True, "End": True},
            "N": {"Type": "Pass", "Result": False, "End": True},
        },
    }
    return run(machine, INPUT if data is None else data)


COMPARISONS = [
    ("$.text", "StringEquals", "hello", True),
    ("$.text", "StringEquals", "Hello", False),
    ("$.n", "StringEquals", "5", False),
    ("$.text", "StringLessThan", "help", True),
    ("$.text", "StringGreaterThan", "help", False),
    ("$.text", "StringLessThanEquals", "hello", True),
    ("$.text", "StringGreaterThanEquals", "hello", True),
    ("$.log", "StringMatches", "*.log", True),
    ("$.log", "StringMatches", "z*a.*", True),
    ("$.log", "StringMatches", "*.txt", False),
    ("$.star", "StringMatches", r"a\*b", True),
    ("$.text", "StringMatches", r"h\*o", False),
    ("$.n", "NumericEquals", 5, True),
    ("$.f", "NumericEquals", 5, True),
    ("$.text", "NumericEquals", 5, False),
    ("$.yes", "NumericEquals", 1, False),
    ("$.n", "NumericLessThan", 6, True),
    ("$.n", "NumericGreaterThan", 5, False),
    ("$.n", "NumericLessThanEquals", 5, True),
    ("$.n", "NumericGreaterThanEquals", 5.5, False),
    ("$.yes", "BooleanEquals", True, True),
    ("$.no", "BooleanEquals", True, False),
    ("$.n", "BooleanEquals", True, False),
    ("$.time", "TimestampEquals", "2024-03-01T13:00:00+01:00", True),
    ("$.later", "TimestampGreaterThan", "2024-03-01T12:00:00Z", True),
    ("$.time", "TimestampLessThan", "2024-03-01T12:00:00.001Z", True),
    ("$.text", "TimestampEquals", "2024-03-01T12:00:00Z", False),
    ("$.text", "StringEqualsPath", "$.other", True),
    ("$.n", "NumericEqualsPath", "$.f", True),
    ("$.n", "NumericEqualsPath", "$.text", False),
    ("$.n", "NumericGreaterThanEqualsPath", "$.no", True),
    ("$.n", "NumericLessThanPath", "$.yes", False),
    ("$.text", "NumericEqualsPath", "$.n", False),
    ("$.time", "TimestampLessThanPath", "$.later", True),
    ("$.yes", "BooleanEqualsPath", "$.yes", True),
    ("$.nothing", "IsNull", True, True),
    ("$.n", "IsNull", True, False),
    ("$.n", "IsNull", False, True),
    ("$.n", "IsPresent", True, True),
    ("$.gone", "IsPresent", True, False),
    ("$.gone", "IsPresent", False, True),
    ("$.nothing", "IsPresent", True, True),
    ("$.n", "IsNumeric", True, True),
    ("$.yes", "IsNumeric", True, False),
    ("$.text", "IsString", True, True),
    ("$.yes", "IsBoolean", True, True),
    ("$.time", "IsTimestamp", True, True),
    ("$.text", "IsTimestamp", True, False),
]


@pytest.mark.parametrize(("variable", "operator", "operand", "result"), COMPARISONS)
def test_an_operator_compares(variable: str, operator: str, operand: Any, result: bool) -> None:
    assert holds({"Variable": variable, operator: operand}) is result


YES = {"Variable": "$.yes", "BooleanEquals": True}
NO = {"Variable": "$.no", "BooleanEquals": True}
BROKEN = {"Variable": "$.gone", "BooleanEquals": True}


@pytest.mark.parametrize(
    ("rule", "result"),
    [
        ({"And": [YES, YES]}, True),
        ({"And": [YES, NO]}, False),
        ({"Or": [NO, YES]}, True),
        ({"Or": [NO, NO]}, False),
        ({"Not": NO}, True),
        ({"Not": {"And": [YES, {"Or": [NO, YES]}]}}, False),
        ({"And": [NO, BROKEN]}, False),
        ({"Or": [YES, BROKEN]}, True),
    ],
)
def test_and_or_and_not_stop_at_the_first_that_decides(rule: dict[str, Any], result: bool) -> None:
    assert holds(rule) is result


@pytest.mark.parametrize(
    "rule", [BROKEN, {"Variable": "$.n", "NumericEqualsPath": "$.gone"}, {"Not": BROKEN}]
)
def test_a_missing_path_ends_the_run(rule: dict[str, Any]) -> None:
    assert holds(rule) == (
        "States.Runtime",
        in_state(
            "Invalid path '$.gone': The choice state's condition path references an invalid value."
        ),
    )


def test_no_rule_and_no_default_end_the_run() -> None:
    machine = {
        "StartAt": "S",
        "States": {
            "S": {"Type": "Choice", "Choices": [{**NO, "Next": "Y"}]},
            "Y": {"Type": "Succeed"},
        },
    }
    assert run(machine, INPUT) == (
        "States.Runtime",
        in_state(
            "Failed to transition out of the state. The state does not point to a next state."
        ),
    )


def test_the_first_rule_that_holds_decides() -> None:
    machine = {
        "StartAt": "S",
        "States": {
            "S": {
                "Type": "Choice",
                "InputPath": "$.in",
                "OutputPath": "$.v",
                "Choices": [
                    {"Variable": "$.v", "NumericGreaterThan": 1, "Next": "A"},
                    {"Variable": "$.v", "NumericGreaterThan": 0, "Next": "B"},
                ],
            },
            "A": {"Type": "Pass", "Parameters": {"a.$": "$"}, "End": True},
            "B": {"Type": "Pass", "Parameters": {"b.$": "$"}, "End": True},
        },
    }
    assert run(machine, {"in": {"v": 2}}) == {"a": 2}
    assert run(machine, {"in": {"v": 1}}) == {"b": 1}
