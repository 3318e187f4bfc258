"""How executions move, whichever store keeps them: what is checked, written and sent by a step.

A step is checked against the version it was worked out from, before anything is applied. What it
sends is sent with the commit's own messages, so that it may be born leased.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from wherry import limits
from wherry.codec import from_json, to_json, to_msgpack
from wherry.effects import SendMessage
from wherry.platforms.shared.declared import Declared
from wherry.platforms.shared.firsts import numbered
from wherry.platforms.shared.origins import Origin, Standing, Thread
from wherry.platforms.shared.plans import Plan, message_fault
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.shared.workflows import Workflow
from wherry.ports import (
    Advance,
    Conflicted,
    Denied,
    Ended,
    Execution,
    ExecutionRow,
    Happened,
    Inboxed,
    Rejected,
)

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
EVENTS_BYTES = 65_536  # a step's events go into rows of about so much
Send = Callable[[SendMessage, Queue, Origin], object]


class Move(NamedTuple):
    """A step and the execution that it moves; None: that is gone."""

    step: Advance
    row: Standing | None


class Steps:
    """Steps of executions. A store says how rows are found, and how they are written.

    Args:
        catalog: What the releases declare.
    """

    def __init__(self, catalog: Declared) -> None:
        self._catalog = catalog

    # -- what a store says -------------------------------------------------------------------

    def find(self, id: int) -> Standing | None:
        """Return an execution by its number."""
        raise NotImplementedError

    def bearer(self, workflow: str, name: str) -> int | None:
        """Return the number of the execution that bears a name, kept for its time or not."""
        raise NotImplementedError

    def input_of(self, id: int) -> bytes | None:
        """Return what an execution began with."""
        raise NotImplementedError

    def waiting_for(self, token: str) -> int | None:
        """Return which execution waits for a token."""
        raise NotImplementedError

    def define(self, workflow: Workflow) -> int:
        """Return the number of a definition, which is kept from now on."""
        raise NotImplementedError

    def definition_of(self, row: Standing) -> str:
        """Return the digest of an execution's definition."""
        raise NotImplementedError

    def _digest(self, definition: int) -> str:
        raise NotImplementedError

    def now_ms(self) -> int:
        raise NotImplementedError

    def _next(self) -> int:
        """Return a number that is nobody's yet, above all before it."""
        raise NotImplementedError

    def put(self, statement: str, *values: Any) -> None:
        """Write by a statement that all stores have under this name."""
        raise NotImplementedError

    def _running(self, parent: int, at: int, through: int, most: int) -> list[tuple[Any, ...]]:
        """Return running children between two numbers: number, workflow, thread."""
        raise NotImplementedError

    def _begun_by(self, parent: int, call: int) -> list[tuple[Any, ...]]:
        """Return the running children of a call, likewise."""
        raise NotImplementedError

    def _withdraw(self, queue: str, id: str) -> None:
        """Remove a message, waiting or leased, of this queue ("": of any)."""
        raise NotImplementedError

    def _fail(self, failed: Inboxed, queue: int, redrives: int, row: Standing) -> None:
        """Put failed work into the inbox, if it is not there."""
        raise NotImplementedError

    def _unfail(self, id: str) -> None:
        """Take failed work from the inbox, if it is there."""
        raise NotImplementedError

    # -- looking -----------------------------------------------------------------------------

    def named(self, workflow: str, name: str) -> Standing | None:
        """Return an execution by its name; one that has been kept for its time has none."""
        number = self.bearer(workflow, name)
        found = None if number is None else self.find(number)
        return None if found is None or self.is_over(found) else found

    def is_over(self, row: Standing) -> bool:
        """Whether an execution has been kept for its time."""
        before = self.now_ms() - limits.EXECUTIONS_S * 1000
        return row.ended_ms is not None and row.ended_ms <= before

    def workflow_of(self, row: Standing) -> str:
        """Return the name of an execution's workflow, which is that of its queue too."""
        return self._catalog.name(row.workflow)

    # -- checking ----------------------------------------------------------------------------

    def load(self, steps: list[Advance], plan: Plan, moves: list[Move]) -> Denied | Rejected | None:
        """Add the steps with their executions, plan their effects; return what is wrong."""
        for step in steps:
            row = self.find(step.execution)
            moves.append(Move(step, row))
            if row is None:
                continue
            fault = self._fault(step, row)
            if fault:
                return Rejected(f"execution {row.name} of {self.workflow_of(row)}: {fault}")
            if step.effects:
                asking = f"{self.workflow_of(row)}@{self.definition_of(row)}"
                rights = self._catalog.rights(asking)
                refused = plan.adopt(step.effects, rights, row)
                if refused is not None:
                    return refused
        if len({step.execution for step in steps}) < len(steps):
            return Rejected("A commit moves an execution by one step.")
        return None

    def _fault(self, step: Advance, row: Standing) -> str:
        history = step.history
        if step.version == row.version and history:
            numbers = [number for number, _ in history]
            first = numbers[0]
            if numbers != list(range(first, first + len(numbers))) or first <= row.events:
                return f"events {first} to {numbers[-1]} do not follow event {row.events}."
        for message in step.sends:
            if self._catalog.queue(message.queue) is None:
                return f"there is no queue {message.queue!r}."
            fault = message_fault(message)
            if fault:
                return f"message {message.id} to {message.queue}: {fault}"
        return ""

    def check(self, moves: list[Move]) -> Conflicted | None:
        """Compare versions."""
        for step, row in moves:
            if row is None:
                return Conflicted("workflow", str(step.execution), "", "")
            if row.version != step.version:
                return Conflicted(f"workflow {self.workflow_of(row)}", row.name, "", "")
        return None

    # -- moving ------------------------------------------------------------------------------

    def apply(self, moves: list[Move], plan: Plan) -> None:
        """Write what was checked; what is to be sent is added to the plan."""
        for step, row in moves:
            assert row is not None
            self._move(step, row, plan)

    def _move(self, step: Advance, row: Standing, plan: Plan) -> None:
        id = row.id
        for queue, message in step.cancels:
            self._withdraw(queue, message)
        self._keep(step, row)
        for token in step.tokens_over:
            self.put("token_delete", token)
        if step.redriven:
            self._unfail(f"{id}.{row.redrives}")
        for call in step.stops:
            for child in self._begun_by(id, call):
                self._stop(child, row.version, plan.send)
        for message_ in step.sends:
            self._send(plan, message_, row.thread)
        self._begin_children(step, row, plan)
        if step.ended is not None:
            self._end(step.ended, row, plan)
        if step.inboxed is not None:
            self._into_inbox(step, row, plan)

    def _keep(self, step: Advance, row: Standing) -> None:
        id = row.id
        self._write(step, row)
        if step.history:
            self._remember(id, step.history)
        for part in step.parts:
            if part.body is None:
                self.put("part_delete", id, part.kind, part.key)
            else:
                self.put("part_put", id, part.kind, part.key, part.body)
        for token in step.tokens:
            self.put("token_put", token, id)

    def _write(self, step: Advance, row: Standing) -> None:
        version = row.version + 1
        events = step.history[-1][0] if step.history else row.events
        states = ""
        if step.states and step.ended is None:
            states = to_json(step.states[: limits.STATE_INLINE_BRANCHES]).decode()
        moved = (version, events, states, step.head)
        ended = step.ended
        if ended is None and not step.redriven:
            if step.wake_ms == row.wake_ms:
                self.put("execution_moved", *moved, row.id)
            else:
                self.put("execution_waking", *moved, step.wake_ms, row.id)
            return
        redrives = row.redrives + step.redriven
        if ended is None:
            end = (step.wake_ms, 0, None, redrives, None, None, None)
            self.put("execution_turned", *moved, *end, row.id)
            return
        status, now = STATUSES.index(ended.status), self.now_ms()
        what = (ended.error, ended.cause, ended.output)
        self.put("execution_turned", *moved, None, status, now, redrives, *what, row.id)

    def _remember(self, id: int, history: list[tuple[int, bytes]]) -> None:
        packed = to_msgpack([event for _, event in history])
        if len(packed) <= EVENTS_BYTES or len(history) == 1:
            self.put("events_add", id, history[0][0], packed)
            return
        half = len(history) // 2
        self._remember(id, history[:half])
        self._remember(id, history[half:])

    def _send(self, plan: Plan, message: SendMessage, origin: Origin) -> None:
        queue = self._catalog.queue(message.queue)
        if queue is not None:
            plan.send(message, queue, origin)

    # -- beginning ---------------------------------------------------------------------------

    def begin(
        self,
        workflow: str,
        name: str,
        definition: int,
        input: bytes,
        origin: Origin,
        message: str,
        plan: Plan,
        *,
        listed: bool = True,
        parent: int | None = None,
        call: int = 0,
        head: bytes = b"",
        first: Advance | None = None,
    ) -> None:
        """Add an execution, and what begins it: its first step, or the message with this ID."""
        id, number, now = self._next(), self._catalog.number("workflow", workflow), self.now_ms()
        thread = Thread(origin.correlation_id, origin.traceparent)
        self.put(
            "execution_add",
            id, number, name, int(listed), definition, now, parent, call, *thread, head,
        )  # fmt: skip
        self.put("input_add", id, input)
        step = None if first is None else numbered(first, id, workflow, self._catalog)
        if step is None:
            sends = [
                SendMessage(workflow, message or f"{id}.begin", to_json(Happened(id, "begin")))
            ]
        else:
            standing = (id, number, name, 0, definition, 0, None, now, None, parent, call, 0, 0)
            self._keep(step, Standing(*standing, *thread))
            sends, head, input = step.sends, b"", b""
        for one in sends:
            self._send(plan, one, thread)
        if sends:
            plan.begun[sends[0].id] = Execution(
                id, workflow, name, int(step is not None), self._digest(definition), "RUNNING",
                head, [], input, now, parent, call, *thread,
            )  # fmt: skip

    def _begin_children(self, step: Advance, row: Standing, plan: Plan) -> None:
        workflow = self.workflow_of(row)
        for child in step.children:
            self.begin(
                workflow, child.name, row.definition, child.input, row.thread, "", plan,
                listed=False, parent=row.id, call=child.call, head=child.head, first=child.first,
            )  # fmt: skip

    # -- ending ------------------------------------------------------------------------------

    def _end(self, ended: Ended, row: Standing, plan: Plan) -> None:
        id = row.id
        self.put("tokens_delete", id)
        if ended.status == "SUCCEEDED":  # what has failed may be redriven
            self.put("parts_delete", id)
        self.stop_children(id, 0, self._next(), row.version, plan.send)
        parent = None if row.parent is None else self.find(row.parent)
        if parent is None or parent.status != 0:
            return
        if ended.status == "SUCCEEDED":
            output = msgspec.UNSET if ended.output is None else msgspec.Raw(ended.output)
            happened = Happened(parent.id, "succeeded", row.parent_call, output=output, child=id)
        else:
            happened = Happened(
                parent.id, "failed", row.parent_call, error=ended.error, cause=ended.cause, child=id
            )
        told = f"{id}.end.{row.version}"
        message = SendMessage(self.workflow_of(parent), told, to_json(happened))
        self._send(plan, message, parent.thread)

    def stop_children(self, parent: int, at: int, through: int, version: int, send: Send) -> int:
        """Stop running children behind the number `at`; many in several steps. Return how many."""
        most = limits.FIRE_BATCH
        rows = self._running(parent, at, through, most)
        for child in rows:
            self._stop(child, version, send)
        if len(rows) == most:
            self.put("stop_put", parent, rows[-1][0], through)
        elif at:
            self.put("stop_delete", parent)
        return len(rows)

    def _stop(self, child: tuple[Any, ...], version: int, send: Send) -> None:
        id, workflow, *thread = child
        name = self._catalog.name(workflow)
        queue = self._catalog.queue(name)
        if queue is not None:
            body = to_json(Happened(id, "stop"))
            send(SendMessage(name, f"{id}.stop.{version}", body), queue, Thread(*thread))

    # -- the failure inbox -------------------------------------------------------------------

    def _into_inbox(self, step: Advance, row: Standing, plan: Plan) -> None:
        failed = step.inboxed
        assert failed is not None
        queue = self._catalog.number("queue", self.workflow_of(row))
        self._fail(failed, queue, row.redrives + step.redriven, row)
        plan.noted.append(failed.id)


def shown(
    row: Standing,
    workflow: str,
    digest: str,
    more: tuple[Any, ...],
    input: bytes | None,
    whole: bool,
) -> ExecutionRow:
    """Return an execution as people see it.

    Args:
        digest: Of its definition.
        more: The columns states, error, cause and output.
        whole: With its input and output.
    """
    states, error, cause, output = more
    return ExecutionRow(
        row.id,
        workflow,
        row.name,
        STATUSES[row.status],  # type: ignore[arg-type]
        row.started_ms,
        row.ended_ms,
        input if whole else None,
        output if whole else None,
        error,
        cause,
        row.events,
        row.correlation,
        digest,
        from_json(states) if states else [],
        row.redrives,
    )
