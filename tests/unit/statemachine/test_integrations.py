"""Service integrations: what their arguments mean, what they answer, how they fail."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wherry.statemachine.faults import StatesError
from wherry.statemachine.integration_answers import (
    Described,
    invoked,
    nested,
    published,
    sent,
    settle,
    started,
)
from wherry.statemachine.integration_checks import check_integrations
from wherry.statemachine.integrations import (
    Entry,
    InvokePlan,
    ItemPlan,
    PublishPlan,
    SendPlan,
    StartPlan,
    is_integration,
    last_name,
    plan,
)
from wherry.statemachine.records import Call, Failed, Succeeded

ARN = "arn:aws:states:::"


def planned(action: str, **arguments: Any) -> Any:
    return plan(Call(1, "task", "S", ARN + action, arguments))


def refused(action: str, arguments: Any) -> tuple[str | None, str | None]:
    with pytest.raises(StatesError) as caught:
        plan(Call(1, "task", "S", ARN + action, arguments))
    return caught.value.error, caught.value.cause


# --- names ---------------------------------------------------------------------------------------

NAMES = [
    ("exports", "exports"),
    ("https://sqs.eu-central-1.amazonaws.com/123456789012/exports", "exports"),
    ("arn:aws:states:eu-central-1:123456789012:stateMachine:refund", "refund"),
    ("arn:aws:states:eu-central-1:123456789012:stateMachine:refund:PROD", "refund"),
    ("arn:aws:lambda:eu-central-1:123456789012:function:charge:7", "charge"),
    ("charge:7", "charge"),
    ("arn:aws:dynamodb:eu-central-1:123456789012:table/orders", "orders"),
    ("shop.order_placed", "shop.order_placed"),
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_a_resource_is_named_by_the_end_of_what_aws_calls_it(text: str, name: str) -> None:
    assert last_name(text) == name


@pytest.mark.parametrize(
    ("resource", "known"),
    [
        ("arn:aws:states:::sqs:sendMessage", True),
        ("arn:aws:states:::sqs:sendMessage.waitForTaskToken", True),
        ("arn:aws:states:::states:startExecution.sync:2", True),
        ("arn:aws:states:::lambda:invoke", True),
        ("arn:aws:states:::aws-sdk:sqs:sendMessage", False),
        ("arn:aws:states:::sns:publish", False),
        ("arn:aws:states:::dynamodb:getItem.sync", False),
        ("charge", False),
    ],
)
def test_the_engine_does_these_itself(resource: str, known: bool) -> None:
    assert is_integration(resource) is known


# --- queues, events, workflows, functions --------------------------------------------------------

PLANS: list[tuple[str, dict[str, Any], Any]] = [
    ("sqs:sendMessage", {"QueueUrl": "q", "MessageBody": {"a": 1.0}}, SendPlan("q", '{"a":1.0}')),
    (
        "sqs:sendMessage",
        {"QueueUrl": "q", "MessageBody": "x", "DelaySeconds": 5, "MessageGroupId": "g",
         "MessageDeduplicationId": "d"},
        SendPlan("q", "x", 5000, "g", "d"),
    ),
    (
        "events:putEvents",
        {"Entries": [
            {"DetailType": "shop.sold", "Detail": {"id": 1}, "Source": "shop"},
            {"DetailType": "shop.sold", "Detail": '{"id":2}', "Resources": ["version/3"]},
        ]},
        PublishPlan([Entry("shop.sold", None, {"id": 1}), Entry("shop.sold", 3, {"id": 2})]),
    ),
    (
        "states:startExecution",
        {"StateMachineArn": "refund", "Input": {"a": 1}, "Name": "r-1"},
        StartPlan("refund", "r-1", {"a": 1}, ""),
    ),
    (
        "states:startExecution.sync:2",
        {"StateMachineArn": "a:b:stateMachine:refund", "Input": '{"a":1}'},
        StartPlan("refund", "", {"a": 1}, "sync:2"),
    ),
    ("states:startExecution.sync", {"StateMachineArn": "r"}, StartPlan("r", "", {}, "sync")),
    ("lambda:invoke", {"FunctionName": "charge:1", "Payload": [1]}, InvokePlan("charge", [1])),
    ("lambda:invoke.waitForTaskToken", {"FunctionName": "f"}, InvokePlan("f", {})),
]  # fmt: skip


@pytest.mark.parametrize(("action", "arguments", "found"), PLANS)
def test_arguments_say_what_is_to_be_done(
    action: str, arguments: dict[str, Any], found: Any
) -> None:
    assert planned(action, **arguments) == found


BAD: list[tuple[str, dict[str, Any], str]] = [
    ("sqs:sendMessage", {"QueueUrl": "q"}, "The field 'MessageBody' is required but was missing"),
    (
        "sqs:sendMessage", {"QueueUrl": "q", "MessageBody": "", "Foo": 1},
        'The field "Foo" is not supported by Step Functions',
    ),
    (
        "sqs:sendMessage", {"QueueUrl": 1, "MessageBody": ""},
        "The value for the field 'QueueUrl' must be a STRING",
    ),
    (
        "sqs:sendMessage", {"QueueUrl": "q", "MessageBody": "", "DelaySeconds": 901},
        "The value for the field 'DelaySeconds' must be between 0 and 900",
    ),
    ("events:putEvents", {"Entries": []}, "must be a list of entries"),
    ("dynamodb:getItem", {"TableName": "t", "Key": []}, "'Key' must be a MAP"),
    (
        "dynamodb:putItem", {"TableName": "t", "Item": {}, "ReturnValues": "ALL_NEW"},
        "must be one of [NONE, ALL_OLD]",
    ),
    ("lambda:invoke", {"FunctionName": "f", "InvocationType": "Event"}, "[RequestResponse]"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "arguments", "cause"), BAD)
def test_arguments_that_aws_would_not_take_end_the_run(
    action: str, arguments: dict[str, Any], cause: str
) -> None:
    error, found = refused(action, arguments)
    assert error == "States.Runtime"
    assert found is not None
    assert found.startswith("The Parameters '{")
    assert cause in found


def test_what_is_sent_is_answered_as_sqs_does() -> None:
    found = sent(SendPlan("q", "hello"), "m-1", "r-1")
    assert list(found) == [
        "MD5OfMessageBody", "MessageId", "SdkHttpMetadata", "SdkResponseMetadata",
    ]  # fmt: skip
    assert found["MD5OfMessageBody"] == "5d41402abc4b2a76b9719d911017c592"
    assert found["MessageId"] == "m-1"
    assert found["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert found["SdkResponseMetadata"] == {"RequestId": "r-1"}


def test_other_answers_have_aws_s_fields_in_their_order() -> None:
    told = published(3, ["e"], "r")
    assert isinstance(told, Succeeded)
    assert list(told.output) == [
        "Entries", "FailedEntryCount", "SdkHttpMetadata", "SdkResponseMetadata",
    ]  # fmt: skip
    assert list(started("arn", 5, "r")) == [
        "ExecutionArn", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate",
    ]  # fmt: skip
    assert list(invoked({"a": 1}, "r")) == [
        "ExecutedVersion", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode",
    ]  # fmt: skip


def described(status: Any, **more: Any) -> Described:
    return Described("arn:e", "arn:m", "n", status, {"i": 1}, 1000, 2000, **more)


def test_who_waits_for_an_execution_gets_its_output_as_text_or_as_json() -> None:
    end = described("SUCCEEDED", output={"o": 1})
    as_text, as_json = nested(7, end, "sync"), nested(7, end, "sync:2")
    assert isinstance(as_text, Succeeded)
    assert isinstance(as_json, Succeeded)
    assert (as_text.output["Output"], as_json.output["Output"]) == ('{"o":1}', {"o": 1})
    assert as_json.output == {
        "ExecutionArn": "arn:e", "Input": {"i": 1}, "InputDetails": {"Included": True},
        "Name": "n", "Output": {"o": 1}, "OutputDetails": {"Included": True}, "RedriveCount": 0,
        "RedriveStatus": "NOT_REDRIVABLE",
        "RedriveStatusReason": "Execution is SUCCEEDED and cannot be redriven",
        "StartDate": 1000, "StateMachineArn": "arn:m", "Status": "SUCCEEDED", "StopDate": 2000,
    }  # fmt: skip


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_an_execution_that_did_not_succeed_is_a_failed_task(status: str) -> None:
    found = nested(7, described(status, error="E", cause="c"), "sync:2")
    assert isinstance(found, Failed)
    assert found.error == "States.TaskFailed"
    assert found.cause is not None
    told = msgspec.json.decode(found.cause)
    assert (told["Cause"], told["Error"], told["Status"]) == ("c", "E", status)


# --- items ---------------------------------------------------------------------------------------

KEY = {"id": {"S": "o-1"}}
ORDER = {"id": "o-1", "n": 5, "t": "abc"}


def item_call(action: str, **more: Any) -> ItemPlan:
    found = planned(f"dynamodb:{action}", TableName="orders", **more)
    assert isinstance(found, ItemPlan)
    return found


def outcome(made: ItemPlan, item: Any) -> tuple[Any, Any, Any]:
    done = settle(made, item, "r")
    return done.after, done.output.get("Item"), done.output.get("Attributes")


UNTOUCHED = msgspec.UNSET
NEW = {"id": "o-1", "n": 1}
TYPED_NEW = {"id": {"S": "o-1"}, "n": {"N": "1"}}
TYPED_ORDER = {**KEY, "n": {"N": "5"}, "t": {"S": "abc"}}
ONE = {":one": {"N": "1"}}
CALLS: list[tuple[str, dict[str, Any], Any, tuple[Any, Any, Any]]] = [
    ("getItem", {"Key": KEY}, ORDER, (UNTOUCHED, TYPED_ORDER, None)),
    ("getItem", {"Key": KEY}, None, (UNTOUCHED, None, None)),
    (
        "getItem",
        {"Key": KEY, "ProjectionExpression": "#n, gone", "ExpressionAttributeNames": {"#n": "n"}},
        ORDER, (UNTOUCHED, {"n": {"N": "5"}}, None),
    ),
    ("putItem", {"Item": TYPED_NEW}, ORDER, (NEW, None, None)),
    ("putItem", {"Item": TYPED_NEW, "ReturnValues": "ALL_OLD"}, ORDER, (NEW, None, TYPED_ORDER)),
    ("putItem", {"Item": TYPED_NEW, "ReturnValues": "ALL_OLD"}, None, (NEW, None, None)),
    (
        "putItem", {"Item": TYPED_NEW, "ConditionExpression": "attribute_not_exists(id)"},
        None, (NEW, None, None),
    ),
    ("deleteItem", {"Key": KEY, "ReturnValues": "ALL_OLD"}, ORDER, (None, None, TYPED_ORDER)),
    ("deleteItem", {"Key": KEY, "ReturnValues": "ALL_OLD"}, None, (UNTOUCHED, None, None)),
    (
        "updateItem",
        {"Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": ONE,
         "ReturnValues": "UPDATED_NEW"},
        ORDER, ({**ORDER, "n": 6}, None, {"n": {"N": "6"}}),
    ),
    (
        "updateItem",
        {"Key": KEY, "UpdateExpression": "ADD n :one", "ExpressionAttributeValues": ONE,
         "ReturnValues": "ALL_NEW"},
        None, (NEW, None, TYPED_NEW),
    ),
    (
        "updateItem",
        {"Key": KEY, "UpdateExpression": "SET n = :one", "ExpressionAttributeValues": ONE,
         "ReturnValues": "UPDATED_OLD"},
        ORDER, ({**ORDER, "n": 1}, None, {"n": {"N": "5"}}),
    ),
    ("updateItem", {"Key": KEY}, None, ({"id": "o-1"}, None, None)),
]  # fmt: skip


@pytest.mark.parametrize(("action", "more", "item", "found"), CALLS)
def test_an_item_is_read_and_written_as_dynamodb_does(
    action: str, more: dict[str, Any], item: Any, found: tuple[Any, Any, Any]
) -> None:
    assert outcome(item_call(action, **more), item) == found


@pytest.mark.parametrize("action", ["putItem", "updateItem", "deleteItem"])
def test_an_unmet_condition_is_dynamodb_s_error(action: str) -> None:
    more: dict[str, Any] = {"Item": TYPED_NEW} if action == "putItem" else {"Key": KEY}
    made = item_call(action, **more, ConditionExpression="attribute_not_exists(id)")
    with pytest.raises(StatesError) as caught:
        settle(made, ORDER, "r-9")
    assert caught.value.error == "DynamoDB.ConditionalCheckFailedException"
    assert caught.value.cause == (
        "The conditional request failed (Service: AmazonDynamoDBv2; Status Code: 400; Error Code:"
        " ConditionalCheckFailedException; Request ID: r-9; Proxy: null)"
    )


INVALID: list[tuple[str, dict[str, Any], str]] = [
    ("getItem", {"Key": {"id": "o-1"}}, "Supplied AttributeValue is empty"),
    (
        "updateItem",
        {"Key": KEY, "UpdateExpression": "SET id = :one", "ExpressionAttributeValues": ONE},
        "Cannot update attribute id. This attribute is part of the key",
    ),
    ("deleteItem", {"Key": KEY, "ExpressionAttributeValues": ONE}, "unused in expressions"),
    ("deleteItem", {"Key": KEY, "ExpressionAttributeNames": {"#n": "n"}}, "unused in expressions"),
    ("putItem", {"Item": {"id": {"SS": ["a"]}}}, "nothing that JSON has"),
]


@pytest.mark.parametrize(("action", "more", "cause"), INVALID)
def test_what_dynamodb_finds_invalid_is_an_error_of_its_client_that_names_the_exception(
    action: str, more: dict[str, Any], cause: str
) -> None:
    error, found = refused(f"dynamodb:{action}", {"TableName": "orders", **more})
    assert error == "DynamoDB.AmazonDynamoDBException"
    assert found is not None
    assert cause in found
    assert "Error Code: ValidationException;" in found


def test_only_what_depends_on_the_item_reads_it_first() -> None:
    assert not item_call("putItem", Item=TYPED_NEW).reads
    assert not item_call("deleteItem", Key=KEY).reads
    assert item_call("deleteItem", Key=KEY, ConditionExpression="attribute_exists(id)").reads
    assert item_call("putItem", Item=TYPED_NEW, ReturnValues="ALL_OLD").reads
    assert item_call("updateItem", Key=KEY).reads
    assert item_call("getItem", Key=KEY).reads


# --- checks before anything runs -----------------------------------------------------------------


def task(action: str, /, *, jsonata: bool = False, **arguments: Any) -> dict[str, Any]:
    name = "Arguments" if jsonata else "Parameters"
    return {"Type": "Task", "Resource": ARN + action, name: arguments}


def updating(expression: str, values: dict[str, Any]) -> dict[str, Any]:
    key = {"id": {"S.$": "$.id"}}
    return task(
        "dynamodb:updateItem", TableName="t", Key=key, UpdateExpression=expression,
        ExpressionAttributeValues=values,
    )  # fmt: skip


BODY: dict[str, Any] = {"MessageBody.$": "$"}
URL: dict[str, Any] = {"QueueUrl.$": "$.q"}
ITS_KEY: dict[str, Any] = {"Key.$": "$.key"}
CHECKS: list[tuple[dict[str, Any], list[str]]] = [
    (task("sqs:sendMessage", QueueUrl="q", **BODY), []),
    (task("sqs:sendMessage", QueueUrl="q"), ["required"]),
    (task("sqs:sendMessage", MessageBody=1, MessageAttributes={}, **URL),
     ["MessageAttributes"]),
    (task("sns:publish", TopicArn="t"), ["does not have the integration"]),
    (task("aws-sdk:s3:getObject", Bucket="b"), ["does not have the integration"]),
    (task("events:putEvents", Entries=[{"DetailType": "e", "Foo": 1}]), ["Foo"]),
    (task("events:putEvents.waitForTaskToken", Entries=[{"DetailType": "e"}]), ["token"]),
    ({"Type": "Task", "Resource": "arn:aws:states:eu-central-1:123456789012:activity:a"},
     ["activities"]),
    (task("dynamodb:getItem", TableName="t", Key={"id": {"S.$": "$.id"}}), []),
    (task("dynamodb:getItem", TableName="t", **ITS_KEY), []),
    (task("dynamodb:getItem", jsonata=True, TableName="t", Key={"id": {"S": "{% $id %}"}}), []),
    (task("dynamodb:getItem", jsonata=True, TableName="t", Key="{% $key %}"), []),
    (task("dynamodb:getItem", TableName="t", Key={"id": {"SS": ["a"]}}), ["JSON"]),
    (updating("DELETE a :a", {":a": {"N.$": "$.n"}}), ["DELETE"]),
    (updating("SET a = :a", {":a": {"N.$": "$.n"}}), []),
    (updating("SET a = :a", {":a.$": "$.value"}), []),
    (updating("SET a = :b", {":a.$": "$.value"}), ["not defined"]),
]  # fmt: skip


@pytest.mark.parametrize(("state", "words"), CHECKS)
def test_what_wherry_does_not_do_is_found_before_anything_runs(
    state: dict[str, Any], words: list[str]
) -> None:
    jsonata = {"QueryLanguage": "JSONata"} if "Arguments" in state else {}
    inner = {"StartAt": "T", "States": {"T": {**state, "End": True}}}
    outer = {"Type": "Parallel", "Branches": [inner], "End": True}
    found = check_integrations({**jsonata, "StartAt": "S", "States": {"S": outer}})
    assert [word in str(one) for word, one in zip(words, found, strict=True)] == [True] * len(words)
    assert all(one.location.startswith("/States/S/Branches[0]/States/T/") for one in found)
