"""The database: connections, transactions, and what its errors mean.

A statement that the database refused for the sake of others (a deadlock, a serialization failure)
is run again a few times. One whose connection broke is run again too, for some seconds: everything
that is sent here is harmless when it is repeated, a commit by the number of its record.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from operator import methodcaller
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from wherry import limits
from wherry.errors import FateUnknown, Passing, Refused
from wherry.platforms.postgres.hosts import hosts_of, trusts_system
from wherry.platforms.postgres.pool import Connection, Pool, rest
from wherry.platforms.shared.statements import load_statements

if TYPE_CHECKING:
    from wherry.world import Chance, Clock

T = TypeVar("T")
FOLDER = os.path.dirname(os.path.abspath(__file__))
AGAIN = {"40001", "40P01"}  # serialization failure, deadlock
# The server goes down, or comes up; it has no room; it is a standby (of a primary that has moved).
DEAF = {"57P01", "57P02", "57P03", "53300", "25006"}
# Set when a connection has been made: a pooler takes none of them with what makes one.
SETTINGS = {
    "jit": "off",  # no statement here is long enough for it to pay
    # Every statement finds its rows by an index, and has one plan. A plan that was made while a
    # table was small must not read it whole when it has grown.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "client_min_messages": "warning",
    # What the keys' locks are good for: each statement sees all that was committed before it.
    "default_transaction_isolation": "read committed",
    # Who is cut off within a transaction holds up all that want its rows.
    "idle_in_transaction_session_timeout": f"{limits.POSTGRES_IDLE_S * 1000:.0f}",
    "lock_timeout": f"{limits.POSTGRES_LOCK_S * 1000:.0f}",
}


class Away(Passing):
    """No connection can be made: nothing was sent."""


class Lost(Passing):
    """The connection broke while something was under way: it may or may not have been done."""


class Session:
    """A connection, or a transaction on it."""

    def __init__(self, connection: Connection, sql: dict[str, str]) -> None:
        self._connection = connection
        self._sql = sql
        self._prepared: dict[str, Any] = {}
        self.transaction = connection.transaction
        self.is_closed = connection.is_closed
        self.terminate = connection.terminate
        self.close = connection.close

    async def row(self, name: str, *values: Any) -> Any:
        """Run a named statement and return its first row."""
        statement = self._prepared.get(name) or await self._prepare(name)
        return await statement.fetchrow(*values)

    async def rows(self, name: str, *values: Any) -> list[Any]:
        """Run a named statement and return its rows."""
        statement = self._prepared.get(name) or await self._prepare(name)
        rows: list[Any] = await statement.fetch(*values)
        return rows

    async def value(self, name: str, *values: Any) -> Any:
        """Run a named statement and return the first value of its first row."""
        statement = self._prepared.get(name) or await self._prepare(name)
        return await statement.fetchval(*values)

    async def _prepare(self, name: str) -> Any:
        """Prepare a statement, for as long as the connection lasts."""
        statement = self._prepared[name] = await self._connection.prepare(self._sql[name])
        return statement

    async def run(self, name: str, *values: Any) -> int:
        """Run a named statement; return how many rows it changed."""
        status: str = await self._connection.execute(self._sql[name], *values)
        last = status.rpartition(" ")[2]
        return int(last) if last.isdecimal() else 0

    async def many(self, name: str, values: list[tuple[Any, ...]]) -> None:
        """Run a named statement once for each of these."""
        await self._connection.executemany(self._sql[name], values)


class Database:
    """Connections to one schema of one database.

    Args:
        dsn: Where it is (`postgres://...`).
        schema: The schema that is wherry's own.
        size: How many connections at most, besides the one for renewals.
    """

    def __init__(self, dsn: str, schema: str, size: int, clock: Clock, chance: Chance) -> None:
        self.dsn = dsn
        self.schema = schema
        self.clock = clock
        self.retry_s = limits.POSTGRES_RETRY_S
        self.fault: BaseException | None = None  # why the last try could not reach it
        self._chance = chance
        # Called when the server was started anew, or another one is the primary: one that lacks
        # what the last one had, if that was replicated asynchronously.
        self.turned: Callable[[], None] = _ignore
        self._began: object = None
        self._hosts = hosts_of(dsn)
        self._tls = trusts_system(dsn) or None  # None: as the address says
        settings = SETTINGS | {"search_path": f'"{schema}"'}
        self._settings = msgspec.json.encode(settings).decode()
        self._sql = load_statements(FOLDER)
        self._pool = Pool(self._session, size, limits.POSTGRES_WAIT_S)
        # Leases are renewed however busy the others are.
        self._own = Pool(self._session, 1, limits.POSTGRES_WAIT_S)

    async def connect(self) -> Connection:
        """Make a connection: to the one of its hosts that takes writes.

        Raises:
            Away: None of several hosts does, or the only one is a standby.
            OSError, asyncpg.PostgresError: The only host cannot be reached, or refuses us.
        """
        import asyncpg

        faults = []
        # First where it was lately: where a machine is gone, to learn that takes its time.
        for host, dsn in [*self._hosts]:
            try:
                connection = await self._connect(dsn)
            except asyncpg.TargetServerAttributeNotMatched:
                faults.append(f"{host}: it takes no writes; is it a standby?")
            except (OSError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                if len(self._hosts) == 1:
                    raise
                faults.append(f"{host}: {error or type(error).__name__}")
            else:
                if self._hosts[0][1] != dsn:
                    self._hosts.sort(key=lambda one: one[1] != dsn)
                await self._settle(connection)
                return connection
        raise Away("; ".join(faults))

    async def _session(self) -> Session:
        return Session(await self.connect(), self._sql)

    async def _connect(self, dsn: str) -> Connection:
        import asyncpg

        connection: Connection = await asyncpg.connect(
            dsn,
            timeout=limits.POSTGRES_CONNECT_S / len(self._hosts),
            ssl=self._tls,
            target_session_attrs="read-write",
            statement_cache_size=512,
            max_cached_statement_lifetime=0,
            server_settings={"application_name": "wherry"},
        )
        return connection

    async def _settle(self, connection: Connection) -> None:
        """Make its settings ours, and see whether it is the server that it was."""
        try:
            rows = await connection.fetch(self._sql["apply_settings"], self._settings)
        except BaseException:  # also one that comes too late for whoever waited for it
            connection.terminate()
            raise
        before, self._began = self._began, rows[0]["began"]
        if before not in (None, self._began):
            self.turned()

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()
        await self._own.close()

    # -- running -----------------------------------------------------------------------------

    async def run(
        self, work: Callable[[Session], Awaitable[T]], atomic: bool = False, own: bool = False
    ) -> T:
        """Run something, again where that may help.

        Args:
            work: What is run, perhaps several times. One statement by itself is one transaction.
            atomic: Several statements are one transaction.
            own: On the connection that is kept for renewals.

        Raises:
            Lost: The connection broke, and no later try came to an end; it may have been done.
            Passing: It was not done.
        """
        pool = self._own if own else self._pool
        until_s = self.clock.steady_s() + self.retry_s
        refused = 0
        lost = False
        while True:
            session: Session | None = None
            try:
                session = pool.idle() or await pool.take()
                if atomic:
                    async with session.transaction():
                        answer = await work(session)
                else:
                    answer = await work(session)
            except BaseException as error:
                broken = is_connection_fault(error)
                if broken or (session is None and (isinstance(error, Away) or sqlstate(error))):
                    self.fault = error
                wrong = broken and session is not None and asked_wrongly(error, session)
                if session is not None:
                    pool.give(session, sound=isinstance(error, Exception) and not broken)
                if sqlstate(error) in AGAIN and refused < limits.POSTGRES_TRIES:
                    refused += 1
                    pause_s = 0.005 * 2**refused
                elif (broken and not wrong) or isinstance(error, Away):
                    lost |= broken and session is not None
                    if self.clock.steady_s() >= until_s:
                        why = str(error) or type(error).__name__
                        kind = Lost if lost else Passing
                        raise kind(f"The database cannot be reached ({why}).") from None
                    pause_s = 0.1
                elif lost and not request_fault(error) and isinstance(error, Exception):
                    # This try was refused; the one whose answer was lost may have been done.
                    raise Lost(str(passing_fault(error))) from error
                else:
                    raise
            else:
                pool.give(session)
                self.fault = None
                return answer
            await rest(self._chance.between(0.5, 1.5) * pause_s)

    async def look(self, work: Callable[[Session], Awaitable[T]]) -> T:
        """Run something that only reads: all of it sees one moment. Raises what `run` does."""

        async def reading(session: Session) -> T:
            await session.run("one_snapshot")
            return await work(session)

        return await self.run(reading, atomic=True)

    def row(self, name: str, *values: Any) -> Awaitable[Any]:
        """Run a named statement and return its first row."""
        return self.run(methodcaller("row", name, *values))

    def rows(self, name: str, *values: Any) -> Awaitable[Any]:
        """Run a named statement and return its rows."""
        return self.run(methodcaller("rows", name, *values))

    def value(self, name: str, *values: Any) -> Awaitable[Any]:
        """Run a named statement and return the first value of its first row."""
        return self.run(methodcaller("value", name, *values))


def _ignore() -> None:
    """Nobody has to know."""


def sqlstate(error: BaseException) -> str:
    """Return the code of an error of the database; '' for any other."""
    return str(getattr(error, "sqlstate", None) or "")


def is_connection_fault(error: BaseException) -> bool:
    """Whether the connection is to blame, or the server that goes down or comes up."""
    import asyncpg

    if isinstance(error, Passing):
        return False
    if isinstance(error, OSError | TimeoutError):
        return True
    # The last one is what asyncpg says where the server goes while a statement is being sent. By
    # what is derived from the first one it refuses an address, or says what it cannot do.
    if type(error) is asyncpg.InterfaceError or isinstance(error, asyncpg.InternalClientError):
        return True
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True  # the schema was brought forward since it prepared its statements
    return sqlstate(error)[:2] == "08" or sqlstate(error) in DEAF


def asked_wrongly(error: BaseException, session: Session) -> bool:
    """Whether asyncpg refuses a statement whose connection is well: it is ours, as it stands."""
    import asyncpg

    return isinstance(error, asyncpg.InterfaceError) and not session.is_closed()


def request_fault(error: BaseException) -> bool:
    """Whether what was asked is at fault, and not the database: asking again is of no use."""
    import asyncpg
    from msgspec import MsgspecError

    if isinstance(error, asyncpg.DataError):
        return True
    return sqlstate(error)[:2] in ("22", "54") or isinstance(
        error, ValueError | TypeError | OverflowError | RecursionError | MsgspecError
    )


def passing_fault(error: BaseException) -> Passing | FateUnknown:
    """Say what an error means to who asked."""
    from wherry.errors import StoreFull

    if isinstance(error, Passing):
        return error
    if sqlstate(error) == "53100":
        return StoreFull("The disk under the database is full.", advice="Free some space.")
    if sqlstate(error):
        return Passing(f"The database cannot do it now ({sqlstate(error)}: {error}).")
    return Passing(f"The store failed ({type(error).__name__}: {error}).")


def refuse_name(schema: str) -> None:
    """Raise `Refused` for a schema's name that would have to be quoted."""
    if not schema.isidentifier() or not schema.isascii() or len(schema) > 63:
        raise Refused(
            f"{schema!r} cannot be a schema of wherry's.",
            advice="Use ASCII letters, digits and underscores, 63 at most.",
        )
