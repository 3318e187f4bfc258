"""What of an app is at rest or in flight, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from wherry.blueprint.parts import Place
from wherry.blueprint.records import Blueprint, ChangeSource, EventSource, QueueTrigger, TaskTrigger
from wherry.codec import keyed_by
from wherry.registry.folder import Key
from wherry.registry.forms import Schema, normal


class Stored(Struct, frozen=True):
    """A type whose values outlive the code that wrote them.

    `readers` are functions, by name; `keyed` is by what a table's items are stored, `keys` are
    these fields with the kinds of their values.
    """

    key: Key
    type: str
    schema: Schema
    readers: tuple[str, ...]
    place: Place | None
    keyed: str = ""
    keys: dict[str, str] = {}

    @property
    def values(self) -> str:
        """What there may be of an old form."""
        return {
            "table": "items that are stored",
            "queue": "messages that wait",
            "event": "events on their way",
            "workflow": "executions that began before",
        }[self.key.kind]


def stored_types(blueprint: Blueprint) -> list[Stored]:
    """Return every such type of an app.

    What sources put into a queue is not among them: an event has a type of its own, a change is of
    its table's, and the rest is wherry's. Nor is what happens to executions.
    """
    fed = {source.queue for source in blueprint.sources}
    fed.update(one.name for one in blueprint.workflows)
    found = [
        Stored(Key("event", one.name, one.version), one.payload, normal(one.schema),
               tuple(_listening(blueprint, one.name, one.version)), one.place)
        for one in blueprint.events
    ]  # fmt: skip
    found += [
        Stored(Key("queue", one.name), one.payload, normal(one.schema),
               tuple(_consumers(blueprint, {one.name})), one.place)
        for one in blueprint.queues if one.name not in fed
    ]  # fmt: skip
    found += [
        Stored(Key("table", one.name), one.item, normal(one.schema),
               tuple(_touching(blueprint, one.name)), one.place,
               keyed_by(one.key, one.sort, one.kinds),
               {name: one.kinds.get(name, "text") for name in (one.key, one.sort) if name})
        for one in blueprint.tables
    ]  # fmt: skip
    found += [
        Stored(Key("workflow", one.name), one.input or "", normal(one.schema),
               one.functions, one.place)
        for one in blueprint.workflows if one.schema is not None
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.key)


def _consumers(blueprint: Blueprint, queues: set[str]) -> Iterator[str]:
    for function in blueprint.functions:
        if any(
            isinstance(one, QueueTrigger | TaskTrigger) and one.queue in queues
            for one in function.triggers
        ):
            yield function.name


def _listening(blueprint: Blueprint, event: str, version: int) -> Iterator[str]:
    queues = {
        source.queue
        for source in blueprint.sources
        if isinstance(source, EventSource) and (source.event, source.version) == (event, version)
    }
    return _consumers(blueprint, queues)


def _touching(blueprint: Blueprint, table: str) -> Iterator[str]:
    """Yield who reads items of a table, or is told of their changes."""
    queues = {
        source.queue
        for source in blueprint.sources
        if isinstance(source, ChangeSource) and source.table == table
    }
    told = set(_consumers(blueprint, queues))
    for function in blueprint.functions:
        granted = any(
            (one.kind, one.resource, one.action) == ("table", table, "read")
            for one in function.grants
        )
        if granted or function.name in told:
            yield function.name
