"""Declaring workflows and tasks, and where definitions come from."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.workflow_apps import (
    Charge,
    Receipt,
    Refund,
    charging,
    codes,
    found,
    one_task,
)  # fmt: skip
from wherry import App, asl
from wherry.blueprint import FunctionSpec, Grant, TaskTrigger, canonical, digest, load
from wherry.errors import Refused
from wherry.testing import run_workflow


def function(app: App, name: str) -> FunctionSpec:
    return next(one for one in app.freeze().functions if one.name == name)


# --- what is declared ---------------------------------------------------------------------------


def test_a_workflow_is_a_record_with_its_definition_and_a_queue_of_its_name() -> None:
    """The keys stay in the team's order; no message of the queue is lost while nodes die."""
    app = charging(one_task("charge"), input=Refund)
    blueprint = app.freeze()
    (spec,) = blueprint.workflows
    assert spec.definition == (
        '{"StartAt":"Do","States":{"Do":{"Type":"Task","Resource":"charge","End":true}}}'
    )
    assert (spec.name, spec.input, spec.functions) == ("refund", "Refund", ("charge",))
    assert spec.schema is not None
    assert spec.schema["$defs"]["Refund"]["required"] == ["order_id", "cents"]
    assert spec.place is not None
    assert spec.place.file.endswith("workflow_apps.py")
    queue = next(one for one in blueprint.queues if one.name == "refund")
    assert (queue.max_attempts, queue.retention_s) == (1_000, 14 * 86_400)
    assert load(canonical(blueprint)).workflows == blueprint.workflows
    assert app.warnings == []


def test_a_task_is_a_function_with_a_payload_a_result_and_a_queue_of_its_name() -> None:
    app = App("shop")
    receipts = app.bucket("receipts")
    app.workflow("refund", definition=one_task("charge"))

    @app.task(grants=[receipts.create], timeout_s=60, memory_mb=512)
    def charge(payload: Charge) -> Receipt:
        """Pay money back."""
        return Receipt(1)

    assert charge(Charge("o1")) == Receipt(1)
    spec = function(app, "charge")
    (trigger,) = spec.triggers
    assert isinstance(trigger, TaskTrigger)
    assert (trigger.endpoint, trigger.queue) == ("charge", "charge")
    assert trigger.schema is not None
    assert trigger.schema["$defs"]["Charge"]["required"] == ["order_id"]
    assert trigger.reply is not None
    assert "Receipt" in trigger.reply["$defs"]
    assert (spec.timeout_s, spec.memory_mb, spec.description) == (60, 512, "Pay money back.")
    assert spec.grants == (Grant(kind="bucket", resource="receipts", action="create"),)
    endpoint = app.endpoints["charge"]["charge"]
    assert endpoint.payload is Charge
    assert [one.source for one in endpoint.signature.arguments] == ["message"]
    queue = next(one for one in app.freeze().queues if one.name == "charge")
    assert (queue.payload, queue.retention_s) == ("Charge", 14 * 86_400)


def test_a_task_may_take_nothing_or_be_a_plain_handler() -> None:
    app = App("shop")
    steps = [asl.Task("A", "bare"), asl.Task("B", "plain"), asl.Task("C", "later")]
    app.workflow("refund", definition=asl.machine(*steps))

    @app.task()
    def bare() -> None: ...

    @app.task()
    def plain(event: Any, context: Any) -> Any: ...

    @app.task()
    async def later(payload: dict[str, int]) -> list[int]: ...

    app.freeze()
    assert app.warnings == []
    assert app.endpoints["bare"]["bare"].payload is None
    assert app.endpoints["plain"]["plain"].plain
    assert function(app, "plain").plain
    assert app.endpoints["later"]["later"].is_async
    assert function(app, "bare").timeout_s == 30


def test_grants_of_a_workflow_are_those_of_its_verbs() -> None:
    app = charging(one_task("charge"))
    (refund,) = app._workflows
    every = [refund.start, refund.read, refund.stop, refund.redrive, refund.complete]

    @app.post("/refunds", grants=every)
    def begin() -> None: ...

    grants = function(app, "begin").grants
    assert [str(one) for one in grants] == [
        "refund.start", "refund.read", "refund.stop", "refund.redrive", "refund.complete",
    ]  # fmt: skip
    assert {one.kind for one in grants} == {"workflow"}


def starting(app: App, name: str, target: str, *grants: Any) -> None:
    """Declare a workflow that starts another, or itself."""
    start = {"StateMachineArn": target, "Input": {}}
    machine = one_task("arn:aws:states:::states:startExecution", Parameters=start)
    app.workflow(name, definition=machine, grants=grants)


