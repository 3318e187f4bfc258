"""How the models of the contract suite are played: rules by chance, against a store in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

EXAMPLES = {"SQLite": 60, "Postgres": 30}  # a step there takes some milliseconds


def play(model: type[RuleBasedStateMachine], new_place: Callable[..., Any], steps: int) -> None:
    """Play a model many times; its `make` makes the store that it is held against."""
    machine = type("Machine", (model,), {"make": staticmethod(new_place)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES[getattr(new_place, "platform", "SQLite")],
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
