"""Map, INLINE: one iteration for each item, so many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.statemachine.context import STATE_DATA, StateScope, items_cell, result_cell
from wherry.statemachine.faults import QUERY, StatesError, conflict, runtime, too_large
from wherry.statemachine.jsonata import compile_query, unexpected_type
from wherry.statemachine.paths import NoMatch, Path, parse
from wherry.statemachine.quantities import Quantity
from wherry.statemachine.records import Frame, Join
from wherry.statemachine.states import Compiling, State
from wherry.statemachine.templates import compile_template, root_of
from wherry.statemachine.text import size_bytes, to_text

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class MapState(State):
    """Its result is the list of its iterations' outputs."""

    kind = "Map"
    retriable = True
    parameters = ""  # of a Map they are the old name of ItemSelector
    takes_objects = False

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        self.processor: dict[str, Any] = fields.get("ItemProcessor") or fields["Iterator"]
        self.block = compiling.block(self.processor)
        self._items = ItemsField(fields, jsonata, self.takes_objects)
        self._selector = ItemSelector(fields, jsonata)
        self._concurrency = Quantity(fields, "MaxConcurrency", jsonata)
        self.at_once = limits.STATE_INLINE_BRANCHES

    def attempt(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        items = self._items.read(scope, frame.input, effective)
        walk.note(frame, "MapStateStarted", {"length": len(items)})
        self.begin(walk, frame, scope, items)

    def concurrency(self, walk: Walk, frame: Frame) -> int:
        """Return how many iterations may run at once."""
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        wanted = int(self._concurrency.read(scope, frame.input, effective) or 0)
        return min(wanted or self.at_once, self.at_once)

    def selected(
        self, scope: StateScope, frame: Frame, index: int, item: Any, source: str = STATE_DATA
    ) -> Any:
        """Return the input of an iteration; `source` is where the item is from."""
        if self._selector.absent:
            return item
        effective = self.flow.effective(scope, frame.input)
        if isinstance(item, Pair):
            seen = {"Index": index, **item, "Source": source}
        else:
            seen = {"Index": index, "Value": item, "Source": source}
        return self._selector.read(scope.for_item(seen), frame.input, effective)

    def begin(self, walk: Walk, frame: Frame, scope: StateScope, items: list[Any]) -> None:
        """Start as many iterations as may run at once."""
        join = Join(total=len(items), at_once=self.concurrency(walk, frame), started=frame.last)
        frame.phase = "join"
        frame.join = join
        if not items:
            self._joined(walk, frame, join)
            return
        walk.put_cell(items_cell(frame.id), items)
        first = items[: join.at_once]
        entries = [self._entry(walk, frame, scope, n, item) for n, item in enumerate(first)]
        for entry in entries:
            self._iterate(walk, frame, join, entry, join.started)

    def _entry(self, walk: Walk, frame: Frame, scope: StateScope, index: int, item: Any) -> Any:
        entry = self.selected(scope, frame, index, item)
        walk.bounded(entry, self.name)
        return entry

    def _iterate(self, walk: Walk, frame: Frame, join: Join, entry: Any, previous: int) -> None:
        child = walk.add_frame(self.block, entry, frame, join.next)
        join.next += 1
        details = {"name": self.name, "index": child.slot}
        child.last = walk.record("MapIterationStarted", previous, details)
        walk.queue.append(child.id)

    def branch_done(self, walk: Walk, frame: Frame, child: Frame, output: Any) -> None:
        assert frame.join is not None
        join = frame.join
        details = {"name": self.name, "index": child.slot}
        frame.last = walk.record("MapIterationSucceeded", child.last, details)
        join.size += size_bytes(walk.text(output)) + 1
        kept = output if join.size <= 2 * limits.STATE_DATA_BYTES else None
        walk.put_cell(result_cell(frame.id, child.slot), kept)
        walk.remove(child)
        join.done += 1
        if join.next < join.total:
            item = walk.run.cells[items_cell(frame.id)][join.next]
            entry = self._entry(walk, frame, walk.scope(frame), join.next, item)
            self._iterate(walk, frame, join, entry, child.last)
        elif join.done == join.total:
            walk.take_cell(items_cell(frame.id))
            self._joined(walk, frame, join)

    def _joined(self, walk: Walk, frame: Frame, join: Join) -> None:
        results = [walk.take_cell(result_cell(frame.id, slot)) for slot in range(join.total)]
        if join.size > 2 * limits.STATE_DATA_BYTES:
            raise too_large(self.name)
        walk.bounded(results, self.name)
        walk.record("MapStateSucceeded", frame.last)
        self.finish(walk, frame, results)

    def branch_failed(self, walk: Walk, frame: Frame, child: Frame, error: StatesError) -> None:
        failing = child.last
        walk.remove(child)
        walk.cut(frame, failing)
        walk.record("MapIterationFailed", failing, {"name": self.name, "index": child.slot})
        frame.last = failing
        walk.fail(frame, error)

    def branch_cut(self, walk: Walk, child: Frame, previous: int) -> None:
        details = {"name": self.name, "index": child.slot}
        walk.record("MapIterationAborted", previous, details)

    def failed(self, walk: Walk, frame: Frame) -> None:
        walk.note(frame, "MapStateFailed")


class Pair(dict[str, Any]):
    """An item that was a field of an object."""


class ItemsField:
    """ItemsPath, or Items."""

    def __init__(self, fields: dict[str, Any], jsonata: bool, takes_objects: bool) -> None:
        self._takes_objects = takes_objects
        self._path = None if jsonata else parse(fields.get("ItemsPath", "$"))
        items = fields.get("Items")
        self._query = compile_query(items, "Items") if jsonata and items is not None else None

    def read(self, scope: StateScope, raw: Any, effective: Any) -> list[Any]:
        """Return the items.

        Raises:
            StatesError: There is no array.
        """
        if self._path is not None:
            found = self._read(self._path, scope, effective)
            if self._takes_objects and isinstance(found, dict):
                return pairs(found)
            if not isinstance(found, list):
                raise runtime(f'Reference path "{self._path.text}" must point to array.')
            return found
        if self._query is None:
            found, text = raw, "$states.input"
        else:
            found, text = self._query.evaluate(scope, {"input": raw}), self._query.text
        if self._takes_objects and isinstance(found, dict):
            return pairs(found)
        if not isinstance(found, list):
            raise StatesError(
                QUERY, unexpected_type(text, "Items", "array", found), location="Items"
            )
        return found

    def _read(self, path: Path, scope: StateScope, effective: Any) -> Any:
        step = path.text
        try:
            root = root_of(path, scope, effective)
            try:
                return path.read(root)
            except NoMatch:
                step = path.stops_at(root)
        except KeyError:
            pass
        raise conflict(f'Unable to apply step "{step}" to input {to_text(effective)}')


def pairs(items: dict[str, Any]) -> list[Any]:
    """Return the items that an object stands for."""
    return [Pair(Key=key, Value=value) for key, value in items.items()]


class ItemSelector:
    """ItemSelector, or Parameters as it was called before."""

    def __init__(self, fields: dict[str, Any], jsonata: bool) -> None:
        field = "ItemSelector" if "ItemSelector" in fields else "Parameters"
        self.absent = field not in fields
        self._query = None
        self._template = None
        if self.absent:
            return
        if jsonata:
            self._query = compile_query(fields[field], field)
        else:
            self._template = compile_template(fields[field])

    def read(self, scope: StateScope, raw: Any, effective: Any) -> Any:
        """Return what the iteration begins with; the scope knows the item."""
        if self._query is not None:
            return self._query.evaluate(scope, {"input": raw})
        assert self._template is not None
        return self._template(scope, effective)
