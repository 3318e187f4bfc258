"""Service integrations: what a call asks for becomes effects, and a read before them.

What it means, and how AWS answers and fails, says `wherry.statemachine`; here its names become
the app's tables, queues, events and workflows. Nothing is done here: the effects go into the commit
that moves the execution on, and so do the guards of what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from wherry import limits
from wherry.blueprint import Blueprint, QueueSpec, TableSpec
from wherry.blueprint.checks_payloads import misfits
from wherry.codec import (
    ENCODED_PARTITION_KEY_BYTES,
    ENCODED_SORT_KEY_BYTES,
    from_json,
    key_bytes,
    to_json,
)
from wherry.effects import (
    DeleteItem,
    Effect,
    Guard,
    PublishEvent,
    PutItem,
    SendMessage,
    StartExecution,
)
from wherry.handles.ids import derived_id
from wherry.ports import Conflicted, Denied, GetItem, Item, Nothing, Rejected, Unmet
from wherry.statemachine.faults import StatesError
from wherry.statemachine.functions import uuid4
from wherry.statemachine.integration_answers import (
    execution_arn,
    machine_arn,
    published,
    sent,
    settle,
    started,
)
from wherry.statemachine.integrations import (
    Entry,
    InvokePlan,
    ItemPlan,
    PublishPlan,
    SendPlan,
    StartPlan,
    Unpublished,
    dynamo_error,
    integration_of,
    plan,
    service_error,
)
from wherry.statemachine.records import Call, Event, Failed, Run, Submitted, Succeeded
from wherry.statemachine.resources import Resource
from wherry.statemachine.text import to_text
from wherry.world import Chance

_SERVICES = {
    "sqs": ("SQS", "AmazonSQS"),
    "dynamodb": ("DynamoDB", "AmazonDynamoDBv2"),
    "events": ("EventBridge", "AmazonEventBridge"),
    "states": ("StepFunctions", "AWSStepFunctions"),
}
_DENIED = {  # what AWS's client has no class of its own for
    "sqs": "AmazonSQSException",
    "dynamodb": "AmazonDynamoDBException",
    "events": "AmazonEventBridgeException",
    "states": "AWSStepFunctionsException",
}


class Outcome(Struct, frozen=True):
    """What a call came to: the event for the machine, and what is committed with that step."""

    event: Event
    effects: list[Effect] = []
    guards: list[Guard] = []


class Reading(Struct, frozen=True):
    """An item is read first.

    `then` makes the outcome of the store's answer. `granted`: the read needs the workflow's `read`
    grant; else the engine reads, for a write that needs `write` (as on AWS).
    """

    request: GetItem
    then: Callable[[Item | Nothing], Outcome]
    granted: bool


class Doing(Struct, frozen=True):
    """A call that is being done: the run it belongs to, and what IDs are made of."""

    call: Call
    run: Run
    blueprint: Blueprint
    execution: int
    id: str
    now_ms: int
    request_id: str

    def derived(self, purpose: str) -> str:
        """Return an ID that the same call makes again."""
        return derived_id(self.id, purpose, self.now_ms)


def begin(
    call: Call,
    run: Run,
    blueprint: Blueprint,
    *,
    execution: int,
    id: str,
    now_ms: int,
    chance: Chance,
) -> Reading | Outcome:
    """Return what is to be done for a call; never raises for what a definition says.

    Args:
        execution: The execution's number, for what is to report to it.
        id: Of the message that asks for the call: what is sent gets its IDs from it.
    """
    doing = Doing(call, run, blueprint, execution, id, now_ms, uuid4(chance))
    try:
        match plan(call):
            case SendPlan() as found:
                return _send(doing, found)
            case PublishPlan() as found:
                return _publish(doing, found)
            case StartPlan() as found:
                return _start(doing, found)
            case ItemPlan() as found:
                return _item(doing, found)
            case InvokePlan():
                raise StatesError("States.Runtime", f"{call.resource} calls a function.")
    except StatesError as error:
        return Outcome(_failed(call, error))


def refused(
    call: Call, run: Run, answer: Denied | Unmet | Conflicted | Rejected, request_id: str
) -> Failed:
    """Return how a call failed whose effects the store has refused."""
    service = integration_of(Resource(call.resource)).partition(":")[0]
    prefix, told = _SERVICES[service]
    match answer:
        case Denied(resource=resource, action=action):
            message = (
                f"User: {run.role_arn} is not authorized to perform: {action} on resource:"
                f" {resource}"
            )
            error = _denied(service, "AccessDeniedException", message, request_id)
        case Unmet(table=table, key=key) if service == "states":
            arn = execution_arn(run, table.removeprefix("workflow "), key)
            error = service_error(
                prefix, told, "ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'", 400,
                request_id,
            )  # fmt: skip
        case Unmet():
            error = dynamo_error(
                "ConditionalCheckFailedException", "The conditional request failed", request_id
            )
        case Conflicted():
            error = dynamo_error(
                "TransactionConflictException", "Transaction is ongoing for the item", request_id
            )
        case Rejected() if service == "dynamodb":
            error = dynamo_error("ValidationException", answer.message, request_id)
        case Rejected():
            error = _denied(service, "InvalidParameterValue", answer.message, request_id)
    return _failed(call, error)


def _failed(call: Call, error: StatesError) -> Failed:
    return Failed(call.id, error.error, error.cause)


def _denied(service: str, code: str, message: str, request_id: str) -> StatesError:
    """Return an error that goes by the name of the service's client."""
    prefix, told = _SERVICES[service]
    cause = service_error(prefix, told, code, message, 400, request_id).cause
    return StatesError(f"{prefix}.{_DENIED[service]}", cause, final=True)