@pytest.mark.parametrize(("first", "second"), [("selfish", ""), ("one", "two")])
def test_a_workflow_may_be_granted_what_has_no_handle_yet(first: str, second: str) -> None:
    """Itself, or one that is declared further down; the advice is what can be written there."""
    for granted in (False, True):
        app = App("shop")
        target = second or first
        starting(app, first, target, *([f"{target}.start"] if granted else []))
        if second:
            starting(app, second, first, app._workflows[0].start)
        errors = [one for one in found(app) if one.severity == "error"]
        if granted:
            assert errors == []
            spec = next(one for one in app.freeze().workflows if one.name == first)
            assert spec.grants == (Grant(kind="workflow", resource=target, action="start"),)
        else:
            (missing,) = errors
            assert missing.code == "workflow_grant_missing"
            assert f"app.workflow('{first}', ..., grants=[\"{target}.start\"])" in missing.fix


@pytest.mark.parametrize(
    ("text", "code"), [("nobody.start", "grant_to_nothing"), ("refund", "grant_kind")]
)
def test_a_grant_in_quotes_is_checked_like_any_other(text: str, code: str) -> None:
    assert code in codes(charging(one_task("charge"), grants=[text]))


def test_a_workflow_itself_is_no_grant() -> None:
    app = charging(one_task("charge"))
    (refund,) = app._workflows
    app.post("/refunds", grants=[refund])(lambda: None)
    (finding,) = [one for one in found(app) if one.code == "grant_kind"]
    assert "refund.start, refund.stop" in finding.fix
    assert "refund.complete" in finding.fix


def test_an_app_takes_over_workflows_and_tasks_of_those_it_includes() -> None:
    app = App("all")
    app.include(charging(one_task("charge")))
    assert [one.name for one in app.freeze().workflows] == ["refund"]
    assert "charge" in app.endpoints


def test_a_frozen_app_takes_no_more_workflows() -> None:
    app = charging(one_task("charge"))
    app.freeze()
    with pytest.raises(Refused):
        app.workflow("later", definition=one_task("charge"))
    with pytest.raises(Refused):
        app.task()(lambda: None)


def test_the_digest_changes_with_the_definition_and_not_with_its_spaces(tmp_path: Path) -> None:
    file = tmp_path / "refund.json"

    def written(text: str) -> str:
        file.write_text(text)
        return digest(charging(str(file)).freeze())

    first = written(msgspec.json.encode(one_task("charge")).decode())
    spaced = msgspec.json.format(msgspec.json.encode(one_task("charge")), indent=4).decode()
    assert written(spaced) == first
    assert written(spaced.replace("Do", "Done")) != first


# --- where a definition comes from --------------------------------------------------------------


def in_module(folder: Path, definition: str) -> App:
    """An app that a module of a folder declares, with a path beside that module."""
    source = folder / "team.py"
    source.write_text(
        "from wherry import App\n"
        "app = App('shop')\n"
        f"refund = app.workflow('refund', definition={definition!r})\n"
        "@app.task()\n"
        "def charge(payload: dict) -> None: ...\n"
    )
    names: dict[str, Any] = {"__name__": "team", "__file__": str(source)}
    exec(compile(source.read_text(), str(source), "exec"), names)
    app: App = names["app"]
    return app


def test_a_path_is_relative_to_the_module_that_names_it(tmp_path: Path) -> None:
    """And the file is part of the app: an edit of it is one of the app."""
    (tmp_path / "flows").mkdir()
    file = tmp_path / "flows" / "refund.asl.json"
    file.write_bytes(msgspec.json.encode(one_task("charge")))
    app = in_module(tmp_path, "flows/refund.asl.json")
    assert app.freeze().workflows[0].functions == ("charge",)
    assert app.files == [str(file)]
    assert charging(file).freeze().workflows == charging(one_task("charge")).freeze().workflows


def test_a_declared_workflow_runs_in_memory_with_the_definition_it_has(tmp_path: Path) -> None:
    file = tmp_path / "refund.json"
    file.write_bytes(msgspec.json.encode(one_task("charge")))
    (workflow,) = charging(file, input=Refund)._workflows
    told = run_workflow(workflow, Refund("o1", 7), tasks={"charge": lambda payload: payload})
    assert (told.status, told.output) == ("SUCCEEDED", {"order_id": "o1", "cents": 7})
    file.unlink()
    with pytest.raises(Refused, match=r"refund\.json"):
        run_workflow(workflow)


YAML = """
Comment: Moments and words stay texts
StartAt: Wait
States:
  Wait: {Type: Wait, Timestamp: 2027-01-01T00:00:00Z, Next: Do}
  Do:
    Type: Task
    Resource: charge
    End: true
"""


