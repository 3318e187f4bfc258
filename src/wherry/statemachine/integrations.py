"""What the optimised service integrations do, for what wherry has; without doing it.

`plan` reads a call's arguments and says what is to be done and what the task answers, in the
shape of AWS's answers. Resources go by their names in wherry in AWS's fields: QueueUrl "exports"
or "https://.../exports", TableName "orders", DetailType "shop.order_placed", StateMachineArn
"refund" or an ARN that ends so.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from wherry import limits
from wherry.statemachine.dynamo_conditions import Holds, condition
from wherry.statemachine.dynamo_syntax import Path, Reader, unused
from wherry.statemachine.dynamo_updates import Update, update
from wherry.statemachine.dynamo_values import Invalid, plain_item
from wherry.statemachine.faults import RUNTIME, StatesError
from wherry.statemachine.integration_fields import FIELDS, Field
from wherry.statemachine.records import Call
from wherry.statemachine.resources import Resource
from wherry.statemachine.text import to_text

Returns: TypeAlias = Literal["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]


class SendPlan(msgspec.Struct, frozen=True):
    """A message. `text` is what AWS would send; `value` is what it says, where it is JSON."""

    queue: str
    text: str
    delay_ms: int = 0
    group: str = ""
    dedup: str = ""


class Entry(msgspec.Struct, frozen=True):
    """One event: its name in wherry, its version (None: the first), its detail."""

    event: str
    version: int | None
    detail: Any


class Unpublished(msgspec.Struct, frozen=True):
    """An event that is not taken, with EventBridge's code."""

    code: str
    message: str


class PublishPlan(msgspec.Struct, frozen=True):
    """Events."""

    entries: list[Entry | Unpublished]


class ItemPlan(msgspec.Struct, frozen=True):
    """Something done to one item. `key` are its key fields; of `put` the whole `item` has them."""

    action: Literal["get", "put", "update", "delete"]
    table: str
    key: dict[str, Any]
    item: dict[str, Any] = {}
    holds: Holds | None = None
    update: Update | None = None
    fields: list[Path] = []
    returns: Returns = "NONE"

    @property
    def reads(self) -> bool:
        """Whether the item must be read first."""
        written_blindly = self.action in ("put", "delete")
        return not written_blindly or self.holds is not None or self.returns != "NONE"


class StartPlan(msgspec.Struct, frozen=True):
    """An execution of a workflow. `name` "": one is to be made up."""

    workflow: str
    name: str
    input: Any
    waits: Literal["", "sync", "sync:2"]


class InvokePlan(msgspec.Struct, frozen=True):
    """A call of a function."""

    function: str
    payload: Any


Plan: TypeAlias = SendPlan | PublishPlan | ItemPlan | StartPlan | InvokePlan


def is_integration(resource: str) -> bool:
    """Whether a Resource is a service integration that wherry has."""
    return integration_of(Resource(resource)) in FIELDS


def integration_of(resource: Resource) -> str:
    """Return service and action, `sqs:sendMessage`; "" for what is none, or never `.sync`."""
    action = resource.action.split(".")[0]
    if resource.pattern == "sync" and action != "startExecution":
        return ""
    return f"{resource.service}:{action}" if resource.service else ""


def plan(call: Call) -> Plan:
    """Return what a call is to do.

    Raises:
        StatesError: With AWS's name for arguments that the service does not take.
    """
    resource = Resource(call.resource)
    key = integration_of(resource)
    if key not in FIELDS:
        raise StatesError(RUNTIME, f"{call.resource} is no integration that wherry has.")
    given = call.arguments if isinstance(call.arguments, dict) else {}
    faults = faults_of(FIELDS[key], given)
    if faults:
        raise StatesError(
            RUNTIME,
            f"The Parameters '{to_text(call.arguments)}' could not be used to start the Task:"
            f" [{', '.join(faults)}]",
        )
    match key:
        case "sqs:sendMessage":
            return _send(given)
        case "events:putEvents":
            return PublishPlan([_entry(one) for one in given["Entries"]])
        case "states:startExecution":
            return _start(given, resource)
        case "lambda:invoke":
            return InvokePlan(last_name(given["FunctionName"]), given.get("Payload", {}))
        case _:
            try:
                return item_plan(resource.action, given)
            except Invalid as invalid:
                raise dynamo_error("ValidationException", str(invalid)) from None


def faults_of(fields: dict[str, Field], given: dict[str, Any]) -> list[str]:
    """Return what is wrong with the names and types of a call's arguments, in AWS's words."""
    found = [
        f'The field "{name}" is not supported by Step Functions'
        for name in given
        if name not in fields
    ]
    found += [
        f"The field '{name}' is required but was missing"
        for name, field in fields.items()
        if field.required and name not in given
    ]
    for name, value in given.items():
        if name in fields and (wanted := fields[name].refuses(value)):
            found.append(f"The value for the field '{name}' must be {wanted}")
    return found


def last_name(text: str) -> str:
    """Return a resource's name in wherry: the last part of a URL, of an ARN, or the text.

    Of a function's ARN its qualifier is left out.
    """
    text = text.rstrip("/").rsplit("/", 1)[-1]
    parts = text.split(":")
    for kind in ("function", "stateMachine"):
        if kind in parts[:-1]:
            return parts[parts.index(kind) + 1]
    return parts[0] if len(parts) == 2 else parts[-1]


