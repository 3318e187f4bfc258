"""Executions whose time has come: each gets a message, and whoever gets that moves it on."""

from __future__ import annotations

from wherry import limits
from wherry.codec import to_json
from wherry.effects import SendMessage
from wherry.platforms.shared.origins import Origin, Thread
from wherry.platforms.shared.queues import note_all_due, note_due
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.executions import Executions
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.session import Session
from wherry.ports import Happened, WakeExecutions, Woken


class Wakes:
    """Waits and timeouts, which are a column; and stops that one commit did not get done."""

    def __init__(
        self, session: Session, catalog: Catalog, messages: Messages, executions: Executions
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._messages = messages
        self._executions = executions

    def wake(self, request: WakeExecutions) -> Woken:
        """Send the messages of executions that are due, up to so many."""
        session = self._session
        limit = max(1, min(request.limit, limits.FIRE_BATCH))
        queued: dict[str, int] = {}

        def send(message: SendMessage, queue: Queue, origin: Origin) -> None:
            session.begin()
            due = self._messages.send(queue, message, origin, "")
            if isinstance(due, int):
                note_due(queued, queue.name, due)

        for parent, at, through in session.rows("stops_all", 1):
            # Their IDs repeat those of no other stop: a child is left after its first.
            self._executions.stop_children(parent, at, through, through, send)
        for id, workflow, version, *thread, _ in session.rows(
            "executions_due", session.now_ms, limit
        ):
            name = self._catalog.name(workflow)
            queue = self._catalog.queue(name)
            if queue is not None:
                body = to_json(Happened(id, "wake"))
                send(SendMessage(name, f"{id}.wake.{version}", body), queue, Thread(*thread))
            session.write("execution_woken", id)
        note_all_due(queued, self._messages.take_woken().items())
        return Woken(queued, self._next(), session.now_ms)

    def _next(self) -> int | None:
        if self._session.rows("stops_all", 1):
            return self._session.now_ms
        row = self._session.row("executions_next")
        return row[0] if row else None