def test_a_definition_may_be_yaml(tmp_path: Path) -> None:
    (tmp_path / "refund.asl.yaml").write_text(YAML)
    (spec,) = in_module(tmp_path, "refund.asl.yaml").freeze().workflows
    states = msgspec.json.decode(spec.definition)["States"]
    assert states["Wait"]["Timestamp"] == "2027-01-01T00:00:00Z"
    assert states["Do"]["End"] is True


def test_a_mapping_of_yaml_may_be_merged_into_others_before_it_is_read(tmp_path: Path) -> None:
    """What it has merged itself, and says otherwise, is in it once."""
    (tmp_path / "refund.yaml").write_text(
        """
StartAt: A
States:
  A: {Type: Parallel, Next: B, Branches: [{StartAt: C, States: {
    C: &c {<<: &end {Type: Pass, End: true, Result: 1}, Result: 2}}}]}
  B: {<<: *c, Comment: merged}
"""
    )
    (spec,) = in_module(tmp_path, "refund.yaml").freeze().workflows
    merged = msgspec.json.decode(spec.definition)["States"]["B"]
    assert merged == {"Type": "Pass", "End": True, "Result": 2, "Comment": "merged"}


def test_yaml_without_its_library_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "refund.asl.yml").write_text(YAML)
    monkeypatch.setitem(sys.modules, "yaml", None)
    (finding, *_) = found(in_module(tmp_path, "refund.asl.yml"))
    assert finding.code == "definition_needs_yaml"
    assert "pip install 'wherry[yaml]'" in finding.fix


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("missing.json", None, "definition_missing"),
        ("refund.json", b"\xff\xfe", "definition_missing"),
        ("refund.json", b"[]", "definition_kind"),
        ("refund.json", b'{"StartAt": ', "workflow_invalid"),
        ("refund.json", b"", "definition_missing"),
        ("refund.yaml", b"a: [", "definition_invalid"),
        ("refund.yaml", b"a: {1: {}}\n? [b]\n: c", "definition_invalid"),
        ("refund.yaml", b"just text", "definition_kind"),
        ("refund.yaml", b"StartAt: A\nStates: {A: 1, A: 2}", "definition_invalid"),
        ("refund.yaml", b"StartAt: A\nStates: {Yes: {Type: Succeed}}", "definition_invalid"),
        ("refund.yaml", b"StartAt: A\nStates: &all {A: *all}", "definition_invalid"),
        ("refund.yaml", b"StartAt: A\nStates: {A: {Output: .inf}}", "definition_invalid"),
        ("refund.yaml", b"StartAt: A\nStates: {A: !!set {b}}", "definition_invalid"),
        ("refund.yaml", b"StartAt: !!int x", "definition_invalid"),
        ("refund.yaml", b"StartAt: !!bool z", "definition_invalid"),
        ("refund.json", b'{"StartAt": "A", "States": {"A": 1, "A": 2}}', "definition_invalid"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_finding(
    name: str, content: bytes | None, code: str, tmp_path: Path
) -> None:
    """Whatever is wrong with it, and with its place."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    (finding,) = [one for one in found(in_module(tmp_path, name)) if one.severity == "error"]
    assert finding.code == code
    assert finding.place is not None
    assert finding.place.line == 3


@pytest.mark.parametrize("given", [7, ["a"], None, {"StartAt": {(1, 2): 3}}, {"a": object()}])
def test_a_definition_of_another_kind_is_refused(given: Any) -> None:
    assert "definition_kind" in codes(charging(given))


def test_what_the_builder_has_made_is_a_definition() -> None:
    app = App("shop")

    @app.task()
    def charge(payload: Charge) -> None: ...

    app.workflow("refund", definition=asl.machine(asl.Task("Charge", charge)))
    assert app.freeze().workflows[0].functions == ("charge",)


# --- what it costs ------------------------------------------------------------------------------


def test_an_app_with_workflows_reads_no_definition_before_it_is_frozen() -> None:
    """Its module imports nothing of the language, and the file need not even be there yet."""
    code = (
        "import sys\n"
        "from wherry import App\n"
        "app = App('shop')\n"
        "refund = app.workflow('refund', definition='nowhere.json')\n"
        "@app.task()\n"
        "def charge() -> None: ...\n"
        "def there(): return any(one.startswith('wherry.statemachine') for one in sys.modules)\n"
        "assert not there(), 'imported'\n"
        "other = App('other')\n"
        "@other.get('/')\n"
        "def look() -> None: ...\n"
        "other.freeze()\n"
        "assert not there(), 'frozen'\n"
    )
    subprocess.run([sys.executable, "-I", "-c", code], check=True)
