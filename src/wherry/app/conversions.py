"""`upgrade=` and `downgrade=`: whether each can be called with a value and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from wherry.blueprint.parts import Finding
from wherry.handles import Queue, Table
from wherry.handles.events import EventType


def conversion_faults(
    tables: Sequence[Table[Any]], queues: Sequence[Queue[Any]], events: Sequence[EventType[Any]]
) -> Iterator[Finding]:
    """Yield what is wrong with the functions that make one form of another."""
    for table in tables:
        yield from _faults(f"the table {table.name!r}", "upgrade", table.shape.upgrades, table)
    for queue in queues:
        yield from _faults(f"the queue {queue.name!r}", "upgrade", queue.shape.upgrades, queue)
    for event in events:
        whose = f"the event {event.name!r} version {event.version}"
        yield from _faults(whose, "upgrade", event.upgrades, event)
        if event.downgrade is not None:
            yield from _faults(whose, "downgrade", (event.downgrade,), event)


def _faults(whose: str, what: str, functions: tuple[Any, ...], of: Any) -> Iterator[Finding]:
    if not functions:
        return
    from wherry.handles.upgrades import argument_of, takes_one

    for one in functions:
        fault = ""
        try:
            argument_of(one) if what == "upgrade" else takes_one(one)
        except (TypeError, ValueError, NameError) as error:
            fault = str(error)
        if fault or not callable(one):
            yield Finding(
                code="conversion_invalid",
                message=f"{what}= of {whose} cannot be called with one value: "
                f"{fault or repr(one)}.",
                fix="Give a function of one argument, `def newer(old: dict) -> dict`, or annotated "
                "with the class that it takes.",
                place=of.place,
            )
