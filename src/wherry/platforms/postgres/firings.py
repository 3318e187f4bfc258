"""Schedules: rows of the activated release, each with the moment to look at it next.

A firing is a message that is made in the transaction in which its schedule moves on, with its row
locked. So it happens once, whichever engines ask.
"""

from __future__ import annotations

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.hints import Seen
from wherry.platforms.postgres.making import send_row
from wherry.platforms.shared.firing import Firing, Row, kept, later_ms, look, schedules_page
from wherry.platforms.shared.origins import Cause
from wherry.platforms.shared.pages import list_limit
from wherry.platforms.shared.queues import note_due
from wherry.platforms.shared.shapes import SourceShape
from wherry.ports import Fire, Fired, ListSchedules, ScheduleRows, Skipped
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
                queue = self._catalog.number("queue", source.queue)
                change = kept(source, rows.pop(source.name, None), queue, now)
                if change is not None:
                    await session.run(change[0], *change[1])
        for row in rows.values():
            await session.run("schedule_delete", row.id)

    async def page(self, request: ListSchedules) -> ScheduleRows:
        """List schedules by name."""
        limit = list_limit(request.limit)
        found = await self._database.rows("schedules_page", request.after, limit + 1)
        return schedules_page(self._catalog, found, limit)

    # -- firing ------------------------------------------------------------------------------

    async def fire(self, request: Fire) -> Fired:
        """Make the messages of schedules that are due: so many, for a bounded time."""
        answer = await self._database.run(lambda session: self._fire(session, request), atomic=True)
        if answer.queued:
            self._seen.tell(answer.queued, self._catalog)
        return answer

    async def _fire(self, session: Session, request: Fire) -> Fired:
        await self._catalog.hold(session)
        now = await session.value("now")
        limit = max(1, min(request.limit, limits.FIRE_BATCH))
        until_s = self._clock.steady_s() + limits.FIRE_S
        queued: dict[str, int] = {}
        skipped: list[Skipped] = []
        fired = 0
        for found in await session.rows("schedules_due", now, limit):
            row = Row(*found)
            firing = look(row, self._catalog.queues_by_id.get(row.queue), now)
            if isinstance(firing, Skipped):
                skipped.append(firing)
                await session.run("schedule_later", later_ms(now), row.id)
            else:
                fired += await self._move(session, firing, queued, skipped)
            if self._clock.steady_s() >= until_s:
                break
        first = await session.value("schedules_next")
        return Fired(queued, first, fired, skipped)

    async def _move(
        self, session: Session, firing: Firing, queued: dict[str, int], skipped: list[Skipped]
    ) -> int:
        """Fire a schedule as its policies say, and move it on; return how many messages it made."""
        queue = firing.queue
        if firing.may_overlap:
            firing.overlap(await session.row("schedule_alive", *firing.ids) is not None)
        if firing.run and queue.grouped:
            await session.value("lock_groups", [queue.id], [firing.prefix])
        for at_ms in firing.run:
            message = firing.message(at_ms)
            cause = Cause(message.id)
            send = send_row(message, queue)
            sent = await session.row("send_one", send, cause.correlation_id, cause.traceparent)
            if sent is not None and sent["due"] is not None:
                note_due(queued, queue.name, sent["due"])
        skipped += firing.told()
        await session.run("schedule_fired", *firing.fired())
        return len(firing.run)
