"""Removes what has outlived its retention, in small batches; any engine may, at any time."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.inbox import Inbox
from wherry.platforms.postgres.pauses import Pauses
from wherry.platforms.postgres.upkeep import Upkeep
from wherry.ports import Sweep, Swept


class Sweeping:
    """One batch of everything."""

    def __init__(self, database: Database, upkeep: Upkeep, inbox: Inbox, pauses: Pauses) -> None:
        self._database = database
        self._upkeep = upkeep
        self._inbox = inbox
        self._pauses = pauses
        self._reported: list[int] = []
        self._gone_below = 0

    async def sweep(self, request: Sweep) -> Swept:
        """Remove a small batch. Each kind is a transaction of its own."""
        limit = max(1, min(request.limit, limits.SWEEP_BATCH))
        database = self._database
        count: int = await database.value("expire_messages", limit)
        count += len(await database.rows("dedups_old", limit))
        count += await self._upkeep.remove_expired(limit)
        count += len(await database.rows("replies_old", limit))
        count += len(await database.rows("records_old", limits.RECORDS_S * 1000, limit))
        count += len(await database.rows("state_old", limit))

        async def rest(session: Session) -> int:
            removed = await self._inbox.remove_old(session, limit)
            removed += await self._inbox.unblock(session, limit)
            return removed + await self._pauses.remove_old(session)

        count += await database.run(rest, atomic=True)
        count += await self._upkeep.remove_entries(limit)
        count += await self._upkeep.remove_releases()
        await self._forget_deleted(limit)
        # Garbage is forgotten at the next call, so that a crash before it was removed reports it
        # again. Several engines may be told of the same: to remove it twice does no harm.
        reported, self._reported = self._reported, []
        forgotten = await database.rows("garbage_forget", reported) if reported else []
        rows = await database.rows("garbage_old", limits.STAGING_S * 1000, limit)
        self._reported = [row["id"] for row in rows]
        return Swept(count + len(forgotten), [(row["bucket"], row["blob"]) for row in rows])

    async def _forget_deleted(self, limit: int) -> None:
        """Remove deleted items that were there at the last sweep."""
        below, self._gone_below = self._gone_below, await self._database.value("next_number")
        if below:
            await self._database.rows("items_gone", below, limit)
