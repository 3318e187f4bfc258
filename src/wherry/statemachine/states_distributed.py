"""Map, DISTRIBUTED: each item, or batch of items, is an execution of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.statemachine import faults
from wherry.statemachine.batches import Batcher
from wherry.statemachine.context import STATE_DATA, StateScope, items_cell, result_cell
from wherry.statemachine.faults import StatesError, runtime, too_large
from wherry.statemachine.functions import uuid4
from wherry.statemachine.history import error_details
from wherry.statemachine.outside import ItemReader, ResultWriter
from wherry.statemachine.quantities import Quantity
from wherry.statemachine.records import Call, Frame, Join, Read
from wherry.statemachine.retrying import error_output
from wherry.statemachine.states import Compiling
from wherry.statemachine.states_map import MapState, pairs
from wherry.statemachine.text import size_bytes

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk

_EXCEEDED = "The specified tolerated failure threshold was exceeded"


class DistributedMapState(MapState):
    """Its failures are counted in items, and so many are tolerated."""

    takes_objects = True

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        self.at_once = limits.STATE_CHILDREN
        self._label: str = fields.get("Label") or generated_label(name)
        config = self.processor.get("ProcessorConfig") or {}
        self._express = config.get("ExecutionType") == "EXPRESS"
        self._count = Quantity(fields, "ToleratedFailureCount", jsonata)
        self._percentage = Quantity(fields, "ToleratedFailurePercentage", jsonata)
        batcher = fields.get("ItemBatcher")
        self._batcher = None if batcher is None else Batcher(batcher, jsonata)
        reader, writer = fields.get("ItemReader"), fields.get("ResultWriter")
        self._reader = None if reader is None else ItemReader(reader, jsonata)
        self._writer = None if writer is None else ResultWriter(writer, jsonata)

    def attempt(self, walk: Walk, frame: Frame) -> None:
        if self._reader is None:
            super().attempt(walk, frame)
            return
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        arguments = self._reader.arguments(scope, frame.input, effective)
        frame.phase = "join"
        frame.join = Join(total=0, phase="items")
        call = Call(
            walk.next_call(),
            "items",
            self.name,
            self._reader.resource,
            arguments,
            config=self._reader.config(scope, frame.input, effective),
        )
        walk.open_call(frame, call)

    def begin(
        self,
        walk: Walk,
        frame: Frame,
        scope: StateScope,
        items: list[Any],
        sources: list[tuple[int, str]] | None = None,
    ) -> None:
        """Start as many children as may run at once; `sources` are those of `Read`."""
        effective = self.flow.effective(scope, frame.input)
        count = self._count.read(scope, frame.input, effective)
        percentage = self._percentage.read(scope, frame.input, effective)
        run = walk.run
        place = run.machine_arn.replace(":stateMachine:", ":mapRun:")
        map_run = f"{place}/{self._label}:{uuid4(walk.draw)}"
        join = Join(
            total=0,
            at_once=self.concurrency(walk, frame),
            total_items=len(items),
            count_tolerated=None if count is None else int(count),
            percent_tolerated=percentage,
            map_run=map_run,
        )
        frame.phase, frame.join = "join", join
        origins = _origins(sources or [])
        entries = [
            self.selected(scope, frame, n, item, next(origins)) for n, item in enumerate(items)
        ]
        if self._batcher is not None:
            entries = self._batcher.batches(scope, frame.input, effective, entries)
        join.total = len(entries)
        walk.note(frame, "MapRunStarted", {"mapRunArn": map_run})
        join.started = frame.last
        walk.put_cell(items_cell(frame.id), entries)
        while join.next < join.total and join.next < join.at_once:
            self._start_next(walk, frame, join)
        if join.total == 0:
            self._all_done(walk, frame, join)

    def redrive(self, walk: Walk, frame: Frame, join: Join) -> None:
        """Begin those children anew that failed or were stopped, and then the others."""
        join.redrives += 1
        if join.redrives > limits.STATE_MAP_REDRIVES:
            raise runtime("The Map Run has exceeded the maximum number of redrives.")
        details = {"mapRunArn": join.map_run, "redriveCount": join.redrives}
        walk.note(frame, "MapRunRedriven", details)
        if join.phase == "results":
            self._write(walk, frame, join)
            return
        again, join.done = self._unfinished(walk, frame)
        join.failed = join.failed_items = join.again = 0
        walk.put_cell(_again_cell(frame), again)
        if not again and join.next == join.total:
            self._all_done(walk, frame, join)
            return
        for _ in range(min(join.at_once, len(again) + join.total - join.next)):
            self._start_next(walk, frame, join)

    def _unfinished(self, walk: Walk, frame: Frame) -> tuple[list[list[int]], int]:
        """Return the children that did not succeed, with their calls; and how many did."""
        again, done = [], 0
        for name in list(walk.run.cells):
            if not name.startswith(f"{frame.id}."):
                continue
            kind, _, number = name.partition(".")[2].partition(".")
            if kind == "failed":
                again.append([int(number), walk.take_cell(name)])
                walk.take_cell(result_cell(frame.id, int(number)))
                done -= 1
            elif kind == "call":
                again.append([walk.take_cell(name), int(number)])
            elif kind.isdigit():
                done += 1
        return sorted(again), done

    def _start_next(self, walk: Walk, frame: Frame, join: Join) -> None:
        again = walk.run.cells.get(_again_cell(frame), ())
        if join.again < len(again):
            slot, before = again[join.again]
            join.again += 1
        else:
            slot, before = join.next, 0
            join.next += 1
        self._start_child(walk, frame, join, slot, before)

    def _start_child(self, walk: Walk, frame: Frame, join: Join, slot: int, before: int) -> None:
        entry = walk.run.cells[items_cell(frame.id)][slot]
        walk.bounded(entry, self.name)
        call = Call(
            id=walk.next_call(),
            kind="child",
            state=self.name,
            arguments=entry,
            block=self.block,
            index=slot,
            item=entry,
            type="EXPRESS" if self._express else "STANDARD",
            map_run=join.map_run,
            again=before,
        )
        walk.put_cell(_slot_cell(frame, call.id), call.index)
        walk.open_call(frame, call)

    def answered(self, walk: Walk, frame: Frame, call: int, output: Any) -> None:
        walk.run.calls.pop(call, None)
        assert frame.join is not None
        join = frame.join
        if join.phase == "items":
            assert self._reader is not None
            scope = walk.scope(frame)
            effective = self.flow.effective(scope, frame.input)
            found, sources = (
                (output.items, output.sources) if isinstance(output, Read) else (output, [])
            )
            if isinstance(found, dict):
                found = pairs(found)
            items = self._reader.items(scope, frame.input, effective, found)
            walk.note(frame, "MapStateStarted", {"length": len(items)})
            self.begin(walk, frame, scope, items, sources)
            return
        if join.phase == "results":
            self._take_results(walk, frame, join)
            self._succeed(walk, frame, join, output)
            return
        slot = walk.take_cell(_slot_cell(frame, call))
        if self._writer is None:
            join.size += size_bytes(walk.text(output)) + 1
        keep = self._writer is not None or join.size <= 2 * limits.STATE_DATA_BYTES
        walk.put_cell(result_cell(frame.id, slot), output if keep else None)
        self._next_child(walk, frame, join)

    def refused(self, walk: Walk, frame: Frame, call: int, error: StatesError) -> None:
        walk.run.calls.pop(call, None)
        assert frame.join is not None
        join = frame.join
        if join.phase:
            raise error if join.phase == "items" else self._run_failed(walk, frame, error)
        slot = walk.take_cell(_slot_cell(frame, call))
        entry = walk.run.cells[items_cell(frame.id)][slot]
        join.failed += 1
        failed = {"Status": "FAILED", **error_output(error)}
        walk.put_cell(result_cell(frame.id, slot), failed)
        walk.put_cell(_failed_cell(frame, slot), call)
        join.failed_items += 1 if self._batcher is None else len(entry["Items"])
        if self._exceeded(join):
            exceeded = StatesError(faults.TOLERANCE, _EXCEEDED, final=True)
            raise self._run_failed(walk, frame, exceeded)
        self._next_child(walk, frame, join)

    def _run_failed(self, walk: Walk, frame: Frame, error: StatesError) -> StatesError:
        walk.note(frame, "MapRunFailed", error_details(error.error, error.cause))
        return error

    def _exceeded(self, join: Join) -> bool:
        count, percent = join.count_tolerated, join.percent_tolerated
        if not count and not percent:
            return join.failed_items > 0
        over_count = bool(count) and join.failed_items > (count or 0)
        share = 100 * join.failed_items / join.total_items
        return over_count or (bool(percent) and share > (percent or 0))

    def _next_child(self, walk: Walk, frame: Frame, join: Join) -> None:
        join.done += 1
        if join.again < len(walk.run.cells.get(_again_cell(frame), ())) or join.next < join.total:
            self._start_next(walk, frame, join)
        elif join.done == join.total:
            self._all_done(walk, frame, join)

    def _all_done(self, walk: Walk, frame: Frame, join: Join) -> None:
        if self._writer is not None:
            join.phase = "results"
            self._write(walk, frame, join)
            return
        results = self._take_results(walk, frame, join)
        if join.size > 2 * limits.STATE_DATA_BYTES:
            raise self._run_failed(walk, frame, too_large(self.name))
        self._succeed(walk, frame, join, results)

    def _take_results(self, walk: Walk, frame: Frame, join: Join) -> list[Any]:
        results = [walk.take_cell(result_cell(frame.id, slot)) for slot in range(join.total)]
        for name in [one for one in walk.run.cells if one.startswith(f"{frame.id}.")]:
            walk.take_cell(name)
        return results

    def _write(self, walk: Walk, frame: Frame, join: Join) -> None:
        assert self._writer is not None
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        arguments = self._writer.arguments(scope, frame.input, effective)
        cells = walk.run.cells
        call = Call(
            walk.next_call(),
            "results",
            self.name,
            self._writer.resource,
            arguments,
            config=self._writer.config,
            results=[cells[result_cell(frame.id, slot)] for slot in range(join.total)],
            map_run=join.map_run,
        )
        walk.open_call(frame, call)

    def _succeed(self, walk: Walk, frame: Frame, join: Join, output: Any) -> None:
        try:
            walk.bounded(output, self.name)
        except StatesError as error:
            raise self._run_failed(walk, frame, error) from None
        last = walk.record("MapRunSucceeded", frame.last)
        walk.record("MapStateSucceeded", last)
        self.finish(walk, frame, output)


def generated_label(name: str) -> str:
    """Return the label of a Map that gives none, as AWS makes one up: a UUID (version 3)."""
    import hashlib

    raw = bytearray(hashlib.md5(name.encode("utf-8", "replace"), usedforsecurity=False).digest())
    raw[6] = raw[6] & 0x0F | 0x30
    raw[8] = raw[8] & 0x3F | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _origins(sources: list[tuple[int, str]]) -> Iterator[str]:
    """Yield where each item is from; what is not said is data of the state."""
    for count, source in sources:
        yield from repeat(source, count)
    yield from repeat(STATE_DATA)


def _slot_cell(frame: Frame, call: int) -> str:
    return f"{frame.id}.call.{call}"


def _failed_cell(frame: Frame, slot: int) -> str:
    return f"{frame.id}.failed.{slot}"


def _again_cell(frame: Frame) -> str:
    return f"{frame.id}.again"
