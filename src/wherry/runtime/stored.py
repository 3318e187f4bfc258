"""How an app reads what it has stored and sent before, and what it makes of it for others."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from wherry.app.including import with_included
from wherry.blueprint.parts import Finding
from wherry.blueprint.records import QueueTrigger
from wherry.errors import Refused
from wherry.handles.events import EventType, older
from wherry.registry.folder import FOLDER, Key, read_folder
from wherry.registry.judging import Judgement, Reader, judge
from wherry.runtime.binding.bodies import arguments_reader, message_reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wherry.app import App
    from wherry.handles import Queue
    from wherry.registry.folder import Recorded


def judged(app: App, recorded: Mapping[Key, Recorded]) -> Judgement:
    """Compare an app with what is recorded; `upgrade=` and `downgrade=` are tried on examples.

    Raises:
        AppInvalid: With everything that is wrong with the app.
    """
    blueprint = app.freeze()
    upgrades: dict[Key, Reader] = {}
    downgrades: dict[Key, Reader] = {}
    for one in with_included(app):
        for table in one._tables:
            if table.shape.upgrades:
                upgrades[Key("table", table.name)] = table.shape.decode
        for queue in one._queues:
            if queue.shape.upgrades:
                upgrades[Key("queue", queue.name)] = _queue_reader(app, queue)
        for event in one._events:
            key = Key("event", event.name, event.version)
            if event.upgrades:
                upgrades[key] = event_reader(event)
            if event.downgrade is not None:
                downgrades[key] = downgrading(event)
    return judge(blueprint, recorded, upgrades, downgrades)


def compared(app: App, folder: str) -> Sequence[Finding]:
    """Compare an app with the `schemas/` in its folder; nothing is found where there is none.

    A file that cannot be read is a finding too: then nothing is compared.

    Raises:
        AppInvalid: With everything that is wrong with the app.
    """
    try:
        recorded = read_folder(os.path.join(folder, FOLDER))
    except Refused as error:
        return (Finding(code="schemas_unreadable", message=error.message, fix=error.advice),)
    return () if recorded is None else judged(app, recorded).findings


def event_reader(event: EventType[Any]) -> Reader:
    """Return what reads an event as those who listen to it do."""
    return message_reader(event.kind, event.upgrades)


def downgrading(event: EventType[Any]) -> Reader:
    """Return what makes a value of the older version's class of an event's bytes."""

    def read(body: bytes) -> Any:
        other, value = older(event, event.shape.decode(body))
        return other.shape.decode(other.shape.encode(value, f"The event {other.name!r}"))

    return read


def _queue_reader(app: App, queue: Queue[Any]) -> Reader:
    """Return what reads a message as its consumer does: whole, or as arguments."""
    for endpoints in app.endpoints.values():
        for endpoint in endpoints.values():
            trigger = endpoint.trigger
            if isinstance(trigger, QueueTrigger) and trigger.queue == queue.name:
                arguments = endpoint.signature.arguments
                if any(one.source == "sent" for one in arguments):
                    return arguments_reader(arguments, endpoint.upgrades)
    return queue.shape.decode
