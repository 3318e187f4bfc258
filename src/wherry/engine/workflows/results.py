"""ResultWriter: what became of the children of a distributed map, into a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.effects import PutObject
from wherry.engine.workflows import integrations
from wherry.errors import Passing
from wherry.platforms.files.faults import StorageFault
from wherry.ports import ExecutionRow, ExecutionRows, FindExecution, ListExecutions
from wherry.statemachine.faults import StatesError
from wherry.statemachine.records import Failed, Succeeded
from wherry.statemachine.writers import WRITER, Outcome, answer, files, place

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.numbers import Numbers
    from wherry.engine.offload import Offload
    from wherry.engine.store import Store
    from wherry.engine.workflows.held import Loaded
    from wherry.platforms.files.blobs import Blobs
    from wherry.statemachine.records import Call

SLOT_LENGTH = 12  # hexadecimal digits at the end of a child's name
AT_ONCE = 100  # children that are asked for in one turn


class ResultsWritten:
    """Writes the results of one map run: all children, in the order of their items."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        offload: Offload,
        numbers: Numbers,
        buckets: set[str],
        loaded: Loaded,
        call: Call,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._offload = offload
        self._number = numbers.next()
        self._buckets = buckets
        self._loaded = loaded
        self._call = call
        self._found: dict[str, int] = {}  # the newest child of each item
        self._children: list[int] = []
        self._outcomes: list[Outcome] = []
        self._then: Callable[[integrations.Outcome | Any], None]

    def go(self, then: Callable[[integrations.Outcome | Any], None]) -> None:
        """Write everything; `then` gets the outcome, or the answer of a store in trouble.

        Raises:
            StatesError: There is no such place.
        """
        self._then = then
        if not self._call.resource:
            self._end([])
            return
        bucket, _ = place(self._call)
        if bucket not in self._buckets:
            raise StatesError(WRITER, f"The bucket {bucket} does not exist.", final=True)
        self._list(None)

    # -- the children ----------------------------------------------------------------------------

    def _list(self, after: int | None) -> None:
        request = ListExecutions(None, None, limits.QUERY_LIMIT_MAX, after, self._loaded.id)
        self._store.send("", request, self._listed)

    def _listed(self, page: Any) -> None:
        if not isinstance(page, ExecutionRows):
            self._then(page)
            return
        mark = child_mark(self._call.map_run)
        for row in page.rows:  # the newest first: a redrive has begun others for what had failed
            if row.name.startswith(mark):
                self._found.setdefault(row.name[-SLOT_LENGTH:], row.id)
        if page.after is not None:
            self._list(page.after)
            return
        self._children = [self._found[slot] for slot in sorted(self._found, reverse=True)]
        self._ask()

    def _ask(self) -> None:
        """Ask for some more children; write when all are known."""
        asked = [self._children.pop() for _ in range(min(AT_ONCE, len(self._children)))]
        if not asked:
            self._offload(self._put, self._written)
            return
        left = len(asked)

        def found(row: Any) -> None:
            nonlocal left
            left -= 1
            if isinstance(row, ExecutionRow):
                self._outcomes.append(self._outcome(row))
            if left == 0:
                self._ask()

        for child in asked:
            self._store.send("", FindExecution("", "", child), found)

    def _outcome(self, row: ExecutionRow) -> Outcome:
        run = self._loaded.run
        label = self._call.map_run.rsplit("/", 1)[-1].split(":")[0]
        return Outcome(
            None if row.input is None else msgspec.json.decode(row.input),
            row.status,
            f"{run.arn.rsplit(':', 1)[0]}/{label}:{row.name}",
            f"{run.machine_arn}/{label}",
            row.name,
            None if row.output is None else msgspec.json.decode(row.output),
            row.error,
            row.cause,
            row.started_ms,
            row.ended_ms or row.started_ms,
            row.redrives,
        )

    # -- the files -------------------------------------------------------------------------------

    def _put(self) -> list[PutObject]:
        bucket, _ = place(self._call)
        effects = []
        for count, file in enumerate(files(self._call, self._outcomes)):
            ref = self._blobs.put(bucket, f"{self._number:016x}{count:08x}", file.body)
            effects.append(
                PutObject(
                    bucket,
                    file.key,
                    ref.blob,
                    ref.size_bytes,
                    ref.sha256,
                    "application/json",
                    {},
                    if_absent=True,  # so that a grant to create will do
                )
            )
        return effects

    def _written(self, result: Any) -> None:
        if isinstance(result, list):
            self._end(result)
        elif isinstance(result, Passing | StorageFault):
            self._then(result)  # it is tried again
        else:
            error = result
            if not isinstance(error, StatesError):
                error = StatesError(WRITER, f"{type(result).__name__}: {result}", final=True)
            self._then(integrations.Outcome(Failed(self._call.id, error.error, error.cause)))

    def _end(self, effects: list[PutObject]) -> None:
        event = Succeeded(self._call.id, answer(self._call))
        self._then(integrations.Outcome(event, list(effects)))


def child_name(map_run: str, slot: int, random: str) -> str:
    """Return a child's name, as long as a UUID: it tells the map run and the item."""
    mark = child_mark(map_run)
    return f"{mark}{random[len(mark) : -SLOT_LENGTH]}{slot:0{SLOT_LENGTH}x}"


def child_mark(map_run: str) -> str:
    """Return what the names of a map run's children begin with, as those of no other's do."""
    return map_run.rsplit(":", 1)[-1][:8]
