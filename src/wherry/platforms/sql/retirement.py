"""What is left of executions when they have been kept for their time."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session


class Retirement:
    """Removes ended executions bit by bit: one may have 25,000 events."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog

    def remove_old(self, limit: int) -> int:
        """Remove about so many rows of what has ended EXECUTIONS_S ago; return how many."""
        session = self._session
        before, left = session.now_ms - limits.EXECUTIONS_S * 1000, limit
        for id, listed in session.rows("executions_aged", before, limit):
            if left <= 0:
                break
            if listed:  # its name may be used again, and nobody sees half of it
                session.write("execution_unlist", id)
            left -= self._remove(id, left)
        return limit - left + self._remove_definitions(limit)

    def _remove(self, id: int, limit: int) -> int:
        """Remove up to so many rows of an execution, itself last."""
        session = self._session
        events = session.rows("events_ids", id, limit)
        for (event,) in events:
            session.write("events_delete", event)
        count = len(events)
        parts = session.rows("parts_keys", id, limit - count) if count < limit else []
        for part in parts:
            session.write("part_delete", id, *part)
        count += len(parts)
        if count < limit:
            session.write("tokens_delete", id)
            session.write("input_delete", id)
            session.write("execution_delete", id)
            count += 1
        return count

    def _remove_definitions(self, limit: int) -> int:
        """Remove definitions of which no execution is left; a release adds its own when needed."""
        session, count = self._session, 0
        current = {workflow.digest for workflow in self._catalog.workflows.values()}
        for id, digest in session.rows("definitions_all"):
            if digest in current or count == limit or session.row("definition_used", id):
                continue
            session.write("definition_delete", id)
            count += 1
        return count
