"""What became of each state in an execution, from its history: for its picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from wherry.drawing import Status
from wherry.statemachine.records import HistoryEvent

_ENTERED, _EXITED = "StateEntered", "StateExited"
_FAILED = ("Failed", "TimedOut")


def progress(
    definition: dict[str, Any], events: Iterable[HistoryEvent], status: str
) -> dict[str, Status]:
    """Return the states that were entered, each with what became of it the last time.

    Args:
        status: Of the execution now.
    """
    inside = dict(_inside(definition))
    kinds: dict[int, str] = {}
    owners: dict[int, str] = {}  # event -> the state that it belongs to
    open: dict[str, int] = {}  # how often it is entered and not left: iterations run side by side
    failed: set[str] = set()
    found: dict[str, Status] = {}
    for event in events:
        kinds[event.id] = event.type
        name = (event.details or {}).get("name", "")
        if event.type.endswith(_ENTERED):
            owners[event.id] = name
            open[name] = open.get(name, 0) + 1
            failed.discard(name)
            found[name] = "running"
            if event.type == f"Fail{_ENTERED}":
                failed.add(name)
        elif event.type.endswith(_EXITED):
            owners[event.id] = name
            open[name] = max(open.get(name, 0) - 1, 0)
            if open[name] == 0:
                caught = kinds.get(event.previous, "").endswith(_FAILED)
                found[name] = "caught" if caught else "succeeded"
            _close(inside.get(name, ()), open, failed, found)
        else:
            owner = (event.details or {}).get("state") or owners.get(event.previous, "")
            owners[event.id] = owner
            if event.type.endswith(_FAILED) and not event.type.startswith("Execution"):
                failed.add(owner)
    if status != "RUNNING":
        if status == "FAILED":
            failed.update(name for name in inside if open.get(name))
        _close(found, open, failed, found)
    return found


def _close(
    names: Iterable[str], open: dict[str, int], failed: set[str], found: dict[str, Status]
) -> None:
    """Settle what nothing more will happen to: it failed, or others did."""
    for name in names:
        if open.pop(name, 0):
            found[name] = "failed" if name in failed else "stopped"


def _inside(definition: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Yield each state that holds others, with the names of all of them."""
    for name, fields in definition["States"].items():
        blocks = list(fields.get("Branches", ()))
        processor = fields.get("ItemProcessor") or fields.get("Iterator")
        if processor:
            blocks.append(processor)
        if blocks:
            within = [pair for block in blocks for pair in _inside(block)]
            yield (
                name,
                {one for block in blocks for one in block["States"]}.union(
                    *(names for _, names in within)
                ),
            )
            yield from within
