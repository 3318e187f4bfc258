"""Service integrations in an app: its tables, queues, events and workflows by their names."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.blueprint import Blueprint
from wherry.blueprint.records import EventSpec, QueueSpec, TableSpec, WorkflowSpec
from wherry.codec import from_json, key_bytes
from wherry.effects import (
    DeleteItem,
    Effect,
    Guard,
    PublishEvent,
    PutItem,
    SendMessage,
    StartExecution,
)
from wherry.engine.workflows.integrations import Outcome, Reading, begin, refused
from wherry.ports import Conflicted, Denied, Item, Nothing, Rejected, Unmet
from wherry.statemachine.records import Call, Failed, Run, Submitted, Succeeded
from wherry.world import Chance

PLACE = "arn:aws:states:eu-central-1:123456789012"
RUN = Run(f"{PLACE}:execution:refund:r-1", "r-1", f"{PLACE}:stateMachine:refund", "refund",
          role_arn="arn:aws:iam::123456789012:role/refund")  # fmt: skip
OBJECT: dict[str, Any] = {"type": "object"}
GUEST: dict[str, Any] = {
    "type": "object",
    "properties": {"id": {"type": "string"}, "beds": {"type": "integer"}},
    "required": ["id", "beds"],
}
APP = Blueprint(
    app="shop",
    tables=(
        TableSpec(name="orders", item="Order", schema=OBJECT, key="id"),
        TableSpec(name="lines", item="Line", schema=OBJECT, key="order", sort="n",
                  kinds={"n": "number"}),
        TableSpec(name="guests", item="Guest", schema=GUEST, key="id"),
        TableSpec(name="visits", item="Visit", schema=OBJECT, key="at", kinds={"at": "moment"}),
    ),
    queues=(
        QueueSpec(name="exports", payload="Export", schema=OBJECT),
        QueueSpec(name="notes", payload="str", schema={"type": "string"}),
        QueueSpec(name="steps", payload="Step", schema=OBJECT, fifo=True),
        QueueSpec(name="notify", payload="Any", schema={}),
    ),
    events=(
        EventSpec(name="shop.sold", version=1, payload="Sold", schema=OBJECT),
        EventSpec(name="shop.sold", version=2, payload="Sold", schema=OBJECT),
        EventSpec(name="shop.left", version=3, payload="Left", schema=OBJECT),
    ),
    workflows=(WorkflowSpec(name="notify", definition="{}"),),
)  # fmt: skip


def call(action: str, **arguments: Any) -> Call:
    return Call(3, "task", "S", f"arn:aws:states:::{action}", arguments)


def did(action: str, **arguments: Any) -> Reading | Outcome:
    made = call(action, **arguments)
    return begin(made, RUN, APP, execution=7, id="7.call.3", now_ms=5_000, chance=Chance(1))


def outcome(action: str, **arguments: Any) -> Outcome:
    found = did(action, **arguments)
    assert isinstance(found, Outcome)
    return found


def effect(action: str, **arguments: Any) -> Effect:
    found = outcome(action, **arguments)
    assert isinstance(found.event, Succeeded | Submitted), found.event
    (only,) = found.effects
    return only


def error(action: str, **arguments: Any) -> tuple[str | None, str | None]:
    found = outcome(action, **arguments)
    assert isinstance(found.event, Failed)
    assert (found.effects, found.guards) == ([], [])
    return found.event.error, found.event.cause


# --- queues --------------------------------------------------------------------------------------

BODIES: list[tuple[str, Any, bytes]] = [
    ("exports", {"a": 1}, b'{"a":1}'),
    ("exports", '{"a": 1}', b'{"a": 1}'),
    ("exports", "no JSON", b'"no JSON"'),
    ("notes", "hello", b'"hello"'),
    ("notes", '"hello"', b'"hello"'),
    ("notes", "12", b'"12"'),
    ("https://sqs.eu-central-1.amazonaws.com/1/exports", [], b"[]"),
]


@pytest.mark.parametrize(("queue", "body", "stored"), BODIES)
def test_a_message_is_the_json_that_its_body_says(queue: str, body: Any, stored: bytes) -> None:
    found = effect("sqs:sendMessage", QueueUrl=queue, MessageBody=body)
    assert isinstance(found, SendMessage)
    assert found.queue == queue.rsplit("/", 1)[-1]
    assert found.body == stored


def test_a_message_is_sent_with_its_delay_and_group_and_answered_with_its_id() -> None:
    found = outcome(
        "sqs:sendMessage", QueueUrl="steps", MessageBody={}, MessageGroupId="g",
        MessageDeduplicationId="d",
    )  # fmt: skip
    (sent,) = found.effects
    assert isinstance(sent, SendMessage)
    assert (sent.group, sent.dedup) == ("g", "d")
    assert isinstance(found.event, Succeeded)
    assert found.event.output["MessageId"] == sent.id
    late = effect("sqs:sendMessage", QueueUrl="exports", MessageBody={}, DelaySeconds=9)
    assert isinstance(late, SendMessage)
    assert late.delay_ms == 9000


def test_the_same_call_makes_the_same_ids_again() -> None:
    first, second = (effect("sqs:sendMessage", QueueUrl="exports", MessageBody=1) for _ in range(2))
    assert first == second


SEND_FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"QueueUrl": "gone"}, "SQS.QueueDoesNotExistException", "does not exist"),
    ({"QueueUrl": "notify"}, "SQS.QueueDoesNotExistException", "does not exist"),
    ({"QueueUrl": "steps"}, "SQS.AmazonSQSException", "MessageGroupId"),
    (
        {"QueueUrl": "steps", "MessageGroupId": "g", "DelaySeconds": 1},
        "SQS.AmazonSQSException", "DelaySeconds",
    ),
    (
        {"QueueUrl": "exports", "MessageDeduplicationId": "d"}, "SQS.AmazonSQSException",
        "MessageDeduplicationId",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "name", "word"), SEND_FAULTS)
def test_what_sqs_would_refuse_is_its_error(
    arguments: dict[str, Any], name: str, word: str
) -> None:
    found, cause = error("sqs:sendMessage", **arguments, MessageBody="x")
    assert found == name
    assert word in str(cause)
    assert "(Service: AmazonSQS; Status Code: 400; Error Code: " in str(cause)


# --- events and workflows ------------------------------------------------------------------------


def test_events_are_published_by_name_and_version() -> None:
    entries = [
        {"DetailType": "shop.sold", "Detail": {"a": 1}},
        {"DetailType": "shop.sold", "Detail": {"a": 2}, "Resources": ["version/2"]},
        {"DetailType": "shop.left", "Detail": {}},
    ]
    found = outcome("events:putEvents", Entries=entries)
    events = [one for one in found.effects if isinstance(one, PublishEvent)]
    assert [(one.event, one.version, one.body) for one in events] == [
        ("shop.sold", 1, b'{"a":1}'), ("shop.sold", 2, b'{"a":2}'), ("shop.left", 3, b"{}"),
    ]  # fmt: skip
    assert isinstance(found.event, Succeeded)
    assert [one["EventId"] for one in found.event.output["Entries"]] == [one.id for one in events]
    assert len({one.id for one in events}) == 3


GONE, MALFORMED = "The app has no event 'shop.gone'.", "Detail is malformed."
UNPUBLISHED: list[tuple[dict[str, Any], str, str]] = [
    ({"DetailType": "shop.gone", "Detail": {}}, "InvalidArgument", GONE),
    (
        {"DetailType": "shop.sold", "Detail": {}, "Resources": ["version/9"]},
        "InvalidArgument", "The app has no event 'shop.sold' version 9.",
    ),
    ({"DetailType": "shop.sold", "Detail": "no JSON"}, "MalformedDetail", MALFORMED),
    ({"DetailType": "shop.sold", "Detail": [1]}, "MalformedDetail", MALFORMED),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "code", "message"), UNPUBLISHED)
def test_a_failed_entry_is_told_in_the_answer_that_is_the_cause_and_others_are_published(
    entry: dict[str, Any], code: str, message: str
) -> None:
    good = {"DetailType": "shop.left", "Detail": {}}
    found = outcome("events:putEvents", Entries=[entry, good])
    assert isinstance(found.event, Failed)
    assert found.event.error == "EventBridge.FailedEntry"
    answer = from_json(str(found.event.cause).encode(), type=dict[str, Any])
    (event,) = found.effects
    assert isinstance(event, PublishEvent)
    failed = {"ErrorCode": code, "ErrorMessage": message}
    assert answer["Entries"] == [failed, {"EventId": event.id}]
    assert answer["FailedEntryCount"] == 1


def test_a_workflow_is_started_and_waited_for() -> None:
    arguments = {"StateMachineArn": "notify", "Name": "n-1", "Input": {"a": 1}}
    plain = outcome("states:startExecution", **arguments)
    (begun,) = plain.effects
    assert isinstance(begun, StartExecution)
    assert (begun.workflow, begun.name, begun.input, begun.parent) == (
        "notify", "n-1", b'{"a":1}', None,
    )  # fmt: skip
    assert isinstance(plain.event, Succeeded)
    assert plain.event.output["ExecutionArn"] == f"{PLACE}:execution:notify:n-1"
    waiting = outcome("states:startExecution.sync:2", **arguments)
    (begun,) = waiting.effects
    assert isinstance(begun, StartExecution)
    assert (begun.parent, begun.parent_call) == (7, 3)
    assert isinstance(waiting.event, Submitted)


def test_a_workflow_that_is_not_there_is_aws_s_error() -> None:
    assert error("states:startExecution", StateMachineArn="gone") == (
        "StepFunctions.StateMachineDoesNotExistException",
        f"State Machine Does Not Exist: '{PLACE}:stateMachine:gone' (Service: AWSStepFunctions;"
        " Status Code: 400; Error Code: StateMachineDoesNotExist; Request ID:"
        f" {_request_id()}; Proxy: null)",
    )
    found, _ = error("states:startExecution", StateMachineArn="notify", Name="x" * 81)
    assert found == "StepFunctions.InvalidNameException"


def _request_id() -> str:
    from wherry.statemachine.functions import uuid4

    return uuid4(Chance(1))


# --- tables --------------------------------------------------------------------------------------

KEY = {"id": {"S": "o-1"}}
PK = key_bytes("o-1")


def reading(action: str, **arguments: Any) -> Reading:
    found = did(f"dynamodb:{action}", TableName="orders", Key=KEY, **arguments)
    assert isinstance(found, Reading)
    assert (found.request.table, found.request.pk, found.request.sk) == ("orders", PK, b"")
    return found


def test_an_item_is_read_with_the_workflow_s_own_grant() -> None:
    found = reading("getItem")
    assert found.granted
    assert not reading("updateItem").granted
    event = found.then(Item(b'{"id":"o-1","n":1.5}', 4)).event
    assert isinstance(event, Succeeded)
    assert event.output["Item"] == {"id": {"S": "o-1"}, "n": {"N": "1.5"}}
    event = found.then(Nothing()).event
    assert isinstance(event, Succeeded)
    assert "Item" not in event.output


def test_what_depends_on_an_item_is_written_with_a_guard_on_its_version() -> None:
    found = reading(
        "updateItem", UpdateExpression="ADD n :one", ConditionExpression="attribute_exists(id)",
        ExpressionAttributeValues={":one": {"N": "1"}}, ReturnValues="ALL_NEW",
    )  # fmt: skip
    done = found.then(Item(b'{"id":"o-1","n":1}', 4))
    (put,) = done.effects
    assert isinstance(put, PutItem)
    assert from_json(put.body) == {"id": "o-1", "n": 2}
    assert done.guards == [Guard("orders", PK, b"", 4)]
    assert isinstance(done.event, Succeeded)
    assert done.event.output["Attributes"]["n"] == {"N": "2"}
    missing = found.then(Nothing()).event
    assert isinstance(missing, Failed)
    assert missing.error == "DynamoDB.ConditionalCheckFailedException"


def test_an_item_is_put_and_deleted_without_a_look_at_it() -> None:
    put = effect("dynamodb:putItem", TableName="orders", Item={**KEY, "n": {"N": "1"}})
    assert put == PutItem("orders", PK, b"", b'{"id":"o-1","n":1}')
    assert effect("dynamodb:deleteItem", TableName="orders", Key=KEY) == DeleteItem(
        "orders", PK, b""
    )


def test_a_conditional_delete_of_nothing_writes_nothing_but_holds_its_guard() -> None:
    done = reading("deleteItem", ConditionExpression="attribute_not_exists(id)").then(Nothing())
    assert (done.effects, done.guards) == ([], [Guard("orders", PK, b"", 0)])


def test_keys_are_those_that_handlers_use() -> None:
    line = effect(
        "dynamodb:deleteItem", TableName="lines", Key={"order": {"S": "o"}, "n": {"N": "2"}}
    )
    assert line == DeleteItem("lines", key_bytes("o"), key_bytes(2))
    from datetime import UTC, datetime

    at = datetime(2026, 1, 1, tzinfo=UTC)
    visit = effect(
        "dynamodb:deleteItem", TableName="visits", Key={"at": {"S": "2026-01-01T01:00:00+01:00"}}
    )
    assert visit == DeleteItem("visits", key_bytes(at), b"")


INVALID = "DynamoDB.AmazonDynamoDBException"  # the cause names ValidationException
TABLE_FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    ("gone", {"id": {"S": "x"}}, "DynamoDB.ResourceNotFoundException", "not found"),
    ("orders", {"nr": {"S": "x"}}, INVALID, "does not match the schema"),
    ("orders", {**KEY, "n": {"N": "1"}}, INVALID, "match the schema"),
    ("orders", {"id": {"N": "1"}}, INVALID, "Type mismatch"),
    ("orders", {"id": {"S": ""}}, INVALID, "0 bytes"),
    ("orders", {"id": {"S": "x" * 5000}}, INVALID, "bytes"),
    ("visits", {"at": {"S": "today"}}, INVALID, "at:"),
    ("lines", {"order": {"S": "o"}, "n": {"BOOL": True}}, INVALID, "Type"),
]


def test_an_item_that_no_function_could_read_is_not_written() -> None:
    """By a put, or by an update that makes it so; what was of an older form may stay so."""
    why = error("dynamodb:putItem", TableName="guests", Item={**KEY, "beds": {"S": "two"}})
    assert why[0] == INVALID
    assert "The item is no Guest: beds is 'two'; it takes a whole number" in str(why[1])
    assert "beds is missing" in str(error("dynamodb:putItem", TableName="guests", Item=KEY))
    update = did(
        "dynamodb:updateItem", TableName="guests", Key=KEY, UpdateExpression="SET beds = :n",
        ExpressionAttributeValues={":n": {"S": "two"}},
    )  # fmt: skip
    assert isinstance(update, Reading)
    assert isinstance(update.then(Item(b'{"id":"o-1","beds":2}', 1)).event, Failed)
    assert isinstance(update.then(Item(b'{"id":"o-1"}', 1)).event, Succeeded)


@pytest.mark.parametrize(("table", "key", "name", "word"), TABLE_FAULTS)
def test_what_dynamodb_would_refuse_is_its_error(
    table: str, key: dict[str, Any], name: str, word: str
) -> None:
    found, cause = error("dynamodb:getItem", TableName=table, Key=key)
    assert found == name
    assert word in str(cause)


# --- what the store refuses ----------------------------------------------------------------------

REFUSALS: list[tuple[str, Any, str, str]] = [
    ("sqs:sendMessage", Denied("exports", "send"), "SQS.AmazonSQSException", "not authorized"),
    ("dynamodb:putItem", Denied("orders", "write"), "DynamoDB.AmazonDynamoDBException", "orders"),
    ("events:putEvents", Denied("e", "publish"), "EventBridge.AmazonEventBridgeException", "e"),
    (
        "states:startExecution", Unmet("workflow notify", "n-1"),
        "StepFunctions.ExecutionAlreadyExistsException", f"'{PLACE}:execution:notify:n-1'",
    ),
    (
        "dynamodb:putItem", Unmet("orders", "o-1"),
        "DynamoDB.ConditionalCheckFailedException", "The conditional request failed",
    ),
    (
        "dynamodb:updateItem", Conflicted("orders", "o-1", "f", "r"),
        "DynamoDB.TransactionConflictException", "ongoing",
    ),
    ("dynamodb:putItem", Rejected("too large"), INVALID, "too large"),
    ("sqs:sendMessage", Rejected("too large"), "SQS.AmazonSQSException", "too large"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "answer", "name", "word"), REFUSALS)
def test_what_the_store_refuses_is_an_error_of_the_service(
    action: str, answer: Any, name: str, word: str
) -> None:
    found = refused(call(action), RUN, answer, "r")
    assert (found.call, found.error) == (3, name)
    assert word in str(found.cause)
