"""Messages that are sent besides those of effects: of executions, each with its own origin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from wherry.platforms.postgres.making import send_row
from wherry.platforms.postgres.messages import LEASE_MS
from wherry.platforms.shared.origins import Origin
from wherry.ports import Claimed

if TYPE_CHECKING:
    from wherry.effects import SendMessage
    from wherry.platforms.postgres.catalog import Catalog
    from wherry.platforms.postgres.database import Session
    from wherry.platforms.postgres.hints import Seen
    from wherry.platforms.shared.shapes import Queue


class Told(NamedTuple):
    """Messages that were born leased, and the turns (queue, when) of the others."""

    leased: list[Claimed]
    turns: list[tuple[int, int]]


async def tell(
    session: Session,
    catalog: Catalog,
    seen: Seen,
    messages: list[tuple[SendMessage, Queue, Origin]],
    now_ms: int,
    places: dict[str, int],
    owner: str,
) -> Told:
    """Send messages, in their order.

    Args:
        places: How many of each queue this owner has room for.
    """
    rows: list[Any] = []
    rooms: dict[int, tuple[int, int, int]] = {}
    apart: list[tuple[SendMessage, Queue, Origin]] = []
    for message, queue, origin in messages:
        if queue.grouped:
            apart.append((message, queue, origin))
            continue
        wanted = places.get(queue.name, 0) > 0 and not message.delay_ms and not queue.paused
        if wanted:
            places[queue.name] -= 1
            rooms[queue.id] = (queue.id, 1, seen.since(queue.id))
        rows.append(
            (
                queue.id, message.id, message.body, message.delay_ms, queue.retention_ms,
                origin.correlation_id, origin.traceparent, wanted,
            )
        )  # fmt: skip
    told = Told([], [])
    if rows:
        values = (rows, list(rooms.values()), owner, LEASE_MS, now_ms)
        found = await session.row("tell_messages", *values)
        assert found is not None
        told.turns.extend(tuple(one) for one in found["turns"] or ())
        sent = {message.id: (message, queue, origin) for message, queue, origin in messages}
        for id, token in zip(found["ids"] or (), found["tokens_"] or (), strict=True):
            message, queue, origin = sent[id]
            seen.none_before(queue.id, now_ms, rooms[queue.id][2])
            seen.leased(token, plain=True)
            trace = (origin.correlation_id, origin.traceparent)
            told.leased.append(
                Claimed(queue.name, id, token, 1, message.body, now_ms, now_ms, now_ms, *trace)
            )
    if apart:
        groups = [(queue.id, message.group) for message, queue, _ in apart]
        await session.value("lock_groups", *map(list, zip(*groups, strict=True)))
    for message, queue, origin in apart:
        send = send_row(message, queue)
        row = await session.row("send_one", send, origin.correlation_id, origin.traceparent)
        due = None if row is None else row["due"]
        if due is not None:
            told.turns.append((queue.id, due))
    return told
