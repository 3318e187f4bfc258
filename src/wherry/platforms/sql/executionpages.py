"""Executions as the engine loads them, and as people look at them."""

from __future__ import annotations

from wherry.codec import from_msgpack
from wherry.platforms.shared.looking import Events, loaded, page_of, refused
from wherry.platforms.shared.origins import Standing
from wherry.platforms.shared.steps import shown
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.executions import Executions
from wherry.platforms.sql.session import Session
from wherry.ports import (
    Definition,
    Denied,
    Execution,
    ExecutionRow,
    ExecutionRows,
    FindExecution,
    GetDefinition,
    GetExecution,
    GetHistory,
    History,
    ListExecutions,
    Nothing,
    Part,
)


class ExecutionPages:
    """Looks at executions, and changes none."""

    def __init__(self, session: Session, catalog: Catalog, executions: Executions) -> None:
        self._session = session
        self._catalog = catalog
        self._executions = executions

    def read(
        self, request: GetExecution | GetDefinition | GetHistory
    ) -> Execution | Definition | History | Nothing:
        """Answer what only the engine asks."""
        match request:
            case GetExecution():
                return self.get(request.execution)
            case GetDefinition():
                return self.definition(request.digest)
            case GetHistory():
                return self.history(request)

    def look(
        self, function: str, request: FindExecution | ListExecutions
    ) -> ExecutionRow | ExecutionRows | Nothing | Denied:
        """Answer what functions ask too."""
        denied = refused(function, request, self._catalog.rights(function))
        if denied is not None:
            return denied
        match request:
            case FindExecution():
                return self.find(request)
            case ListExecutions():
                return self.page(request)

    def get(self, id: int) -> Execution | Nothing:
        """Return all of an execution that its next step needs."""
        row = self._executions.find(id)
        if row is None:
            return Nothing()
        session = self._session
        parts = [Part(*part) for part in session.rows("parts_of", id)]
        head, input = session.row("execution_head", id), session.row("input_get", id)
        return loaded(
            row,
            self._executions.workflow_of(row),
            self._executions.definition_of(row),
            head[0] if head else b"",
            parts,
            input[0] if input else b"",
        )

    def definition(self, digest: str) -> Definition | Nothing:
        """Return a workflow as some release declared it."""
        row = self._session.row("definition_get", digest)
        return Definition(digest, row[0]) if row else Nothing()

    # -- people ------------------------------------------------------------------------------

    def find(self, request: FindExecution) -> ExecutionRow | Nothing:
        """Return one execution with its input and output."""
        if request.id is None:
            row = self._executions.named(request.workflow, request.name)
        else:
            row = self._executions.find(request.id)
        return Nothing() if row is None else self._show(row, whole=True)

    def page(self, request: ListExecutions) -> ExecutionRows:
        """Return executions, newest first."""
        before, limit, statuses = page_of(request)
        ids = self._ids(request, before, statuses, limit + 1)
        rows = [row for row in map(self._executions.find, ids[:limit]) if row is not None]
        after = ids[limit - 1] if len(ids) > limit else None
        return ExecutionRows([self._show(row, whole=False) for row in rows], after)

    def _ids(self, request: ListExecutions, before: int, statuses: range, limit: int) -> list[int]:
        """Return the newest, each status and workflow by the index that has them in order."""
        if request.parent is not None:
            statement, owners = "children_page", [request.parent]
        elif request.workflow is None:
            statement, owners = "executions_page", self._catalog.numbers("workflow")
        else:
            number = self._catalog.find("workflow", request.workflow)
            statement, owners = "executions_page", [] if number is None else [number]
        found = [
            row[0]
            for owner in owners
            for status in statuses
            for row in self._session.rows(statement, owner, status, before, limit)
        ]
        return sorted(found, reverse=True)[:limit]

    def _show(self, row: Standing, whole: bool) -> ExecutionRow:
        more = self._session.row("execution_shown", row.id) or ("", None, None, None)
        found = self._session.row("input_get", row.id) if whole else None
        input = found[0] if found else None
        workflow = self._executions.workflow_of(row)
        return shown(row, workflow, self._executions.definition_of(row), more, input, whole)

    # -- history -----------------------------------------------------------------------------

    def history(self, request: GetHistory) -> History:
        """Return events in order, as many as fit into an answer, at least one."""
        row = self._executions.find(request.execution)
        if row is None:
            return History([], None)
        events = Events(request, row.events)
        while events.wants:
            events.take(self._events_from(row.id, events.last + 1))
        return events.answer()

    def _events_from(self, id: int, number: int) -> list[bytes]:
        """Return the events from this one on that are in its row."""
        row = self._session.row("events_from", id, number)
        if row is None:
            return []
        events: list[bytes] = from_msgpack(row[1], type=list[bytes])
        return events[number - row[0] :]
