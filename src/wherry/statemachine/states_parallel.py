"""Parallel: branches side by side, all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry.statemachine.context import result_cell
from wherry.statemachine.faults import StatesError
from wherry.statemachine.records import Frame, Join
from wherry.statemachine.states import Compiling, State

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class ParallelState(State):
    """Its result is the list of its branches' outputs."""

    kind = "Parallel"
    retriable = True

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        super().__init__(name, fields, jsonata, compiling)
        self._blocks = [compiling.block(branch) for branch in fields["Branches"]]

    def attempt(self, walk: Walk, frame: Frame) -> None:
        scope = walk.scope(frame)
        effective = self.flow.effective(scope, frame.input)
        entry = self.flow.arguments(scope, frame.input, effective)
        walk.bounded(entry, self.name)
        walk.note(frame, "ParallelStateStarted")
        frame.phase = "join"
        frame.join = Join(total=len(self._blocks), next=len(self._blocks))
        for slot, block in enumerate(self._blocks):
            child = walk.add_frame(block, entry, frame, slot)
            child.last = frame.last
            walk.queue.append(child.id)

    def branch_done(self, walk: Walk, frame: Frame, child: Frame, output: Any) -> None:
        assert frame.join is not None
        join = frame.join
        walk.put_cell(result_cell(frame.id, child.slot), output)
        frame.last = child.last
        walk.remove(child)
        join.done += 1
        if join.done == join.total:
            self._joined(walk, frame, join)

    def _joined(self, walk: Walk, frame: Frame, join: Join) -> None:
        results = [walk.take_cell(result_cell(frame.id, slot)) for slot in range(join.total)]
        walk.bounded(results, self.name)
        walk.record("ParallelStateSucceeded", frame.last)
        self.finish(walk, frame, results)

    def branch_failed(self, walk: Walk, frame: Frame, child: Frame, error: StatesError) -> None:
        failing = child.last
        if walk.state_of(child).kind == "Task":
            walk.record("TaskStateAborted", failing)
        walk.remove(child)
        walk.cut(frame, failing)
        frame.last = failing
        walk.fail(frame, error)

    def failed(self, walk: Walk, frame: Frame) -> None:
        walk.note(frame, "ParallelStateFailed")
