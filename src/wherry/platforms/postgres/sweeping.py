"""Removes what has outlived its retention, in small batches; any engine may, at any time."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.inbox import Inbox
from wherry.platforms.postgres.messages import Messages
from wherry.platforms.postgres.pauses import Pauses
from wherry.platforms.postgres.retirement import Retirement
from wherry.platforms.postgres.swept import Sums
from wherry.platforms.postgres.upkeep import Upkeep
from wherry.platforms.shared.queues import note_all_due
from wherry.ports import Sweep, Swept


class Sweeping:
    """One batch of everything."""

    def __init__(
        self,
        database: Database,
        messages: Messages,
        upkeep: Upkeep,
        inbox: Inbox,
        pauses: Pauses,
        retirement: Retirement,
    ) -> None:
        self._database = database
        self._messages = messages
        self._upkeep = upkeep
        self._inbox = inbox
        self._pauses = pauses
        self._retirement = retirement
        self._reported: list[int] = []
        self._gone_below = 0

    async def sweep(self, request: Sweep) -> Swept:
        """Remove a small batch. Each kind is a transaction of its own."""
        limit = max(1, min(request.limit, limits.SWEEP_BATCH))
        database = self._database
        expired = await database.row("expire_messages", limit)
        assert expired is not None
        count: int = expired["count_"]
        queued = self._messages.turns(expired["turns"])
        count += len(await database.rows("dedups_old", limit))
        count += len(await database.rows("floors_old", limits.GROUP_FLOOR_S * 1000, limit))
        count += await self._upkeep.remove_expired(limit)
        count += len(await database.rows("replies_old", limit))
        count += len(await database.rows("records_old", limits.RECORDS_S * 1000, limit))
        count += len(await database.rows("state_old", limit))

        async def rest(session: Session) -> Sums:
            swept = Sums()
            await self._inbox.remove_old(session, limit, swept)
            await self._inbox.unblock(session, limit, swept)
            swept.count += await self._pauses.remove_old(session)
            return swept

        swept = await database.run(rest, atomic=True)
        swept.count += await self._upkeep.remove_entries(limit)
        swept.count += await self._upkeep.remove_releases()
        swept.count += await database.run(
            lambda session: self._retirement.remove_old(session, limit), atomic=True
        )
        note_all_due(swept.queued, queued.items())
        count += swept.count
        await self._forget_deleted(limit)
        # Garbage is forgotten at the next call, so that a crash before it was removed reports it
        # again. Several engines may be told of the same: to remove it twice does no harm.
        reported, self._reported = self._reported, []
        forgotten = await database.rows("garbage_forget", reported) if reported else []
        rows = await database.rows("garbage_old", limits.STAGING_S * 1000, limit)
        self._reported = [row["id"] for row in rows]
        blobs = [(row["bucket"], row["blob"]) for row in rows]
        return Swept(count + len(forgotten), blobs, swept.queued, swept.given_up)

    async def _forget_deleted(self, limit: int) -> None:
        """Remove deleted items that were there at the last sweep."""
        below, self._gone_below = self._gone_below, await self._database.value("next_number")
        if below:
            await self._database.rows("items_gone", below, limit)
