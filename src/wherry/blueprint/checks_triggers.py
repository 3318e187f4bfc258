"""What can be wrong with events, sources and the ways in which queues are worked off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never

from wherry import limits
from wherry.blueprint.parts import Finding, Place
from wherry.blueprint.records import (
    Blueprint,
    ChangeSource,
    EventSource,
    FunctionSpec,
    ObjectSource,
    QueueSpec,
    QueueTrigger,
    ScheduleSource,
    Source,
)

_EVENT_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*")
_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{limits.NAME_LENGTH - 1}}}")


def check_triggers(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the faults of events, of sources, of queues and of who works them off."""
    yield from _events(blueprint)
    for source in blueprint.sources:
        match source:
            case EventSource():
                yield from _listening(source, blueprint)
            case ScheduleSource():
                yield from _schedule(source)
            case ObjectSource():
                if all(source.bucket != one.name for one in blueprint.buckets):
                    yield _of_nothing(source, "bucket", source.bucket)
            case ChangeSource():
                if all(source.table != one.name for one in blueprint.tables):
                    yield _of_nothing(source, "table", source.table)
            case _:
                assert_never(source)
    yield from _schedule_names(blueprint)
    yield from _loops(blueprint)
    queues = {queue.name: queue for queue in blueprint.queues}
    for queue in blueprint.queues:
        yield from _queue(queue)
    for function in blueprint.functions:
        for trigger in function.triggers:
            if isinstance(trigger, QueueTrigger):
                yield from _consumer(function, trigger, queues.get(trigger.queue))
    yield from _reserved(blueprint)


def _found(code: str, message: str, fix: str, place: Place | None) -> Finding:
    return Finding(code=code, message=message, fix=fix, place=place)


def _warned(code: str, message: str, fix: str, place: Place | None) -> Finding:
    return Finding(code=code, message=message, fix=fix, place=place, severity="warning")


# --- events -------------------------------------------------------------------------------------


def _events(blueprint: Blueprint) -> Iterator[Finding]:
    first: dict[tuple[str, int], Place | None] = {}
    heard = {(one.event, one.version) for one in blueprint.sources if isinstance(one, EventSource)}
    names = {name for name, _ in heard}
    heard |= {(e.name, e.version) for e in blueprint.events if e.downgrades and e.name in names}
    told = {
        grant.resource
        for grants in (
            *(one.grants for one in blueprint.functions),
            *(one.grants for one in blueprint.workflows),
        )
        for grant in grants
        if grant.kind == "event"
    }
    for event in blueprint.events:
        shown = f"{event.name!r} version {event.version}"
        if not _EVENT_NAME.fullmatch(event.name) or len(event.name) > limits.EVENT_NAME_LENGTH:
            yield _found(
                "name_invalid",
                f"The event name {event.name!r} is not one that every platform takes.",
                "Use small letters, digits, '_', '-' and dots, each word beginning with a letter, "
                f"at most {limits.EVENT_NAME_LENGTH}.",
                event.place,
            )
        if not 1 <= event.version <= limits.EVENT_VERSION_MAX:
            yield _found(
                "event_version",
                f"The event {event.name!r} has version={event.version}.",
                f"Count versions from 1 to {limits.EVENT_VERSION_MAX}.",
                event.place,
            )
        key = (event.name, event.version)
        if key in first:
            yield _found(
                "event_twice",
                f"The event {shown} is declared twice"
                + (f", first at {first[key]}." if first[key] else "."),
                "Give the new form a version of its own, or the other event another name.",
                event.place,
            )
            continue
        first[key] = event.place
        if key not in heard:
            yield _warned(
                "event_without_listener",
                f"Nothing listens to the event {shown}.",
                f"Write who does: @app.on({event.payload}), or remove it.",
                event.place,
            )
        elif event.name not in told:
            yield _warned(
                "event_without_publisher",
                f"No function of this app may publish the event {event.name!r}.",
                f"Add publish[{event.payload}] to the grants of the function that does.",
                event.place,
            )


def _listening(source: EventSource, blueprint: Blueprint) -> Iterator[Finding]:
    versions = [one.version for one in blueprint.events if one.name == source.event]
    if source.version not in versions:
        yield _found(
            "event_unknown",
            f"{source.queue!r} listens to {source.event!r}"
            + (f" version {source.version}" if versions else "")
            + ", which is no event of this app.",
            f'Declare its class: @app.event("{source.event.lower()}", version=1).'
            if not versions
            else f"It has version {', '.join(map(str, sorted(versions)))}.",
            source.place,
        )


def _of_nothing(source: Source, kind: str, name: str) -> Finding:
    return _found(
        "source_unknown",
        f"{source.queue!r} is triggered by the {kind} {name!r}, which is none of this app.",
        f"Declare it with app.{kind}(...), or include the app that does.",
        source.place,
    )


# --- schedules ----------------------------------------------------------------------------------


def _schedule(source: ScheduleSource) -> Iterator[Finding]:
    from wherry.schedules import faults

    of = f" of {source.queue!r}" if source.name != source.queue else ""
    whose = f"The schedule {source.name!r}{of}"
    for fault in faults(source.expression, source.timezone):
        yield _found(
            "schedule_invalid",
            f"{whose} is refused: {fault}",
            "Write it in the grammar of EventBridge Scheduler: rate(5 minutes), "
            "cron(0 3 * * ? *), at(2027-01-01T00:00:00).",
            source.place,
        )
    bounds = [
        ("window_s", source.window_s, 0, limits.SCHEDULE_WINDOW_MAX_S),
        ("missed_max", source.missed_max, 1, limits.SCHEDULE_MISSED_MAX),
    ]
    for name, value, least, most in bounds:
        if not least <= value <= most:
            yield _found(
                "schedule_bounds",
                f"{whose} has {name}={value}, which is not in {least}..{most}.",
                f"Choose {name} in this range.",
                source.place,
            )


