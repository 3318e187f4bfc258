"""What a service integration's task answers with, in the shape of AWS's answers."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.statemachine.dynamo_syntax import Path
from wherry.statemachine.dynamo_values import Invalid, typed_item
from wherry.statemachine.faults import TASK_FAILED
from wherry.statemachine.integrations import ItemPlan, SendPlan, Unpublished, dynamo_error
from wherry.statemachine.records import Failed, Run, Status, Succeeded
from wherry.statemachine.text import to_text


class Settled(msgspec.Struct, frozen=True):
    """What becomes of an item: `after` is what is to stand there (UNSET: nothing is written)."""

    after: dict[str, Any] | msgspec.UnsetType | None
    output: dict[str, Any]


class Described(msgspec.Struct, frozen=True):
    """An execution that has ended, as DescribeExecution tells of it."""

    arn: str
    machine_arn: str
    name: str
    status: Status
    input: Any
    started_ms: int
    ended_ms: int
    output: Any = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0


def metadata(request_id: str) -> dict[str, Any]:
    """Return what every answer of a service ends with."""
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {"x-amzn-RequestId": [request_id]},
            "HttpHeaders": {"x-amzn-RequestId": request_id},
            "HttpStatusCode": 200,
        },
        "SdkResponseMetadata": {"RequestId": request_id},
    }


def sent(plan: SendPlan, message_id: str, request_id: str) -> dict[str, Any]:
    """Return the answer of sqs:sendMessage."""
    import hashlib

    body = plan.text.encode("utf-8", "surrogatepass")
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    return {"MD5OfMessageBody": md5, "MessageId": message_id, **metadata(request_id)}


def published(call: int, told: list[str | Unpublished], request_id: str) -> Succeeded | Failed:
    """Return what the task of an events:putEvents gets.

    Where an event was not taken it fails, with the answer as its cause; the others are published.

    Args:
        told: Of each event its ID, or why it was not taken.
    """
    faults = [one for one in told if isinstance(one, Unpublished)]
    entries = [
        {"EventId": one}
        if isinstance(one, str)
        else {"ErrorCode": one.code, "ErrorMessage": one.message}
        for one in told
    ]
    answer = {"Entries": entries, "FailedEntryCount": len(faults), **metadata(request_id)}
    if faults:
        return Failed(call, "EventBridge.FailedEntry", to_text(answer))
    return Succeeded(call, answer)


def started(arn: str, started_ms: int, request_id: str) -> dict[str, Any]:
    """Return the answer of states:startExecution."""
    return {"ExecutionArn": arn, **metadata(request_id), "StartDate": started_ms}


def invoked(payload: Any, request_id: str) -> dict[str, Any]:
    """Return the answer of lambda:invoke around what the function returned."""
    return {
        "ExecutedVersion": "$LATEST",
        "Payload": payload,
        **metadata(request_id),
        "StatusCode": 200,
    }


def settle(plan: ItemPlan, item: dict[str, Any] | None, request_id: str) -> Settled:
    """Return what becomes of the item that stands there, and the task's answer.

    Raises:
        StatesError: The condition does not hold, or the update does not fit.
    """
    if plan.holds is not None and not plan.holds(item or {}):
        raise dynamo_error(
            "ConditionalCheckFailedException", "The conditional request failed", request_id
        )
    end = metadata(request_id)
    match plan.action:
        case "get":
            if item is None:
                return Settled(msgspec.UNSET, end)
            shown = _projected(item, plan.fields) if plan.fields else item
            return Settled(msgspec.UNSET, {"Item": typed_item(shown), **end})
        case "put":
            after: Any = plan.item
        case "delete":
            after = msgspec.UNSET if item is None else None
        case "update":
            assert plan.update is not None
            try:
                after = plan.update.apply({**plan.key} if item is None else item)
            except Invalid as invalid:
                raise dynamo_error("ValidationException", str(invalid), request_id) from None
    attributes = _attributes(plan, item, after)
    return Settled(after, {"Attributes": typed_item(attributes), **end} if attributes else end)


def _attributes(plan: ItemPlan, before: dict[str, Any] | None, after: Any) -> dict[str, Any]:
    match plan.returns:
        case "NONE":
            return {}
        case "ALL_OLD":
            return before or {}
        case "ALL_NEW":
            return dict(after)
    shown = (before or {}) if plan.returns == "UPDATED_OLD" else after
    targets = [] if plan.update is None else plan.update.targets
    return _projected(shown, targets)


def _projected(item: dict[str, Any], paths: list[Path]) -> dict[str, Any]:
    """Return the parts of an item that paths name; a part of a list is a list."""
    found: dict[str, Any] = {}
    for path in paths:
        try:
            value = path.find(item)
        except KeyError:
            continue
        _put(found, path, value)
    return found


def _put(found: dict[str, Any], path: Path, value: Any) -> None:
    holder: Any = found
    for step, following in zip(path.steps, (*path.steps[1:], None), strict=True):
        inner: Any = value
        if following is not None:
            inner = [] if isinstance(following, int) else {}
        if isinstance(holder, list):
            holder.append(inner)
            holder = holder[-1]
        elif following is None:
            holder[step] = inner
        else:
            holder = holder.setdefault(step, inner)
            if not isinstance(holder, list if isinstance(following, int) else dict):
                return  # the whole of it is there already


def nested(call: int, described: Described, waits: str) -> Succeeded | Failed:
    """Return what the task that waited for an execution gets of its end.

    Args:
        waits: `sync`: input and output are texts; `sync:2`: they are JSON.
    """
    told = _described(described, waits == "sync:2")
    if described.status == "SUCCEEDED":
        return Succeeded(call, told)
    return Failed(call, TASK_FAILED, to_text(told))


def _described(of: Described, as_json: bool) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if of.cause is not None:
        told["Cause"] = of.cause
    if of.error is not None:
        told["Error"] = of.error
    told["ExecutionArn"] = of.arn
    told["Input"] = of.input if as_json else to_text(of.input)
    told["InputDetails"] = {"Included": True}
    told["Name"] = of.name
    if of.status == "SUCCEEDED":
        told["Output"] = of.output if as_json else to_text(of.output)
        told["OutputDetails"] = {"Included": True}
    told["RedriveCount"] = of.redrives
    if of.status == "SUCCEEDED":
        told["RedriveStatus"] = "NOT_REDRIVABLE"
        told["RedriveStatusReason"] = "Execution is SUCCEEDED and cannot be redriven"
    else:
        told["RedriveStatus"] = "REDRIVABLE"
    told["StartDate"] = of.started_ms
    told["StateMachineArn"] = of.machine_arn
    told["Status"] = of.status
    told["StopDate"] = of.ended_ms
    return told


def execution_arn(run: Run, workflow: str, name: str) -> str:
    """Return the ARN of an execution of another workflow in the same place."""
    return f"{_place(run)}:execution:{workflow}:{name}"


def machine_arn(run: Run, workflow: str) -> str:
    """Return the ARN of another workflow in the same place."""
    return f"{_place(run)}:stateMachine:{workflow}"


def _place(run: Run) -> str:
    return ":".join(run.arn.split(":")[:5])
