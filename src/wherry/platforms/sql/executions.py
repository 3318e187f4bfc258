"""Executions of workflows: rows that move from version to version, each step part of a commit."""

from __future__ import annotations

from typing import Any

from wherry.effects import SendMessage
from wherry.platforms.shared.givenup import given_up, lost_execution
from wherry.platforms.shared.origins import Standing
from wherry.platforms.shared.steps import Steps
from wherry.platforms.shared.workflows import Workflow
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.session import Session
from wherry.ports import Inboxed


class Executions(Steps):
    """All executions, as far as they move."""

    def __init__(
        self, session: Session, catalog: Catalog, inbox: Inbox, messages: Messages
    ) -> None:
        super().__init__(catalog)
        self._session = session
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

    def bearer(self, workflow: str, name: str) -> int | None:
        """Return the number of the execution that bears a name, kept for its time or not."""
        number = self._catalog.find("workflow", workflow)
        row = None if number is None else self._session.row("execution_named", number, name)
        return int(row[0]) if row else None

    def input_of(self, id: int) -> bytes | None:
        """Return what an execution began with."""
        row = self._session.row("input_get", id)
        return bytes(row[0]) if row else None

    def waiting_for(self, token: str) -> int | None:
        """Return which execution waits for a token."""
        row = self._session.row("token_get", token)
        return int(row[0]) if row else None

    def define(self, workflow: Workflow) -> int:
        """Return the number of a definition, which is kept from now on."""
        row = self._session.row("definition_find", workflow.digest)
        if row is not None:
            return int(row[0])
        number = self._session.next()
        self._session.write("definition_add", number, workflow.digest, workflow.body)
        return number

    def definition_of(self, row: Standing) -> str:
        """Return the digest of an execution's definition."""
        return self._digest(row.definition)

    def _digest(self, definition: int) -> str:
        digest = self._digests.get(definition)
        if digest is None:
            found = self._session.row("definition_digest", definition)
            digest = self._digests[definition] = str(found[0]) if found else ""
        return digest

    # -- what steps need ---------------------------------------------------------------------

    def put(self, statement: str, *values: Any) -> None:
        """Write by a statement."""
        self._session.write(statement, *values)

    def now_ms(self) -> int:
        return self._session.now_ms

    def _next(self) -> int:
        return self._session.next()

    def _withdraw(self, queue: str, id: str) -> None:
        self._messages.withdraw(queue, id)

    def _running(self, parent: int, at: int, through: int, most: int) -> list[tuple[Any, ...]]:
        return self._session.rows("children_running", parent, at, through, most)

    def _begun_by(self, parent: int, call: int) -> list[tuple[Any, ...]]:
        return self._session.rows("children_of_call", parent, call)

    def _fail(self, failed: Inboxed, queue: int, redrives: int, row: Standing) -> None:
        if not self._inbox.has(failed.id):
            self._inbox.add(
                failed.id, queue, self.workflow_of(row), failed.code, failed.error, 1, redrives,
                row.started_ms, row.started_ms, row.correlation, row.traceparent, failed.body,
            )  # fmt: skip

    def _unfail(self, id: str) -> None:
        failed = self._inbox.find(id)
        if failed is not None:  # it was redriven by its name
            self._inbox.remove(failed)

    def give_up(self) -> None:
        """End executions to which something happened that a person, or time, has given up."""
        lost, self._inbox.lost = self._inbox.lost, []
        for body in lost:
            number = lost_execution(body)
            row = None if number is None else self.find(number)
            if row is not None and row.status == 0:
                message = SendMessage(self.workflow_of(row), *given_up(body, row))
                self._messages.tell(message, row.thread)
