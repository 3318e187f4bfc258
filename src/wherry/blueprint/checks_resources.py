"""What can be wrong with tables, queues, buckets and who may call."""

from __future__ import annotations

import re
from collections.abc import Iterator

from wherry import limits
from wherry.blueprint.parts import AuthSpec, Finding
from wherry.blueprint.records import (
    Blueprint,
    BucketSpec,
    QueueSpec,
    QueueTrigger,
    TableSpec,
    TaskTrigger,
)
from wherry.errors import Invalid
from wherry.names import check_media_type

_INDEX_NAME = re.compile(rf"[a-z][a-z0-9_-]{{0,{limits.NAME_LENGTH - 1}}}")
_LOCAL = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])(:[0-9]+)?(/.*)?")


def check_resources(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the faults of every resource by itself, and of queues with their consumers."""
    for table in blueprint.tables:
        yield from _table(table)
    for queue in blueprint.queues:
        yield from _queue(queue)
    for bucket in blueprint.buckets:
        yield from _bucket(bucket)
    for auth in blueprint.auths:
        yield from _auth(auth)
    yield from _consumers(blueprint)


def _table(table: TableSpec) -> Iterator[Finding]:
    if len(table.indexes) > limits.INDEXES:
        yield Finding(
            code="indexes_many",
            message=f"The table {table.name!r} has {len(table.indexes)} indexes; "
            f"{limits.INDEXES} are allowed.",
            fix="Remove indexes that no query uses.",
            place=table.place,
        )
    for index in table.indexes:
        if not _INDEX_NAME.fullmatch(index.name):
            yield Finding(
                code="name_invalid",
                message=f"The index name {index.name!r} of table {table.name!r} is not one that "
                "every platform takes.",
                fix="Use small letters, digits, '_' and '-', beginning with a letter.",
                place=table.place,
            )


def _queue(queue: QueueSpec) -> Iterator[Finding]:
    bounds: list[tuple[str, float, float, float]] = [
        ("max_attempts", queue.max_attempts, 1, limits.MAX_ATTEMPTS_MAX),
        ("retry_base_s", queue.retry_base_s, 0, limits.RETRY_DELAY_MAX_S),
        ("retry_max_s", queue.retry_max_s, queue.retry_base_s, limits.RETRY_DELAY_MAX_S),
        (
            "retention_s",
            queue.retention_s,
            limits.MESSAGE_RETENTION_MIN_S,
            limits.MESSAGE_RETENTION_MAX_S,
        ),
    ]
    for name, value, least, most in bounds:
        if not least <= value <= most:
            yield Finding(
                code="queue_bounds",
                message=f"The queue {queue.name!r} has {name}={value}, which is not in "
                f"{least}..{most}.",
                fix=f"Choose {name} in this range.",
                place=queue.place,
            )


def _bucket(bucket: BucketSpec) -> Iterator[Finding]:
    if not 0 < bucket.max_bytes <= limits.OBJECT_BYTES:
        yield Finding(
            code="bucket_bounds",
            message=f"The bucket {bucket.name!r} has max_bytes={bucket.max_bytes}, which is not "
            f"in 1..{limits.OBJECT_BYTES}.",
            fix="Choose max_bytes in this range.",
            place=bucket.place,
        )
    for media_type in bucket.media_types:
        fault = _media_type_fault(media_type)
        if fault:
            yield Finding(
                code="media_type_invalid",
                message=f"The bucket {bucket.name!r} takes the media type {media_type!r}, which "
                f"{fault}.",
                fix="Name each type that it takes, like 'image/png'; without media_types it takes "
                "any.",
                place=bucket.place,
            )


def _media_type_fault(media_type: str) -> str:
    """Return what keeps every upload from being of this media type, or an empty text."""
    try:
        check_media_type(media_type)
    except Invalid as error:
        return str(error.faults[0]["fault"])
    kind = media_type.partition(";")[0]
    if "*" in kind:
        return "is a pattern, and types are compared whole"
    return "is not in small letters, as clients write it" if kind != kind.lower() else ""


def _auth(auth: AuthSpec) -> Iterator[Finding]:
    for role in auth.roles:
        if not role or len(role) > limits.NAME_LENGTH or any(char.isspace() for char in role):
            yield Finding(
                code="name_invalid",
                message=f"The role {role!r} of {auth.name!r} is not a role's name.",
                fix=f"Use 1 to {limits.NAME_LENGTH} characters without spaces.",
                place=auth.place,
            )
    if auth.issuer is None:
        return
    if not auth.issuer.startswith("https://") and not _LOCAL.fullmatch(auth.issuer):
        yield Finding(
            code="issuer_insecure",
            message=f"The issuer {auth.issuer!r} of {auth.name!r} is not an https address.",
            fix="Its keys are fetched from there: use https (plain http only for localhost).",
            place=auth.place,
        )
    if not auth.audiences:
        yield Finding(
            code="audience_missing",
            message=f"{auth.name!r} names an issuer and no audience: a token that it signed for "
            "another service would be taken.",
            fix='Add audiences=["..."]: the client ID or API identifier at the issuer.',
            place=auth.place,
        )


def _consumers(blueprint: Blueprint) -> Iterator[Finding]:
    queues = {queue.name: queue for queue in blueprint.queues}
    consumers: dict[str, str] = {}
    senders: dict[str, str] = {}
    fed = {source.queue for source in blueprint.sources}
    workflows = {one.name for one in blueprint.workflows}  # consumed by the engine
    granted = [(one.name, one.grants) for one in blueprint.functions]
    granted += [(one.name, one.grants) for one in blueprint.workflows]
    for who, grants in granted:
        for grant in grants:
            if grant.kind == "queue":
                senders.setdefault(grant.resource, who)
    for function in blueprint.functions:
        for trigger in function.triggers:
            if isinstance(trigger, TaskTrigger):
                consumers[trigger.queue] = function.name
                fed.add(trigger.queue)  # by workflows; whether any does is theirs to tell
            if not isinstance(trigger, QueueTrigger):
                continue
            if trigger.queue not in queues:
                yield Finding(
                    code="consumer_without_queue",
                    message=f"{function.name!r} consumes {trigger.queue!r}, which is no queue of "
                    "this app.",
                    fix=f"Declare it: app.queue(Payload, name={trigger.queue!r}).",
                    place=trigger.place,
                )
            elif trigger.queue in consumers:
                yield Finding(
                    code="consumers_two",
                    message=f"The queue {trigger.queue!r} is consumed by {function.name!r} and "
                    f"by {consumers[trigger.queue]!r}; each message goes to one function.",
                    fix="Give the second function a queue of its own.",
                    place=trigger.place,
                )
            else:
                consumers[trigger.queue] = function.name
    for name, queue in queues.items():
        if name in workflows:
            continue
        if name not in consumers:
            sender = senders.get(name)
            yield Finding(
                code="queue_without_consumer",
                message=f"{sender!r} sends to the queue {name!r} and nothing consumes it."
                if sender
                else f"Nothing sends to the queue {name!r} and nothing consumes it.",
                fix=f"Write a consumer: @app.consume({name})."
                if sender
                else "Remove it, or write its consumer and grant a function its `send`.",
                severity="error" if sender else "warning",
                place=queue.place,
            )
        elif name not in senders and name not in fed:
            yield Finding(
                code="queue_without_sender",
                message=f"No function of this app may send to the queue {name!r}.",
                fix=f"Add {name}.send to the grants of the function that does.",
                severity="warning",
                place=queue.place,
            )
