"""Clients that write down what they were told, and the invariants that are held against it.

I1 what was accepted is there. I2 what was refused is not there. I3 each order's job, step and
listener has had its effect once, and so has each firing of a schedule. I4 done, dead and waiting
are disjoint, and all there is. I5 attempts stay within their bound. I6 each execution has ended
as it should, and its history is a legal one: no event twice, none missing. I7 an object is there
with its order, holds what its row says, and its listener has seen it. I8 the store's own check
passes. I10 every refusal has a code and a correlation ID. C counters that many read and write
count each success once. R what is read meanwhile shows what was acknowledged (`readers`). O steps
of a group come in order. A each run's outcome goes to whoever asked for it (the cluster's
environments look).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from wherry.codec import from_json
from wherry.errors import WherryError
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.refs import BlobRef
from wherry.ports import (
    Depths,
    ExecutionRow,
    Failures,
    FindExecution,
    GetHistory,
    GetObject,
    ListFailures,
    ListObjects,
    ObjectRow,
    QueueDepths,
)
from wherry.statemachine.records import HistoryEvent
from wherry.testing.client import TestReply

from .app import SHIPPED, jobs, picture_of, pictures, process
from .cluster import Store

_read_event = msgspec.msgpack.Decoder(HistoryEvent).decode
Fate = Literal["asked", "ok", "refused", "unknown"]


class Operation:
    """Something that a client wants, and what it knows of it."""

    __slots__ = ("fate", "keyed", "kind", "name", "number", "unsure")

    def __init__(self, number: int, name: str, kind: str, keyed: bool) -> None:
        self.number = number
        self.name = name
        self.kind = kind
        self.keyed = keyed
        self.fate: Fate = "asked"
        self.unsure = False  # one of its tries was never answered


class Oracle:
    """Remembers operations and what became of them."""

    def __init__(self) -> None:
        self.orders: list[Operation] = []
        self.bumps: list[Operation] = []
        self.wrong: list[str] = []

    def answered(self, operation: Operation, reply: TestReply) -> None:
        """A client has its answer."""
        if reply.status in (200, 201):
            operation.fate = "ok"
            return
        wrong = self.untold(reply)
        if wrong is not None:
            self.wrong.append(f"{wrong} ({operation.name})")
        if from_json(reply.body).get("code") == "fate_unknown":
            operation.unsure = True
        operation.fate = "refused"

    def untold(self, reply: TestReply) -> str | None:
        """Return what a refusal does not tell."""
        told = from_json(reply.body).get("code") and reply.correlation_id
        return None if told else f"I10: {reply.status} without code or ID"

    def check(self, store: Store, blobs: Blobs) -> list[str]:
        """Return every invariant that does not hold, when all is quiet."""
        found = list(self.wrong)
        there = {item["order_id"] for item in _items(store, "orders")}
        runs = {item["order_id"]: item["runs"] for item in _items(store, "effects")}
        effects = {name: count for name, count in runs.items() if "/" not in name}
        tallies = {item["name"]: item["count"] for item in _items(store, "tallies")}
        failures: Failures = _ask(store, ListFailures(None, 100_000, None))
        dead = {}
        refused: set[int] = set()
        for failed in failures.rows:
            order_id = from_json(failed.body).get("order_id")
            if failed.queue == process.name:
                refused.add(from_json(failed.body)["execution"])
            elif order_id is None:  # of a listener or a schedule, which never fail
                found.append(f"I4: {failed.id} of {failed.queue} is dead: {failed.error}")
            else:
                dead[order_id] = failed
        known = {operation.name: operation for operation in self.orders}
        for name, operation in known.items():
            if operation.fate == "ok" and name not in there:
                found.append(f"I1: {name} was accepted and is not there")
            if operation.fate == "refused" and not operation.unsure and name in there:
                found.append(f"I2: {name} was refused and is there")
        for name in there - known.keys():
            found.append(f"I2: nobody asked for {name}")
        for name in sorted(there & known.keys()):
            if known[name].kind == "event":
                for listener in ("listen", "listen_too"):
                    count = runs.get(f"{name}/{listener}", 0)
                    if count != 1:
                        found.append(f"I3: {listener} heard of {name} {count} times")
            elif known[name].kind == "picture":
                found += _picture_faults(store, blobs, name, runs.get(f"{name}/look", 0))
            elif known[name].kind in ("shipped", "declined"):
                found += _execution_faults(store, known[name], runs, refused)
            else:
                found += _job_faults(known[name], effects.get(name, 0), dead.get(name))
        for row in _ask(store, ListObjects(pictures.name, "", 1_000, None)).rows:
            if row.key not in there:
                found.append(f"I7: {row.key} has a picture and is not there")
        for name in sorted((effects.keys() | dead.keys()) - there):
            found.append(f"I3: the job of {name} ran, and the order is not there")
        found += self._count_faults(there, effects, tallies)
        found += _firing_faults(runs)
        if tallies.get("disorder"):
            found.append(f"O: {tallies['disorder']} steps came out of order")
        depths: Depths = _ask(store, QueueDepths())
        for row in depths.rows:
            if row.waiting or row.leased:
                found.append(f"I4: {row.queue}: {row.waiting} wait, {row.leased} are leased")
        found += [f"I8: {line}" for line in store.integrity() if line != "ok"]
        return found

    def _count_faults(
        self, there: set[str], effects: dict[str, int], tallies: dict[str, int]
    ) -> list[str]:
        found = []
        if tallies.get("placed", 0) != len(there):
            found.append(f"C: {tallies.get('placed', 0)} placed, {len(there)} are there")
        steps = sum(count for name, count in tallies.items() if name.endswith("-done"))
        done = tallies.get("done", 0) + steps
        if done != sum(effects.values()):
            found.append(f"C: {done} done, {sum(effects.values())} effects")
        for name in {operation.kind for operation in self.bumps}:
            mine = [operation for operation in self.bumps if operation.kind == name]
            sure = sum(operation.fate == "ok" for operation in mine)
            perhaps = sum(operation.fate != "ok" and operation.unsure for operation in mine)
            if not sure <= tallies.get(name, 0) <= sure + perhaps:
                found.append(
                    f"C: {name} is {tallies.get(name, 0)} after {sure} to {sure + perhaps} bumps"
                )
        return found


def _job_faults(operation: Operation, runs: int, dead: Any) -> list[str]:
    """What an order's job should have come to: one effect, or the failure inbox."""
    found = []
    name, kind = operation.name, operation.kind
    if runs and dead is not None:
        found.append(f"I4: {name} is done and dead")
    if not runs and dead is None:
        found.append(f"I4: {name} is neither done nor dead")
    if runs > 1:
        found.append(f"I3: {name} had its effect {runs} times")
    if kind in ("poison", "hopeless") and runs:
        found.append(f"I3: {name} ({kind}) failed and had its effect")
    if dead is not None and kind == "step":
        found.append(f"I4: the step of {name} is dead: {dead.error}")
    if dead is not None and dead.attempts > jobs.max_attempts:
        found.append(f"I5: {name} had {dead.attempts} attempts")
    if dead is not None and dead.code == "handler_failed" and kind == "plain":
        found.append(f"I4: {name} never failed and is dead: {dead.error}")
    if dead is not None and kind == "poison" and dead.attempts < jobs.max_attempts:
        found.append(f"I5: {name} was given up after {dead.attempts} attempts")
    return found


