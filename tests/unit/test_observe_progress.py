"""What became of each state, from the histories of real runs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.drawing_kit import REFUND
from wherry.observe.progress import progress
from wherry.statemachine.history import read
from wherry.testing import TaskFailed, run_workflow


def states(definition: dict[str, Any], input: Any, tasks: Any, events: int = 0) -> dict[str, str]:
    """Run a definition, and return what became of its states (after so many events)."""
    ended = run_workflow(definition, input, tasks)
    history = [read(one) for one in ended.history]
    if events:
        return dict(progress(definition, history[:events], "RUNNING"))
    return dict(progress(definition, history, ended.status))


def fail(payload: Any) -> None:
    raise TaskFailed("Broken", "no reason")


def boxes(catch: bool) -> dict[str, Any]:
    """A Parallel whose second branch fails while the first one waits."""
    caught = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Undo"}]} if catch else {}
    first = {"StartAt": "Slow", "States": {"Slow": {"Type": "Wait", "Seconds": 60, "End": True}}}
    second = {"StartAt": "Bad", "States": {"Bad": {"Type": "Task", "Resource": "bad", "End": True}}}
    return {
        "StartAt": "Both",
        "States": {
            "Both": {"Type": "Parallel", "Branches": [first, second], "End": True, **caught},
            **({"Undo": {"Type": "Pass", "End": True}} if catch else {}),
        },
    }


def test_what_was_passed_succeeded() -> None:
    """A run that succeeds has no other status; states it did not enter have none."""
    done = {"lines": [1, 2], "arrived": True}
    tasks = {"charge_back": lambda payload: done, "book": lambda payload: {}}
    found = states(REFUND, {"amount": 5}, tasks)
    assert set(found.values()) == {"succeeded"}
    assert "Book" in found
    assert "Ask the staff" not in found


def test_what_went_on_to_a_catch_is_caught() -> None:
    """A Fail state is where the run failed, the state before it was caught."""
    tasks: Any = {"charge_back": fail, "release": lambda payload: {}}
    assert states(REFUND, {"amount": 5}, tasks) == {
        "Above the limit?": "succeeded",
        "Charge back": "caught",
        "Release": "succeeded",
        "Not refunded": "failed",
    }


def test_a_retry_that_succeeds_is_no_failure() -> None:
    """Only the end of a state counts."""
    answers = iter([TaskFailed("Busy"), {"lines": [], "arrived": True}])

    def charge(payload: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, TaskFailed):
            raise answer
        return answer

    assert states(REFUND, {"amount": 5}, {"charge_back": charge})["Charge back"] == "succeeded"


def test_where_it_is_now_is_running() -> None:
    """As long as a run goes on, the states that it is in are running."""
    tasks = {"charge_back": lambda payload: {"lines": [], "arrived": True}}
    found = states(REFUND, {"amount": 5}, tasks, events=4)
    assert found == {"Above the limit?": "succeeded", "Charge back": "running"}


@pytest.mark.parametrize(("catch", "both"), [(True, "caught"), (False, "failed")])
def test_a_branch_that_fails_stops_the_others(catch: bool, both: str) -> None:
    """The state that failed, those that it stopped, and the box around them are told apart."""
    found = states(boxes(catch), {}, {"bad": fail})
    assert (found["Bad"], found["Slow"], found["Both"]) == ("failed", "stopped", both)


def test_a_run_out_of_time_is_stopped_where_it_was() -> None:
    """Nothing of it failed: its time was over."""
    definition = {
        "StartAt": "Long",
        "TimeoutSeconds": 5,
        "States": {"Long": {"Type": "Wait", "Seconds": 60, "End": True}},
    }
    assert states(definition, {}, {}) == {"Long": "stopped"}
