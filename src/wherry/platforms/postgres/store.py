"""The platform on Postgres: every request is a transaction of its own, or part of none.

Requests may be asked at the same moment, from any number of engines; each is answered when what it
says is durable. (`run` answers one after the other, for who needs their order.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
from wherry.platforms.postgres.migrating import migrate, refuse_shared_sessions
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
    ListUndeclared,
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
UNDECLARED = (Denied, Rejected)
UNSURE = (Already, Broken)


class PostgresStore:
    """The state of one installation, in one schema of a Postgres database.

    Make it with `open_store`. It belongs to the event loop on which it was made.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._catalog = catalog = Catalog(database)
        self.seen = seen = Seen()
        self._commits = Commits(database, catalog, seen)
        self._hints: Hints | None = None
        reads = Reads(database, catalog)
        messages = Messages(database, catalog, seen)
        inbox = Inbox(database, catalog)
        bulk = Bulk(database, catalog, inbox, seen)
        firings = Firings(database, catalog, seen, clock)
        pauses = Pauses(database, catalog)
        overview = Overview(database, catalog, inbox)
        upkeep = Upkeep(database, catalog, firings, seen)
        rooms = (messages, upkeep, inbox, pauses)
        sweeping = Sweeping(database, *rooms, Retirement(catalog))
        pages = ExecutionPages(database, catalog)
        self._of_functions: dict[type[Request], Callable[[str, Any], Awaitable[Any]]] = {
            Commit: self._commit,
            FindExecution: pages.look,
            GetItem: reads.item,
            GetObject: reads.object,
            GetReply: reads.reply,
            ListExecutions: pages.look,
            ListObjects: reads.objects,
            QueryItems: reads.page,
        }
        self._of_engines: dict[type[Request], Callable[[Any], Awaitable[Any]]] = {
            Bury: messages.bury,
            Claim: messages.claim,
            Configure: upkeep.configure,
            Discard: inbox.discard,
            FindOrphans: upkeep.orphans,
            Fire: firings.fire,
            GetDefinition: pages.read,
            GetExecution: pages.read,
            GetHistory: pages.read,
            GetState: lambda request: upkeep.get_state(request.key),
            GetTimeline: lambda request: overview.timeline(request.correlation_id),
            ListFailures: inbox.page,
            ListPaused: lambda _: pauses.show(),
            ListRedrives: lambda _: bulk.show(),
            ListSchedules: firings.page,
            Note: upkeep.note,
            Pause: pauses.change,
            Poll: messages.poll,
            PutState: upkeep.put_state,
            QueueDepths: lambda _: overview.depths(),
            RecentRecords: overview.newest,
            Recover: messages.recover,
            Redrive: inbox.redrive,
            RedriveAll: bulk.begin,
            RedriveTick: bulk.tick,
            Reindex: upkeep.reindex,
            Release: messages.release,
            ListUndeclared: lambda _: upkeep.undeclared(),
            Releases: lambda _: upkeep.releases(),
            Renew: messages.renew,
            StopRedrive: bulk.stop,
            Sweep: sweeping.sweep,
            WakeExecutions: Wakes(database, catalog, seen).wake,
        }

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
                    if "@" in function:
                        await self._catalog.learn(self.database, function.partition("@")[2])
                    kind = type(request)
                    if kind in self._of_functions:
                        answer = await self._of_functions[kind](function, request)
                    elif function:
                        answer = Denied("engine", kind.__name__)
                    else:
                        answer = await self._of_engines[kind](request)
                except Stale:
                    await self._catalog.refresh()
                    continue
                if not isinstance(answer, UNDECLARED):
                    return answer
                # What another node has declared meanwhile is not refused.
                await self._catalog.refresh()
                if self._catalog.version == version:
                    return answer
            raise Passing("The releases keep changing.")
        except Exception as error:
            fault = passing_fault(error)
            return Broken(fault.code, str(fault))

    async def _commit(self, function: str, commit: Commit) -> Any:
        newest, answer = self.seen.newest, None
        try:
            answer = await self._commits.commit(function, commit)
            return answer
        finally:
            if answer is None or isinstance(answer, UNSURE):
                for name in commit.leases:  # it was made before, and what it leased is lost
                    number = self._catalog.find("queue", name)
                    if number is not None:
                        self.seen.lose(number, newest)

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
        Refused: The server or the schema cannot be used, or what is in front of it.
        OSError, asyncpg.PostgresError: The database cannot be reached, or refuses us.
    """
    database = Database(dsn, schema, size, clock, chance)
    connection = await database.connect()
    try:
        await refuse_shared_sessions(database, connection)
        await migrate(connection, schema)
    finally:
        await connection.close()
    store = PostgresStore(database, clock)
    await store.begin()
    return store
