"""Functions that states of workflows call: what they take, what they give."""

from __future__ import annotations

from typing import Any

from wherry.app.declared import Function, Task
from wherry.app.endpoints import UNSET, Argument, Endpoint, Signature
from wherry.app.kinds import shown
from wherry.app.schemas import reply_kinds, reply_schema, schema_of
from wherry.app.signatures import Reading
from wherry.blueprint.parts import Finding
from wherry.blueprint.records import TaskTrigger
from wherry.handles import Queue
from wherry.handles.shapes import Shape


def task_endpoint(function: Function, declared: Task, reading: Reading) -> Endpoint:
    """Return the endpoint of a task; its queue learns the type of the payload."""
    queue = declared.queue
    signature = _signature(reading)
    kind: Any = signature.arguments[0].type if signature.arguments else Any
    queue.payload_type = kind
    queue.shape = Shape(kind, queue.shape.upgrades)
    return Endpoint(
        name=declared.fn.__name__,
        function=function.name,
        fn=declared.fn,
        trigger=TaskTrigger(
            endpoint=declared.fn.__name__,
            queue=queue.name,
            schema=_payload_schema(signature),
            reply=_reply(signature, reading),
            place=declared.site.place,
        ),
        signature=signature,
        is_async=reading.is_async(),
        plain=reading.plain,
        payload=kind if signature.arguments else None,
        upgrades=queue.shape.upgrades,
    )


def _signature(reading: Reading) -> Signature:
    if reading.plain:
        return Signature()
    usable = list(reading.usable())
    if len(reading.parameters) > 1:
        reading.find(
            "task_arguments",
            f"{reading.name!r} takes {len(reading.parameters)} arguments; a state calls it with "
            "one payload.",
            f"Write `def {reading.name}(payload: Payload) -> Result`, with a class for the fields.",
        )
        return Signature()
    arguments = tuple(
        Argument(one.name, "message", one.name, reading.hints[one.name]) for one in usable
    )
    return Signature(arguments=arguments, returns=reading.hints.get("return", UNSET))


def _payload_schema(signature: Signature) -> dict[str, Any] | None:
    if not signature.arguments:
        return None
    try:
        return schema_of(signature.arguments[0].type)
    except TypeError:
        return None  # what is wrong is told of its queue


def _reply(signature: Signature, reading: Reading) -> dict[str, Any] | None:
    returns = signature.returns
    if returns is UNSET:
        return None
    others = [one for one in reply_kinds(returns) if one not in ("json", "none")]
    fault = "it is no JSON" if others else ""
    try:
        found = reply_schema(returns)
    except TypeError as error:
        found, fault = None, str(error)
    if fault:
        reading.find(
            "task_result",
            f"{reading.name!r} returns {shown(returns)}, which cannot be a state's result: {fault}",
            "Return a Struct, a dataclass, a Pydantic model or JSON types.",
        )
    return found


def not_stacked(
    functions: list[Function],
) -> tuple[list[Function], list[Queue[Any]], list[Finding]]:
    """Leave out tasks whose handler something else calls too: the rest, their queues, findings."""
    others = {
        id(_handler(endpoint.fn))
        for function in functions
        for endpoint in function.endpoints
        if not isinstance(endpoint, Task)
    }
    kept: list[Function] = []
    dropped: list[Queue[Any]] = []
    findings: list[Finding] = []
    for function in functions:
        stacked = [
            one
            for one in function.endpoints
            if isinstance(one, Task) and id(_handler(one.fn)) in others
        ]
        if not stacked:
            kept.append(function)
        dropped += [one.queue for one in stacked]
        findings += [
            Finding(
                code="task_stacked",
                message=f"{function.name!r} is a task, and something else calls it too.",
                fix="Write two functions: a task has its payload, its result and its queue for "
                "itself. They can share a third one, which is not decorated.",
                place=one.site.place,
            )
            for one in stacked
        ]
    return kept, dropped, findings


def _handler(fn: Any) -> Any:
    return getattr(fn, "fn", fn)  # after_commit gives back what sends
