"""Schedules: rows of the activated release, each with the moment to look at it next.

A firing is a message that is made in the same transaction in which its schedule moves on. So it
happens once, whoever asks, and is not lost between the two.
"""

from __future__ import annotations

from wherry import limits
from wherry.effects import SendMessage
from wherry.platforms.shared.firing import Firing, Row, kept, later_ms, look, schedules_page
from wherry.platforms.shared.origins import Cause
from wherry.platforms.shared.pages import list_limit
from wherry.platforms.shared.queues import note_due
from wherry.platforms.shared.shapes import Queue, SourceShape
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.session import Session
from wherry.ports import Fire, Fired, ListSchedules, ScheduleRows, Skipped


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
                queue = self._catalog.number("queue", source.queue)
                change = kept(source, rows.pop(source.name, None), queue, self._session.now_ms)
                if change is not None:
                    self._session.write(change[0], *change[1])
        for row in rows.values():
            self._session.write("schedule_delete", row.id)

    def page(self, request: ListSchedules) -> ScheduleRows:
        """List schedules by name."""
        limit = list_limit(request.limit)
        found = self._session.rows("schedules_page", request.after, limit + 1)
        return schedules_page(self._catalog, found, limit)

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
            firing = look(row, self._catalog.queues_by_id.get(row.queue), session.now_ms)
            if isinstance(firing, Skipped):
                skipped.append(firing)
                session.write("schedule_later", later_ms(session.now_ms), row.id)
            else:
                fired += self._move(firing, queued, skipped)
            if session.clock.steady_s() >= until_s:
                break
        first = session.row("schedules_next")
        return Fired(queued, first[0] if first else None, fired, skipped)

    def _move(self, firing: Firing, queued: dict[str, int], skipped: list[Skipped]) -> int:
        """Fire a schedule as its policies say, and move it on; return how many messages it made."""
        if firing.may_overlap:
            firing.overlap(self._session.row("schedule_alive", *firing.ids) is not None)
        for at_ms in firing.run:
            self._send(firing.message(at_ms), firing.queue, queued)
        skipped += firing.told()
        self._session.write("schedule_fired", *firing.fired())
        return len(firing.run)

    def _send(self, message: SendMessage, queue: Queue, queued: dict[str, int]) -> None:
        self._session.begin()
        due_ms = self._messages.send(queue, message, Cause(message.id), "")
        if isinstance(due_ms, int):
            note_due(queued, queue.name, due_ms)