# --- queues -------------------------------------------------------------------------------------


def _send(doing: Doing, found: SendPlan) -> Outcome:
    queue = _consumed(doing.blueprint, found.queue)
    if queue is None:
        raise service_error(
            "SQS", "AmazonSQS", "QueueDoesNotExist", "The specified queue does not exist.", 400,
            doing.request_id,
        )  # fmt: skip
    if queue.fifo and not found.group:
        raise _denied(
            "sqs", "MissingParameter", "The request must contain the parameter MessageGroupId.",
            doing.request_id,
        )  # fmt: skip
    if queue.fifo and found.delay_ms:
        raise _denied(
            "sqs", "InvalidParameterValue",
            f"Value {found.delay_ms // 1000} for parameter DelaySeconds is invalid. Reason: The"
            " request include parameter that is not valid for this queue type.",
            doing.request_id,
        )  # fmt: skip
    if not queue.fifo and found.dedup:
        raise _denied(
            "sqs", "InvalidParameterValue",
            f"Value {found.dedup} for parameter MessageDeduplicationId is invalid. Reason: The"
            " request includes a parameter that is not valid for this queue type",
            doing.request_id,
        )  # fmt: skip
    message_id = doing.derived(f"message {queue.name}")
    group = found.group if queue.fifo or queue.fair else ""
    send = SendMessage(
        queue.name, message_id, _body(found.text, queue), found.delay_ms, group, found.dedup
    )
    answer = sent(found, message_id, doing.request_id)
    return Outcome(Succeeded(doing.call.id, answer), [send])


def _consumed(blueprint: Blueprint, name: str) -> QueueSpec | None:
    """Return a queue that a team's own messages go to; not that of a workflow or of a task."""
    if any(one.name == name for one in blueprint.workflows):
        return None
    return next((one for one in blueprint.queues if one.name == name), None)


def _body(text: str, queue: QueueSpec) -> bytes:
    """Return a message's JSON: what the text says, or where it says none the text itself."""
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return to_text(text).encode()
    if queue.schema.get("type") == "string" and not isinstance(value, str):
        return to_text(text).encode()
    return text.encode()


# --- events and workflows -----------------------------------------------------------------------


def _publish(doing: Doing, found: PublishPlan) -> Outcome:
    made = [_event(doing, number, entry) for number, entry in enumerate(found.entries)]
    told = [one.id if isinstance(one, PublishEvent) else one for one in made]
    effects: list[Effect] = [one for one in made if isinstance(one, PublishEvent)]
    return Outcome(published(doing.call.id, told, doing.request_id), effects)


def _event(doing: Doing, number: int, entry: Entry | Unpublished) -> PublishEvent | Unpublished:
    if isinstance(entry, Unpublished):
        return entry
    versions = sorted(one.version for one in doing.blueprint.events if one.name == entry.event)
    version = versions[0] if versions and entry.version is None else entry.version
    if version not in versions or version is None:
        what = f"{entry.event!r}" + (f" version {version}" if version else "")
        return Unpublished("InvalidArgument", f"The app has no event {what}.")
    event_id = doing.derived(f"event {entry.event} {number}")
    return PublishEvent(entry.event, version, event_id, to_text(entry.detail).encode())


def _start(doing: Doing, found: StartPlan) -> Outcome:
    call, run, name = doing.call, doing.run, found.workflow
    if not any(one.name == name for one in doing.blueprint.workflows):
        raise service_error(
            "StepFunctions", "AWSStepFunctions", "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{machine_arn(run, name)}'", 400, doing.request_id,
        )  # fmt: skip
    begins = doing.derived(f"start {name}")
    execution = found.name or begins
    if len(execution) > limits.STATE_NAME_LENGTH:
        raise service_error(
            "StepFunctions", "AWSStepFunctions", "InvalidName", f"Invalid Name: '{execution}'",
            400, doing.request_id,
        )  # fmt: skip
    parent = doing.execution if found.waits else None
    effect = StartExecution(
        name, execution, begins, to_text(found.input).encode(), parent, call.id if parent else 0
    )
    answer = started(execution_arn(run, name, execution), doing.now_ms, doing.request_id)
    event: Event = Submitted(call.id, answer) if found.waits else Succeeded(call.id, answer)
    return Outcome(event, [effect])


