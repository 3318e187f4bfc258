"""Which states of workflows call which functions and workflows, and how often they try."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from wherry.blueprint.records import Blueprint

Called: TypeAlias = tuple[Literal["function", "workflow"], str]


class Calls(Struct, frozen=True):
    """What workflows call.

    `states`: by workflow and function, the names of the states that call it. `tried`: the attempts
    of one visit of a state, and the waits between them, at their most for each that is called.
    """

    states: dict[str, dict[str, list[str]]]
    tried: dict[Called, tuple[int, float]]


def calls_of(blueprint: Blueprint) -> Calls:
    """Read the definitions of an app's workflows."""
    found = Calls({one.name: {} for one in blueprint.workflows}, {})
    if not blueprint.workflows:
        return found
    from msgspec.json import decode

    from wherry.statemachine.calls import task_states

    for workflow in blueprint.workflows:
        for state in task_states(decode(workflow.definition)):
            name = state.function
            if name is not None:
                found.states[workflow.name].setdefault(name, []).append(state.name)
                _tried(found, ("function", name), state.attempts, state.wait_s)
            for touch in state.touches():
                if touch.kind == "workflow" and touch.name is not None:
                    _tried(found, ("workflow", touch.name), state.attempts, state.wait_s)
    return found


def _tried(found: Calls, called: Called, attempts: int, wait_s: float) -> None:
    most, longest_s = found.tried.get(called, (1, 0.0))
    found.tried[called] = max(most, attempts), max(longest_s, wait_s)
