"""Executions as the engine loads them, and as people look at them."""

from __future__ import annotations

from typing import Any

from wherry.codec import from_msgpack
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.executions import Loaded
from wherry.platforms.postgres.messages import plain
from wherry.platforms.shared.looking import Events, loaded, page_of, refused
from wherry.platforms.shared.origins import Standing
from wherry.platforms.shared.steps import shown
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
    """Looks at executions, and changes none. One answer is of one snapshot."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    async def read(
        self, request: GetExecution | GetDefinition | GetHistory
    ) -> Execution | Definition | History | Nothing:
        """Answer what only the engine asks."""
        run = self._database.look
        match request:
            case GetExecution():
                return await run(lambda one: self._get(one, request.execution))
            case GetDefinition():
                body = await self._database.value("definition_get", request.digest)
                return Nothing() if body is None else Definition(request.digest, body)
            case GetHistory():
                return await run(lambda one: self._history(one, request))

    async def look(
        self, function: str, request: FindExecution | ListExecutions
    ) -> ExecutionRow | ExecutionRows | Nothing | Denied:
        """Answer what functions ask too."""
        denied = refused(function, request, self._catalog.rights(function))
        if denied is not None:
            return denied
        run = self._database.look
        match request:
            case FindExecution():
                return await run(lambda one: self._find(one, request))
            case ListExecutions():
                return await run(lambda one: self._page(one, request))

    async def _load(self, session: Session, ids: list[int]) -> Loaded:
        found = Loaded(session, self._catalog, await session.value("now"))
        await found.read(ids)
        return found

    async def _get(self, session: Session, id: int) -> Execution | Nothing:
        """Return all of an execution that its next step needs."""
        found = await self._load(session, [id])
        row = found.find(id)
        if row is None:
            return Nothing()
        parts = [Part(*part) for part in await session.rows("parts_of", id)]
        head = await session.value("execution_head", id)
        inputs = dict(await session.rows("inputs_of", [id]))
        workflow, digest = found.workflow_of(row), found.definition_of(row)
        return loaded(row, workflow, digest, head or b"", parts, inputs.get(id, b""))

    # -- people ------------------------------------------------------------------------------

    async def _find(self, session: Session, request: FindExecution) -> ExecutionRow | Nothing:
        id = request.id
        if id is None:
            number = self._catalog.number("workflow", request.workflow)
            rows = await session.rows("executions_named", [number], [plain(request.name)])
            id = rows[0]["id"] if rows else 0
        found = await self._load(session, [id])
        row = found.find(id)
        if row is None or (request.id is None and found.is_over(row)):
            return Nothing()
        return (await self._show(session, found, [row], whole=True))[0]

    async def _page(self, session: Session, request: ListExecutions) -> ExecutionRows:
        before, limit, statuses = page_of(request)
        ids = await self._ids(session, request, before, statuses, limit + 1)
        page = ids[:limit]
        found = await self._load(session, page)
        rows = [row for row in map(found.find, page) if row is not None]
        after = ids[limit - 1] if len(ids) > limit else None
        return ExecutionRows(await self._show(session, found, rows, whole=False), after)

    async def _ids(
        self,
        session: Session,
        request: ListExecutions,
        before: int,
        statuses: range,
        limit: int,
    ) -> list[int]:
        """Return the newest, each status and workflow by the index that has them in order."""
        statement, owners = "executions_page", self._catalog.numbers("workflow")
        if request.parent is not None:
            statement, owners = "children_page", [request.parent]
        elif request.workflow is not None:
            owners = [self._catalog.number("workflow", request.workflow)]
        found: list[int] = []
        for owner in owners:
            for status in statuses:
                rows = await session.rows(statement, owner, status, before, limit)
                found += [row["id"] for row in rows]
        return sorted(found, reverse=True)[:limit]

    async def _show(
        self, session: Session, found: Loaded, rows: list[Standing], whole: bool
    ) -> list[ExecutionRow]:
        ids = [row.id for row in rows]
        more: dict[int, tuple[Any, ...]] = {
            id: tuple(rest) for id, *rest in await session.rows("executions_shown", ids)
        }
        inputs: dict[int, bytes] = {}
        if whole:
            inputs = dict(await session.rows("inputs_of", ids))
        return [
            shown(
                row,
                found.workflow_of(row),
                found.definition_of(row),
                more.get(row.id, ("", None, None, None)),
                inputs.get(row.id),
                whole,
            )
            for row in rows
        ]

    # -- history -----------------------------------------------------------------------------

    async def _history(self, session: Session, request: GetHistory) -> History:
        """Return events in order, as many as fit into an answer, at least one."""
        row = (await self._load(session, [request.execution])).find(request.execution)
        if row is None:
            return History([], None)
        events = Events(request, row.events)
        while events.wants:
            events.take(await self._events_from(session, row.id, events.last + 1))
        return events.answer()

    async def _events_from(self, session: Session, id: int, number: int) -> list[bytes]:
        """Return the events from this one on that are in its row."""
        row = await session.row("events_from", id, number)
        if row is None:
            return []
        events: list[bytes] = from_msgpack(row["body"], type=list[bytes])
        return events[number - row["first"] :]