# --- tables -------------------------------------------------------------------------------------


def _item(doing: Doing, found: ItemPlan) -> Reading | Outcome:
    table = next((one for one in doing.blueprint.tables if one.name == found.table), None)
    if table is None:
        raise dynamo_error(
            "ResourceNotFoundException",
            f"Requested resource not found: Table: {found.table} not found",
            doing.request_id,
        )
    pk, sk = _keys(doing, table, found)
    if not found.reads:
        return _settled(doing, table, found, (pk, sk), None)

    def then(answer: Item | Nothing) -> Outcome:
        try:
            return _settled(doing, table, found, (pk, sk), answer)
        except StatesError as error:
            return Outcome(_failed(doing.call, error))

    return Reading(GetItem(table.name, pk, sk), then, found.action == "get")


def _settled(
    doing: Doing,
    table: TableSpec,
    found: ItemPlan,
    key: tuple[bytes, bytes],
    answer: Item | Nothing | None,
) -> Outcome:
    item = from_json(answer.body, type=dict[str, Any]) if isinstance(answer, Item) else None
    done = settle(found, item, doing.request_id)
    event = Succeeded(doing.call.id, done.output)
    if found.action == "get":
        return Outcome(event)
    version = answer.version if isinstance(answer, Item) else 0
    guards = [] if answer is None else [Guard(table.name, *key, version)]
    if done.after is msgspec.UNSET:
        effects: list[Effect] = []
        if answer is None:
            effects = [DeleteItem(table.name, *key)]
        return Outcome(event, effects, guards)
    if done.after is None:
        return Outcome(event, [DeleteItem(table.name, *key)], guards)
    unfit = _unfit(table, done.after)
    if unfit and not (item is not None and _unfit(table, item)):  # one of an older form stays so
        raise dynamo_error(
            "ValidationException", f"The item is no {table.item}: {'; '.join(unfit)}",
            doing.request_id,
        )  # fmt: skip
    body = to_json(done.after)
    if len(body) > limits.ITEM_BYTES:
        raise dynamo_error(
            "ValidationException", "Item size has exceeded the maximum allowed size",
            doing.request_id,
        )  # fmt: skip
    return Outcome(event, [PutItem(table.name, *key, body)], guards)


def _unfit(table: TableSpec, item: dict[str, Any]) -> list[str]:
    """Return why no function could read an item."""
    return [one.said for one in misfits(table.schema, item, jsonata=True) if one.refused][:5]


def _keys(doing: Doing, table: TableSpec, found: ItemPlan) -> tuple[bytes, bytes]:
    fields = [table.key] if table.sort is None else [table.key, table.sort]
    whole = found.action == "put"
    if not whole and set(found.key) != set(fields):
        raise dynamo_error(
            "ValidationException", "The provided key element does not match the schema",
            doing.request_id,
        )  # fmt: skip
    bounds = (ENCODED_PARTITION_KEY_BYTES, ENCODED_SORT_KEY_BYTES)
    keys = [
        _key(doing, table, name, found, bound) for name, bound in zip(fields, bounds, strict=False)
    ]
    return keys[0], keys[1] if len(keys) == 2 else b""


def _key(doing: Doing, table: TableSpec, name: str, found: ItemPlan, most: int) -> bytes:
    def invalid(message: str) -> StatesError:
        return dynamo_error("ValidationException", message, doing.request_id)

    if name not in found.key:
        raise invalid(
            f"One or more parameter values were invalid: Missing the key {name} in the item"
        )
    value, kind = found.key[name], table.kinds.get(name, "text")
    wanted: Any = (int, float) if kind == "number" else str
    if isinstance(value, bool) or not isinstance(value, wanted):
        raise invalid(
            f"One or more parameter values were invalid: Type mismatch for key {name} expected:"
            f" {'N' if kind == 'number' else 'S'}"
        )
    try:
        encoded = key_bytes(datetime.fromisoformat(value) if kind == "moment" else value)
    except (TypeError, ValueError) as error:
        raise invalid(f"One or more parameter values were invalid: {name}: {error}") from None
    if not 1 < len(encoded) <= most:
        raise invalid(
            f"One or more parameter values were invalid: The key {name} has {len(encoded) - 1}"
            f" bytes; 1 to {most - 1} are allowed"
        )
    return encoded
