"""All that can be wrong with workflows and tasks, found when an app is frozen."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct

from tests.unit.workflow_apps import (
    Charge,
    Refund,
    Strict,
    charging,
    codes,
    found,
    jsonata,
    one_task,
)  # fmt: skip
from wherry import App, asl, publish

# --- findings of definitions --------------------------------------------------------------------


def test_every_fault_of_a_definition_is_told_with_its_place_in_it() -> None:
    broken = one_task("charge", Nxt="a", TimeoutSeconds=-1)
    broken["StartAt"] = "Nowhere"
    told = [one.message for one in found(charging(broken)) if one.code == "workflow_invalid"]
    assert any("/States/Do: Field 'Nxt' is not supported" in one for one in told)
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
    assert "the function 'charge' does not fit: cents is refused; it takes order_id" in (
        finding.message
    )
    loose = charging(jsonata("charge", {"order_id": "1", "ordr": 2}))
    assert [one.severity for one in found(loose)] == ["warning"]


def test_a_payload_of_any_fields_takes_all() -> None:
    assert codes(charging(jsonata("charge", {"a": 1}), dict[str, int])) == []
    assert codes(charging(jsonata("charge", {"a": 1}), Any)) == []
    assert codes(charging(jsonata("charge", {"a": 1}), list[int] | dict[str, int])) == []


class Line(Struct):
    """A part of a payload."""

    sku: str
    count: int = 1


class Whole(Struct, rename="camel"):
    """A payload of many kinds of values."""

    order_id: str
    lines: list[Line] = []
    line: Line | None = None
    price: Decimal = Decimal(1)
    rate: float = 1.0
    at: datetime | None = None
    state: Literal["open", "done"] = "open"
    paid: bool = False
    either: int | str = 0


MISFITS: dict[str, tuple[dict[str, Any], str]] = {
    "another type": ({"orderId": 7}, "orderId is 7; it takes text"),
    "its name in Python": ({"orderId": "1", "order_id": "1"}, "order_id is not read; it takes"),
    "text for a flag": ({"orderId": "1", "paid": "no"}, "paid is 'no'; it takes true or false"),
    "a flag for a number": ({"orderId": "1", "rate": True}, "rate is true; it takes a number"),
    "null": ({"orderId": None}, "orderId is null; it takes text"),
    "a list": ({"orderId": "1", "line": []}, "line is a list, which fits none of its types"),
    "an object": ({"orderId": {}}, "orderId is an object; it takes text"),
    "no choice": ({"orderId": "1", "state": "shut"}, "state is 'shut'; it takes one of 'done'"),
    "within a list": (
        {"orderId": "1", "lines": [{"sku": "a"}, {"count": 1}]}, "lines[1].sku is missing",
    ),
    "within what may be null": ({"orderId": "1", "line": {"sku": 1}}, "line.sku is 1; it takes"),
    "a fraction": (
        {"orderId": "1", "lines": [{"sku": "a", "count": 1.5}]},
        "lines[0].count is 1.5; it takes a whole number",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("given", "said"), MISFITS.values(), ids=MISFITS)
def test_a_value_that_is_written_down_must_be_of_its_type(given: dict[str, Any], said: str) -> None:
    """In either language, and however deep it lies."""
    for definition in (jsonata("charge", given), one_task("charge", Parameters=given)):
        (finding,) = found(charging(definition, Whole))
        assert finding.code == "workflow_payload"
        assert said in finding.message


FITS: dict[str, dict[str, Any]] = {
    "all of it": {
        "orderId": "1", "lines": [{"sku": "a", "count": 2.0}], "line": None, "price": 3,
        "rate": 1, "at": "2027-01-01T00:00:00Z", "state": "done", "paid": True, "either": "x",
    },
    "computed": {
        "orderId": "{% $x %}", "lines": "{% $x %}", "line": {"sku": "{% $x %}"}, "rate": "{% 1 %}",
    },
}  # fmt: skip


@pytest.mark.parametrize("given", FITS.values(), ids=FITS)
def test_what_fits_is_no_fault(given: dict[str, Any]) -> None:
    assert codes(charging(jsonata("charge", given), Whole)) == []


def test_what_is_computed_in_jsonpath_is_no_fault() -> None:
    given = {"orderId.$": "$.id", "lines": [{"sku.$": "$.sku"}], "rate.$": "States.MathAdd(1, 2)"}
    assert codes(charging(one_task("charge", Parameters=given), Whole)) == []


SENT: dict[str, tuple[str, dict[str, Any], str]] = {
    "message": (
        "sqs:sendMessage", {"QueueUrl": "jobs", "MessageBody": {"cents": 1}}, "the queue 'jobs'",
    ),
    "event": (
        "events:putEvents",
        {"Entries": [{"DetailType": "shop.refunded", "Detail": {"order": 1}}]},
        "the event 'shop.refunded'",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("resource", "parameters", "who"), SENT.values(), ids=SENT)
def test_what_is_sent_or_told_must_be_of_its_type(
    resource: str, parameters: dict[str, Any], who: str
) -> None:
    (finding,) = [one for one in found(touching(resource, parameters)) if one.severity == "error"]
    assert finding.code == "workflow_payload"
    assert f"what it gives {who} does not fit: order_id is missing" in finding.message


def test_the_input_of_a_workflow_that_a_state_starts_must_be_of_its_type() -> None:
    def starting(given: dict[str, Any]) -> App:
        app = charging(one_task("charge"), input=Refund)
        (refund,) = app._workflows
        start = {"StateMachineArn": "refund", **given}
        machine = one_task("arn:aws:states:::states:startExecution", Parameters=start)
        app.workflow("first", definition=machine, grants=[refund.start])
        return app

    link = {"AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID.$": "$$.Execution.Id"}
    assert codes(starting({"Input": {"order_id": "1", "cents.$": "$.cents", **link}})) == []
    assert codes(starting({"Input.$": "$"})) == []
    for wrong in ({}, {"Input": {"order_id": "1"}}, {"Input": {"order_id": "1", "cents": "7"}}):
        errors = [one for one in found(starting(wrong)) if one.severity == "error"]
        assert {one.code for one in errors} == {"workflow_payload"}
        assert "the workflow 'refund' does not fit: " in errors[0].message


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
         "MessageBody": {"order_id.$": "$$.Task.Token"}},
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
