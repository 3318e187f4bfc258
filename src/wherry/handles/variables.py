"""What the team calls a resource in its code, which is not always the resource's name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from wherry.handles.events import event_type


def grant_line(resource: str, action: str) -> str:
    """Return how a grant is written: `packing.send`, of `packing = app.queue(PackJob)`.

    For the text of an error alone: every module is looked through. Where no module has a variable
    for it, it is the name that the resource goes by.
    """
    for variable, value in _variables():
        if action == "publish":
            # By its own type alone: what stands for another object may refuse to be asked.
            event = event_type(value) if issubclass(type(value), type) else None
            if event is not None and event.name == resource:
                return f"publish[{variable}]"
        elif (
            str(type(value).__module__).startswith("wherry.handles.")
            and getattr(value, "name", None) == resource
            and hasattr(value, action)
        ):
            return f"{variable}.{action}"
    return f"{resource}.{action}"


def _variables() -> Iterator[tuple[str, Any]]:
    for module in list(sys.modules.values()):
        for variable, value in list(getattr(module, "__dict__", {}).items()):
            if not variable.startswith("_"):
                yield variable, value
