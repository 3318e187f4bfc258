"""Calls that the engine does itself: service integrations, executions of other workflows, what a
distributed map reads and writes.

Reads come first; what a call changes is committed with the step that it leads to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from wherry.engine.workflows.integrations import Outcome, Reading, begin, refused
from wherry.engine.workflows.items import ItemsRead
from wherry.engine.workflows.results import ResultsWritten
from wherry.ports import Conflicted, Denied, ExecutionRow, FindExecution, Item, Nothing
from wherry.statemachine.faults import StatesError
from wherry.statemachine.functions import uuid4
from wherry.statemachine.integration_answers import (
    Described,
    execution_arn,
    machine_arn,
    nested,
)
from wherry.statemachine.records import Failed
from wherry.statemachine.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.blueprint import Blueprint
    from wherry.engine.numbers import Numbers
    from wherry.engine.offload import Offload
    from wherry.engine.store import Store
    from wherry.engine.workflows.held import Loaded
    from wherry.platforms.files.blobs import Blobs
    from wherry.ports import Rejected, Unmet
    from wherry.statemachine.records import Call
    from wherry.world import Chance

Then: TypeAlias = "Callable[[Outcome | Any], None]"
CONFLICTS = 10  # of one call with other writers; then it fails


class OwnCalls:
    """Does calls. `then` gets an `Outcome`, or the answer of a store that is in trouble."""

    def __init__(
        self, store: Store, chance: Chance, numbers: Numbers, blobs: Blobs, offload: Offload
    ) -> None:
        self.blueprint: Blueprint
        self._store = store
        self._chance = chance
        self._numbers = numbers
        self._blobs = blobs
        self._offload = offload

    def do(self, loaded: Loaded, call: Call, id: str, now_ms: int, then: Then) -> None:
        """Do a call whose message has this ID."""
        try:
            if call.kind == "items":
                ItemsRead(self._store, self._blobs, self._offload, rights_of(loaded), call).go(then)
                return
            if call.kind == "results":
                self._write(loaded, call, then)
                return
            found = begin(
                call,
                loaded.run,
                self.blueprint,
                execution=loaded.id,
                id=id,
                now_ms=now_ms,
                chance=self._chance,
            )
        except StatesError as error:
            then(Outcome(Failed(call.id, error.error, error.cause)))
            return
        if isinstance(found, Outcome):
            then(found)
        else:
            self._read(loaded, call, found, then)

    def _read(self, loaded: Loaded, call: Call, reading: Reading, then: Then) -> None:
        def answered(answer: Any) -> None:
            if isinstance(answer, Item | Nothing):
                then(reading.then(answer))
            elif isinstance(answer, Denied):
                then(Outcome(refused(call, loaded.run, answer, uuid4(self._chance))))
            else:
                then(answer)

        self._store.send(rights_of(loaded) if reading.granted else "", reading.request, answered)

    def _write(self, loaded: Loaded, call: Call, then: Then) -> None:
        buckets = {bucket.name for bucket in self.blueprint.buckets}
        written = ResultsWritten(
            self._store, self._blobs, self._offload, self._numbers, buckets, loaded, call
        )
        written.go(then)

    def nested(self, loaded: Loaded, call: Call, child: int, then: Then) -> None:
        """The execution that a call has begun, and waits for, has ended."""

        def answered(answer: Any) -> None:
            if not isinstance(answer, ExecutionRow):
                then(answer)
                return
            waits = "sync:2" if Resource(call.resource).action.endswith(":2") else "sync"
            then(Outcome(nested(call.id, described(answer, loaded), waits)))

        self._store.send("", FindExecution("", "", child), answered)

    def refused(
        self, loaded: Loaded, call: Call, answer: Denied | Unmet | Conflicted | Rejected
    ) -> Failed:
        """Return how a call failed whose effects the store does not take."""
        if call.kind != "task":
            error = StatesError("States.ResultWriterFailed", f"{answer}", final=True)
            return Failed(call.id, error.error, error.cause)
        return refused(call, loaded.run, answer, uuid4(self._chance))


def described(row: ExecutionRow, loaded: Loaded) -> Described:
    """Return an execution as DescribeExecution tells of it."""
    run = loaded.run
    return Described(
        execution_arn(run, row.workflow, row.name),
        machine_arn(run, row.workflow),
        row.name,
        row.status,
        json_of(row.input),
        row.started_ms,
        row.ended_ms or row.started_ms,
        json_of(row.output),
        row.error,
        row.cause,
        row.redrives,
    )


def json_of(body: bytes | None) -> Any:
    """Return what a text of JSON says; None where there is none."""
    return None if body is None else msgspec.json.decode(body)


def rights_of(loaded: Loaded) -> str:
    """Return under whose name the store is asked: with the grants of the run's definition."""
    return f"{loaded.workflow}@{loaded.compiled.digest}"
