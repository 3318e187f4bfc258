"""ItemReader and ResultWriter: where a distributed Map's items come from and its results go."""

from __future__ import annotations

from typing import Any

from wherry.statemachine import faults
from wherry.statemachine.context import StateScope
from wherry.statemachine.faults import StatesError
from wherry.statemachine.jsonata import compile_query
from wherry.statemachine.quantities import Quantity
from wherry.statemachine.templates import compile_template

_MOST = ("MaxItems", "MaxItemsPath")


class _Outside:
    field = ""

    def __init__(self, fields: dict[str, Any], jsonata: bool) -> None:
        self.resource: str = fields.get("Resource", "")
        self._query = self._template = None
        name = "Arguments" if jsonata else "Parameters"
        if name in fields:
            if jsonata:
                self._query = compile_query(fields[name], f"{self.field}/{name}")
            else:
                self._template = compile_template(fields[name])

    def arguments(self, scope: StateScope, raw: Any, effective: Any) -> Any:
        """Return what the call is made with."""
        if self._query is not None:
            return self._query.evaluate(scope, {"input": raw})
        return None if self._template is None else self._template(scope, effective)


class ItemReader(_Outside):
    """Reads items by a call of kind `items`."""

    field = "ItemReader"

    def __init__(self, fields: dict[str, Any], jsonata: bool) -> None:
        super().__init__(fields, jsonata)
        config: dict[str, Any] = fields.get("ReaderConfig") or {}
        self._most = Quantity(config, "MaxItems", jsonata, "ItemReader/ReaderConfig/")
        self._config = {name: one for name, one in config.items() if name not in _MOST}

    def config(self, scope: StateScope, raw: Any, effective: Any) -> dict[str, Any]:
        """Return ReaderConfig with what MaxItems comes to."""
        most = int(self._most.read(scope, raw, effective) or 0)
        return {**self._config, "MaxItems": most} if most else self._config

    def items(self, scope: StateScope, raw: Any, effective: Any, answer: Any) -> list[Any]:
        """Return the items of an answer, as many as the state wants.

        Raises:
            StatesError: The answer is no array.
        """
        if not isinstance(answer, list):
            raise StatesError(faults.READER, "Attempting to map over non-iterable node.")
        most = int(self._most.read(scope, raw, effective) or 0)
        return answer[:most] if most else answer


class ResultWriter(_Outside):
    """Writes results by a call of kind `results`."""

    field = "ResultWriter"

    def __init__(self, fields: dict[str, Any], jsonata: bool) -> None:
        super().__init__(fields, jsonata)
        self.config: dict[str, Any] = fields.get("WriterConfig") or {}
