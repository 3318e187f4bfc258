"""How much waits in each queue, and what of it is held: paused, behind others, behind a failure."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.platforms.shared.queues import first_blocking, group_shown, holders
from wherry.platforms.shared.shapes import PARKED
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.messages import FAR_MS, Messages
from wherry.platforms.sql.pauses import Pauses
from wherry.platforms.sql.session import Session
from wherry.ports import Depth, Depths
from wherry.ports.failures import BlockedGroup


class QueueOverview:
    """Looks at all queues. What it reads of one is bounded, however much waits there."""

    def __init__(
        self, session: Session, catalog: Catalog, messages: Messages, inbox: Inbox, pauses: Pauses
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._messages = messages
        self._inbox = inbox
        self._pauses = pauses

    def show(self) -> Depths:
        """Return how much waits, is leased and has failed in every queue that there ever was."""
        counts, failed = self._messages.tallies.counts(), self._inbox.counts()
        now = self._session.now_ms
        paused = {row.function: row for row in self._pauses.show().rows}
        rows = []
        for number in self._catalog.queue_ids():
            waiting, leased = counts.get(number, (0, 0))
            queue = self._catalog.queues_by_id.get(number)
            if not (waiting or leased or failed.get(number) or queue is not None):
                continue
            groups = first_blocking(self._blocking(number)) if failed.get(number) else []
            rows.append(
                Depth(
                    self._catalog.name(number),
                    waiting,
                    leased,
                    failed.get(number, 0),
                    max(0, now - self._oldest_ms(number)) if waiting else 0,
                    queue is not None and queue.paused,
                    [paused[one] for one in holders(queue) if one in paused],
                    self._behind(number) if waiting else 0,
                    len(groups),
                    [self._group(number, *one) for one in groups[: limits.BLOCKED_SHOWN]],
                    queue is not None and queue.active,
                )
            )
        return Depths(sorted(rows, key=lambda row: row.queue))

    def _oldest_ms(self, number: int) -> int:
        """Return when the oldest message of a queue with waiting ones fell due; FIFO: was sent."""
        queue = self._catalog.queues_by_id.get(number)
        if queue is None or not queue.fifo:
            return self._messages.first_due(number)
        rows = [self._session.row("oldest_sent", slot) for slot in (number, number + PARKED)]
        return min((row[0] for row in rows if row is not None), default=FAR_MS)

    def _behind(self, number: int) -> int:
        """Count what is parked."""
        return len(self._session.rows("parked", number + PARKED, limits.HELD_COUNTED))

    def _blocking(self, number: int) -> list[tuple[Any, ...]]:
        return self._session.rows("failures_blocking", number, limits.HELD_COUNTED)

    def _group(self, number: int, group: str, seq: int) -> BlockedGroup:
        row = self._session.row("failure_at", seq)
        assert row is not None
        id, failed_ms, place = row
        behind = self._session.rows(
            "parked_of", number, group, number + PARKED, place, limits.HELD_COUNTED
        )
        return BlockedGroup(group_shown(self._catalog, number, group), id, failed_ms, len(behind))
