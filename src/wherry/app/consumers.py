"""Handlers of messages: what a consumer, or a function that sources trigger, is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never, get_args, get_origin

import msgspec

from wherry import limits
from wherry.app.declared import Consumer, Function, Triggered
from wherry.app.endpoints import UNSET, Argument, Endpoint, Feed, Signature
from wherry.app.kinds import members, shown
from wherry.app.signatures import Reading
from wherry.blueprint.parts import Grant
from wherry.blueprint.records import (
    ChangeSource,
    EventSource,
    FunctionSpec,
    ObjectSource,
    QueueTrigger,
    ScheduleSource,
    Source,
)
from wherry.handles import Queue, Table
from wherry.handles.batches import Batch
from wherry.handles.claims import claims_bucket
from wherry.handles.events import event_type
from wherry.handles.occurrences import Change, Firing, ObjectCreated, ObjectRemoved


def consumer_endpoint(function: Function, declared: Consumer, reading: Reading) -> Endpoint:
    """Return the endpoint of a queue's consumer, or of what runs after a commit."""
    queue = declared.queue
    name = getattr(queue, "name", str(queue))
    once_s = declared.once_s
    once_per: Any = declared.once_per
    if once_per is None:
        if once_s is not None:
            reading.find(
                "once_without_key",
                f"{reading.name!r} has once_s={once_s} and no once_per.",
                "Say what is done once: once_per=lambda job: job.order_id.",
            )
    elif not callable(once_per):
        reading.find(
            "queue_key_kind",
            f"{reading.name!r} has once_per={once_per!r}, which cannot be called.",
            "Give a function of the payload: once_per=lambda job: job.order_id.",
        )
    elif once_s is None:
        once_s = limits.ONCE_S
    if declared.after is not None:
        signature = reading.after_commit()
        required = [one.name for one in signature.arguments if one.required]
        declared.after.accept({one.name: one.type for one in signature.arguments}, required)
    else:
        payload = getattr(queue, "payload_type", None)
        signature = _called_with([payload], f"the queue {name!r} carries", declared, reading)
    return Endpoint(
        name=declared.fn.__name__,
        function=function.name,
        fn=declared.fn,
        trigger=QueueTrigger(
            endpoint=declared.fn.__name__,
            queue=name,
            batch=declared.batch,
            window_s=declared.window_s,
            once_s=once_s,
            place=declared.site.place,
        ),
        signature=signature,
        is_async=reading.is_async(),
        plain=reading.plain,
        batch=declared.batched,
        once_per=once_per,
        payload=getattr(queue, "payload_type", None),
        claims=bool(getattr(queue, "claim_check", False)),
        upgrades=queue.shape.upgrades if isinstance(queue, Queue) else (),
    )


def triggered_endpoint(
    function: Function, declared: Triggered, reading: Reading, tables: Mapping[str, Table[Any]]
) -> Endpoint:
    """Return the endpoint of a function that sources trigger; its feeds are in reading order."""
    sources = _named(_with_patterns(declared, reading), function.name)
    feeds = tuple(_feed(source, declared, tables) for source in sources)
    kinds = list(dict.fromkeys(_value(feed) for feed in feeds))
    if not reading.parameters and kinds == [Firing]:  # a schedule says nothing that matters
        signature = Signature(returns=reading.hints.get("return", UNSET))
    else:
        signature = _called_with(kinds, "its triggers give", declared, reading)
    if len({isinstance(one, ChangeSource) for one in sources}) > 1:
        reading.find(
            "change_mixed",
            f"{reading.name!r} is triggered by changes of a table and by something else.",
            "Write two functions: changes are kept in order, which the others have none of.",
        )
    if reading.plain and declared.batched:
        whole = [one for one in sources if isinstance(one, EventSource | ScheduleSource)]
        if whole:
            reading.find(
                "batch_plain",
                f"{reading.name!r} takes an AWS event, which holds one event or firing, and has "
                f"batch={declared.batch}.",
                "Leave batch out.",
            )
    return Endpoint(
        name=declared.fn.__name__,
        function=function.name,
        fn=declared.fn,
        trigger=QueueTrigger(
            endpoint=declared.fn.__name__,
            queue=declared.queue.name,
            batch=declared.batch,
            window_s=declared.window_s,
            place=declared.site.place,
        ),
        signature=signature,
        is_async=reading.is_async(),
        plain=reading.plain,
        feeds=feeds,
        batch=declared.batched,
    )


