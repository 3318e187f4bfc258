"""Declaring workflows and tasks, and all that can be wrong with them when an app is frozen."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from wherry import App, asl, publish
from wherry.blueprint import Finding, FunctionSpec, Grant, TaskTrigger, canonical, digest, load
from wherry.errors import AppInvalid, Refused
from wherry.testing import run_workflow


class Refund(Struct):
    """What an execution is started with."""

    order_id: str
    cents: int


class Charge(Struct):
    """A payload."""

    order_id: str
    cents: int = 0


class Strict(Struct, forbid_unknown_fields=True):
    """A payload without anything else."""

    order_id: str


class Receipt(Struct):
    """A result."""

    number: int


def one_task(resource: str, **fields: Any) -> dict[str, Any]:
    """A machine of one Task, in JSONPath."""
    return {
        "StartAt": "Do",
        "States": {"Do": {"Type": "Task", "Resource": resource, "End": True, **fields}},
    }


def jsonata(resource: str, arguments: Any) -> dict[str, Any]:
    """A machine of one Task, in JSONata."""
    return {"QueryLanguage": "JSONata", **one_task(resource, Arguments=arguments)}


def charging(definition: Any, payload: Any = Charge, **more: Any) -> App:
    """An app with a workflow and the task `charge`."""
    app = App("shop")
    app.workflow("refund", definition=definition, **more)

    def charge(payload: Any) -> None: ...

    charge.__annotations__["payload"] = payload
    app.task()(charge)
    return app


def found(app: App) -> list[Finding]:
    try:
        app.freeze()
    except AppInvalid as failure:
        return list(failure.findings)
    return app.warnings


def codes(app: App) -> list[str]:
    return [one.code for one in found(app)]


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
    assert spec.place.file.endswith("test_app_workflows.py")
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
    pytest.importorskip("yaml")
    (tmp_path / "refund.asl.yaml").write_text(YAML)
    (spec,) = in_module(tmp_path, "refund.asl.yaml").freeze().workflows
    states = msgspec.json.decode(spec.definition)["States"]
    assert states["Wait"]["Timestamp"] == "2027-01-01T00:00:00Z"
    assert states["Do"]["End"] is True


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
        ("refund.json", b'{"StartAt": "A", "States": {"A": 1, "A": 2}}', "definition_invalid"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_finding(
    name: str, content: bytes | None, code: str, tmp_path: Path
) -> None:
    """Whatever is wrong with it, and with its place."""
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
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


# --- findings of definitions --------------------------------------------------------------------


def test_every_fault_of_a_definition_is_told_with_its_place_in_it() -> None:
    broken = one_task("charge", Nxt="a", TimeoutSeconds=-1)
    broken["StartAt"] = "Nowhere"
    told = [one.message for one in found(charging(broken)) if one.code == "workflow_invalid"]
    assert any("/States/Do/Nxt: Field 'Nxt' is not supported" in one for one in told)
    assert any("/States/Do/TimeoutSeconds" in one for one in told)
    assert any("/StartAt: Missing 'Next' target: Nowhere" in one for one in told)


ARN = "arn:aws:lambda:eu-central-1:123456789012:function:charge"
INVOKE = "arn:aws:states:::lambda:invoke"
WRONG: dict[str, tuple[list[str], dict[str, Any]]] = {
    # a function that is not there
    "name": (["workflow_function", "task_unused"], one_task("chrge")),
    "arn": (["workflow_function", "task_unused"], one_task(ARN.replace("charge", "chrge"))),
    "invoke": (
        ["workflow_function", "task_unused"],
        one_task(INVOKE, Parameters={"FunctionName": "chrge"}),
    ),
    "in a map": (
        ["workflow_function", "task_unused"],
        {"StartAt": "M", "States": {
            "M": {"Type": "Map", "ItemProcessor": one_task("chrge"), "End": True}}},
    ),
    # a payload that does not fit: what is missing, what is too much
    "missing": (["workflow_payload"], one_task("charge", Parameters={"cents.$": "$.cents"})),
    "missing, jsonata": (["workflow_payload"], jsonata("charge", {"cents": 1})),
    "missing, invoke": (
        ["workflow_payload"],
        one_task(INVOKE, Parameters={"FunctionName": ARN, "Payload": {}}),
    ),
    "too much": (["workflow_payload"], jsonata("charge", {"order_id": "1", "ordr": 2})),
    # what wherry does not do
    "sns": (
        ["workflow_unsupported", "task_unused"],
        one_task("arn:aws:states:::sns:publish", Parameters={"TopicArn": "a"}),
    ),
    "activity": (
        ["workflow_unsupported", "task_unused"],
        one_task("arn:aws:states:eu-central-1:123456789012:activity:approve"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "definition"), WRONG.values(), ids=WRONG)
def test_what_a_state_calls_is_held_against_the_app(
    expected: list[str], definition: dict[str, Any]
) -> None:
    """With the state in the message, and all of it at once."""
    findings = found(charging(definition))
    errors = [one.code for one in findings if one.severity == "error"]
    if errors:  # warnings are told when nothing else is wrong
        assert set(errors) <= set(expected)
    assert findings[0].code == expected[0]
    assert "/States/" in findings[0].message


RIGHT: dict[str, dict[str, Any]] = {
    "its input": one_task("charge"),
    "all of it": one_task("charge", Parameters={"order_id.$": "$.id", "cents": 1}),
    "what must be": jsonata("charge", {"order_id": "{% $states.input.id %}"}),
    "an expression": jsonata("charge", "{% $states.input %}"),
    "an arn with a version": one_task(ARN + ":live"),
    "a token": one_task(
        INVOKE + ".waitForTaskToken",
        Parameters={"FunctionName": "charge:live", "Payload": {"order_id.$": "$$.Task.Token"}},
    ),
    "a payload by path": one_task(INVOKE, Parameters={"FunctionName": "charge", "Payload.$": "$"}),
    "a function by path": one_task(INVOKE, Parameters={"FunctionName.$": "$.to"}),
}


@pytest.mark.parametrize("definition", RIGHT.values(), ids=RIGHT)
def test_what_is_only_known_while_it_runs_is_no_fault(definition: dict[str, Any]) -> None:
    assert codes(charging(definition)) == []


def test_a_field_that_a_strict_type_refuses_is_an_error() -> None:
    app = charging(jsonata("charge", {"order_id": "1", "cents": 2}), Strict)
    (finding,) = found(app)
    assert (finding.code, finding.severity) == ("workflow_payload", "error")
    assert "gives 'charge' cents, which the function refuses" in finding.message
    loose = charging(jsonata("charge", {"order_id": "1", "ordr": 2}))
    assert [one.severity for one in found(loose)] == ["warning"]


def test_a_payload_of_any_fields_takes_all() -> None:
    assert codes(charging(jsonata("charge", {"a": 1}), dict[str, int])) == []
    assert codes(charging(jsonata("charge", {"a": 1}), Any)) == []
    assert codes(charging(jsonata("charge", {"a": 1}), Charge | None)) == []


def test_a_function_that_is_no_task_cannot_be_called() -> None:
    app = App("shop")
    app.workflow("refund", definition=one_task("charge"))

    @app.get("/charge")
    def charge() -> None: ...

    (finding,) = found(app)
    assert finding.code == "workflow_function"
    assert "not declared as a task" in finding.message
    assert "@app.task" in finding.fix


# --- resources that states use by themselves ----------------------------------------------------


def touching(resource: str, parameters: dict[str, Any], granted: bool = True) -> App:
    app = App("shop")
    orders = app.table(Charge, name="orders", key="order_id")
    jobs = app.queue(Charge, name="jobs")
    app.bucket("files")

    @app.event("shop.refunded")
    class Refunded(Struct):
        order_id: str

    other = app.workflow("other", definition={
        "StartAt": "A", "States": {"A": {"Type": "Succeed"}}})  # fmt: skip
    grants: dict[str, Any] = {
        "sqs": jobs.send,
        "getItem": orders.read,
        "Item": orders.write,
        "events": publish[Refunded],
        "startExecution": other.start,
    }
    needed = next(grant for part, grant in grants.items() if part in resource)
    app.workflow(
        "refund",
        definition=one_task(f"arn:aws:states:::{resource}", Parameters=parameters),
        grants=[needed] if granted else [],
    )

    @app.consume(jobs, grants=[orders.read])
    def work(job: Charge) -> None: ...

    @app.on(Refunded)
    def tell(event: Refunded) -> None: ...

    @app.post("/", grants=[jobs.send, publish[Refunded]])
    def begin() -> None: ...

    return app


TOUCHES: dict[str, tuple[str, dict[str, Any], str]] = {
    "sqs": ("sqs:sendMessage", {"QueueUrl": "jobs", "MessageBody.$": "$"}, "QueueUrl"),
    "sqs by url": (
        "sqs:sendMessage.waitForTaskToken",
        {"QueueUrl": "https://sqs.eu-central-1.amazonaws.com/123456789012/jobs",
         "MessageBody": {"token.$": "$$.Task.Token"}},
        "QueueUrl",
    ),
    "get": ("dynamodb:getItem", {"TableName": "orders", "Key": {"order_id": {"S": "1"}}},
            "TableName"),
    "put": ("dynamodb:putItem", {"TableName": "orders", "Item": {"order_id": {"S": "1"}}},
            "TableName"),
    "delete": ("dynamodb:deleteItem", {"TableName": "orders", "Key": {"order_id": {"S": "1"}}},
               "TableName"),
    "start": ("states:startExecution", {"StateMachineArn": "other", "Input": {}},
              "StateMachineArn"),
    "start and wait": (
        "states:startExecution.sync:2",
        {"StateMachineArn": "arn:aws:states:eu-central-1:123456789012:stateMachine:other"},
        "StateMachineArn",
    ),
    "events": (
        "events:putEvents",
        {"Entries": [{"DetailType": "shop.refunded", "Detail": {"order_id": "1"},
                      "Source": "shop"}]},
        "DetailType",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "parameters", "field"), TOUCHES.values(), ids=TOUCHES)
def test_a_resource_that_a_state_uses_must_be_there_and_granted(
    resource: str, parameters: dict[str, Any], field: str
) -> None:
    assert codes(touching(resource, parameters)) == []
    (missing,) = [
        one for one in found(touching(resource, parameters, granted=False))
        if one.severity == "error"
    ]  # fmt: skip
    assert missing.code == "workflow_grant_missing"
    assert "/States/Do" in missing.message
    text = msgspec.json.encode(parameters).decode()
    for name in ("jobs", "orders", "other", "shop.refunded"):
        text = text.replace(name, "nothing")
    (nothing,) = [
        one for one in found(touching(resource, msgspec.json.decode(text)))
        if one.severity == "error"
    ]  # fmt: skip
    assert nothing.code == "workflow_names_nothing"
    assert "'nothing'" in nothing.message


def test_a_grant_that_no_state_uses_is_a_warning() -> None:
    """Unless a state says only while it runs what it uses."""
    app = App("shop")
    jobs = app.queue(Charge, name="jobs")
    app.workflow("refund", definition=one_task("charge"), grants=[jobs.send])
    app.task()(named("charge"))
    app.consume(jobs)(consumer)
    assert codes(app) == ["workflow_grant_unused"]
    send = {"QueueUrl.$": "$.to", "MessageBody": "x"}
    open_app = touching("sqs:sendMessage", send)
    assert codes(open_app) == []


def consumer(job: Charge) -> None: ...


def named(name: str) -> Callable[[], None]:
    """A function of a name."""

    def fn() -> None: ...

    fn.__name__ = name
    return fn


def test_a_grant_to_nothing_is_found_at_a_workflow_too() -> None:
    app = charging(one_task("charge"), grants=[App("other").queue(Charge, name="jobs").send])
    assert "grant_to_nothing" in codes(app)


def test_a_workflow_that_sends_counts_as_a_sender() -> None:
    """Neither is the queue without one, nor may it be without a consumer."""
    app = App("shop")
    jobs = app.queue(Charge, name="jobs")
    send = {"QueueUrl": "jobs", "MessageBody": "x"}
    app.workflow(
        "refund", definition=one_task("arn:aws:states:::sqs:sendMessage", Parameters=send),
        grants=[jobs.send],
    )  # fmt: skip
    assert codes(app) == ["queue_without_consumer"]


# --- tasks --------------------------------------------------------------------------------------


def test_a_task_that_no_workflow_calls_is_a_warning() -> None:
    app = App("shop")
    app.task()(named("charge"))
    (warning,) = found(app)
    assert (warning.code, warning.severity) == ("task_unused", "warning")


@pytest.mark.parametrize("above", [True, False])
def test_a_task_has_its_handler_for_itself(above: bool) -> None:
    """Whichever decorator comes first, it is one finding."""
    app = App("shop")
    app.workflow("refund", definition=one_task("other"))
    app.task()(named("other"))

    def charge(payload: Charge) -> None: ...

    decorators: list[Callable[..., Any]] = [app.task(), app.post("/charge")]
    for decorator in decorators if above else reversed(decorators):
        decorator(charge)
    (finding,) = found(app)
    assert finding.code == "task_stacked"


def test_a_task_takes_one_payload_by_its_type() -> None:
    app = App("shop")
    steps = [asl.Task("A", "two"), asl.Task("B", "untyped"), asl.Task("C", "odd")]
    app.workflow("refund", definition=asl.machine(*steps))

    @app.task()
    def two(order_id: str, cents: int) -> None: ...

    @app.task()
    def untyped(payload) -> None: ...  # type: ignore[no-untyped-def]

    @app.task()
    def odd(payload: complex) -> None: ...

    assert set(codes(app)) == {"task_arguments", "argument_without_type", "type_unsupported"}


def test_what_a_task_returns_is_json() -> None:
    app = App("shop")
    app.workflow("refund", definition=asl.machine(asl.Task("A", "raw"), asl.Task("B", "odd")))

    @app.task()
    def raw() -> bytes: ...

    @app.task()
    def odd() -> complex: ...

    assert codes(app) == ["task_result", "task_result"]


# --- names --------------------------------------------------------------------------------------


def test_names_of_workflows_are_those_of_nothing_else() -> None:
    def with_function(app: App) -> None:
        app.get("/refund")(named("refund"))

    def with_task(app: App) -> None:
        app.task()(named("refund"))

    def with_queue(app: App) -> None:
        app.consume(app.queue(Charge, name="refund"))(consumer)

    def with_table(app: App) -> None:
        app.table(Charge, name="refund", key="order_id")

    def with_workflow(app: App) -> None:
        app.workflow("refund", definition=one_task("charge"))

    for clash in (with_function, with_task, with_queue, with_table, with_workflow):
        app = charging(one_task("charge"))
        clash(app)
        errors = [one.code for one in found(app) if one.severity == "error"]
        assert set(errors) == {"name_twice"}, clash.__name__


def test_a_workflow_has_a_name_that_every_platform_takes() -> None:
    app = App("shop")
    app.workflow("Refund!", definition={"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    (finding,) = found(app)
    assert (finding.code, "workflow name 'Refund!'" in finding.message) == ("name_invalid", True)


def test_an_input_type_must_have_a_form_in_json() -> None:
    app = App("shop")
    done = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    app.workflow("refund", definition=done, input=complex)
    assert codes(app) == ["type_unsupported"]


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


def test_a_map_that_reads_and_writes_a_bucket_needs_its_grants() -> None:
    def mapping(*actions: str) -> App:
        app = App("shop")
        files = app.bucket("files")
        reader = {
            "Resource": "arn:aws:states:::s3:getObject",
            "Parameters": {"Bucket": "files", "Key.$": "$.key"},
            "ReaderConfig": {"InputType": "JSON"},
        }
        writer = {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": "files", "Prefix": "out"},
        }
        config = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
        inner = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
        fields = {"ItemReader": reader, "ResultWriter": writer, "ItemProcessor": inner | config}
        app.workflow(
            "refund",
            definition={"StartAt": "M", "States": {"M": {"Type": "Map", "End": True, **fields}}},
            grants=[getattr(files, action) for action in actions],
        )
        return app

    assert codes(mapping("read", "create")) == []
    assert codes(mapping("read", "write")) == []
    (missing,) = found(mapping("create"))
    assert missing.code == "workflow_grant_missing"
    assert "/States/M/ItemReader: it needs the grant files.read" in missing.message
    (missing,) = found(mapping("read"))
    assert "/States/M/ResultWriter: it needs the grant files.create" in missing.message


def test_a_state_that_waits_for_a_token_which_it_tells_nobody_is_a_warning() -> None:
    """It could end by its timeout only."""
    waiting = INVOKE + ".waitForTaskToken"
    for arguments in (
        {"FunctionName": "charge"},
        {"FunctionName": "charge", "Payload.$": "$"},
        {"FunctionName": "charge", "Payload": {"order_id.$": "$.id"}},
    ):
        (warning,) = found(charging(one_task(waiting, Parameters=arguments)))
        assert (warning.code, warning.severity) == ("workflow_token_untold", "warning")
        assert "$$.Task.Token" in warning.fix
    steps = asl.Task("Ask", "charge", asl.expr("$states.input"), wait_for_token=True)
    (warning,) = found(charging(asl.machine(steps)))
    assert "$states.context.Task.Token" in warning.fix
    told = {"order_id": asl.TOKEN}
    steps = asl.Task("Ask", "charge", told, wait_for_token=True)
    assert codes(charging(asl.machine(steps))) == []


UPDATES: list[tuple[str, dict[str, Any]]] = [
    ("JSONata", {"TableName": "{% $t %}", "Key": {"id": "{% $x %}"}}),
    ("JSONata", {"TableName": "orders", "Key": {"order_id": {"S": "{% $x %}"}},
                 "UpdateExpression": "SET #a = :a",
                 "ExpressionAttributeNames": {"#a": "{% $x %}"},
                 "ExpressionAttributeValues": {":a": {"N": "{% $x %}"}}}),
    ("JSONata", {"TableName": "orders", "Key": {"order_id": "{% $x %}"},
                 "UpdateExpression": "{% $x %}", "ExpressionAttributeNames": {"#a": "b"}}),
    ("JSONPath", {"TableName.$": "$.t", "Key.$": "$.key", "UpdateExpression.$": "$.how"}),
    ("JSONPath", {"TableName": "orders", "Key": {"order_id": {"S.$": "$.x"}},
                  "UpdateExpression": "SET a = :a", "ExpressionAttributeValues.$": "$.b"}),
    ("JSONPath", {"TableName": "orders", "Key": {"order_id": {"S.$": "$.x"}},
                  "UpdateExpression": "SET #a = :a", "ExpressionAttributeNames": {"#a.$": "$.n"},
                  "ExpressionAttributeValues": {":a": {"N.$": "$.b"}}}),
]  # fmt: skip


@pytest.mark.parametrize(("language", "given"), UPDATES)
def test_arguments_of_a_table_that_are_computed_are_no_fault(
    language: str, given: dict[str, Any]
) -> None:
    app = App("shop")
    orders = app.table(Charge, name="orders", key="order_id")
    name = "Arguments" if language == "JSONata" else "Parameters"
    machine = one_task("arn:aws:states:::dynamodb:updateItem", **{name: given})
    app.workflow(
        "refund", definition={"QueryLanguage": language, **machine}, grants=[orders.write]
    )  # fmt: skip
    assert codes(app) == []


def test_a_name_of_an_attribute_is_text() -> None:
    given = {"TableName": "orders", "Key": {"order_id": {"S": "1"}},
             "UpdateExpression": "SET #a = :a", "ExpressionAttributeNames": {"#a": 3},
             "ExpressionAttributeValues": {":a": {"N": "1"}}}  # fmt: skip
    assert "workflow_unsupported" in codes(touching("dynamodb:updateItem", given))


# --- whatever is written ------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "StartAt": "A",
    "States": {
        "A": {"Type": "Task", "Resource": "charge", "Parameters": {"order_id.$": "$.x"},
              "Retry": [{"ErrorEquals": ["X"], "MaxAttempts": 2, "BackoffRate": 2.0}],
              "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}], "Next": "B"},
        "B": {
            "Type": "Map", "Next": "C",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                **one_task("arn:aws:states:::sqs:sendMessage",
                           Parameters={"QueueUrl": "jobs", "MessageBody": {"a": 1}})},
            "ItemReader": {"Resource": "arn:aws:states:::s3:getObject",
                           "Parameters": {"Bucket": "b", "Key": "k"},
                           "ReaderConfig": {"InputType": "JSON"}},
            "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject",
                             "Parameters": {"Bucket": "b", "Prefix": "p"}}},
        "C": {
            "Type": "Parallel", "Next": "D",
            "Branches": [{"StartAt": "E", "States": {"E": {
                "Type": "Task", "QueryLanguage": "JSONata", "End": True,
                "Resource": "arn:aws:states:::events:putEvents",
                "Arguments": {"Entries": [{"DetailType": "x", "Detail": {}}]}}}}]},
        "D": {"Type": "Task", "Resource": "arn:aws:states:::dynamodb:updateItem", "Next": "F",
              "Parameters": {"TableName": "t", "Key": {"id": {"S": "1"}},
                             "UpdateExpression": "SET a = :a",
                             "ExpressionAttributeValues": {":a": {"N": "1"}}}},
        "F": {"Type": "Task", "Resource": INVOKE + ".waitForTaskToken", "Next": "G",
              "Parameters": {"FunctionName": "charge", "Payload": {"id.$": "$$.Task.Token"}}},
        "G": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2",
              "Parameters": {"StateMachineArn": "refund", "Input": {}}, "End": True},
    },
}  # fmt: skip
ODD: list[Any] = [
    None, 1, -1.5, 10**30, "", "x", "{% $x %}", "$.a", "$$.b", [], {}, [1], ["a"], [{}], [None],
    [[]], {"a": 1}, {"A": {"Type": "Task"}}, True, INVOKE, "arn:aws:states:::dynamodb:getItem",
]  # fmt: skip


def holders(value: Any) -> list[tuple[Any, Any]]:
    """Every place inside a value: what holds it, and under which key."""
    keys: list[Any] = list(value) if isinstance(value, dict) else []
    keys = list(range(len(value))) if isinstance(value, list) else keys
    return [(value, key) for key in keys] + [one for key in keys for one in holders(value[key])]


@pytest.mark.parametrize("seed", range(300))
def test_no_definition_makes_an_app_fail_otherwise_than_by_findings(seed: int) -> None:
    chance = Random(seed)
    definition = deepcopy(WHOLE)
    for _ in range(chance.randint(1, 3)):
        holder, key = chance.choice(holders(definition))
        if chance.random() < 0.8:
            holder[key] = deepcopy(chance.choice(ODD))
        elif isinstance(holder, dict):
            holder[chance.choice([f"{key}.$", "Type", "Parameters", "Items"])] = holder.pop(key)
    assert all(one.fix for one in found(charging(definition)))
