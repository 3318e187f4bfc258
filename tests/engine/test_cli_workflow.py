"""`wherry workflow` and a running engine: a person starts, approves, stops and redrives."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_kit import cli, ok, ok_json

from .server_kit import Engine, serving, until


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data folder of an engine that serves workflows."""
    path = tmp_path_factory.mktemp("cli") / "data"
    with serving("flows", path) as engine:
        assert isinstance(engine, Engine)
        yield path


def start(data: Path, workflow: str, name: str, **asked: Any) -> None:
    import json

    given = json.dumps({"asked": {"name": name, **asked}})
    ok("workflow", "start", workflow, "--name", name, "--input", given, "--data", data)


def look(data: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = ok_json("workflow", "describe", name, "--data", data)
    return found


def reaches(data: Path, name: str, status: str) -> dict[str, Any]:
    return until(
        lambda: found if (found := look(data, name))["status"] == status else None,
        f"{name} {status}",
    )


def test_a_person_approves_at_a_terminal(data: Path) -> None:
    """The token of the description ends the task; the run goes on to its end."""
    start(data, "approval", "a")
    waiting = until(lambda: look(data, "a")["waiting"], "the question")
    ((token, state),) = waiting.items()
    assert state == "ask"
    assert ok("workflow", "succeed", token, "--output", '{"by": "me"}', "--data", data)
    found = reaches(data, "a", "SUCCEEDED")
    assert found["output"]["answer"] == {"by": "me"}
    assert found["waiting"] == {}
    assert cli("workflow", "succeed", token, "--data", data).exit_code == 1


def test_a_run_that_was_stopped_goes_on(data: Path) -> None:
    """Stop and redrive reach an engine that waits for nothing else."""
    start(data, "chain", "b", wait_s=3_600)
    until(lambda: look(data, "b")["states"] == ["pause"], "its wait")
    ok("workflow", "stop", "b", "--cause", "a test", "--data", data)
    assert reaches(data, "b", "ABORTED")["cause"] == "a test"
    ok("workflow", "redrive", "b", "--data", data)
    assert reaches(data, "b", "RUNNING")["redrives"] == 1
    events = ok_json("workflow", "history", "b", "--data", data)
    assert "ExecutionRedriven" in {one["type"] for one in events}


def test_a_failed_run_is_drawn_where_it_failed(data: Path) -> None:
    """The picture, the list and the history of a run say the same."""
    start(data, "chain", "c", fail=10)
    assert reaches(data, "c", "FAILED")["error"] == "Declined"
    drawn = ok("workflow", "show", "chain", "--run", "c", "--svg", "--data", data)
    assert "<title>one (Task): failed</title>" in drawn
    assert "<title>two (Task)</title>" in drawn
    assert "Declined: no one" in ok("workflow", "list", "--status", "FAILED", "--data", data)
    assert "ExecutionFailed" in ok("workflow", "history", "c", "--data", data)