def _picture_faults(store: Store, blobs: Blobs, name: str, looks: int) -> list[str]:
    """Row, object and checksum agree, and who listens has looked once."""
    row = _ask(store, GetObject(pictures.name, name))
    if not isinstance(row, ObjectRow):
        return [f"I7: {name} is there without its picture"]
    try:
        with blobs.open(pictures.name, BlobRef(row.blob, row.size_bytes, row.sha256)) as reader:
            content = reader.read()
    except WherryError as error:
        return [f"I7: the picture of {name} cannot be read: {error}"]
    found = [] if content == picture_of(name) else [f"I7: the picture of {name} is another one"]
    return found + ([] if looks == 1 else [f"I3: the picture of {name} was seen {looks} times"])


def _execution_faults(
    store: Store, operation: Operation, runs: dict[str, int], refused: set[int]
) -> list[str]:
    """What an order's workflow should have come to: the effects of each of its states once."""
    found = []
    name, good = operation.name, operation.kind == "shipped"
    row = _ask(store, FindExecution(process.name, name))
    if not isinstance(row, ExecutionRow):
        return [f"I6: {name} was placed and its execution is not there"]
    if row.status != ("SUCCEEDED" if good else "FAILED"):
        found.append(f"I6: the execution {name} is {row.status}: {row.error} {row.cause}")
    if (row.id in refused) == good:
        found.append(f"I4: the execution {name} is {row.status}, in the inbox: {row.id in refused}")
    states = {state: runs.get(f"{name}/{state}", 0) for state in (*SHIPPED, "release")}
    wanted = {**dict.fromkeys(SHIPPED, 1), "release": 0}
    if not good:  # the branch beside the one that failed may have ended before
        wanted = {"reserve": 1, "pack": min(1, states["pack"]), "bill": 0, "ship": 0, "release": 1}
    if states != wanted:
        found.append(f"I3: the states of {name} had their effects {states}")
    page = _ask(store, GetHistory(row.id, 1_000))
    events = [_read_event(event) for event in page.events]
    if [event.id for event in events] != list(range(1, row.events + 1)):
        found.append(f"I6: the history of {name} has gaps or repeats: {[e.id for e in events]}")
    if any(event.previous >= event.id for event in events):
        found.append(f"I6: an event of {name} comes before its cause")
    entered = [
        event.details["name"]
        for event in events
        if event.details and event.type.endswith("StateEntered")
    ]
    if len(set(entered)) != len(entered):
        found.append(f"I6: {name} entered a state twice: {entered}")
    if not events or not events[-1].type.startswith("Execution"):
        found.append(f"I6: the history of {name} does not end")
    return found


def _firing_faults(runs: dict[str, int]) -> list[str]:
    """A schedule that fires each minute, and what was missed of it once."""
    ticks = {name: count for name, count in runs.items() if name.startswith("tick/")}
    found = [f"I3: {name} fired {count} times" for name, count in ticks.items() if count != 1]
    if not ticks:
        found.append("I3: the schedule has never fired")
    return found


def _items(store: Store, table: str) -> list[dict[str, Any]]:
    return [from_json(body) for body in store.bodies(table)]


def _ask(store: Store, request: Any) -> Any:
    return store.run([("", request)])[0]
