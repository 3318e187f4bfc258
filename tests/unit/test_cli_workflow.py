"""`wherry workflow show | check | run`: definitions of files and of apps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli_kit import cli, ok, ok_json

REFUND: dict[str, Any] = {
    "StartAt": "Charge",
    "States": {
        "Charge": {
            "Type": "Task",
            "Resource": "charge",
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 60}],
            "Next": "Cool down",
        },
        "Cool down": {"Type": "Wait", "Seconds": 86_400, "Next": "Refunded"},
        "Refunded": {"Type": "Succeed"},
    },
}

SHOP = """
from wherry import App, Struct

class Refund(Struct):
    order_id: str

app = App("shop")

@app.task()
def charge(refund: Refund) -> Refund:
    return refund

refund = app.workflow("refund", definition={definition}, input=Refund)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "refund.asl.json"
    path.write_text(json.dumps(REFUND))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an app that has the workflow."""
    (tmp_path / "shop.py").write_text(SHOP.replace("{definition}", repr(REFUND)))
    return tmp_path


# -- show ------------------------------------------------------------------------------------------


def test_a_file_is_shown_as_it_is(file: Path) -> None:
    """The definition is printed with its keys in the team's order."""
    shown = ok("workflow", "show", file)
    assert json.loads(shown) == REFUND
    assert list(json.loads(shown)["States"]) == ["Charge", "Cool down", "Refunded"]


def test_an_app_shows_what_it_runs(folder: Path) -> None:
    """A workflow of the app by its name; with --json all that the app says of it."""
    where = ("shop:app", "--folder", folder)
    assert json.loads(ok("workflow", "show", "refund", *where)) == REFUND
    found = ok_json("workflow", "show", "refund", *where)
    assert found["definition"] == REFUND
    assert (found["functions"], found["input"]) == (["charge"], "Refund")


def test_a_file_may_be_yaml(tmp_path: Path) -> None:
    """Comments and fewer quotes: it is shown as the JSON that Step Functions takes."""
    path = tmp_path / "wait.asl.yaml"
    path.write_text("StartAt: A  # the only one\nStates:\n  A: {Type: Pass, End: true}\n")
    machine = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    assert json.loads(ok("workflow", "show", path)) == machine
    assert json.loads(ok("workflow", "run", path, "--input", "7")) == 7
    path.write_text("StartAt: [")
    result = cli("workflow", "check", path)
    assert (result.exit_code, "is no YAML" in result.stderr) == (1, True)


def test_a_name_that_yaml_reads_as_a_yes_is_told_to_be_quoted(tmp_path: Path) -> None:
    """YAML 1.1 reads Yes, No, On and numbers as no texts."""
    path = tmp_path / "ask.asl.yaml"
    path.write_text("StartAt: Yes\nStates:\n  Yes: {Type: Succeed}\n")
    result = cli("workflow", "check", path)
    assert result.exit_code == 1
    assert "the key 'Yes' is no text; write it in quotes" in result.stderr


def test_a_workflow_is_drawn(file: Path, folder: Path) -> None:
    """--svg and --mermaid print the picture and nothing else."""
    assert ok("workflow", "show", file, "--svg").startswith("<svg ")
    drawn = ok("workflow", "show", "refund", "shop:app", "--folder", folder, "--mermaid")
    assert drawn.startswith("flowchart TD\n")
    assert "<b>Cool down</b><br/>for 1 day" in drawn


def test_an_unknown_workflow_is_told_with_its_neighbours(folder: Path) -> None:
    """A mistyped name is answered with those that there are."""
    result = cli("workflow", "show", "refnd", "shop:app", "--folder", folder)
    assert result.exit_code == 1
    assert "shop has no workflow 'refnd'. Did you mean refund?" in result.stderr


def test_what_is_no_definition_is_not_drawn(tmp_path: Path) -> None:
    """A file with faults is answered with all of them; one that is not there with that."""
    path = tmp_path / "bad.json"
    path.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}')
    result = cli("workflow", "show", path, "--svg")
    assert result.exit_code == 1
    assert "Missing 'Next' target: B at /States/A/Next" in result.stderr
    result = cli("workflow", "show", tmp_path / "none.json")
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


# -- check -----------------------------------------------------------------------------------------


def test_a_good_file_has_no_errors(file: Path) -> None:
    """Exit 0, and a word that it was looked at."""
    assert ok("workflow", "check", file) == f"{file}: no errors\n"


def test_every_fault_is_told_with_its_path(file: Path, tmp_path: Path) -> None:
    """Faults of all files, each with where it is; exit 1 if there is any."""
    bad = tmp_path / "bad.json"
    bad.write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "C": {}}}')
    result = cli("workflow", "check", bad, file)
    assert result.exit_code == 1
    assert f"{bad}: error: /States/A/Next: Missing 'Next' target: B" in result.stdout
    assert f"{bad}: error: /States/C" in result.stdout
    assert f"{file}: no errors" in result.stdout
    found = json.loads(cli("workflow", "check", bad, file, "--json").stdout)
    assert found[str(file)] == []
    assert "/States/A/Next" in {one["location"] for one in found[str(bad)]}


def test_what_is_no_json_is_a_fault(tmp_path: Path) -> None:
    """Text that cannot be read as JSON is told as such."""
    path = tmp_path / "bad.json"
    path.write_text("{")
    result = cli("workflow", "check", path)
    assert (result.exit_code, "INVALID_JSON_DESCRIPTION" in result.stdout) == (1, True)