# --- queues, events, workflows ------------------------------------------------------------------


def _send(given: dict[str, Any]) -> SendPlan:
    body = given["MessageBody"]
    return SendPlan(
        queue=last_name(given["QueueUrl"]),
        text=body if isinstance(body, str) else to_text(body),
        delay_ms=1000 * int(given.get("DelaySeconds", 0)),
        group=given.get("MessageGroupId", ""),
        dedup=given.get("MessageDeduplicationId", ""),
    )


def _entry(given: dict[str, Any]) -> Entry | Unpublished:
    detail = given.get("Detail", {})
    if isinstance(detail, str):
        try:
            detail = msgspec.json.decode(detail)
        except (msgspec.DecodeError, RecursionError):
            detail = None
    if not isinstance(detail, dict):
        return Unpublished("MalformedDetail", "Detail is malformed.")
    name = given.get("DetailType", "")
    version = next(
        (
            int(one.removeprefix("version/"))
            for one in given.get("Resources", ())
            if isinstance(one, str) and one.startswith("version/") and one[8:].isdigit()
        ),
        None,
    )
    return Entry(name, version, detail)


def _start(given: dict[str, Any], resource: Resource) -> StartPlan:
    entry = given.get("Input", {})
    if isinstance(entry, str):
        try:
            entry = msgspec.json.decode(entry)
        except (msgspec.DecodeError, RecursionError):
            raise service_error(
                "StepFunctions", "AWSStepFunctions", "InvalidExecutionInput",
                f"Invalid State Machine Execution Input: {entry[:100]!r}",
            ) from None  # fmt: skip
    waits: Literal["", "sync", "sync:2"] = ""
    if resource.pattern == "sync":
        waits = "sync:2" if resource.action.endswith(":2") else "sync"
    return StartPlan(last_name(given["StateMachineArn"]), given.get("Name", ""), entry, waits)


# --- tables -------------------------------------------------------------------------------------


def item_plan(action: str, given: dict[str, Any]) -> ItemPlan:
    """Return what a call of a table's action is to do.

    Raises:
        Invalid: DynamoDB would not take it, or wherry's tables do not have it.
    """
    names = given.get("ExpressionAttributeNames", {})
    if not all(isinstance(one, str) for one in names.values()):
        raise Invalid("ExpressionAttributeNames contains a value that is no text")
    values = plain_item(given.get("ExpressionAttributeValues", {}))
    table = last_name(given["TableName"])
    returns = given.get("ReturnValues", "NONE")
    used: set[str] = set()

    def holds() -> Holds | None:
        if "ConditionExpression" not in given:
            return None
        text = given["ConditionExpression"]
        reader = Reader("ConditionExpression", text, names, values)
        found = condition(reader)
        used.update(reader.used)
        return found

    match action:
        case "getItem":
            fields = _projection(given, names, used)
            found = ItemPlan("get", table, plain_item(given["Key"]), fields=fields)
        case "putItem":
            item = plain_item(given["Item"])
            found = ItemPlan("put", table, item, item, holds=holds(), returns=returns)
        case "deleteItem":
            key = plain_item(given["Key"])
            found = ItemPlan("delete", table, key, holds=holds(), returns=returns)
        case _:
            key = plain_item(given["Key"])
            changes = Update()
            if "UpdateExpression" in given:
                text = given["UpdateExpression"]
                reader = Reader("UpdateExpression", text, names, values)
                changes = update(reader)
                used.update(reader.used)
                _no_key(key, changes)
            found = ItemPlan("update", table, key, holds=holds(), update=changes, returns=returns)
    unused(names, values, used)
    return found


def _no_key(key: dict[str, Any], changes: Update) -> None:
    for path in changes.targets:
        if path.steps[0] in key:
            raise Invalid(
                "One or more parameter values were invalid: Cannot update attribute"
                f" {path.steps[0]}. This attribute is part of the key"
            )


def _projection(given: dict[str, Any], names: dict[str, str], used: set[str]) -> list[Path]:
    if "ProjectionExpression" not in given:
        return []
    reader = Reader("ProjectionExpression", given["ProjectionExpression"], names, {})
    found = [reader.path()]
    while reader.skip(","):
        found.append(reader.path())
    reader.end()
    used.update(reader.used)
    return found


# --- errors -------------------------------------------------------------------------------------


def service_error(
    prefix: str, service: str, code: str, message: str, status: int = 400, request_id: str = ""
) -> StatesError:
    """Return a service's error as an optimised integration tells it."""
    name = code if code.endswith("Exception") else f"{code}Exception"
    cause = (
        f"{message} (Service: {service}; Status Code: {status}; Error Code: {code};"
        f" Request ID: {request_id}; Proxy: null)"
    )
    return StatesError(f"{prefix}.{name}", cause[: limits.STATE_CAUSE_LENGTH], final=True)


def dynamo_error(code: str, message: str, request_id: str = "") -> StatesError:
    """Return an error of a table: DynamoDB.ConditionalCheckFailedException ...

    AWS's client has no class of its own for a ValidationException: only the cause names it.
    """
    error = service_error("DynamoDB", "AmazonDynamoDBv2", code, message, 400, request_id)
    if code == "ValidationException":
        return StatesError("DynamoDB.AmazonDynamoDBException", error.cause, final=True)
    return error
