"""`wherry failures` of the runs of workflows: which run it is, and where to look on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli_kit import ok, ok_json
from tests.unit.test_cli_workflow_runs import Flows
from wherry.cli.backend import connected
from wherry.cli.commands.executions import run_of
from wherry.codec import to_json
from wherry.ports import Ended, FailedWork, Happened, Inboxed


@pytest.fixture
def failed(tmp_path: Path) -> Flows:
    """A folder where the run `one` of refund has failed."""
    data = Flows(tmp_path / "data")
    data.start("one")
    number = data.number("one")
    body = to_json(Happened(number, "redrive"))
    inboxed = Inboxed(f"{number}.0", "failed", "Busy: later", body)
    data.move("one", ended=Ended("FAILED", None, "Busy", "later"), inboxed=inboxed)
    return data


def test_the_list_names_the_run_that_failed(failed: Flows) -> None:
    """A number means nothing to whoever gave the run its name."""
    assert "run one" in ok("failures", "--data", failed.path)
    (row,) = ok_json("failures", "--data", failed.path)
    assert row["run"] == {"workflow": "refund", "name": "one", "input": {"amount": 5}}


def test_a_failure_shows_its_run_and_where_to_look_on(failed: Flows) -> None:
    """With its workflow, its name and its input; the command that it names works."""
    (row,) = ok_json("failures", "--data", failed.path)
    shown = ok("failures", "show", row["id"], "--data", failed.path)
    assert "workflow    refund\nrun         one\n" in shown
    assert 'input (12 bytes)\n  {\n    "amount": 5\n  }\n' in shown
    assert "wherry workflow describe one shows the run." in shown
    assert "FAILED" in ok("workflow", "describe", "one", "--data", failed.path)
    found = ok_json("failures", "show", row["id"], "--data", failed.path)
    assert found["failure"]["run"]["name"] == "one"
    assert found["failure"]["body"]["event"] == "redrive"


def test_work_that_only_looks_like_a_runs_is_of_none(failed: Flows) -> None:
    """The number of a run in the payload of another queue is anything at all."""
    body = to_json(Happened(failed.number("one"), "redrive"))
    work = FailedWork("m-1", "jobs", "work", body, "failed", "E", 1, 0, 0, "c", "", 0, "")
    with connected(str(failed.path)) as backend:
        assert run_of(backend, work) is None
