"""Numbers, texts and depths that nobody has foreseen are errors of a state, at most."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.statemachine.machines import only, run
from tests.unit.statemachine.test_fuzz import QUIET
from wherry.statemachine import compile_machine, validate
from wherry.statemachine.records import Begin, Run, Succeeded
from wherry.world import Chance

WILD = st.sampled_from(
    [2**80, -(2**70), -1, 0, 10**15, 1e308, 5e-324, -0.5, "", "x", "--5", "9" * 30, "\ud800",
     "a\x00b", "2026-01-01", "2026-01-01T00:00:05Z", None, True, [1, "a", None], {"a": 1}, [], {}]
)  # fmt: skip
CALLS = [
    "States.MathAdd($.x, $.y)", "States.MathRandom(0, $.x)", "States.MathRandom($.x, 5, $.y)",
    "States.ArrayRange($.y, $.x, 1)", "States.ArrayRange(0, 9, $.x)", "States.Format($.x, $.y)",
    "States.ArrayPartition($.l, $.x)", "States.ArrayGetItem($.l, $.x)", "States.Hash($.x, $.y)",
    "States.Format('{}{}', $.x, $.y)", "States.StringSplit($.x, $.y)", "States.StringToJson($.x)",
    "States.Base64Encode($.x)", "States.Base64Decode($.x)", "States.JsonMerge($.x, $.y, false)",
    "States.ArrayUnique($.l)", "States.ArrayContains($.l, $.x)", "States.JsonToString($.x)",
    "$.l[?(@ > $.x)]", "$.l[?(@ =~ /a+/)]", "$.x.length()", "$.l[0:5:-1]", "$..*", "$.l.max()",
]  # fmt: skip
EXPRESSIONS = [
    "$x * $y", "$x % $y", "-$x", "[1..$x]", "[1, 2][$x]", "$string($x)", "$number($x)",
    "$floor($x)", "$power($x, $y)", "$round($x, $y)", "$sqrt($x)", "$formatBase($x, $y)",
    "$formatNumber($x, '#,##0.00;(#)')", "$formatNumber($x, $y)", "$formatInteger($x, 'w')",
    "$formatInteger($x, $y)", "$parseInteger($x, '#')", "$parseInteger($x, $y)",
    "$range(0, $x, $y)", "$partition([1, 2], $x)", "$pad('a', $x, $y)", "$substring('abc', $x, $y)",
    "$fromMillis($x, $y)", "$toMillis($x, $y)", "$now($x)", "$split('a,b', $x, $y)",
    "$replace('aa', $x, $y)", "$random($x)", "$match('aa', /a/, $x)", "$contains('a', $x)",
    "$hash($x, $y)", "$zip([1], $x)", "$sort([$x, $y])", "$encodeUrl($x)", "$decodeUrl($x)",
    "$base64encode($x)", "$base64decode($x)", "$parse($x)", "$merge([$x, $y])", "$join([$x, $y])",
    "$max([$x, $y])", "$average([$x])", "$map([1], $x)", "$filter([1], function($v) {$x})",
    "$lookup($x, $y)", "$error($x)", "$assert($x, $y)", "$eval($x)", "$x & $y", "$x < $y",
    "$x in $y", "$x ~> $y", "$single($x)", "$spread($x)", "$distinct([$x, $y])",
]  # fmt: skip
STATES: list[dict[str, Any]] = [
    {"Type": "Wait", "SecondsPath": "$.x"},
    {"Type": "Wait", "TimestampPath": "$.x"},
    {"Type": "Fail", "ErrorPath": "$.x", "CausePath": "$.y"},
    {"Type": "Task", "Resource": "f", "TimeoutSecondsPath": "$.x", "HeartbeatSecondsPath": "$.y"},
    {"Type": "Map", "ItemsPath": "$.l", "MaxConcurrencyPath": "$.x",
     "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}},
    {"Type": "Choice", "Choices": [
        {"Variable": "$.x", operator: operand, "Next": "Z"} for operator, operand in [
            ("TimestampGreaterThanPath", "$.y"), ("StringMatches", "*\\\\*a*"),
            ("NumericLessThanPath", "$.y"), ("IsTimestamp", True), ("StringLessThanPath", "$.y")]]},
]  # fmt: skip
QUERIED: list[dict[str, Any]] = [
    {"Type": "Wait", "Seconds": "{% $states.input.x %}"},
    {"Type": "Wait", "Timestamp": "{% $states.input.x %}"},
    {"Type": "Fail", "Error": "{% $states.input.x %}"},
    {"Type": "Task", "Resource": "f", "TimeoutSeconds": "{% $states.input.x %}"},
    {"Type": "Map", "Items": "{% [1] %}", "MaxConcurrency": "{% $states.input.x %}",
     "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}},
]  # fmt: skip
MANY = settings(QUIET, max_examples=250)


PLACE = "arn:aws:states:eu-central-1:123456789012"


def begun(definition: dict[str, Any], data: Any) -> Run:
    """Begin a run, and answer what it asks for; return where that leads."""
    machine, chance = compile_machine(definition), Chance(1)
    run = machine.new_run(
        arn=f"{PLACE}:execution:m:r", name="r", machine_arn=f"{PLACE}:stateMachine:m",
        machine_name="m", input=data,
    )  # fmt: skip
    run, commands = machine.advance(run, Begin(), 0, chance)
    for call in commands.calls:
        run, _ = machine.advance(run, Succeeded(call.id, data), 0, chance)
    return run


@MANY
@given(st.sampled_from(CALLS), WILD, WILD)
def test_paths_and_intrinsic_functions_take_anything(text: str, x: Any, y: Any) -> None:
    definition = only({"Type": "Pass", "Parameters": {"r.$": text}})
    data = {"x": x, "y": y, "l": [1, "a", None, 2.5, x]}
    assert begun(definition, data).status in ("SUCCEEDED", "FAILED")


@MANY
@given(st.sampled_from(EXPRESSIONS), WILD, WILD)
def test_expressions_take_anything(text: str, x: Any, y: Any) -> None:
    given_ = f"($x := $states.input.x; $y := $states.input.y; {text})"
    definition = only({"Type": "Pass", "Output": "{% " + given_ + " %}"}, jsonata=True)
    if not validate(definition):
        assert begun(definition, {"x": x, "y": y}).status in ("SUCCEEDED", "FAILED")


@MANY
@given(st.sampled_from(STATES) | st.sampled_from(QUERIED), WILD, WILD)
def test_fields_of_states_take_anything(state: dict[str, Any], x: Any, y: Any) -> None:
    definition = only(state, jsonata=any("{%" in str(one) for one in state.values()))
    definition["States"]["Z"] = {"Type": "Succeed"}
    assert begun(definition, {"x": x, "y": y, "l": [1]}).status != "TIMED_OUT"


def nested(depth: int) -> Any:
    found: Any = 1
    for _ in range(depth):
        found = [found]
    return found


@pytest.mark.parametrize("depth", [100, 900, 1_500, 50_000])
def test_data_of_any_depth_is_taken_or_fails_the_run(depth: int) -> None:
    for definition in (
        only({"Type": "Pass", "Parameters": {"x.$": "$"}}),
        only({"Type": "Pass", "Output": "{% $states.input %}"}, jsonata=True),
    ):
        ended = begun(definition, nested(depth))
        assert ended.status in ("SUCCEEDED", "FAILED")
        assert ended.error in (None, "States.Runtime")


def test_a_random_number_from_a_range_that_java_does_not_have_is_refused() -> None:
    machine = only({"Type": "Pass", "Parameters": {"r.$": "States.MathRandom($, 5, 7)"}})
    assert run(machine, -(2**63))[0] == "States.Runtime"
    assert run(machine, 1) == {"r": run(machine, 1)["r"]}


def test_a_range_that_no_memory_holds_is_refused() -> None:
    machine = only({"Type": "Pass", "Parameters": {"r.$": "States.ArrayRange(0, $, 1)"}})
    assert run(machine, 2**62)[0] == "States.Runtime"


def test_a_picture_that_the_library_does_not_know_is_an_evaluation_error() -> None:
    machine = only({"Type": "Pass", "Output": "{% $parseInteger('1', '#') %}"}, jsonata=True)
    assert run(machine)[0] == "States.QueryEvaluationError"
