"""From what a source puts into a queue to the value that a handler takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from wherry.app.endpoints import Argument, Feed
from wherry.blueprint.records import ChangeSource, EventSource
from wherry.handles.occurrences import Change, Firing, ObjectCreated, ObjectRemoved
from wherry.runtime.binding.bodies import Reader, message_reader


class Occurrence(msgspec.Struct):
    """The body of a message from any source: which fields it has says what kind it is."""

    event: str | None = None
    schedule: str | None = None
    bucket: str | None = None
    table: str | None = None
    at_ms: int = 0
    id: str = ""
    version: int = 0
    detail: msgspec.Raw = msgspec.Raw(b"null")
    kind: Literal["", "created", "removed", "insert", "modify", "remove"] = ""
    key: str = ""
    size_bytes: int = 0
    sha256: str = ""
    media_type: str = ""
    metadata: dict[str, str] = {}
    old: msgspec.Raw = msgspec.Raw(b"null")
    new: msgspec.Raw = msgspec.Raw(b"null")


read_occurrence = msgspec.json.Decoder(Occurrence).decode


def occurrence_reader(
    feeds: tuple[Feed, ...], arguments: tuple[Argument, ...]
) -> Callable[[bytes], dict[str, Any]]:
    """Return a function from a message's bytes to the argument of who is triggered, by name.

    It raises `ValueError` for what none of the feeds gives, or has another form.
    """
    events: dict[tuple[str, int], Reader] = {}
    tables: dict[str, Reader] = {}
    for feed in feeds:
        match feed.source:
            case EventSource(event=name, version=version):
                events[name, version] = message_reader(feed.type, feed.upgrades)
            case ChangeSource(table=table):
                tables[table] = message_reader(feed.type, feed.upgrades)
            case _:
                pass

    def read(body: bytes) -> dict[str, Any]:
        value = _value(read_occurrence(body), events, tables)
        return {one.name: value for one in arguments}

    return read


def _after(events: dict[tuple[str, int], Reader], found: Occurrence) -> Reader | None:
    """Return what reads the next version: an event on its way may be older than who listens."""
    newer = [key for key in events if key[0] == found.event and key[1] > found.version]
    return events[min(newer)] if newer else None


def _value(
    found: Occurrence, events: dict[tuple[str, int], Reader], tables: dict[str, Reader]
) -> Any:
    at = datetime.fromtimestamp(found.at_ms / 1000, UTC)
    if found.event is not None:
        reader = events.get((found.event, found.version)) or _after(events, found)
        if reader is None:
            raise ValueError(f"it listens to no {found.event} version {found.version}")
        return reader(bytes(found.detail))
    if found.schedule is not None:
        return Firing(found.schedule, at)
    if found.bucket is not None and found.kind == "created":
        return ObjectCreated(
            found.bucket, found.key, found.size_bytes, found.sha256, found.media_type,
            found.metadata, at,
        )  # fmt: skip
    if found.bucket is not None and found.kind == "removed":
        return ObjectRemoved(found.bucket, found.key, at)
    if found.table is not None and found.kind in ("insert", "modify", "remove"):
        reader = tables.get(found.table)
        if reader is None:
            raise ValueError(f"it does not follow the table {found.table}")
        old, new = bytes(found.old), bytes(found.new)
        return Change(
            found.kind,
            found.table,
            None if old == b"null" else reader(old),
            None if new == b"null" else reader(new),
            found.version,
            at,
        )
    raise ValueError("it is of no event, schedule, object or change")
