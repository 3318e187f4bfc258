"""Modules that only a run needs: imported when something of them is first used.

`import wherry` does without them, and a run pays for the import machinery once and not, as with an
`import` statement in a function, at each call.
"""

from __future__ import annotations

from typing import Any


class Late:
    """Stands for a module among the names of another one; its first use puts the module there.

        effects = Late("wherry.effects", globals())

    The name is the last part of the module's.
    """

    def __init__(self, module: str, names: dict[str, Any]) -> None:
        self._module, self._names = module, names
        _waiting.append(self)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settle(), name)

    def _settle(self) -> Any:
        from importlib import import_module

        module = import_module(self._module)
        self._names[self._module.rpartition(".")[2]] = module
        return module


def settle() -> None:
    """Put all of these modules in their places: before a fork, or each child would do it."""
    while _waiting:
        _waiting.pop()._settle()


_waiting: list[Late] = []