def _with_patterns(declared: Triggered, reading: Reading) -> list[Source]:
    """Return the sources with their patterns as text."""
    if not declared.wheres:
        return declared.sources
    from wherry import patterns

    sources = list(declared.sources)
    for at, where in declared.wheres.items():
        given = dict(where) if isinstance(where, Mapping) else where
        faults = patterns.check(given)
        for fault in faults:
            reading.find(
                "pattern_invalid",
                f"The pattern of {reading.name!r} is refused at {fault}",
                "Write it as Amazon EventBridge takes it; it is matched against the event itself.",
            )
        if not faults:
            text = patterns.compile(given).json
            sources[at] = msgspec.structs.replace(sources[at], pattern=text)
    return sources


def _named(given: list[Source], function: str) -> list[Source]:
    """Return the sources as they are read, top down, with names for schedules without one."""
    sources = given[::-1]
    number = 0
    for at, source in enumerate(sources):
        if isinstance(source, ScheduleSource) and not source.name:
            number += 1
            name = function if number == 1 else f"{function}-{number}"
            sources[at] = msgspec.structs.replace(source, name=name)
    return sources


def _feed(source: Source, declared: Triggered, tables: Mapping[str, Table[Any]]) -> Feed:
    match source:
        case EventSource():
            kind = declared.events.get((source.event, source.version))
            event = event_type(kind)
            return Feed(source, kind, upgrades=event.upgrades if event else ())
        case ChangeSource():
            table = tables.get(source.table)
            if table is None:
                return Feed(source)
            keys = (table.key, *([table.sort] if table.sort else ()))
            return Feed(source, table.item_type, keys, table.shape.upgrades)
        case ScheduleSource() | ObjectSource():
            return Feed(source)
        case _:
            assert_never(source)


def _value(feed: Feed) -> Any:
    """Return the type of what a handler is called with."""
    match feed.source:
        case EventSource():
            return feed.type
        case ScheduleSource():
            return Firing
        case ObjectSource(kind=kind):
            return ObjectCreated if kind == "created" else ObjectRemoved
        case ChangeSource():
            return Change[feed.type]  # type: ignore[name-defined]
        case _:
            assert_never(feed.source)


def _called_with(
    kinds: list[Any], gives: str, declared: Consumer | Triggered, reading: Reading
) -> Signature:
    """Hold a handler's one argument against what it is called with."""
    if reading.plain:
        return Signature()
    usable = list(reading.usable())
    wanted = " | ".join(shown(kind) for kind in kinds)
    wanted = f"Batch[{wanted}]" if declared.batched else wanted
    if len(reading.parameters) != 1:
        reading.find(
            "consumer_arguments",
            f"{reading.name!r} takes {len(reading.parameters)} arguments; it is called with one "
            "alone.",
            f"Write `def {reading.name}(job: {wanted}) -> None`.",
        )
        return Signature()
    if not usable:
        return Signature()
    name = usable[0].name
    annotation = reading.hints[name]
    is_batch = get_origin(annotation) is Batch or annotation is Batch
    if is_batch != (declared.batched):
        reading.find(
            "batch_mismatch",
            f"{reading.name!r} takes {shown(annotation)} and has batch={declared.batch}.",
            f"Annotate {name!r} with {wanted}."
            if declared.batched
            else "Say how many at most: batch=20.",
        )
        return Signature()
    kind = next(iter(get_args(annotation)), Any) if is_batch else annotation
    known = None not in kinds and Change[None] not in kinds  # what is unknown is found elsewhere
    fits = kind in kinds if len(kinds) == 1 else set(members(kind)) == set(kinds)
    if known and not fits:
        reading.find(
            "payload_mismatch",
            f"{reading.name!r} takes {shown(annotation)}, and {gives} {wanted}.",
            f"Annotate {name!r} with {wanted}.",
        )
    argument = Argument(name, "message", name, kind)
    return Signature(arguments=(argument,), returns=reading.hints.get("return", UNSET))


def with_claims(
    functions: tuple[FunctionSpec, ...], queues: Sequence[Queue[Any]]
) -> tuple[FunctionSpec, ...]:
    """Give senders and consumers of queues with a claim check what they do in its bucket."""
    buckets = {queue.name: claims_bucket(queue.name).name for queue in queues if queue.claim_check}
    return tuple(_with_claims(one, buckets) for one in functions) if buckets else functions


def _with_claims(function: FunctionSpec, buckets: Mapping[str, str]) -> FunctionSpec:
    more: list[Grant] = []
    for grant in function.grants:
        if grant.kind == "queue" and grant.resource in buckets:
            bucket = buckets[grant.resource]
            more.append(Grant(kind="bucket", resource=bucket, action="create"))
    for trigger in function.triggers:
        if isinstance(trigger, QueueTrigger) and trigger.queue in buckets:
            bucket = buckets[trigger.queue]
            more.append(Grant(kind="bucket", resource=bucket, action="read"))
    return msgspec.structs.replace(function, grants=(*function.grants, *dict.fromkeys(more)))
