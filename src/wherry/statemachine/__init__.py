"""Amazon States Language: validation and a pure interpreter.

    from wherry.statemachine import compile_machine, validate

`machine.Machine.advance` takes a run from one event to the next; nothing here does I/O, looks at
a clock or throws dice. Each name is looked up when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wherry.statemachine.faults import InvalidDefinition, StatesError
    from wherry.statemachine.findings import Finding
    from wherry.statemachine.machine import Machine, compile_machine
    from wherry.statemachine.validation import validate

_HOMES = {
    "Finding": "findings",
    "InvalidDefinition": "faults",
    "Machine": "machine",
    "StatesError": "faults",
    "compile_machine": "machine",
    "validate": "validation",
}

__all__ = [
    "Finding",
    "InvalidDefinition",
    "Machine",
    "StatesError",
    "compile_machine",
    "validate",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"wherry.statemachine.{_HOMES[name]}"), name)
