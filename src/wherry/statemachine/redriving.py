"""Redrive: an execution that did not succeed goes on from the states that were not left.

By AWS's rules: each such state is attempted again without being entered again, but a Fail, which
is entered; its retries count anew. Of a Parallel or a Map go on only the branches that had not
succeeded, unless all had and the state failed afterwards: then all of it is done again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits
from wherry.errors import Refused
from wherry.statemachine.context import items_cell
from wherry.statemachine.records import Frame, Run
from wherry.statemachine.states_distributed import DistributedMapState

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class NotRedrivable(Refused):
    """An execution cannot go on; the message is AWS's reason."""

    code = "not_redrivable"


def why_not_redrivable(run: Run, now_ms: int) -> str | None:
    """Return why a run cannot be redriven, as DescribeExecution says it; None: it can."""
    if run.status in ("RUNNING", "SUCCEEDED"):
        return f"Execution is {run.status} and cannot be redriven"
    if run.type == "EXPRESS":
        return "Execution is of type EXPRESS and cannot be redriven"
    if run.events >= limits.STATE_EVENTS - 1:
        return "Execution history event limit exceeded"
    if now_ms - run.started_ms >= 1000 * limits.STATE_STANDARD_S:
        return "Execution has exceeded the max execution time"
    if now_ms - (run.ended_ms or now_ms) > 1000 * limits.STATE_REDRIVE_S:
        return "Execution redrivable period exceeded"
    return None


def reopen(walk: Walk) -> None:
    """Let the run of a walk go on."""
    run = walk.run
    run.status = "RUNNING"
    run.error = run.cause = run.ended_ms = None
    run.redrives += 1
    run.redriven_ms = walk.now_ms
    event = walk.record("ExecutionRedriven", run.events, {"redriveCount": run.redrives})
    outer = {frame.parent for frame in run.frames.values()}
    for number in list(run.frames):
        if number not in run.frames:  # one before it has failed again, and this one with it
            continue
        frame = walk.touch(number)
        walk.close_call(frame)
        frame.due_ms = None
        frame.retries = 0
        frame.retried = [0] * len(frame.retried)
        if number not in outer:
            frame.last = event
            walk.guarded(frame, _again)


def _again(walk: Walk, frame: Frame) -> None:
    state = walk.state_of(frame)
    join = frame.join
    begun = join is not None and join.map_run and items_cell(frame.id) in walk.run.cells
    if isinstance(state, DistributedMapState) and join is not None and begun:
        state.redrive(walk, frame, join)
        return
    if frame.phase != "enter":
        frame.phase = "enter" if state.kind == "Fail" else "attempt"
    if join is not None:
        frame.join = None
        for cell in [name for name in walk.run.cells if name.startswith(f"{frame.id}.")]:
            walk.take_cell(cell)
    walk.queue.append(frame.id)
