"""ItemReader: the items of a distributed map, out of a bucket."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.engine.workflows.integrations import Outcome
from wherry.errors import Passing
from wherry.platforms.files.faults import StorageFault
from wherry.platforms.files.refs import BlobRef
from wherry.ports import Denied, GetObject, ListObjects, Nothing, ObjectPage, ObjectRow
from wherry.statemachine.faults import StatesError
from wherry.statemachine.readers import (
    Listed,
    ListedObject,
    Reading,
    WantedList,
    WantedObject,
    failed,
)
from wherry.statemachine.records import Failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.offload import Offload
    from wherry.engine.store import Store
    from wherry.platforms.files.blobs import Blobs
    from wherry.statemachine.records import Call


class ItemsRead:
    """Reads items, an object or a page of a list at a time.

    Raises:
        StatesError: The call is none that can be done.
    """

    def __init__(
        self, store: Store, blobs: Blobs, offload: Offload, rights: str, call: Call
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._offload = offload
        self._rights = rights
        self._call = call
        self._reading = Reading(call)
        self._then: Callable[[Outcome | Any], None]

    def go(self, then: Callable[[Outcome | Any], None]) -> None:
        """Read everything; `then` gets the outcome, or the answer of a store in trouble."""
        self._then = then
        self._next()

    def _next(self) -> None:
        match self._reading.wanted:
            case None:
                self._then(Outcome(self._reading.event()))
            case WantedObject(bucket=bucket, key=key):
                self._store.send(self._rights, GetObject(bucket, key), self._found)
            case WantedList(bucket=bucket, prefix=prefix, after=after):
                request = ListObjects(bucket, prefix, limits.QUERY_LIMIT_MAX, after)
                self._store.send(self._rights, request, self._found)

    def _found(self, answer: Any) -> None:
        match answer:
            case ObjectRow():
                self._offload(partial(self._content, answer), self._taken)
            case ObjectPage():
                listed = [
                    ListedObject(row.key, row.size_bytes, row.sha256, row.created_ms)
                    for row in answer.rows
                ]
                self._take(Listed(listed, answer.after))
            case Nothing():
                self._take(None)
            case Denied(resource=resource):
                self._failed(failed(f"Access to the bucket {resource} is denied."))
            case _:
                self._then(answer)

    def _content(self, row: ObjectRow) -> None:
        if row.size_bytes > limits.STATE_READER_BYTES:
            raise failed(f"{row.key} has {row.size_bytes} bytes; it is too large to be read.")
        with self._blobs.open(row.bucket, BlobRef(row.blob, row.size_bytes, row.sha256)) as blob:
            self._reading.take(blob.read())

    def _take(self, answer: Listed | None) -> None:
        try:
            self._reading.take(answer)
        except StatesError as error:
            self._failed(error)
            return
        self._next()

    def _taken(self, result: Any) -> None:
        if result is None:
            self._next()
        elif isinstance(result, StatesError):
            self._failed(result)
        elif isinstance(result, Passing | StorageFault):
            self._then(result)  # it is tried again
        else:
            self._failed(failed(f"{type(result).__name__}: {result}"))

    def _failed(self, error: StatesError) -> None:
        self._then(Outcome(Failed(self._call.id, error.error, error.cause)))
