"""What time does to messages: retention that ends, and groups that nothing holds up any more."""

from __future__ import annotations

from wherry.platforms.shared.shapes import PARKED
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.rows import Message
from wherry.platforms.sql.session import Session


class Expiry:
    """Sweeps messages."""

    def __init__(
        self, session: Session, catalog: Catalog, inbox: Inbox, messages: Messages
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox
        self._messages = messages

    def sweep(self, limit: int) -> int:
        """Do a bounded part of it; return how many rows it was."""
        count = self._messages.end_leases()
        count += self._expire(limit)
        return count + self._messages.parking.remove_old(limit)

    def _expire(self, limit: int) -> int:
        """Bury what has waited longer than its queue's retention."""
        expired, now = 0, self._session.now_ms
        for queue in self._catalog.queues.values():
            if not queue.active or queue.kept or queue.paused or queue.kept_ms > now:
                continue
            before = now - queue.retention_ms
            for slot in (queue.id + PARKED, queue.id):
                if expired >= limit:
                    return expired
                if slot == queue.id and self._messages.first_due(slot) > before:
                    continue
                for found in self._session.rows("outlived", slot, before, limit - expired):
                    row = Message(*found)
                    # As it is now: the end of one may have let another one of its group come.
                    self._messages.expire(self._messages.find(row.id) or row, queue)
                    expired += 1
        return expired

    def settle(self, limit: int) -> int:
        """Let groups go on that are blocked no more, after the inbox was swept; return how many."""
        freed = self._inbox.freed + self._messages.parking.unblock(limit)
        self._inbox.freed = []
        for queue, group in freed:
            self._messages.settle(queue, group)
        return len(freed)
