"""What is left of executions when they have been kept for their time."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Session


class Retirement:
    """Removes ended executions bit by bit: one may have 25,000 events."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    async def remove_old(self, session: Session, limit: int) -> int:
        """Remove about so many rows of what has ended EXECUTIONS_S ago; return how many."""
        left = limit
        for id, listed in await session.rows("executions_aged", limits.EXECUTIONS_S * 1000, limit):
            if left <= 0:
                break
            if listed:  # its name may be used again, and nobody sees half of it
                await session.run("execution_unlist", id)
            left -= await self._remove(session, id, left)
        current = [workflow.digest for workflow in self._catalog.workflows.values()]
        removed = await session.rows("definitions_unused", current, limit)
        return limit - left + len(removed)

    async def _remove(self, session: Session, id: int, limit: int) -> int:
        """Remove up to so many rows of an execution, itself last."""
        count = await session.run("events_remove", id, limit)
        if count < limit:
            count += await session.run("parts_remove", id, limit - count)
        if count < limit:
            await session.run("tokens_delete", id)
            await session.run("input_delete", id)
            await session.run("execution_delete", id)
            count += 1
        return count
