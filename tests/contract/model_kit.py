"""How the models of the contract suite are played: rules by chance, against a store in memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

EXAMPLES = {"SQLite": 60, "Postgres": 15}  # a step there takes some milliseconds
EVERY = {"SQLite": 1, "Postgres": 5}  # so many steps from one look at all to the next


class Model(RuleBasedStateMachine):
    """A store, and what should be in it: held against each other every few steps and at the end."""

    make: Any = None
    every = 1

    def __init__(self) -> None:
        super().__init__()
        self._steps = 0

    def holds(self) -> None:
        """Look at all that must hold."""
        raise NotImplementedError

    @invariant()
    def what_must_hold(self) -> None:
        self._steps += 1
        if self._steps % self.every == 0:
            self.holds()

    def teardown(self) -> None:
        if sys.exc_info()[0] is None:  # what fails has been seen, and may have stopped midway
            self.holds()


def play(model: type[Model], new_place: Callable[..., Any], steps: int) -> None:
    """Play a model many times; its `make` makes the store that it is held against."""
    platform = getattr(new_place, "platform", "SQLite")
    machine = type("Machine", (model,), {"make": staticmethod(new_place), "every": EVERY[platform]})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES[platform],
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
