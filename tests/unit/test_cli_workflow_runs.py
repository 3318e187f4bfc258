"""`wherry workflow list | describe | history | start | stop | redrive | succeed | fail`."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.cli_kit import Data, cli, ok, ok_json
from tests.unit.drawing_kit import REFUND
from wherry.engine.workflows.packing import frame_part, only_frame, pack_head
from wherry.ports import Advance, Claim, Commit, Ended, Happened
from wherry.statemachine import compile_machine
from wherry.statemachine.records import Begin, HistoryEvent, Run
from wherry.world import Chance

SHOP = f"""
from typing import Any
from wherry import App, Struct

app = App("shop")

class Line(Struct):
    sku: str
    count: int = 1

class Refund(Struct):
    order_id: str
    cents: int = 0
    lines: list[Line] = []

@app.task()
def ask_staff(payload: dict[str, Any]) -> None: ...

@app.task()
def charge_back(payload: dict[str, Any]) -> None: ...

@app.task()
def release(payload: dict[str, Any]) -> None: ...

@app.task()
def book(payload: dict[str, Any]) -> None: ...

refund = app.workflow("refund", definition={REFUND!r})
other = app.workflow("other", definition={REFUND!r})
typed = app.workflow("typed", definition={REFUND!r}, input=Refund)
"""

FAILED: list[dict[str, Any]] = [
    {"type": "ExecutionStarted", "details": {"input": '{"amount":5}'}},
    {"type": "ChoiceStateEntered", "details": {"name": "Above the limit?", "input": "{}"}},
    {"type": "ChoiceStateExited", "details": {"name": "Above the limit?", "output": "{}"}},
    {"type": "TaskStateEntered", "details": {"name": "Charge back", "input": "{}"}},
    {"type": "LambdaFunctionFailed", "details": {"error": "Busy", "cause": "x" * 500}},
    {"type": "ExecutionFailed", "details": {"error": "Busy", "cause": "later"}},
]


class Flows(Data):
    """A data folder of a shop with workflows, moved by hand as an engine would."""

    def release(self, indexes: str = "") -> None:
        self.deploy("release-1", SHOP)

    def deploy(self, release: str, code: str) -> None:
        super().deploy(release, code)
        self._versions = itertools.count()

    def start(self, name: str, workflow: str = "refund", input: str = '{"amount":5}') -> None:
        ok("workflow", "start", workflow, "--name", name, "--input", input, "--data", self.path)

    def number(self, name: str) -> int:
        found = ok_json("workflow", "describe", name, "--data", self.path)
        return int(found["id"])

    def move(self, name: str, **fields: Any) -> None:
        """Move an execution by a step."""
        head = pack_head(Run("arn", name, "arn", "refund"), None)
        values: dict[str, Any] = {"version": 0, "head": head} | fields
        advance = Advance(self.number(name), **values)
        record = self.record("c-1", function="refund")
        self.ask(Commit("", msgspec.Raw(msgspec.msgpack.encode([])), [], [], record, {},
                        advances=[advance]))  # fmt: skip

    def fail_it(self, name: str) -> None:
        """Let an execution fail with a history."""
        events = [
            HistoryEvent(number, number - 1, one["type"], 1_000 * number, one["details"])
            for number, one in enumerate(FAILED, 1)
        ]
        history = [(one.id, msgspec.msgpack.encode(one)) for one in events]
        self.move(name, history=history, ended=Ended("FAILED", None, "Busy", "later"))

    def told(self, workflow: str = "refund") -> list[Happened]:
        """Take what happened to a workflow's executions from its queue."""
        claimed = self.ask(Claim(workflow, 50, "engine-1"))[0].messages
        return [msgspec.json.decode(one.body, type=Happened) for one in claimed]


@pytest.fixture
def data(tmp_path: Path) -> Flows:
    return Flows(tmp_path / "data")


def test_a_run_is_started_and_looked_at(data: Flows) -> None:
    """What was started is listed, described, and waits for an engine."""
    data.start("one")
    shown = ok("workflow", "describe", "one", "--data", data.path)
    assert "RUNNING" in shown
    assert '"amount": 5' in shown
    assert "one" in ok("workflow", "--data", data.path)
    assert [one.event for one in data.told()] == ["begin"]
    found = ok_json("workflow", "describe", "one", "--data", data.path)
    assert (found["workflow"], found["input"]) == ("refund", {"amount": 5})


def test_a_run_without_a_name_gets_one(data: Flows) -> None:
    """It is told, so that the run can be found again."""
    begun = ok_json("workflow", "start", "refund", "--data", data.path)
    assert data.number(begun["name"]) == data.number(begun["name"][:6])


