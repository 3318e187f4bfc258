"""Machines written in Python: what comes out is the language, readable and accepted."""

from __future__ import annotations

from typing import Any

import pytest

from wherry import asl
from wherry.errors import Refused
from wherry.statemachine import validate
from wherry.testing import run_workflow


def charge(payload: Any) -> None:
    """A handler."""


def states(*listed: asl.State) -> dict[str, Any]:
    """The states of a machine that is accepted."""
    definition = asl.machine(*listed).definition
    assert validate(definition, functions=None) == []
    found: dict[str, Any] = definition["States"]
    return found


def one(state: asl.State) -> dict[str, Any]:
    """What a state becomes as the only one."""
    found: dict[str, Any] = states(state)[state.name]
    return found


EMITTED: dict[str, tuple[asl.State, dict[str, Any]]] = {
    "task": (
        asl.Task("A", charge),
        {"Type": "Task", "Resource": "charge", "End": True},
    ),
    "task by name": (
        asl.Task("A", "charge", {"id": asl.expr("$states.input.id")}, timeout_s=9, heartbeat_s=3),
        {"Type": "Task", "Resource": "charge", "Arguments": {"id": "{% $states.input.id %}"},
         "TimeoutSeconds": 9, "HeartbeatSeconds": 3, "End": True},
    ),
    "task with its token": (
        asl.Task("A", charge, {"token": asl.TOKEN}, wait_for_token=True),
        {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
         "Arguments": {"FunctionName": "charge",
                       "Payload": {"token": "{% $states.context.Task.Token %}"}},
         "End": True},
    ),
    "task with its token and its input": (
        asl.Task("A", charge, wait_for_token=True),
        {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
         "Arguments": {"FunctionName": "charge", "Payload": "{% $states.input %}"}, "End": True},
    ),
    "integration with a token": (
        asl.Task("A", "arn:aws:states:::sqs:sendMessage",
                 {"QueueUrl": "jobs", "MessageBody": "b"}, wait_for_token=True),
        {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
         "Arguments": {"QueueUrl": "jobs", "MessageBody": "b"}, "End": True},
    ),
    "task with what it gives": (
        asl.Task("A", charge, output=asl.expr("$states.result"), assign={"n": 1}, Comment="c"),
        {"Type": "Task", "Resource": "charge", "Output": "{% $states.result %}",
         "Assign": {"n": 1}, "Comment": "c", "End": True},
    ),
    "retry": (
        asl.Task("A", charge).retry("Busy", times=5, wait_s=2, backoff=1.5, longest_s=60,
                                    jitter=True).retry(),
        {"Type": "Task", "Resource": "charge", "Retry": [
            {"ErrorEquals": ["Busy"], "MaxAttempts": 5, "IntervalSeconds": 2, "BackoffRate": 1.5,
             "MaxDelaySeconds": 60, "JitterStrategy": "FULL"},
            {"ErrorEquals": ["States.ALL"], "MaxAttempts": 3, "IntervalSeconds": 1,
             "BackoffRate": 2.0}], "End": True},
    ),
    "catch": (
        asl.Task("A", charge).catch("Busy", then="A", assign={"n": 1})
        .catch(then="A", output={"why": asl.expr("$states.errorOutput.Cause")}),
        {"Type": "Task", "Resource": "charge", "Catch": [
            {"ErrorEquals": ["Busy"], "Next": "A", "Assign": {"n": 1}},
            {"ErrorEquals": ["States.ALL"], "Next": "A",
             "Output": {"why": "{% $states.errorOutput.Cause %}"}}], "End": True},
    ),
    "pass": (
        asl.Pass("A", {"x": [1, "{% 1 + 1 %}"]}, assign={"n": 1}),
        {"Type": "Pass", "Output": {"x": [1, "{% 1 + 1 %}"]}, "Assign": {"n": 1}, "End": True},
    ),
    "pass nothing on": (asl.Pass("A"), {"Type": "Pass", "End": True}),
    "wait": (asl.Wait("A", 3), {"Type": "Wait", "Seconds": 3, "End": True}),
    "wait until": (
        asl.Wait("A", until="2027-01-01T00:00:00Z"),
        {"Type": "Wait", "Timestamp": "2027-01-01T00:00:00Z", "End": True},
    ),
    "succeed": (asl.Succeed("A", {"ok": True}), {"Type": "Succeed", "Output": {"ok": True}}),
    "fail": (
        asl.Fail("A", error="Declined", cause=asl.expr("$states.input.why")),
        {"Type": "Fail", "Error": "Declined", "Cause": "{% $states.input.why %}"},
    ),
    "parallel": (
        asl.Parallel("A", [asl.Pass("L")], [asl.Pass("R1"), asl.Succeed("R2")], output=1),
        {"Type": "Parallel", "Branches": [
            {"StartAt": "L", "States": {"L": {"Type": "Pass", "End": True}}},
            {"StartAt": "R1", "States": {
                "R1": {"Type": "Pass", "Next": "R2"}, "R2": {"Type": "Succeed"}}}],
         "Output": 1, "End": True},
    ),
    "map": (
        asl.Map("A", asl.expr("$states.input.lines"), each=[asl.Pass("B")], max_concurrency=4),
        {"Type": "Map", "Items": "{% $states.input.lines %}", "MaxConcurrency": 4,
         "ItemProcessor": {"StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}},
         "End": True},
    ),
    "distributed map": (
        asl.Map("A", each=[asl.Pass("B")], distributed=True, Label="lines",
                ToleratedFailurePercentage=5),
        {"Type": "Map", "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "B", "States": {"B": {"Type": "Pass", "End": True}}},
         "Label": "lines", "ToleratedFailurePercentage": 5, "End": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("state", "expected"), EMITTED.values(), ids=EMITTED)
def test_a_state_comes_out_as_it_would_be_written(
    state: asl.State, expected: dict[str, Any]
) -> None:
    """With the fields in a reader's order, and nothing more."""
    found = one(state)
    assert found == expected
    assert next(iter(found)) == "Type"


def test_a_state_leads_on_to_the_one_below_it_unless_it_says_so() -> None:
    found = states(
        asl.Pass("A"),
        asl.Pass("B", then="D"),
        asl.Pass("C", then=asl.END),
        asl.Choice(
            "D", asl.When("$states.input = 1", then="C"), asl.When("{% true %}", then="A")
        ),
        asl.Choice("E", asl.When("false", then="A", output=1, assign={"n": 2}), otherwise="F"),
        asl.Succeed("F"),
    )  # fmt: skip
    assert found["A"]["Next"] == "B"
    assert found["B"]["Next"] == "D"
    assert found["C"]["End"] is True
    assert found["D"]["Default"] == "E"
    assert found["D"]["Choices"][0] == {"Condition": "{% $states.input = 1 %}", "Next": "C"}
    assert found["E"]["Choices"][0] == {
        "Condition": "{% false %}", "Next": "A", "Output": 1, "Assign": {"n": 2},
    }  # fmt: skip
    assert found["E"]["Default"] == "F"


def test_a_choice_at_the_end_has_no_other_way() -> None:
    definition = asl.machine(asl.Pass("A"), asl.Choice("B", asl.When("true", then="A")))
    assert "Default" not in definition.definition["States"]["B"]


def test_a_machine_says_its_language_its_time_and_what_it_is_for() -> None:
    found = asl.machine(asl.Pass("A"), comment="For nothing", timeout_s=60).definition
    assert list(found) == ["Comment", "QueryLanguage", "TimeoutSeconds", "StartAt", "States"]
    assert (found["QueryLanguage"], found["TimeoutSeconds"]) == ("JSONata", 60)


def test_a_machine_in_jsonpath_takes_its_fields_by_their_names() -> None:
    rule = {"Variable": "$.n", "NumericGreaterThan": 3}
    found = asl.machine(
        asl.Choice("A", asl.When(rule, then="B"), otherwise="C"),
        asl.Task("B", charge, Parameters={"id.$": "$.id"}, ResultPath="$.paid"),
        asl.Pass("C", Result=1),
        query_language="JSONPath",
    ).definition
    assert validate(found, functions=["charge"]) == []
    assert found["States"]["A"]["Choices"] == [{**rule, "Next": "B"}]
    assert "Next" not in rule


def test_a_state_with_a_retrier_more_is_another_state() -> None:
    """So that one may be written once and used twice."""
    plain = asl.Task("A", charge)
    assert plain.retry("Busy") is not plain
    assert "Retry" not in plain.fields


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: asl.machine(), "There is no state in a machine."),
        (lambda: asl.machine(asl.Pass("A"), asl.Pass("A")), "Two states in a machine are named"),
        (lambda: asl.Parallel("P", [asl.Pass("A"), asl.Pass("A")]), "in a branch of 'P'"),
        (lambda: asl.Map("M", each=[]), "There is no state in the items of 'M'."),
    ],
)
def test_what_would_be_lost_in_the_definition_is_refused(build: Any, message: str) -> None:
    with pytest.raises(Refused, match=message):
        build()


def test_a_target_that_is_not_there_is_found_where_every_definition_is_checked() -> None:
    definition = asl.machine(asl.Pass("A", then="Nowhere")).definition
    assert any("Nowhere" in finding.message for finding in validate(definition))


def test_a_machine_runs_in_memory_as_any_definition_does() -> None:
    definition = asl.machine(
        asl.Choice("Large?", asl.When("$states.input.cents > 100", then="Refuse")),
        asl.Task("Charge", charge, asl.expr("$states.input")).retry("Busy", times=2),
        asl.Succeed("Done", {"receipt": asl.expr("$states.input.number")}),
        asl.Fail("Refuse", error="TooMuch"),
    )
    told = run_workflow(definition, {"cents": 7}, tasks={"charge": lambda payload: {"number": 1}})
    assert (told.status, told.output) == ("SUCCEEDED", {"receipt": 1})
    told = run_workflow(definition, {"cents": 700}, tasks={})
    assert (told.status, told.error) == ("FAILED", "TooMuch")