def _schedule_names(blueprint: Blueprint) -> Iterator[Finding]:
    first: dict[str, ScheduleSource] = {}
    for source in blueprint.sources:
        if not isinstance(source, ScheduleSource):
            continue
        if not _NAME.fullmatch(source.name):
            yield _found(
                "name_invalid",
                f"The schedule name {source.name!r} is not one that every platform takes.",
                "Use small letters, digits, '_' and '-', beginning with a letter, at most "
                f"{limits.NAME_LENGTH}.",
                source.place,
            )
        if source.name in first:
            yield _found(
                "name_twice",
                f"The name {source.name!r} is already that of another schedule, of "
                f"{first[source.name].queue!r}.",
                "Give one of them a name of its own: name=.",
                source.place,
            )
        first.setdefault(source.name, source)


# --- what triggers itself -----------------------------------------------------------------------


def _loops(blueprint: Blueprint) -> Iterator[Finding]:
    """Warn where a function may cause what it is triggered by."""
    consumers = {
        trigger.queue: function
        for function in blueprint.functions
        for trigger in function.triggers
        if isinstance(trigger, QueueTrigger)
    }
    for source in blueprint.sources:
        function = consumers.get(source.queue)
        grants = {str(grant) for grant in function.grants} if function else set()
        causes: tuple[str, ...] = ()
        match source:
            case EventSource(event=event):
                causes = (f"{event}.publish",)
            case ObjectSource(bucket=bucket, kind="created"):
                causes = (f"{bucket}.create", f"{bucket}.write")
            case ObjectSource(bucket=bucket):
                causes = (f"{bucket}.delete", f"{bucket}.write")
            case ChangeSource(table=table):
                causes = (f"{table}.write",)
            case ScheduleSource():
                pass
            case _:
                assert_never(source)
        for cause in causes:
            if cause in grants:
                yield _warned(
                    "trigger_loop",
                    f"{source.queue!r} is granted {cause} and is triggered by that: it may call "
                    "itself without an end.",
                    "Write elsewhere, or narrow the trigger by a prefix or a pattern.",
                    source.place,
                )


# --- queues and consumers -----------------------------------------------------------------------


def _queue(queue: QueueSpec) -> Iterator[Finding]:
    if queue.on_failure == "block" and not queue.fifo:
        yield _found(
            "on_failure_without_fifo",
            f"The queue {queue.name!r} has on_failure='block' and is not FIFO: nothing waits for "
            "a message that failed.",
            "Add fifo=True and group=, or leave on_failure out.",
            queue.place,
        )
    if queue.fifo and queue.fair:
        yield _found(
            "fifo_and_fair",
            f"The queue {queue.name!r} is FIFO and has fair_by=.",
            "Choose one: groups of a FIFO queue are done side by side already.",
            queue.place,
        )


def _consumer(
    function: FunctionSpec, trigger: QueueTrigger, queue: QueueSpec | None
) -> Iterator[Finding]:
    bounds: list[tuple[str, float, float, float]] = [
        ("batch", trigger.batch, 1, limits.BATCH_MAX),
        ("window_s", trigger.window_s, 0, limits.BATCH_WINDOW_MAX_S),
        ("once_s", 1 if trigger.once_s is None else trigger.once_s, 1, limits.ONCE_MAX_S),
    ]
    for name, value, least, most in bounds:
        if not least <= value <= most:
            yield _found(
                "consumer_bounds",
                f"{function.name!r} has {name}={value:g}, which is not in {least}..{most}.",
                f"Choose {name} in this range.",
                trigger.place,
            )
    if trigger.window_s and trigger.batch == 1:
        yield _found(
            "window_without_batch",
            f"{function.name!r} has window_s={trigger.window_s:g} and takes one message at once.",
            "Say how many at most, batch=20, or leave window_s out.",
            trigger.place,
        )
    if queue is not None and trigger.window_s >= queue.retention_s:
        yield _found(
            "window_beyond_retention",
            f"{function.name!r} has window_s={trigger.window_s:g}, and the messages of "
            f"{queue.name!r} are kept for {queue.retention_s} s.",
            "Let messages be kept for longer than they wait for others.",
            trigger.place,
        )
    if queue is not None and queue.fifo and function.concurrency == 1:
        yield _warned(
            "fifo_one_at_a_time",
            f"{function.name!r} has concurrency=1, so that the groups of the FIFO queue "
            f"{queue.name!r} wait for each other.",
            "Leave concurrency out: a group is done in order whatever it is.",
            trigger.place,
        )


def _reserved(blueprint: Blueprint) -> Iterator[Finding]:
    total = 0
    for function in blueprint.functions:
        if not 0 <= function.reserved <= function.concurrency:
            yield _found(
                "reserved_bounds",
                f"{function.name!r} has reserved={function.reserved}, which is not in "
                f"0..{function.concurrency} (its concurrency).",
                "Choose reserved in this range.",
                function.place,
            )
        total += max(0, function.reserved)
    if total > limits.CONCURRENCY_MAX:
        yield _found(
            "reserved_sum",
            f"The functions of this app reserve {total} environments; {limits.CONCURRENCY_MAX} "
            "are all there can be.",
            "Reserve only for those that must never wait.",
            None,
        )