def test_one_name_is_one_run(data: Flows) -> None:
    """A repeat starts nothing more; another input under the same name is refused."""
    data.start("one")
    data.start("one")
    assert len(ok_json("workflow", "list", "--data", data.path)) == 1
    again = ("workflow", "start", "refund", "--name", "one", "--input", "{}", "--data", data.path)
    result = cli(*again)
    assert (result.exit_code, "with another input" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("[]", "is no Refund: it is a list; it takes an object"),
        ('{"cents": 1}', "is no Refund: order_id is missing"),
        ('{"order_id": "o", "cents": "1"}', "cents is '1'; it takes a whole number"),
        ('{"order_id": "o", "lines": [{}]}', "lines[0].sku is missing"),
    ],
)
def test_an_input_that_is_not_of_its_type_starts_nothing(
    data: Flows, given: str, told: str
) -> None:
    """No state could say what is wrong with it."""
    result = cli("workflow", "start", "typed", "--input", given, "--data", data.path)
    assert (result.exit_code, told in result.stderr) == (1, True)
    assert ok_json("workflow", "list", "--data", data.path) == []
    data.start("one", "typed", '{"order_id": "o-1"}')


def test_an_input_has_what_its_type_has_by_default(data: Flows) -> None:
    """As from a handler: no state can tell who has started it."""
    given = {
        "order_id": "o-1",
        "lines": [{"sku": "a"}, {"sku": "b", "count": 2}],
        "note": "by hand",
    }
    data.start("one", "typed", msgspec.json.encode(given).decode())
    lines = [{"sku": "a", "count": 1}, {"sku": "b", "count": 2}]
    found = ok_json("workflow", "describe", "one", "--data", data.path)["input"]
    assert found == {"order_id": "o-1", "cents": 0, "lines": lines, "note": "by hand"}


@pytest.mark.parametrize("verb", ["stop", "redrive"])
def test_a_run_whose_workflow_is_gone_is_not_said_to_be_moved(data: Flows, verb: str) -> None:
    """Who would do it is not there: it waits for a release that has the workflow again."""
    data.start("one", "other")
    if verb == "redrive":
        data.fail_it("one")
    data.deploy("release-2", SHOP.replace("other = ", "# "))
    result = cli("workflow", verb, "one", "--data", data.path)
    assert (result.exit_code, "not declare the workflow 'other'" in result.stderr) == (1, True)
    assert "Declare it again" in result.stderr
    assert "one" in ok("workflow", "describe", "one", "--data", data.path)
    assert "one" in ok("workflow", "list", "--workflow", "other", "--data", data.path)


def test_runs_are_chosen_by_workflow_and_status(data: Flows) -> None:
    """`list` leaves out what was not asked for, and goes on where a page ended."""
    data.start("one")
    data.start("two", "other")
    data.fail_it("one")

    def listed(*options: str) -> list[str]:
        return [one["name"] for one in ok_json("workflow", "list", *options, "--data", data.path)]

    assert listed() == ["two", "one"]
    assert listed("--workflow", "other") == ["two"]
    assert listed("--status", "FAILED") == ["one"]
    page = ok("workflow", "list", "--limit", "1", "--data", data.path)
    assert listed("--after", page.partition("--after ")[2].split()[0]) == ["one"]
    assert "Busy: later" in ok("workflow", "list", "--status", "failed", "--data", data.path)
    wrong = cli("workflow", "list", "--workflow", "refnd", "--data", data.path)
    assert "Did you mean refund?" in wrong.stderr


def test_a_history_is_short_for_people_and_whole_for_programs(data: Flows) -> None:
    """An event a line with its time and the beginning of its data; with --json all of it."""
    data.start("one")
    data.fail_it("one")
    shown = ok("workflow", "history", "one", "--data", data.path)
    assert "TaskStateEntered Charge back" in shown
    assert "+4.00 s    LambdaFunctionFailed" in shown
    assert "x" * 500 not in shown
    found = ok_json("workflow", "history", "one", "--data", data.path)
    assert found[4]["lambdaFunctionFailedEventDetails"]["cause"] == "x" * 500
    assert [one["id"] for one in found] == [1, 2, 3, 4, 5, 6]


def test_a_run_is_drawn_as_far_as_it_is(data: Flows) -> None:
    """The picture has the states that were passed, and the one that failed."""
    data.start("one")
    data.fail_it("one")
    shown = ("workflow", "show", "refund", "--run", "one", "--data", data.path)
    drawn = ok(*shown, "--svg")
    assert "<title>Charge back (Task): failed</title>" in drawn
    assert "<title>Above the limit? (Choice): succeeded</title>" in drawn
    assert "<title>Cool down (Wait)</title>" in drawn
    assert ok_json(*shown)["states"] == {"Above the limit?": "succeeded", "Charge back": "failed"}


