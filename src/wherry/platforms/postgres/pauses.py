"""What a person has paused: a row, which every engine heeds from its commit on."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.inbox import note
from wherry.ports import Count, Pause, Paused, PausedRow, Rejected


class Pauses:
    """Functions, or the whole app, whose messages wait and whose schedules skip."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    async def change(self, request: Pause) -> Count | Rejected:
        """Pause a function or let it go on. Audited."""
        async with self._catalog.changing():
            return await self._database.run(lambda one: self._change(one, request), atomic=True)

    async def _change(self, session: Session, request: Pause) -> Count | Rejected:
        name = request.function
        await session.run("lock_catalog")
        await self._catalog.read(session)
        if request.paused == (name in self._catalog.paused):
            return Count(0)
        if request.paused and name and not self._catalog.has_function(name):
            return Rejected(f"There is no function {name!r}.")
        await self._catalog.change(session)
        await session.run("pause_put", name, request.actor, request.paused)
        await note(session, request.actor, "pause" if request.paused else "resume", name, "")
        await self._catalog.read(session)
        await self._catalog.store_queues(session)
        return Count(1)

    async def show(self) -> Paused:
        """List what is paused."""
        rows = await self._database.rows("pauses_all")
        return Paused([PausedRow(*tuple(row)[:3]) for row in rows if row[3] is None])

    async def remove_old(self, session: Session) -> int:
        """Forget pauses that are over for so long that they hold no message's retention up."""
        return len(await session.rows("pauses_over", limits.MESSAGE_RETENTION_MAX_S * 1000))
