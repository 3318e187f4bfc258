"""Executions of workflows: rows that move from version to version, each step part of a commit.

A step is checked against the version it was worked out from, before anything is applied. What it
sends is sent with the commit's own messages, so that it may be born leased.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from wherry import limits
from wherry.codec import to_json, to_msgpack
from wherry.effects import SendMessage
from wherry.platforms.shared.origins import Origin, Standing, Thread
from wherry.platforms.shared.plans import Plan, message_fault
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.session import Session
from wherry.ports import Advance, Conflicted, Denied, Ended, Execution, Happened, Rejected

STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
EVENTS_BYTES = 65_536  # a step's events go into rows of about so much
_happened = msgspec.json.Decoder(Happened)
Send = Callable[[SendMessage, Queue, Origin], object]


class Move(NamedTuple):
    """A step and the execution that it moves; None: that is gone."""

    step: Advance
    row: Standing | None


class Executions:
    """All executions, as far as they move."""

    def __init__(
        self, session: Session, catalog: Catalog, inbox: Inbox, messages: Messages
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox
        self._messages = messages

        self.forget()

    def forget(self) -> None:
        """Read anew what is kept in memory (after a rollback)."""
        self._digests: dict[int, str] = {}

    # -- looking -----------------------------------------------------------------------------

    def find(self, id: int) -> Standing | None:
        """Return an execution by its number."""
        row = self._session.row("execution_row", id)
        return Standing(*row) if row else None

    def named(self, workflow: str, name: str) -> Standing | None:
        """Return an execution by its name; one that has been kept for its time has none."""
        number = self._catalog.find("workflow", workflow)
        row = None if number is None else self._session.row("execution_named", number, name)
        found = self.find(row[0]) if row else None
        return None if found is not None and self._is_over(found) else found

    def _is_over(self, row: Standing) -> bool:
        before = self._session.now_ms - limits.EXECUTIONS_S * 1000
        return row.ended_ms is not None and row.ended_ms <= before

    def definition_of(self, row: Standing) -> str:
        """Return the digest of an execution's definition."""
        return self._digest(row.definition)

    def _digest(self, definition: int) -> str:
        digest = self._digests.get(definition)
        if digest is None:
            found = self._session.row("definition_digest", definition)
            digest = self._digests[definition] = str(found[0]) if found else ""
        return digest

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
        if step.version == row.version and step.history:
            numbers = [number for number, _ in step.history]
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
        session, id = self._session, row.id
        for queue, message in step.cancels:
            self._messages.withdraw(queue, message)
        self._write(step, row)
        if step.history:
            self._remember(id, step.history)
        for part in step.parts:
            if part.body is None:
                session.write("part_delete", id, part.kind, part.key)
            else:
                session.write("part_put", id, part.kind, part.key, part.body)
        for token in step.tokens:
            session.write("token_put", token, id)
        for token in step.tokens_over:
            session.write("token_delete", token)
        if step.redriven:
            self._leave_inbox(f"{id}.{row.redrives}")
        for call in step.stops:
            for child in session.rows("children_of_call", id, call):
                self._stop(child, row.version, plan.send)
        for message_ in step.sends:
            self._send(plan, message_, row.thread)
        self._begin_children(step, row, plan)
        if step.ended is not None:
            self._end(step.ended, row, plan)
        if step.inboxed is not None:
            self._into_inbox(step, row, plan)

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
                self._session.write("execution_moved", *moved, row.id)
            else:
                self._session.write("execution_waking", *moved, step.wake_ms, row.id)
            return
        redrives = row.redrives + step.redriven
        if ended is None:
            end = (step.wake_ms, 0, None, redrives, None, None, None)
            self._session.write("execution_turned", *moved, *end, row.id)
            return
        status, now = STATUSES.index(ended.status), self._session.now_ms
        what = (ended.error, ended.cause, ended.output)
        self._session.write("execution_turned", *moved, None, status, now, redrives, *what, row.id)

    def _remember(self, id: int, history: list[tuple[int, bytes]]) -> None:
        number, events, size = history[0][0], list[bytes](), 0
        for at, event in history:
            if size > EVENTS_BYTES:
                self._session.write("events_add", id, number, to_msgpack(events))
                number, events, size = at, [], 0
            events.append(event)
            size += len(event)
        self._session.write("events_add", id, number, to_msgpack(events))

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
    ) -> None:
        """Add an execution that runs, and the message (its ID) that begins it."""
        session = self._session
        id, number = session.next(), self._catalog.number("workflow", workflow)
        thread = (origin.correlation_id, origin.traceparent)
        session.write(
            "execution_add",
            id, number, name, int(listed), definition, session.now_ms, parent, call, *thread, head,
        )  # fmt: skip
        session.write("input_add", id, input)
        happened, message = to_json(Happened(id, "begin")), message or f"{id}.begin"
        self._send(plan, SendMessage(workflow, message, happened), Thread(*thread))
        plan.begun[message] = Execution(
            id, workflow, name, 0, self._digest(definition), "RUNNING", head, [], input,
            session.now_ms, parent, call, *thread,
        )  # fmt: skip

    def _begin_children(self, step: Advance, row: Standing, plan: Plan) -> None:
        workflow = self.workflow_of(row)
        for child in step.children:
            self.begin(
                workflow, child.name, row.definition, child.input, row.thread, "", plan,
                listed=False, parent=row.id, call=child.call, head=child.head,
            )  # fmt: skip

    # -- ending ------------------------------------------------------------------------------

    def _end(self, ended: Ended, row: Standing, plan: Plan) -> None:
        session, id = self._session, row.id
        session.write("tokens_delete", id)
        if ended.status == "SUCCEEDED":  # what has failed may be redriven
            session.write("parts_delete", id)
        self.stop_children(id, 0, session.next(), row.version, plan.send)
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
        session, most = self._session, limits.FIRE_BATCH
        rows = session.rows("children_running", parent, at, through, most)
        for child in rows:
            self._stop(child, version, send)
        if len(rows) == most:
            session.write("stop_put", parent, rows[-1][0], through)
        elif at:
            session.write("stop_delete", parent)
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
        workflow = self.workflow_of(row)
        queue = self._catalog.number("queue", workflow)
        if not self._inbox.has(failed.id):
            redrives = row.redrives + step.redriven
            self._inbox.add(
                failed.id, queue, workflow, failed.code, failed.error, 1, redrives, row.started_ms,
                row.started_ms, row.correlation, row.traceparent, failed.body,
            )  # fmt: skip
            plan.noted.append(failed.id)

    def _leave_inbox(self, id: str) -> None:
        failed = self._inbox.find(id)
        if failed is not None:  # it was redriven by its name
            self._inbox.remove(failed)

    def give_up(self) -> None:
        """End executions to which something happened that a person, or time, has given up."""
        lost, self._inbox.lost = self._inbox.lost, []
        for body in lost:
            try:
                happened = _happened.decode(body)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            row = self.find(happened.execution)
            if happened.event == "redrive" or row is None or row.status != 0:
                continue
            cause = f"What was to happen to it ({happened.event}) was given up in the inbox."
            stop = Happened(row.id, "stop", error="States.Runtime", cause=cause)
            id = f"{row.id}.given_up.{row.version}"
            self._messages.tell(SendMessage(self.workflow_of(row), id, to_json(stop)), row.thread)
