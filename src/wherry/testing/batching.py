"""A batch for a consumer that a test calls: values in, what became of each of them out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from wherry.errors import Refused
from wherry.handles.batches import Batch, BatchItem
from wherry.handles.scope import Scope
from wherry.runtime.batches import refuse_writes_beside

if TYPE_CHECKING:
    from wherry.app.endpoints import Endpoint
    from wherry.effects import Effect


class CalledBatch:
    """The items of one call, each with a scope of its own, as in operation."""

    def __init__(self, endpoint: Endpoint, scope: Scope, values: Any) -> None:
        if not isinstance(values, Iterable) or isinstance(values, str | bytes | dict):
            raise Refused(
                f"{endpoint.name} takes a batch.", advice="Give it a list: call(app, f, [job])."
            )
        self._endpoint, self._scope = endpoint, scope
        self._scopes = [_of_item(scope, at) for at, _ in enumerate(values)]
        self._items: list[BatchItem[Any]] = [
            BatchItem(value, f"m{at + 1}", self._scopes[at]) for at, value in enumerate(values)
        ]
        self.batch: Batch[Any] = Batch(self._items, scope, lambda item, error: None)

    def effects(self) -> list[Effect]:
        """Return what the run wants to change: all of it, or that of each item that is done."""
        if not self.batch.entered:
            return self._scope.effects()
        refuse_writes_beside(self._endpoint.name, self._scope)
        done = [at for at, item in enumerate(self._items) if item.left and item.error is None]
        return [effect for at in done for effect in self._scopes[at].effects()]

    def marks(self) -> list[str]:
        """Return what was read and written, in words."""
        return [*self._scope.marks, *(mark for scope in self._scopes for mark in scope.marks)]

    def failed(self) -> dict[int, BaseException]:
        """Return why items failed, by their place in the batch."""
        found: dict[int, BaseException] = {}
        for at, item in enumerate(self._items):
            if item.error is not None:
                found[at] = item.error
            elif self.batch.entered and not item.left:
                found[at] = Refused("The item was not entered, though others were.")
        return found


def _of_item(scope: Scope, at: int) -> Scope:
    run = scope.invocation
    return scope.part(msgspec.structs.replace(run, key=f"{run.key}/{at}"))
