"""What there is: how much waits in each queue and why; all that is known of a correlation ID."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.inbox import Inbox
from wherry.platforms.shared.queues import first_blocking, group_shown, holders
from wherry.platforms.shared.shapes import Queue
from wherry.ports import Depth, Depths, PausedRow, RecentRecords, TimelineRows, Waiting
from wherry.ports.failures import BlockedGroup
from wherry.telemetry import InvocationRecord, by_source, cause_of

FOUND_MAX = 1_000  # records of one timeline
_read = msgspec.msgpack.Decoder(InvocationRecord).decode


class Overview:
    """Looks at what is there, in one snapshot."""

    def __init__(self, database: Database, catalog: Catalog, inbox: Inbox) -> None:
        self._database = database
        self._catalog = catalog
        self._inbox = inbox

    # -- queues ------------------------------------------------------------------------------

    async def depths(self) -> Depths:
        """Return how much waits, is leased and has failed in every queue that there ever was."""
        await self._catalog.refresh()
        return await self._database.look(self._depths)

    async def _depths(self, session: Session) -> Depths:
        counts = {row["queue"]: row for row in await session.rows("counts")}
        failed = {row["queue"]: row["count"] for row in await session.rows("count_failures")}
        now = await session.value("now")
        paused = {
            row["function"]: PausedRow(*tuple(row)[:3])
            for row in await session.rows("pauses_all")
            if row["resumed_ms"] is None
        }
        rows = []
        for number in self._catalog.queue_ids():
            count, queue = counts.get(number), self._catalog.queues_by_id.get(number)
            waiting, leased = (count["waiting"], count["leased"]) if count else (0, 0)
            if not (waiting or leased or failed.get(number) or queue is not None):
                continue
            groups: list[tuple[str, int]] = []
            if failed.get(number):
                blocking = await session.rows("failures_blocking", number, limits.HELD_COUNTED)
                groups = first_blocking(blocking)
            shown = groups[: limits.BLOCKED_SHOWN]
            behind = 0
            if waiting:
                behind = await session.value("parked", number, limits.HELD_COUNTED)
            rows.append(
                Depth(
                    self._catalog.name(number),
                    waiting,
                    leased,
                    failed.get(number, 0),
                    await self._age_ms(session, number, queue, now) if waiting else 0,
                    queue is not None and queue.paused,
                    [paused[one] for one in holders(queue) if one in paused],
                    behind,
                    len(groups),
                    [await self._group(session, number, *one) for one in shown],
                    queue is not None and queue.active,
                )
            )
        return Depths(sorted(rows, key=lambda row: row.queue))

    async def _age_ms(self, session: Session, number: int, queue: Queue | None, now: int) -> int:
        """Return how long the oldest message is due; FIFO: since it was sent."""
        fifo = queue is not None and queue.fifo
        since = await session.value("oldest_sent" if fifo else "first_due", number)
        return 0 if since is None else max(0, now - int(since))

    async def _group(self, session: Session, number: int, group: str, seq: int) -> BlockedGroup:
        row = await session.row("failure_at", seq)
        assert row is not None
        id, failed_ms, place = row
        behind = await session.value("parked_of", number, group, place, limits.HELD_COUNTED)
        return BlockedGroup(group_shown(self._catalog, number, group), id, failed_ms, behind)

    # -- records -----------------------------------------------------------------------------

    async def newest(self, request: RecentRecords) -> TimelineRows:
        """Return the newest records, newest first."""
        limit = max(1, min(request.limit, FOUND_MAX))
        if request.function is None:
            rows = await self._database.rows("records_newest", limit)
        else:
            rows = await self._database.rows("records_newest_of", request.function, limit)
        return TimelineRows([_read(row["body"]) for row in rows], [], [])

    async def timeline(self, correlation_id: str) -> TimelineRows:
        """Return all that is known of a correlation ID."""
        return await self._database.look(lambda one: self._timeline(one, correlation_id))

    async def _timeline(self, session: Session, correlation_id: str) -> TimelineRows:
        rows = await session.rows("records_correlated", correlation_id, FOUND_MAX)
        records = sorted(
            (_read(row["body"]) for row in rows), key=lambda record: (record.at_ms, record.number)
        )
        sent = {record.number: list(row["sent"] or ()) for record, row in _paired(rows)}
        ids = [correlation_id]  # what no run has sent begins a correlation: a firing
        ids += [id for record in records for id in sent[record.number]]
        ids = list(dict.fromkeys(ids))
        waiting: list[Waiting] = []
        failures = []
        for id in ids:
            message = await session.row("message_row", id)
            failed = await session.row("failure_row", id)
            if message is not None:
                waiting.append(self._waiting(message))
            if failed is not None:
                failures.append(self._inbox.show(failed))
            if message is None and failed is None:
                # An edited redrive has an ID of its own, which may have been edited again.
                edited = [row[0] for row in await session.rows("audit_edited", id)]
                ids += [one for one in edited if one not in ids]  # it may have its old ID again
        return TimelineRows(records, waiting, failures)

    def _waiting(self, row: Any) -> Waiting:
        queue = self._catalog.queues_by_id.get(row["queue"])
        held: Literal["", "behind", "paused"] = ""
        if not row["leased"]:
            paused = queue is not None and queue.paused
            held = "paused" if paused else "behind" if row["parked"] else ""
        return Waiting(
            row["id"],
            self._catalog.name(row["queue"]),
            row["attempts"],
            row["sent_ms"],
            row["due_ms"],
            row["leased"],
            row["error"],
            held,
            cause_of(row["body"]) if by_source(row["id"]) else "",
        )


def _paired(rows: list[Any]) -> list[tuple[InvocationRecord, Any]]:
    return [(_read(row["body"]), row) for row in rows]
