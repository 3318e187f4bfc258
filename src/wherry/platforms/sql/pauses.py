"""What a person has paused: stored, so that it outlives a restart and a new release."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.session import Session
from wherry.ports import Count, Pause, Paused, PausedRow, Rejected


class Pauses:
    """Functions, or the whole app, whose messages wait and whose schedules skip."""

    def __init__(self, session: Session, catalog: Catalog, inbox: Inbox) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox

    def change(self, request: Pause) -> Count | Rejected:
        """Pause a function or let it go on. Audited."""
        name, session = request.function, self._session
        paused = name in self._catalog.paused
        if request.paused == paused:
            return Count(0)
        if request.paused and name and not self._catalog.has_function(name):
            return Rejected(f"There is no function {name!r}.")
        resumed = None if request.paused else session.now_ms
        session.write("pause_put", name, session.now_ms, request.actor, resumed)
        self._inbox.note(request.actor, "pause" if request.paused else "resume", name, "")
        self._catalog.reload()
        return Count(1)

    def show(self) -> Paused:
        """List what is paused."""
        rows = self._session.rows("pauses_all")
        return Paused([PausedRow(*row[:3]) for row in rows if row[3] is None])

    def remove_old(self) -> int:
        """Forget pauses that are over for so long that they hold no message's retention up."""
        before = self._session.now_ms - limits.MESSAGE_RETENTION_MAX_S * 1000
        rows = self._session.rows("pauses_all")
        over = [row[0] for row in rows if row[3] is not None and row[3] <= before]
        for function in over:
            self._session.write("pause_delete", function)
        return len(over)
