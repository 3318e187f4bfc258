"""What every state does; each kind has a file of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from wherry.statemachine.context import StateScope
from wherry.statemachine.dataflow import Assigned, Catcher, PathFlow, QueryFlow, flow_of
from wherry.statemachine.faults import StatesError
from wherry.statemachine.history import WHOLE
from wherry.statemachine.jsonata import Query, compile_query
from wherry.statemachine.records import Frame, Submitted
from wherry.statemachine.retrying import Retrier, error_output, matches
from wherry.statemachine.variables import assign, new_sizes

if TYPE_CHECKING:
    from wherry.statemachine.stepping import Walk


class Compiling(Protocol):
    """What a state needs of the machine while it is compiled."""

    def block(self, definition: dict[str, Any]) -> int:
        """Compile the states of a branch or a processor; return the number of the block."""
        ...


class State:
    """A state, compiled. It keeps nothing of a run."""

    kind = ""
    retriable = False
    parameters = "Parameters"

    def __init__(
        self, name: str, fields: dict[str, Any], jsonata: bool, compiling: Compiling
    ) -> None:
        self.name = name
        self.jsonata = jsonata
        self.next: str | None = fields.get("Next")
        self.flow: PathFlow | QueryFlow = flow_of(fields, jsonata, self.parameters)
        self.retriers = [Retrier(one) for one in fields.get("Retry", ())]
        self.catchers = [
            Catcher(one, jsonata, number) for number, one in enumerate(fields.get("Catch", ()))
        ]

    def enter(self, walk: Walk, frame: Frame) -> None:
        """Enter the state, and do what it does."""
        details = {"input": walk.text(frame.input), "inputDetails": WHOLE, "name": self.name}
        frame.entered_ms = walk.now_ms
        frame.retries = 0
        frame.retried = [0] * len(self.retriers)
        walk.note(frame, f"{self.kind}StateEntered", details)
        frame.entered = frame.last
        frame.phase = "attempt"
        self.attempt(walk, frame)

    def attempt(self, walk: Walk, frame: Frame) -> None:
        """Do what the state does, for the first time or once more."""
        raise NotImplementedError

    def started(self, walk: Walk, frame: Frame) -> None:
        """Go on after other frames had their turn."""

    def due(self, walk: Walk, frame: Frame) -> None:
        """Go on because a moment has come."""

    def submitted(self, walk: Walk, frame: Frame, event: Submitted) -> None:
        """A `.sync` call started what it is to wait for."""

    def answered(self, walk: Walk, frame: Frame, call: int, output: Any) -> None:
        """A call of this state answered."""

    def refused(self, walk: Walk, frame: Frame, call: int, error: StatesError) -> None:
        """A call of this state failed."""

    def branch_done(self, walk: Walk, frame: Frame, child: Frame, output: Any) -> None:
        """A branch came to its end."""

    def branch_failed(self, walk: Walk, frame: Frame, child: Frame, error: StatesError) -> None:
        """A branch failed."""

    def branch_cut(self, walk: Walk, child: Frame, previous: int) -> None:
        """A branch is ended from outside."""

    def may_retry(self, error: StatesError, retrier: Retrier) -> bool:
        """Whether a Retry means this error."""
        return matches(retrier.names, error)

    def catcher_of(self, error: StatesError) -> Catcher | None:
        """Return the Catch that means this error."""
        return next((one for one in self.catchers if matches(one.names, error)), None)

    def caught(
        self, scope: StateScope, raw: Any, catcher: Catcher, error: StatesError
    ) -> tuple[Any, Assigned]:
        """Return what a Catch makes of an error."""
        return catcher.caught(scope, raw, error_output(error))

    def failed(self, walk: Walk, frame: Frame) -> None:
        """Leave an event for a failure that is not retried."""

    def finish(self, walk: Walk, frame: Frame, result: Any) -> None:
        """Leave the state with a result."""
        output, assigned, flow = result, None, self.flow
        if not flow.plain:
            output, assigned = flow.finish(walk.scope(frame), frame.input, result)
        self.leave(walk, frame, output, assigned, self.next)

    def pass_on(self, walk: Walk, frame: Frame, scope: StateScope, effective: Any) -> None:
        """Leave the state with its input."""
        output, assigned = self.flow.passed(scope, frame.input, effective)
        self.leave(walk, frame, output, assigned, self.next)

    def leave(
        self, walk: Walk, frame: Frame, output: Any, assigned: Assigned, following: str | None
    ) -> None:
        """Leave the state: for the next one, or out of the block where there is none."""
        text = walk.bounded(output, self.name)
        details: dict[str, Any] = {"name": self.name, "output": text, "outputDetails": WHOLE}
        sizes: dict[str, int] = {}
        if assigned:
            texts = {name: walk.text(value) for name, value in assigned.items()}
            sizes = new_sizes(walk.run, frame, texts)
            details["assignedVariables"] = texts
            details["assignedVariablesDetails"] = WHOLE
        walk.note(frame, f"{self.kind}StateExited", details)
        if assigned:
            assign(walk.run, frame, assigned, sizes)
        frame.due_ms = frame.join = None
        if following is None:
            walk.ended(frame, output)
            return
        frame.state = following
        frame.input = output
        frame.phase = "enter"
        walk.queue.append(frame.id)


def query_of(fields: dict[str, Any], name: str, jsonata: bool, where: str = "") -> Query | None:
    """Return the expression in a field, or None where it holds none."""
    value = fields.get(name)
    if jsonata and value is not None and not isinstance(value, int | float):
        return compile_query(value, where or name)
    return None
