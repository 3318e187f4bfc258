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

    def __getattr__(self, name: str) -> Any:
        from importlib import import_module

        module = import_module(self._module)
        self._names[self._module.rpartition(".")[2]] = module
        return getattr(module, name)
