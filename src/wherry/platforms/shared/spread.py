"""The messages to who listens to events, objects and tables, as far as needs no reading.

A body is made open: what only the store knows, the time and the version, is its end (`closed`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.codec import digest, from_json, key_text, to_json
from wherry.effects import DeleteObject, PublishEvent, PutObject, SendMessage
from wherry.platforms.shared.shapes import Queue, SourceShape
from wherry.platforms.shared.tables import Table
from wherry.ports import ObjectRow, Rejected

if TYPE_CHECKING:
    from wherry.patterns import Pattern
    from wherry.platforms.shared.listeners import Listeners
    from wherry.platforms.shared.plans import Plan

Sends = list[tuple[SendMessage, Queue]]


def closed(body: bytes, at_ms: int, version: int | None = None) -> bytes:
    """Return a whole body: an open one, when it is sent, and the version of the item."""
    if version is None:
        return b'%s,"at_ms":%d}' % (body, at_ms)
    return b'%s,"at_ms":%d,"version":%d}' % (body, at_ms, version)


def publish(event: PublishEvent, plan: Plan, listeners: Listeners) -> Sends | Rejected:
    """Return an event's messages with open bodies: for each queue with a pattern that matches."""
    try:
        detail = from_json(event.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(f"event {event.event}: its detail is no JSON: {error}")
    heard = _heard(event, plan, listeners)
    if not heard:
        return []
    body = b'{"event":%s,"version":%d,"id":%s,"detail":%s' % (
        to_json(event.event), event.version, to_json(event.id), event.body,
    )  # fmt: skip
    sends: dict[str, tuple[SendMessage, Queue]] = {}
    for queue, pattern in heard:
        name = queue.name
        if name not in sends and (pattern is None or pattern.matches(detail)):
            id = f"{event.id}.{name}"
            # Where order counts, an event is a group of its own.
            sends[name] = SendMessage(name, id, body, 0, id), queue
    plan.spread_bytes += len(body) * len(sends)
    if plan.spread_bytes > limits.SPREAD_BYTES:
        return Rejected(
            f"event {event.event}: {len(sends)} listeners get {len(body)} bytes each; a commit "
            f"may tell at most {limits.SPREAD_BYTES} bytes in all. Put the content into a "
            "bucket or a table and tell its key."
        )
    if len(plan.sends) + len(sends) > limits.SPREAD_MESSAGES:
        return Rejected(
            f"event {event.event}: with its {len(sends)} listeners the commit would send more "
            f"than {limits.SPREAD_MESSAGES} messages. Publish fewer events at once."
        )
    return list(sends.values())


def _heard(
    event: PublishEvent, plan: Plan, listeners: Listeners
) -> list[tuple[Queue, Pattern | None]]:
    """Return who hears of an event.

    A run of an older release may tell of a version that is declared no more: those hear of it
    who listen to the next one, which reads it too. They do not where the same run tells of a
    newer version: then this one is what `downgrade=` made of that.
    """
    found = listeners.events.get((event.event, event.version))
    if found is not None:
        return found
    told = (one for one in plan.others if isinstance(one, PublishEvent))
    if any(one.event == event.event and one.version > event.version for one in told):
        return []
    return listeners.next_after(event.event, event.version)


def change_body(
    table: Table, kind: bytes, key: tuple[bytes, ...], old: bytes | None, new: bytes | None
) -> bytes:
    """Return the open body of the messages about a change of an item.

    Its head is what `telemetry.cause_of` names it by.
    """
    shown = "/".join(key_text(part) for part in key if part)
    return b'{"kind":"%s","table":%s,"key":%s,"old":%s,"new":%s' % (
        kind, to_json(table.shape.name), to_json(shown), old or b"null", new or b"null",
    )  # fmt: skip


def object_sends(
    effect: PutObject | DeleteObject,
    old: ObjectRow | None,
    listeners: list[tuple[SourceShape, Queue]],
    prefix: str,
) -> Sends:
    """Return the messages about an object that appears, or is gone, with open bodies.

    Args:
        old: The object that is gone.
        prefix: Of the messages' IDs.
    """
    what = effect if isinstance(effect, PutObject) else old
    if not listeners or what is None:
        return []
    kind = "created" if isinstance(effect, PutObject) else "removed"
    body = to_json(
        {
            "kind": kind,
            "bucket": effect.bucket,
            "key": effect.key,
            "size_bytes": what.size_bytes,
            "sha256": what.sha256,
            "media_type": what.media_type,
            "metadata": what.metadata,
        }
    )[:-1]
    sends: dict[str, tuple[SendMessage, Queue]] = {}
    for source, queue in listeners:
        name, key = queue.name, effect.key
        wanted = source.kind == kind and name not in sends
        if wanted and key.startswith(source.prefix) and key.endswith(source.suffix):
            group = f"{effect.bucket}/{key}"
            group = group if len(group) <= limits.GROUP_LENGTH else digest(group)
            sends[name] = SendMessage(name, f"{prefix}.{name}", body, 0, group), queue
    return list(sends.values())


def to_followers(table: Table, key: tuple[bytes, ...], prefix: str, body: bytes) -> Sends:
    """Return the messages to who follows a table. One key is one group, in its order."""
    group = f"{table.id}/{'/'.join(part.hex() for part in key)}"
    if len(group) > limits.GROUP_LENGTH:
        group = f"{table.id}/{digest(*key)}"
    return [
        (SendMessage(queue.name, f"{prefix}.{queue.name}", body, 0, group), queue)
        for queue in table.followers
    ]
