"""Schedules: rows of the activated release, each with the moment to look at it next.

A firing is a message that is made in the transaction in which its schedule moves on, with its row
locked. So it happens once, whichever engines ask.
"""

from __future__ import annotations

from wherry import limits
from wherry.errors import Refused
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.hints import Seen
from wherry.platforms.postgres.keys import in_order
from wherry.platforms.postgres.making import send_row
from wherry.platforms.shared.firing import Firing, Row, prefix, spread
from wherry.platforms.shared.origins import Cause
from wherry.platforms.shared.queues import note_due
from wherry.platforms.shared.shapes import Queue, SourceShape
from wherry.ports import Fire, Fired, ListSchedules, ScheduleRow, ScheduleRows, Skipped
from wherry.schedules import next_after
from wherry.world import Clock


class Firings:
    """The schedules of the activated release."""

    def __init__(self, database: Database, catalog: Catalog, seen: Seen, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._catalog = catalog
        self._seen = seen

    # -- what there is -----------------------------------------------------------------------

    async def adopt(self, session: Session, sources: tuple[SourceShape, ...]) -> None:
        """Take over the schedules among the sources of the release that was just activated.

        One whose expression is another begins anew; the others keep their place.
        """
        rows = {row[0]: Row(*row) for row in await session.rows("schedules_all")}
        now = await session.value("now")
        for source in sources:
            if source.type == "schedule":
                await self._keep(session, source, rows.pop(source.name, None), now)
        for row in rows.values():
            await session.run("schedule_delete", row.id)

    async def _keep(self, session: Session, source: SourceShape, row: Row | None, now: int) -> None:
        queue = self._catalog.number("queue", source.queue)
        policy = (source.window_s, source.overlap, source.missed, source.missed_max)
        when = (source.expression, source.timezone)
        if row is not None and (row.expression, row.timezone) == when:
            if (row.queue, *row[5:9]) != (queue, *policy):
                handled = row.start_ms - 1 if row.handled_ms is None else row.handled_ms
                at_ms = next_after(*when, handled, row.start_ms)
                next_ms = spread(at_ms, source.window_s, source.name)
                await session.run("schedule_keep", queue, *policy, next_ms, row.id)
            return
        next_ms = spread(next_after(*when, now - 1, now), source.window_s, source.name)
        await session.run("schedule_add", source.name, queue, *when, *policy, now, next_ms)

    async def page(self, request: ListSchedules) -> ScheduleRows:
        """List schedules by name."""
        limit = max(1, min(request.limit, limits.LIST_LIMIT))
        found = await self._database.rows("schedules_page", request.after, limit + 1)
        rows = []
        for name, number, *rest in found[:limit]:
            queue = self._catalog.queues_by_id.get(number)
            paused = queue is not None and queue.paused
            expression, timezone, next_ms, fired_ms, fired, skipped = rest
            what = (name, self._catalog.name(number), expression, timezone)
            rows.append(ScheduleRow(*what, next_ms, fired_ms, fired, skipped, paused))
        return ScheduleRows(rows, rows[-1].name if len(found) > limit else None)

    # -- firing ------------------------------------------------------------------------------

    async def fire(self, request: Fire) -> Fired:
        """Make the messages of schedules that are due: so many, for a bounded time."""
        answer = await self._database.run(lambda session: self._fire(session, request), atomic=True)
        if answer.queued:
            self._seen.tell(answer.queued)
        return answer

    async def _fire(self, session: Session, request: Fire) -> Fired:
        await session.run("take_locks", in_order([]))  # the catalog stays as it is
        self._catalog.check(await session.value("catalog_version"))
        now = await session.value("now")
        limit = max(1, min(request.limit, limits.FIRE_BATCH))
        until_s = self._clock.steady_s() + limits.FIRE_S
        queued: dict[str, int] = {}
        skipped: list[Skipped] = []
        fired = 0
        for found in await session.rows("schedules_due", now, limit):
            row = Row(*found)
            queue = self._catalog.queues_by_id.get(row.queue)
            try:
                if queue is None:
                    raise Refused("Its queue is gone.")
                firing = Firing(row, now, queue.paused)
            except (Refused, ValueError, OverflowError):
                # Not ours to lose: perhaps this machine's time zones will be repaired.
                name = "" if queue is None else queue.name
                skipped.append(Skipped(row.name, name, 1, "invalid"))
                later_ms = now + limits.SCHEDULE_INVALID_S * 1000
                await session.run("schedule_later", later_ms, row.id)
            else:
                fired += await self._move(session, row, queue, firing, queued, skipped)
            if self._clock.steady_s() >= until_s:
                break
        first = await session.value("schedules_next")
        return Fired(queued, first, fired, skipped)

    async def _move(
        self,
        session: Session,
        row: Row,
        queue: Queue,
        firing: Firing,
        queued: dict[str, int],
        skipped: list[Skipped],
    ) -> int:
        """Fire a schedule as its policies say, and move it on; return how many messages it made."""
        if firing.may_overlap:
            begin = prefix(row.name)
            alive = await session.row("schedule_alive", f"{begin}.", f"{begin}/")
            firing.overlap(alive is not None)
        if firing.run and queue.grouped:
            await session.value("lock_groups", [queue.id], [prefix(row.name)])
        for at_ms in firing.run:
            message = firing.message(queue.name, at_ms)
            cause = Cause(message.id)
            send = send_row(message, queue)
            sent = await session.row("send_one", send, cause.correlation_id, cause.traceparent)
            if sent is not None and sent["due"] is not None:
                note_due(queued, queue.name, sent["due"])
        skipped += firing.told(queue.name)
        await session.run(
            "schedule_fired",
            firing.handled_ms,
            firing.next_ms,
            firing.run[-1] if firing.run else None,
            len(firing.run),
            sum(firing.skipped.values()),
            row.id,
        )
        return len(firing.run)