def test_a_run_is_found_by_its_beginning(data: Flows) -> None:
    """As failures are: one is found, several are told, none is told with its neighbours."""
    for name in ("refund-17", "refund-18", "audit-1"):
        data.start(name)
    assert data.number("audit") == data.number("audit-1")
    several = cli("workflow", "describe", "refund", "--data", data.path)
    assert "2 runs begin with 'refund'" in several.stderr
    assert "refund-17, refund-18" in several.stderr
    none = cli("workflow", "describe", "refunt-17", "--data", data.path)
    assert "Did you mean refund-17" in none.stderr


def test_a_name_in_two_workflows_needs_the_workflow(data: Flows) -> None:
    """--workflow says which is meant."""
    data.start("one")
    data.start("one", "other")
    result = cli("workflow", "describe", "one", "--data", data.path)
    assert (result.exit_code, "--workflow other or --workflow refund" in result.stderr) == (1, True)
    found = ok_json("workflow", "describe", "one", "--workflow", "other", "--data", data.path)
    assert found["workflow"] == "other"


def test_a_run_is_stopped_with_a_reason(data: Flows) -> None:
    """The engine gets the message; one that has ended is not stopped."""
    data.start("one")
    data.start("two")
    data.fail_it("two")
    told = ok("workflow", "stop", "one", "--cause", "a test", "--data", data.path)
    assert told == "one of refund is stopped.\n"
    assert [one.cause for one in data.told() if one.event == "stop"] == ["a test"]
    result = cli("workflow", "stop", "two", "--data", data.path)
    assert (result.exit_code, "'two' has ended: FAILED" in result.stderr) == (1, True)


def test_what_failed_is_redriven(data: Flows) -> None:
    """Only what failed goes on; what runs is told as such."""
    data.start("one")
    data.start("two")
    data.fail_it("one")
    assert "one of refund is redriven" in ok("workflow", "redrive", "one", "--data", data.path)
    assert [one.event for one in data.told()] == ["begin", "begin", "redrive"]
    result = cli("workflow", "redrive", "two", "--data", data.path)
    assert (
        result.exit_code,
        "'two' of the workflow 'refund' is still running" in result.stderr,
    ) == (1, True)


def test_a_task_is_approved_from_a_terminal(data: Flows) -> None:
    """A token ends its task once, whatever its workflow; a second end is refused."""
    data.start("one", "other")
    data.move("one", tokens=["token-1"], states=["Ask the staff"])
    assert "Ask the staff" in ok("workflow", "list", "--data", data.path)
    given = ("workflow", "succeed", "token-1", "--output", '{"by": "me"}', "--data", data.path)
    assert ok(*given) == "The task of other has succeeded.\n"
    [_, ended] = data.told("other")
    assert (ended.event, ended.token, ended.output) == ("token_succeeded", "token-1", {"by": "me"})
    result = cli(*given)
    assert (result.exit_code, "No task waits for this token" in result.stderr) == (1, True)


def test_a_token_is_found_where_its_run_is_described(data: Flows) -> None:
    """Who is to decide needs the token: it stands with the state that waits for it."""
    data.start("one")
    machine = compile_machine(REFUND)
    arn = "arn:aws:states:eu-central-1:123456789012:execution:refund:one"
    new = Run(arn, "one", arn, "refund", input={"amount": 50_000})
    run, _ = machine.advance(new, Begin(), 0, Chance(1))
    parts = [frame_part(run, number) for number in run.frames]
    (token,) = run.tokens
    data.move("one", head=pack_head(run, only_frame(run)), parts=parts, tokens=[token])
    shown = ok("workflow", "describe", "one", "--data", data.path)
    assert f"waits for a decision: token, state\n  {token}  Ask the staff\nEnd it: wherry" in shown
    found = ok_json("workflow", "describe", "one", "--data", data.path)
    assert found["waiting"] == {token: "Ask the staff"}
    ok("workflow", "succeed", token, "--data", data.path)


def test_a_task_is_refused_from_a_terminal(data: Flows) -> None:
    """With an error for its Retry and Catch."""
    data.start("one")
    data.move("one", tokens=["token-1"])
    ok("workflow", "fail", "token-1", "--error", "Refused", "--cause", "late", "--data", data.path)
    [_, ended] = data.told()
    assert (ended.event, ended.error, ended.cause) == ("token_failed", "Refused", "late")


def test_what_people_did_is_in_the_timeline(data: Flows) -> None:
    """An order is a record of its own, with who gave it."""
    data.start("one")
    assert "wherry workflow start" in ok("timeline", "--data", data.path)
