"""Schedules: rows of the activated release, each with the moment to look at it next.

A firing is a message that is made in the same transaction in which its schedule moves on. So it
happens once, whoever asks, and is not lost between the two.
"""

from __future__ import annotations

from wherry import limits
from wherry.effects import SendMessage
from wherry.errors import Refused
from wherry.platforms.shared.firing import Firing, Row, prefix, spread
from wherry.platforms.shared.origins import Cause
from wherry.platforms.shared.queues import note_due
from wherry.platforms.shared.shapes import Queue, SourceShape
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.session import Session
from wherry.ports import Fire, Fired, ListSchedules, ScheduleRow, ScheduleRows, Skipped
from wherry.schedules import next_after


class Firings:
    """The schedules of the activated release."""

    def __init__(self, session: Session, catalog: Catalog, messages: Messages) -> None:
        self._session = session
        self._catalog = catalog
        self._messages = messages

    # -- what there is -----------------------------------------------------------------------

    def adopt(self, sources: tuple[SourceShape, ...]) -> None:
        """Take over the schedules among the sources of the release that was just activated.

        One whose expression is another begins anew; the others keep their place.
        """
        rows = {row[0]: Row(*row) for row in self._session.rows("schedules_all")}
        for source in sources:
            if source.type == "schedule":
                self._keep(source, rows.pop(source.name, None))
        for row in rows.values():
            self._session.write("schedule_delete", row.id)

    def _keep(self, source: SourceShape, row: Row | None) -> None:
        session, now = self._session, self._session.now_ms
        queue = self._catalog.number("queue", source.queue)
        policy = (source.window_s, source.overlap, source.missed, source.missed_max)
        when = (source.expression, source.timezone)
        if row is not None and (row.expression, row.timezone) == when:
            if (row.queue, *row[5:9]) != (queue, *policy):
                handled = row.start_ms - 1 if row.handled_ms is None else row.handled_ms
                at_ms = next_after(*when, handled, row.start_ms)
                next_ms = spread(at_ms, source.window_s, source.name)
                session.write("schedule_keep", queue, *policy, next_ms, row.id)
            return
        next_ms = spread(next_after(*when, now - 1, now), source.window_s, source.name)
        session.write("schedule_add", source.name, queue, *when, *policy, now, None, next_ms)

    def page(self, request: ListSchedules) -> ScheduleRows:
        """List schedules by name."""
        limit = max(1, min(request.limit, limits.LIST_LIMIT))
        found = self._session.rows("schedules_page", request.after, limit + 1)
        rows = []
        for name, number, *rest in found[:limit]:
            queue = self._catalog.queues_by_id.get(number)
            paused = queue is not None and queue.paused
            expression, timezone, next_ms, fired_ms, fired, skipped = rest
            what = (name, self._catalog.name(number), expression, timezone)
            rows.append(ScheduleRow(*what, next_ms, fired_ms, fired, skipped, paused))
        return ScheduleRows(rows, rows[-1].name if len(found) > limit else None)

    # -- firing ------------------------------------------------------------------------------

    def fire(self, request: Fire) -> Fired:
        """Make the messages of schedules that are due: so many, for a bounded time."""
        session = self._session
        limit = max(1, min(request.limit, limits.FIRE_BATCH))
        until_s = session.clock.steady_s() + limits.FIRE_S
        queued: dict[str, int] = {}
        skipped: list[Skipped] = []
        fired = 0
        for found in session.rows("schedules_due", session.now_ms, limit):
            row = Row(*found)
            queue = self._catalog.queues_by_id.get(row.queue)
            try:
                if queue is None:
                    raise Refused("Its queue is gone.")
                fired += self._look(row, queue, queued, skipped)
            except (Refused, ValueError, OverflowError):
                # Not ours to lose: perhaps this machine's time zones will be repaired.
                name = "" if queue is None else queue.name
                skipped.append(Skipped(row.name, name, 1, "invalid"))
                later_ms = session.now_ms + limits.SCHEDULE_INVALID_S * 1000
                session.write("schedule_later", later_ms, row.id)
            if session.clock.steady_s() >= until_s:
                break
        first = session.row("schedules_next")
        return Fired(queued, first[0] if first else None, fired, skipped)

    def _look(self, row: Row, queue: Queue, queued: dict[str, int], skipped: list[Skipped]) -> int:
        """Fire a schedule as its policies say, and move it on; return how many messages it made."""
        session = self._session
        firing = Firing(row, session.now_ms, queue.paused)
        if firing.may_overlap:
            firing.overlap(self._is_alive(row.name))
        for at_ms in firing.run:
            self._send(firing.message(queue.name, at_ms), queue, queued)
        skipped += firing.told(queue.name)
        session.write(
            "schedule_fired",
            firing.handled_ms,
            firing.next_ms,
            firing.run[-1] if firing.run else None,
            len(firing.run),
            sum(firing.skipped.values()),
            row.id,
        )
        return len(firing.run)

    def _send(self, message: SendMessage, queue: Queue, queued: dict[str, int]) -> None:
        self._session.begin()
        due_ms = self._messages.send(queue, message, Cause(message.id), "")
        if isinstance(due_ms, int):
            note_due(queued, queue.name, due_ms)

    def _is_alive(self, name: str) -> bool:
        """Whether a message of this schedule waits or runs: their IDs stand together."""
        begin = prefix(name)
        return self._session.row("schedule_alive", f"{begin}.", f"{begin}/") is not None
