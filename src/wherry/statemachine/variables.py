"""Variables: how much they may hold, each Assign and all of an execution together."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.statemachine.faults import DATA_LIMIT, StatesError
from wherry.statemachine.records import Frame, Run
from wherry.statemachine.text import size_bytes


def new_sizes(run: Run, frame: Frame, texts: dict[str, str]) -> dict[str, int]:
    """Return the sizes in bytes of what a state assigns.

    Raises:
        StatesError: It is more than 256 KiB, or all variables would be more than 10 MiB.
    """
    sizes = {name: size_bytes(text) for name, text in texts.items()}
    added = sum(sizes.values())
    if added > limits.STATE_DATA_BYTES:
        raise _too_large("the assigned variables")
    replaced = sum(frame.sizes.get(name, 0) for name in sizes)
    if run.variables_bytes + added - replaced > limits.STATE_VARIABLES_BYTES:
        raise _too_large("all variables of the execution")
    return sizes


def assign(run: Run, frame: Frame, assigned: dict[str, Any], sizes: dict[str, int]) -> None:
    """Give variables of a block their values."""
    replaced = sum(frame.sizes.get(name, 0) for name in sizes)
    run.variables_bytes += sum(sizes.values()) - replaced
    frame.variables = {**frame.variables, **assigned}
    frame.sizes = {**frame.sizes, **sizes}


def _too_large(what: str) -> StatesError:
    return StatesError(
        DATA_LIMIT,
        f"The size of {what} exceeds the maximum number of bytes service limit.",
    )
