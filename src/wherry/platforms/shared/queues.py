"""What is told of queues, whichever store keeps them."""

from __future__ import annotations

from collections.abc import Iterable

from wherry.codec import key_text
from wherry.platforms.shared.declared import Declared
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.shared.tables import Table


def note_due(queued: dict[str, int], queue: str, due_ms: int) -> None:
    """Note when a message falls due, if it is the first of its queue."""
    queued[queue] = min(due_ms, queued.get(queue, due_ms))


def note_all_due(queued: dict[str, int], found: Iterable[tuple[str, int]]) -> None:
    """Note when messages of several queues fall due."""
    for queue, due_ms in found:
        note_due(queued, queue, due_ms)


def note_turns(queued: dict[str, int], catalog: Declared, turns: Iterable[tuple[int, int]]) -> None:
    """Note turns of messages: the number of a queue, and when the first of it falls due."""
    for number, due_ms in turns:
        note_due(queued, catalog.name(number), due_ms)


def holders(queue: Queue | None) -> tuple[str, ...]:
    """Return whose pauses hold a queue: the app's, its consumer's."""
    return () if queue is None else ("", queue.consumer)


def first_blocking(failures: Iterable[tuple[int, str]]) -> list[tuple[str, int]]:
    """Return the groups that wait for failures, each with the first of these (number, group)."""
    first: dict[str, int] = {}
    for seq, group in failures:
        first.setdefault(group, seq)
    return list(first.items())


def group_shown(catalog: Declared, number: int, group: str) -> str:
    """Return a group's name for people: that of a table's changes is made of bytes."""
    table, slash, key = group.partition("/")
    found: Table | None = None
    if table.isdecimal():
        found = catalog.tables_by_id.get(int(table))
    if not slash or found is None or all(one.id != number for one in found.followers):
        return group
    parts = key.split("/")
    if len(parts) > 1:  # else the digest of a long one
        parts = [key_text(bytes.fromhex(part)) for part in parts if part]
    return "/".join([found.shape.name, *parts])
