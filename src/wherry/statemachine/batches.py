"""ItemBatcher: items of a distributed Map that go to one child together."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.statemachine.context import StateScope
from wherry.statemachine.jsonata import compile_query
from wherry.statemachine.quantities import Quantity
from wherry.statemachine.templates import compile_template
from wherry.statemachine.text import size_bytes, to_text


class Batcher:
    """MaxItemsPerBatch, MaxInputBytesPerBatch and BatchInput."""

    def __init__(self, fields: dict[str, Any], jsonata: bool) -> None:
        self._most = Quantity(fields, "MaxItemsPerBatch", jsonata, "ItemBatcher/")
        self._bytes = Quantity(fields, "MaxInputBytesPerBatch", jsonata, "ItemBatcher/")
        self._query = self._template = None
        if "BatchInput" in fields:
            if jsonata:
                self._query = compile_query(fields["BatchInput"], "ItemBatcher/BatchInput")
            else:
                self._template = compile_template(fields["BatchInput"])

    def batches(
        self, scope: StateScope, raw: Any, effective: Any, items: list[Any]
    ) -> list[dict[str, Any]]:
        """Return the inputs of the children, in the order of the items."""
        shared: dict[str, Any] = {}
        if self._query is not None:
            shared = {"BatchInput": self._query.evaluate(scope, {"input": raw})}
        elif self._template is not None:
            shared = {"BatchInput": self._template(scope, effective)}
        most = int(self._most.read(scope, raw, effective) or 0) or len(items) or 1
        room = int(self._bytes.read(scope, raw, effective) or limits.STATE_DATA_BYTES)
        room = min(room, limits.STATE_DATA_BYTES)
        frame_bytes = size_bytes(to_text({**shared, "Items": []}))
        found: list[list[Any]] = []
        used = 0
        for item in items:
            size = size_bytes(to_text(item)) + 1
            if not found or len(found[-1]) == most or used + size - 1 > room:
                found.append([])
                used = frame_bytes
            found[-1].append(item)
            used += size
        return [{**shared, "Items": batch} for batch in found]
