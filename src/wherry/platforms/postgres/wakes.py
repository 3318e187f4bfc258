"""Executions whose time has come: each gets a message, and whoever gets that moves it on."""

from __future__ import annotations

from wherry import limits
from wherry.codec import to_json
from wherry.effects import SendMessage
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.executions import Loaded
from wherry.platforms.postgres.hints import Seen
from wherry.platforms.postgres.telling import tell
from wherry.platforms.shared.origins import Origin, Thread
from wherry.platforms.shared.queues import note_turns
from wherry.platforms.shared.shapes import Queue
from wherry.ports import Happened, WakeExecutions, Woken


class Wakes:
    """Waits and timeouts, which are a column; and stops that one commit did not get done.

    Several engines may ask at once: each takes what no other has under its hands.
    """

    def __init__(self, database: Database, catalog: Catalog, seen: Seen) -> None:
        self._database = database
        self._catalog = catalog
        self._seen = seen

    async def wake(self, request: WakeExecutions) -> Woken:
        """Send the messages of executions that are due, up to so many."""
        limit = max(1, min(request.limit, limits.FIRE_BATCH))
        answer = await self._database.run(lambda one: self._wake(one, limit), atomic=True)
        if answer.queued:
            self._seen.tell(answer.queued, self._catalog)
        return answer

    async def _wake(self, session: Session, limit: int) -> Woken:
        await self._catalog.hold(session)
        now = await session.value("now")
        loaded = Loaded(session, self._catalog, now)
        told: list[tuple[SendMessage, Queue, Origin]] = []

        def send(message: SendMessage, queue: Queue, origin: Origin) -> None:
            told.append((message, queue, origin))

        for parent, at, through in await session.rows("stops_first"):
            await loaded.read_children(parent, at, through)
            # Their IDs repeat those of no other stop: a child is left after its first.
            loaded.stop_children(parent, at, through, through, send)
        for id, workflow, version, *thread in await session.rows("executions_due", now, limit):
            name = self._catalog.name(workflow)
            queue = self._catalog.queue(name)
            assert queue is not None  # it came with the workflow, and the catalog is held
            body = to_json(Happened(id, "wake"))
            send(SendMessage(name, f"{id}.wake.{version}", body), queue, Thread(*thread))
            loaded.put("execution_woken", id)
        await loaded.write()
        sent = await tell(session, self._catalog, self._seen, told, now, {}, "")
        queued: dict[str, int] = {}
        note_turns(queued, self._catalog, sent.turns)
        next_ms = await session.value("executions_next")
        if await session.value("stops_left") is not None:
            next_ms = now
        return Woken(queued, next_ms, now)
