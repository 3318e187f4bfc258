"""Short ways to write and run state machines."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from wherry.testing import WorkflowResult, run_workflow

ROLE = "arn:aws:iam::123456789012:role/workflow"


def only(state: dict[str, Any], *, jsonata: bool = False) -> dict[str, Any]:
    """A machine of one state S, which ends there."""
    if state["Type"] not in ("Choice", "Succeed", "Fail"):
        state = {**state, "End": True}
    machine: dict[str, Any] = {"StartAt": "S", "States": {"S": state}}
    return {"QueryLanguage": "JSONata", **machine} if jsonata else machine


def chain(*states: dict[str, Any], jsonata: bool = False) -> dict[str, Any]:
    """A machine of states A, B, C ... one after the other."""
    names = "ABCDEFGHIJ"
    found = {}
    for number, state in enumerate(states):
        last = number == len(states) - 1
        link = {"End": True} if last else {"Next": names[number + 1]}
        ends = state["Type"] in ("Succeed", "Fail", "Choice")
        found[names[number]] = state if ends else {**state, **link}
    machine: dict[str, Any] = {"StartAt": "A", "States": found}
    return {"QueryLanguage": "JSONata", **machine} if jsonata else machine


def run(definition: dict[str, Any], data: Any = UNSET, tasks: Any = None, **more: Any) -> Any:
    """Run a machine; return its output, or (error, cause)."""
    result = run_workflow(definition, data, tasks, **more)
    return result.output if result.status == "SUCCEEDED" else (result.error, result.cause)


def evaluate(expression: str, data: Any = None) -> Any:
    """Return what an expression of JSONata gives."""
    return run(only({"Type": "Pass", "Output": "{% " + expression + " %}"}, jsonata=True), data)


def types(result: WorkflowResult) -> list[str]:
    """The types of a history's events."""
    return [event["type"] for event in result.history]


def links(result: WorkflowResult) -> list[tuple[int, int, str]]:
    """Number, predecessor and type of each event."""
    return [(one["id"], one["previousEventId"], one["type"]) for one in result.history]


def in_state(cause: str, name: str = "S", entered: int = 2) -> str:
    """A cause as AWS writes it around what went wrong."""
    return (
        f"An error occurred while executing the state '{name}' (entered at the event id"
        f" #{entered}). {cause}"
    )