def test_what_wherry_does_not_do_is_a_warning_in_a_file(tmp_path: Path) -> None:
    """AWS has more integrations: a definition with them is valid, and it is told."""
    path = tmp_path / "batch.json"
    state = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}
    state["Parameters"] = {"Message": "m"}
    path.write_text(json.dumps({"StartAt": "A", "States": {"A": state}}))
    result = cli("workflow", "check", path)
    assert result.exit_code == 0
    assert "warning: /States/A/Resource" in result.stdout


def test_express_takes_less(tmp_path: Path) -> None:
    """--type says what the definition is for."""
    path = tmp_path / "wait.json"
    state = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "ask"},
        "End": True,
    }
    path.write_text(json.dumps({"StartAt": "A", "States": {"A": state}}))
    assert cli("workflow", "check", path).exit_code == 0
    assert cli("workflow", "check", path, "--type", "express").exit_code == 1


def test_the_workflows_of_an_app_are_checked(folder: Path) -> None:
    """Without a file those of the app, with what they need of its functions."""
    assert "shop: no errors" in ok("workflow", "check", "--folder", folder)
    other = {**REFUND, "StartAt": "Nowhere"}
    (folder / "shop.py").write_text(SHOP.replace("{definition}", repr(other)))
    result = cli("workflow", "check", "shop:app", "--folder", folder)
    assert result.exit_code == 1
    assert "/StartAt" in result.stdout
    (folder / "shop.py").write_text(
        SHOP.replace("{definition}", repr(REFUND)).replace("def charge", "def other")
    )
    result = cli("workflow", "check", "shop:app", "--folder", folder, "--json")
    assert result.exit_code == 1
    codes = {one["code"] for one in json.loads(result.stdout)["shop"]}
    assert "workflow_function" in codes


# -- run -------------------------------------------------------------------------------------------


def test_a_file_is_run_to_its_end(file: Path, tmp_path: Path) -> None:
    """A task's result comes from a file; a wait of a day takes no time."""
    result = tmp_path / "charged.json"
    result.write_text('{"state": "charged"}')
    printed = ok("workflow", "run", file, "--input", '{"id": 1}', "--task", f"charge={result}")
    assert json.loads(printed) == {"state": "charged"}


def test_a_task_is_a_function_of_the_teams(file: Path, tmp_path: Path) -> None:
    """A function gets the payload; what it raises is the task's error, retried as the file says."""
    (tmp_path / "shop.py").write_text(
        "from wherry.testing import TaskFailed\n"
        "asked = []\n"
        "def charge(payload):\n"
        "    asked.append(payload)\n"
        "    if len(asked) < 3:\n"
        "        raise TaskFailed('Busy', 'later')\n"
        "    return {'asked': len(asked), 'got': payload}\n"
    )
    asked = ("--input", '{"id": 1}', "--task", "charge=shop:charge", "--folder", tmp_path)
    printed = ok("workflow", "run", file, *asked)
    assert json.loads(printed) == {"asked": 3, "got": {"id": 1}}


def test_a_run_shows_its_history(file: Path, tmp_path: Path) -> None:
    """--history prints each event with its time; --json gives them whole."""
    (tmp_path / "r.json").write_text("{}")
    asked = ("--task", f"charge={tmp_path / 'r.json'}", "--history")
    printed = ok("workflow", "run", file, *asked)
    assert "WaitStateEntered Cool down" in printed
    assert "+1 d  WaitStateExited Cool down" in printed
    found = ok_json("workflow", "run", file, *asked)
    assert (found["status"], found["history"][0]["type"]) == ("SUCCEEDED", "ExecutionStarted")


def test_a_run_that_fails_exits_with_1(tmp_path: Path) -> None:
    """The error and its cause are told."""
    path = tmp_path / "fail.json"
    state = {"Type": "Fail", "Error": "NotRefunded", "Cause": "the bank is closed"}
    path.write_text(json.dumps({"StartAt": "A", "States": {"A": state}}))
    result = cli("workflow", "run", path)
    assert result.exit_code == 1
    assert result.stdout == "FAILED NotRefunded: the bank is closed\n"


def test_input_comes_from_a_file_too(tmp_path: Path) -> None:
    """@FILE is the JSON of a file, and `-` as the definition is standard input."""
    (tmp_path / "order.json").write_text('{"id": 7}')
    machine = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}'
    order = f"@{tmp_path / 'order.json'}"
    result = cli("workflow", "run", "-", "--input", order, stdin=machine)
    assert json.loads(result.stdout) == {"id": 7}


def test_what_no_task_is_called_is_refused(file: Path, tmp_path: Path) -> None:
    """Nobody would know that it is never done."""
    result = tmp_path / "receipt.json"
    result.write_text("{}")
    refused = cli("workflow", "run", file, "--task", f"chrge={result}")
    assert refused.exit_code == 1
    assert "No task is called 'chrge'" in refused.stderr
    assert "Did you mean charge" in refused.stderr


@pytest.mark.parametrize(
    ("options", "told", "code"),
    [
        (["--input", "{"], "The input is no JSON", 1),
        (["--task", "charge"], "NAME=FILE.json", 2),
        (["--task", "charge=no.json"], "no.json cannot be read", 1),
        (["--task", "charge=nowhere:it"], "nowhere:it cannot be imported", 1),
        ([], "Say what it does: --task NAME=result.json", 1),
    ],
)
def test_what_is_missing_is_said(file: Path, options: list[str], told: str, code: int) -> None:
    """A run that cannot be says why, and what to do."""
    result = cli("workflow", "run", file, *options)
    assert (result.exit_code, told in result.stderr) == (code, True), result.output
