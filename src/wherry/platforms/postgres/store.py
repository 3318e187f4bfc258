"""The platform on Postgres: every request is a transaction of its own, or part of none.

Requests may be asked at the same moment, from any number of engines; each is answered when what it
says is durable. (`run` answers one after the other, for who needs their order.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wherry import limits
from wherry.errors import Passing
from wherry.platforms.postgres.bulk import Bulk
from wherry.platforms.postgres.catalog import Catalog, Stale
from wherry.platforms.postgres.commits import Commits
from wherry.platforms.postgres.database import Database, passing_fault
from wherry.platforms.postgres.executionpages import ExecutionPages
from wherry.platforms.postgres.firings import Firings
from wherry.platforms.postgres.hints import Hints, Seen
from wherry.platforms.postgres.inbox import Inbox
from wherry.platforms.postgres.messages import Messages
from wherry.platforms.postgres.migrating import migrate
from wherry.platforms.postgres.overview import Overview
from wherry.platforms.postgres.pauses import Pauses
from wherry.platforms.postgres.reads import Reads
from wherry.platforms.postgres.retirement import Retirement
from wherry.platforms.postgres.sweeping import Sweeping
from wherry.platforms.postgres.upkeep import Upkeep
from wherry.platforms.postgres.wakes import Wakes
from wherry.ports import (
    Already,
    Answer,
    Broken,
    Bury,
    Claim,
    Commit,
    Configure,
    Denied,
    Discard,
    FindExecution,
    FindOrphans,
    Fire,
    GetDefinition,
    GetExecution,
    GetHistory,
    GetItem,
    GetObject,
    GetReply,
    GetState,
    GetTimeline,
    ListExecutions,
    ListFailures,
    ListObjects,
    ListPaused,
    ListRedrives,
    ListSchedules,
    Note,
    Pause,
    Poll,
    PutState,
    QueryItems,
    QueueDepths,
    RecentRecords,
    Recover,
    Redrive,
    RedriveAll,
    RedriveTick,
    Reindex,
    Rejected,
    Release,
    Releases,
    Renew,
    Request,
    StopRedrive,
    Sweep,
    WakeExecutions,
)
from wherry.world import Chance, Clock

STALE_TRIES = 5


class PostgresStore:
    """The state of one installation, in one schema of a Postgres database.

    Make it with `open_store`. It belongs to the event loop on which it was made.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._catalog = catalog = Catalog(database)
        self.seen = seen = Seen()
        self._reads = Reads(database, catalog)
        self._commits = Commits(database, catalog, seen)
        self._messages = Messages(database, catalog, seen)
        self._inbox = Inbox(database, catalog)
        self._bulk = Bulk(database, catalog, self._inbox, seen)
        self._firings = Firings(database, catalog, seen, clock)
        self._pauses = Pauses(database, catalog)
        self._overview = Overview(database, catalog, self._inbox)
        self._upkeep = Upkeep(database, catalog, self._firings, seen)
        rooms = (self._messages, self._upkeep, self._inbox, self._pauses)
        self._sweeping = Sweeping(database, *rooms, Retirement(catalog))
        self._pages = ExecutionPages(database, catalog)
        self._wakes = Wakes(database, catalog, seen)
        self._hints: Hints | None = None

    def listen(self, heard: Callable[[list[str]], None]) -> None:
        """Begin to exchange hints with other engines; `heard` gets names of queues."""
        self._hints = Hints(self.database, self.seen, heard)

    async def deafen(self) -> None:
        """Exchange hints no more."""
        hints, self._hints = self._hints, None
        if hints is not None:
            await hints.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self.deafen()
        await self.database.close()

    async def run(self, requests: list[tuple[str, Request]]) -> list[Answer]:
        """Answer each request, one after the other, each against what those before it did."""
        return [await self.answer(function, request) for function, request in requests]

    async def answer(self, function: str, request: Request) -> Any:
        """Answer one request. What the answer says is durable.

        Args:
            function: Who asks: "" is the engine itself, which may do everything; "name@release"
                names its release.
        """
        try:
            for _ in range(STALE_TRIES):
                version = self._catalog.version
                try:
                    answer = await self._answer(function, request)
                except Stale:
                    await self._catalog.refresh()
                    continue
                # What another node has declared meanwhile is not refused.
                if isinstance(answer, Denied | Rejected):
                    await self._catalog.refresh()
                    if self._catalog.version != version:
                        continue
                return answer
            raise Passing("The releases keep changing.")
        except Exception as error:
            fault = passing_fault(error)
            return Broken(fault.code, str(fault))

    async def _answer(self, function: str, request: Request) -> Any:
        if "@" in function:
            await self._catalog.learn(self.database, function.partition("@")[2])
        match request:
            case Commit():
                return await self._commit(function, request)
            case FindExecution() | ListExecutions():
                return await self._pages.look(function, request)
            case GetItem() | QueryItems() | GetObject() | ListObjects() | GetReply():
                return await self._reads.read(function, request)
        if function:
            return Denied("engine", type(request).__name__)
        match request:
            case Claim():
                return await self._messages.claim(request)
            case Poll():
                return await self._messages.poll(request)
            case Renew():
                return await self._messages.renew(request)
            case Release():
                return await self._messages.release(request)
            case Bury():
                return await self._messages.bury(request)
            case Recover():
                return await self._messages.recover(request)
            case Note():
                return await self._upkeep.note(request)
            case GetExecution() | GetDefinition() | GetHistory():
                return await self._pages.read(request)
            case WakeExecutions():
                return await self._wakes.wake(request)
        return await self._manage(request)

    async def _commit(self, function: str, commit: Commit) -> Any:
        newest, answer = self.seen.newest, None
        try:
            answer = await self._commits.commit(function, commit)
            return answer
        finally:
            if answer is None or isinstance(answer, Already | Broken):
                for name in commit.leases:  # it was made before, and what it leased is lost
                    number = self._catalog.find("queue", name)
                    if number is not None:
                        self.seen.lose(number, newest)

    async def _manage(self, request: Request) -> Any:
        match request:
            case ListFailures():
                return await self._inbox.page(request)
            case Redrive():
                return await self._inbox.redrive(request)
            case Discard():
                return await self._inbox.discard(request)
            case GetTimeline():
                return await self._overview.timeline(request.correlation_id)
            case RecentRecords():
                return await self._overview.newest(request)
            case QueueDepths():
                return await self._overview.depths()
            case Configure():
                return await self._upkeep.configure(request)
            case Reindex():
                return await self._upkeep.reindex(request)
            case GetState():
                return await self._upkeep.get_state(request.key)
            case PutState():
                return await self._upkeep.put_state(request)
            case FindOrphans():
                return await self._upkeep.orphans(request)
            case Sweep():
                return await self._sweeping.sweep(request)
            case Releases():
                return await self._upkeep.releases()
            case Fire():
                return await self._firings.fire(request)
            case ListSchedules():
                return await self._firings.page(request)
            case Pause():
                return await self._pauses.change(request)
            case ListPaused():
                return await self._pauses.show()
            case RedriveTick():
                return await self._bulk.tick(request)
            case RedriveAll():
                return await self._bulk.begin(request)
            case StopRedrive():
                return await self._bulk.stop(request)
            case ListRedrives():
                return await self._bulk.show()
        raise Passing(f"This store does not know {type(request).__name__}.")

    async def begin(self) -> None:
        """Read the catalog."""
        await self._catalog.refresh()


async def open_store(
    dsn: str,
    clock: Clock,
    chance: Chance,
    schema: str = "wherry",
    size: int = limits.POSTGRES_CONNECTIONS,
) -> PostgresStore:
    """Open the store; its schema is made, or brought forward.

    Args:
        dsn: The database: `postgres://user:password@host/name`.
        schema: The schema that is wherry's own.
        size: How many connections this engine uses at most, besides one for renewals.

    Raises:
        Refused: The server or the schema cannot be used.
        OSError, asyncpg.PostgresError: The database cannot be reached, or refuses us.
    """
    database = Database(dsn, schema, size, clock, chance)
    connection = await database.connect()
    try:
        await migrate(connection, schema)
    finally:
        await connection.close()
    store = PostgresStore(database, clock)
    await store.begin()
    return store
