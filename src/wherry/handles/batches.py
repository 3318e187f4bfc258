"""Batches: several messages in one run, each with an end of its own, or all with the same.

    @app.consume(jobs, batch=20)
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:       # committed, or failed, by itself
                ...

A handler that enters no item decides for all of them: it returns and everything it wrote is
committed with all messages, or it raises and all of them are tried again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from wherry.errors import Refused
from wherry.handles.scope import enter, leave, maybe_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextvars import Token
    from types import TracebackType

    from wherry.handles.scope import Scope

T = TypeVar("T")


class BatchItem(Generic[T]):
    """One message of a batch.

    `with item as job:` makes what the block writes a commit of its own. A block that raises fails
    its item only: nothing of it is applied, the loop goes on, and the message is tried again as it
    would be alone.

    Attributes:
        value: The payload.
        id: The message's ID.
        entered: The block has been entered; `left`: and has come to its end, good or bad.
        error: What the block raised.
        group: That of a FIFO queue, where others of it may be in the batch.
    """

    __slots__ = ("_batch", "_scope", "_token", "entered", "error", "group", "id", "left", "value")

    def __init__(self, value: T, id: str, scope: Scope, group: str | None = None) -> None:
        self.value = value
        self.id = id
        self.group = group
        self.entered = False
        self.left = False
        self.error: BaseException | None = None
        self._scope = scope
        self._batch: Batch[T] | None = None
        self._token: Token[Scope | None] | None = None

    def __repr__(self) -> str:
        return f"BatchItem({self.id!r}, {self.value!r})"

    def __enter__(self) -> T:
        batch = self._batch
        if self.entered:
            raise Refused(f"The item {self.id} was entered before; each is entered once.")
        if batch is None or maybe_scope() is not batch.scope:
            raise Refused(
                "An item was entered outside of its batch's run, or inside another item.",
                advice="Enter one item after the other: for item in batch: with item as job: ...",
            )
        self.entered = True
        batch.entered = True
        self._token = enter(self._scope)
        return self.value

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        self._scope.over = True
        self.left = True
        if self._token is not None:
            leave(self._token)
        if error is None:
            return False
        self.error = error
        if self._batch is not None:
            self._batch.failed(self, error)
        return isinstance(error, Exception)  # an exit, an interrupt: they end the run


class Batch(Generic[T]):
    """Messages that a consumer with `batch=` is handed at once.

    An item that is not entered while others are was not handled: it fails, and is tried again. So
    a handler may stop early; it may not pass over an item for good without entering it.
    """

    __slots__ = ("_items", "entered", "failed", "scope")

    def __init__(
        self,
        items: list[BatchItem[T]],
        scope: Scope,
        failed: Callable[[BatchItem[T], BaseException], None],
    ) -> None:
        self._items = items
        self.scope = scope
        self.failed = failed
        self.entered = False
        for item in items:
            item._batch = self

    def __repr__(self) -> str:
        return f"Batch({self._items!r})"

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[BatchItem[T]]:
        # Of a FIFO queue's group none comes after one that has failed.
        stopped = {item.group for item in self._items if item.error is not None}
        for item in self._items:
            if item.group is None or item.group not in stopped:
                yield item
                if item.error is not None:
                    stopped.add(item.group)

    @property
    def values(self) -> list[T]:
        """The payloads, for a handler that decides for all of them at once."""
        return [item.value for item in self._items]
