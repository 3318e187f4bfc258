"""Variables: what Assign sees, who can read them, in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.statemachine.machines import chain, in_state, only, run
from wherry import limits
from wherry.testing import run_workflow

ASSIGNS: list[tuple[dict[str, Any], Any]] = [
    ({"Type": "Pass", "Assign": {"v.$": "$.a"}}, 1),
    ({"Type": "Pass", "Result": {"a": 2}, "Assign": {"v.$": "$.a"}}, 2),
    ({"Type": "Pass", "Parameters": {"a": 3}, "Assign": {"v.$": "$.a"}}, 3),
    ({"Type": "Pass", "Assign": {"v": {"k.$": "States.MathAdd($.a, 1)"}}}, {"k": 2}),
    ({"Type": "Pass", "Assign": {"v.$": "$$.State.Name"}}, "A"),
    ({"Type": "Wait", "Seconds": 1, "InputPath": "$.in", "Assign": {"v.$": "$.a"}}, 5),
    ({"Type": "Task", "Resource": "f", "Assign": {"v.$": "$.r"}}, 9),
    (
        {
            "Type": "Task",
            "Resource": "f",
            "ResultSelector": {"s.$": "$.r"},
            "Assign": {"v.$": "$.s"},
        },
        9,
    ),
]


@pytest.mark.parametrize(("state", "value"), ASSIGNS)
def test_assign_sees_the_state_s_result_or_else_its_input(state: Any, value: Any) -> None:
    machine = chain(state, {"Type": "Pass", "Parameters": {"v.$": "$v"}})
    assert run(machine, {"a": 1, "in": {"a": 5}}, {"f": lambda _: {"r": 9}}) == {"v": value}


def test_a_variable_can_be_read_wherever_a_path_can() -> None:
    machine = chain(
        {"Type": "Pass", "Assign": {"v": {"l": [1, 2], "t": "x", "s": 3}}},
        {"Type": "Wait", "SecondsPath": "$v.s"},
        {"Type": "Pass", "InputPath": "$v.l[1]"},
        {"Type": "Pass", "Parameters": {"f.$": "States.Format('{}{}', $, $v.t)"}},
    )
    assert run(machine) == {"f": "2x"}


def test_values_of_one_assign_do_not_see_each_other() -> None:
    machine = chain(
        {"Type": "Pass", "Assign": {"x": 1}},
        {"Type": "Pass", "Assign": {"x": 2, "y.$": "$x"}},
        {"Type": "Pass", "Parameters": {"x.$": "$x", "y.$": "$y"}},
    )
    assert run(machine) == {"x": 2, "y": 1}


def test_output_sees_variables_as_they_were_when_the_state_began() -> None:
    machine = chain(
        {"Type": "Pass", "Assign": {"x": 1}},
        {"Type": "Pass", "Assign": {"x": 2}, "Output": "{% $x %}"},
        jsonata=True,
    )
    assert run(machine) == 1


def test_branches_read_outer_variables_and_keep_their_own() -> None:
    def branch(name: str) -> dict[str, Any]:
        return {
            "StartAt": name,
            "States": {
                name: {"Type": "Pass", "Assign": {"own.$": "$outer"}, "Next": f"{name}2"},
                f"{name}2": {"Type": "Pass", "Parameters": {"o.$": "$own"}, "End": True},
            },
        }

    machine = chain(
        {"Type": "Pass", "Assign": {"outer": 7}},
        {"Type": "Parallel", "Branches": [branch("X"), branch("Y")]},
    )
    assert run(machine) == [{"o": 7}, {"o": 7}]
    after = chain(
        {"Type": "Pass", "Assign": {"outer": 7}},
        {"Type": "Parallel", "Branches": [branch("X")]},
        {"Type": "Pass", "InputPath": "$own"},
    )
    assert run(after)[0] == "States.Runtime"


def test_an_unknown_variable_ends_the_run() -> None:
    assert run(only({"Type": "Pass", "InputPath": "$gone"})) == (
        "States.Runtime",
        in_state("Invalid path '$gone' : No results for path: $gone"),
    )


def test_the_history_tells_what_was_assigned() -> None:
    result = run_workflow(only({"Type": "Pass", "Assign": {"a": "x", "b": {"n": 1}}}), {})
    assert result.history[2]["stateExitedEventDetails"] == {
        "name": "S",
        "output": "{}",
        "outputDetails": {"truncated": False},
        "assignedVariables": {"a": '"x"', "b": '{"n":1}'},
        "assignedVariablesDetails": {"truncated": False},
    }


def test_a_choice_assigns_what_its_rule_says() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [
            {"Variable": "$.n", "NumericEquals": 1, "Next": "B", "Assign": {"v": "rule"}},
        ],
        "Default": "B",
        "Assign": {"v": "default"},
    }
    machine = chain(choice, {"Type": "Pass", "InputPath": "$v"})
    assert run(machine, {"n": 1}) == "rule"
    assert run(machine, {"n": 2}) == "default"


def test_a_catch_assigns_from_the_error() -> None:
    machine = chain(
        {
            "Type": "Parallel",
            "Branches": [{"StartAt": "X", "States": {"X": {"Type": "Fail", "Error": "E"}}}],
            "Catch": [{"ErrorEquals": ["E"], "Next": "B", "Assign": {"e.$": "$.Error"}}],
        },
        {"Type": "Pass", "InputPath": "$e"},
    )
    assert run(machine) == "E"


def test_all_variables_of_an_execution_may_hold_10_mib_together() -> None:
    large = "x" * 200_000
    count = limits.STATE_VARIABLES_BYTES // 200_002

    def assigning(times: int) -> dict[str, Any]:
        states: dict[str, Any] = {
            f"S{n}": {"Type": "Pass", "Assign": {f"v{n}.$": "$$.Execution.Input.t"},
                      "Next": f"S{n + 1}"}
            for n in range(times)
        }  # fmt: skip
        states[f"S{times}"] = {"Type": "Pass", "Assign": {"v0": 1}, "End": True}
        return {"StartAt": "S0", "States": states}

    assert run_workflow(assigning(count), {"t": large}).status == "SUCCEEDED"
    result = run_workflow(assigning(count + 1), {"t": large})
    assert (result.status, result.error) == ("FAILED", "States.DataLimitExceeded")


def test_variables_of_a_branch_that_has_ended_do_not_count() -> None:
    assign = {"Type": "Pass", "Assign": {"v.$": "$$.Execution.Input.t"}, "End": True}
    inner = {"StartAt": "I", "States": {"I": assign}}
    machine = only({"Type": "Map", "ItemsPath": "$.l", "MaxConcurrency": 1, "ItemProcessor": inner})
    data = {"t": "x" * 200_000, "l": list(range(60))}
    assert run_workflow(machine, data).status == "SUCCEEDED"
