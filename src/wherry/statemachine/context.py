"""What an expression of a state can read: the context object and the variables in sight."""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from wherry.statemachine.functions import Draw
from wherry.statemachine.records import Frame, Run
from wherry.statemachine.text import timestamp

STATE_DATA = "STATE_DATA"
"""Where an item is from that is no item of an ItemReader."""


class Walking(Protocol):
    """The part of a walk that a scope needs."""

    run: Run
    now_ms: int
    draw: Draw


class StateScope:
    """The view of one frame on its execution."""

    __slots__ = ("_context", "draw", "frame", "now_ms", "run", "with_retries")

    def __init__(self, walk: Walking, frame: Frame, with_retries: bool = False) -> None:
        self.run = walk.run
        self.now_ms = walk.now_ms
        self.draw = walk.draw
        self.frame = frame
        self.with_retries = with_retries
        self._context: dict[str, Any] | None = None

    def context(self) -> dict[str, Any]:
        """Return the context object, in AWS's order."""
        if self._context is None:
            self._context = self._build()
        return self._context

    def for_item(self, item: dict[str, Any]) -> StateScope:
        """Return the scope in which ItemSelector sees one item."""
        found = StateScope(self, self.frame, self.with_retries)
        found._context = {**self.context(), "Map": {"Item": item}}
        return found

    def variable(self, name: str) -> Any:
        """Return a variable's value; raise KeyError where there is none."""
        frame: Frame | None = self.frame
        while frame is not None:
            if name in frame.variables:
                return frame.variables[name]
            frame = None if frame.parent is None else self.run.frames[frame.parent]
        raise KeyError(name)

    def variables(self) -> dict[str, Any]:
        """Return all variables in sight; inner ones hide outer ones."""
        found: dict[str, Any] = {}
        frame: Frame | None = self.frame
        while frame is not None:
            found = {**frame.variables, **found}
            frame = None if frame.parent is None else self.run.frames[frame.parent]
        return found

    def _build(self) -> dict[str, Any]:
        run, frame = self.run, self.frame
        state: dict[str, Any] = {
            "Name": frame.state,
            "EnteredTime": timestamp(frame.entered_ms),
        }
        if self.with_retries:
            state["RetryCount"] = frame.retries
        context: dict[str, Any] = {
            "Execution": {
                "Id": run.arn,
                "Input": run.input,
                "StartTime": timestamp(run.started_ms),
                "Name": run.name,
                "RoleArn": run.role_arn,
                "RedriveCount": run.redrives,
            },
            "StateMachine": {"Id": run.machine_arn, "Name": run.machine_name},
            "State": state,
        }
        if run.redriven_ms is not None:
            context["Execution"]["RedriveTime"] = timestamp(run.redriven_ms)
        item = self._item()
        if item is not None:
            context["Map"] = {"Item": item}
        if frame.token is not None:
            context["Task"] = {"Token": frame.token}
        return context

    def _item(self) -> dict[str, Any] | None:
        run, frame = self.run, self.frame
        while frame.parent is not None:
            items = run.cells.get(items_cell(frame.parent))
            if items is not None:
                return {"Index": frame.slot, "Value": items[frame.slot], "Source": STATE_DATA}
            frame = run.frames[frame.parent]
        if run.item is not msgspec.UNSET:
            return {"Index": run.index, "Value": run.item}
        return None


def items_cell(frame: int) -> str:
    """Return the cell in which a Map keeps its items."""
    return f"{frame}.items"


def result_cell(frame: int, slot: int) -> str:
    """Return the cell of a branch's or an iteration's output."""
    return f"{frame}.{slot}"
