"""Where the data is moved to: a schema beside wherry's own, which takes its name at the end.

So no engine ever finds half of a store. How far the move is stands in the same schema and goes on
in the transaction of each batch: a batch is there with it, or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.cli.moving.kinds import ALL, Kind, Row, added, checksum
from wherry.codec import to_msgpack
from wherry.engine.objectplace import KEY as OBJECTS_KEY
from wherry.engine.objectplace import Known
from wherry.engine.postgres import KEY as SIGNING_KEY
from wherry.errors import Passing, Refused
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import FOLDER, Database, Session
from wherry.platforms.postgres.migrating import (
    STAGED,
    migrate,
    refuse_shared_sessions,
    take_time,
)
from wherry.platforms.postgres.pool import rest
from wherry.platforms.shared.statements import load_statements

if TYPE_CHECKING:
    from wherry.platforms.postgres.pool import Connection

LOCK = 0x7768657272790002  # whoever moves holds it
LOOK_AGAIN_S = 0.1
READ_ROWS = 100  # at once, while the target is read again: an item may have 400 KB
MOVED_KEY = "engine/moved"
IDENTITIES = ("names", "indexes", "schedules", "audit", "garbage")


class Part(msgspec.Struct):
    """How far one kind is: how many rows, their checksum, behind which row, whether that is all."""

    rows: int = 0
    sum: int = 0
    at: list[Any] | None = None
    whole: bool = False


class Progress(msgspec.Struct):
    """How far a move is.

    Attributes:
        source: What tells the state that is moved from any other.
        installation: The ID of the store, which it keeps.
        objects: Where content of objects lies behind the move ("": nowhere).
    """

    source: str
    installation: str
    objects: str
    parts: dict[str, Part] = {}


class Target:
    """The schema that is filled. Make it with `open`."""

    def __init__(self, connection: Connection, schema: str, database: Database) -> None:
        self._connection = connection
        self._schema = schema
        self._staged = schema + STAGED
        self._session = Session(connection, load_statements(FOLDER))
        self.catalog = Catalog(database)

    @classmethod
    async def open(cls, database: Database, schema: str) -> Target:
        """Connect, and see that nobody else moves anything here.

        Args:
            database: Whose schema is `schema` with STAGED behind it.

        Raises:
            Passing: Somebody does.
            Refused: No lock is held there.
        """
        connection = await database.connect()
        try:
            await refuse_shared_sessions(database, connection)
            await take_time(connection)  # while objects go to S3 it is idle
            clock = database.clock
            until_s = clock.steady_s() + limits.POSTGRES_RETRY_S
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                if clock.steady_s() >= until_s:
                    raise Passing("Another `wherry move` is moving something to this database.")
                await rest(LOOK_AGAIN_S)
            return cls(connection, schema, database)
        except BaseException:
            await connection.close()
            raise

    async def close(self) -> None:
        """Let go of the connection."""
        await self._connection.close()

    # -- beginning -------------------------------------------------------------------------------

    async def finished(self, source: str) -> Progress | None:
        """Return what was moved here, where this very state was.

        Raises:
            Refused: Something else is here, or this user may not bring the move to its end.
        """
        if not await self._filled(self._schema):
            await self._see_rights()
            return None
        if await self._connection.fetchval("SELECT to_regclass($1)", f'"{self._schema}".state'):
            text = await self._connection.fetchval(
                f'SELECT value FROM "{self._schema}".state WHERE key = $1', MOVED_KEY
            )
            if text is not None and (found := _read(text)).source == source:
                return found
        raise Refused(
            f"The schema {self._schema!r} is there and is not empty: a store is there already.",
            advice="Name another database, or drop that schema if nothing in it is needed.",
        )

    async def _see_rights(self) -> None:
        """See that this user may do what `finish` does, before anything is copied."""
        user, database, may = await self._connection.fetchrow(
            "SELECT current_user, current_database(), "
            "has_database_privilege(current_database(), 'CREATE')"
        )
        if not may:
            raise Refused(
                f"The user {user!r} may make no schema in the database {database!r}.",
                advice=f'For the move it needs that: GRANT CREATE ON DATABASE "{database}" '
                f'TO "{user}"',
            )
        others = await self._connection.fetch(
            "SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace "
            "WHERE nspname = ANY ($1) AND NOT pg_has_role(nspowner, 'USAGE')",
            [self._schema, self._staged],
        )
        for schema, owner in others:
            raise Refused(
                f"The schema {schema!r} is of the user {owner!r}: {user!r} can put no store in its "
                "place.",
                advice=f'ALTER SCHEMA "{schema}" OWNER TO "{user}", or drop it.',
            )

    async def unfinished(self, wanted: Progress) -> Progress | None:
        """Return how far an earlier call has come; nothing is changed.

        Raises:
            Refused: It is of another move, or the schema has something else in it.
        """
        anew = f'DROP SCHEMA "{self._staged}" CASCADE'
        other = Refused(
            f"The schema {self._staged!r} has the unfinished move of another folder, or of this "
            "one before its engine ran again.",
            advice=f"Drop it to begin anew: {anew}",
        )
        if not await self._has("moving"):
            used = await self._has("names")
            if used and await self._connection.fetchval("SELECT 1 FROM names LIMIT 1"):
                raise other
            return None
        found = _read(await self._connection.fetchval("SELECT progress FROM moving"))
        if found.source != wanted.source:
            raise other
        if found.objects != wanted.objects:
            go_on = f"with --objects {found.objects}" if found.objects else "without --objects"
            raise Refused(
                f"This move began with objects in {found.objects or 'no place of their own'}.",
                advice=f"Go on {go_on}, or drop what is there to begin anew: {anew}",
            )
        return found

    async def begin(self, progress: Progress) -> None:
        """Make the schema, and write down what the move begins with."""
        await migrate(self._connection, self._staged)
        async with self._connection.transaction():
            await self._connection.execute(
                "CREATE TABLE IF NOT EXISTS moving "
                "(id integer PRIMARY KEY DEFAULT 1, progress bytea NOT NULL)"
            )
            await self._connection.execute(
                "INSERT INTO moving (progress) VALUES ($1) ON CONFLICT DO NOTHING",
                to_msgpack(progress),
            )

    async def _has(self, table: str) -> bool:
        """Whether the schema that is filled has this table."""
        found = await self._connection.fetchval(
            "SELECT to_regclass($1)", f'"{self._staged}".{table}'
        )
        return found is not None

    async def _filled(self, schema: str) -> bool:
        """Whether the schema has anything that keeps it from being dropped."""
        found: bool = await self._connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM pg_depend d JOIN pg_namespace n ON n.oid = d.refobjid "
            "WHERE d.refclassid = 'pg_namespace'::regclass AND d.deptype = 'n' AND n.nspname = $1)",
            schema,
        )
        return found

    # -- filling ---------------------------------------------------------------------------------

    async def add(self, kind: Kind, rows: list[Row], progress: Progress) -> None:
        """Add rows, and what the progress is with them, in one transaction."""
        async with self._connection.transaction():
            if rows:
                await self._connection.copy_records_to_table(
                    kind.table, schema_name=self._staged, columns=kind.columns, records=rows
                )
            await self._connection.execute("UPDATE moving SET progress = $1", to_msgpack(progress))

    async def learn(self) -> None:
        """Read what declares the items."""
        await self.catalog.read(self._session)

    # -- the end ---------------------------------------------------------------------------------

    async def read_back(self, kind: Kind) -> tuple[int, int]:
        """Return how many rows of a kind are there, and their checksum."""
        count = total = 0
        sql = f"SELECT {', '.join(kind.columns)} FROM {kind.table}"
        async with self._connection.transaction():
            cursor = await self._connection.cursor(sql)
            while rows := await cursor.fetch(READ_ROWS):
                count += len(rows)
                total = added(total, checksum([_plain_row(row) for row in rows]))
        return count, total

    async def entries_of_items(self) -> int:
        """Return how many entries of indexes the items say that they have."""
        found: int = await self._connection.fetchval(
            "SELECT coalesce(sum(cardinality(entries)), 0) FROM items"
        )
        return found

    async def finish(self, progress: Progress, sequence: int, signing_key: bytes | None) -> None:
        """Make a store of it, under its own name, in one transaction.

        Args:
            sequence: All numbers that were given away are not above it.
            signing_key: The value of the key that signs URLs.

        Raises:
            Refused: Meanwhile another store was begun under that name.
        """
        for kind in ALL:
            await self._connection.execute(f"ANALYZE {kind.table}")
        async with self._connection.transaction():
            if await self._filled(self._schema):
                raise Refused(
                    f"Somebody has begun a store in the schema {self._schema!r} meanwhile.",
                    advice="Drop that one if nothing in it is needed, and start this again.",
                )
            await self._number_on(sequence)
            await self._state(MOVED_KEY, to_msgpack(progress))
            if signing_key is not None:
                await self._state(SIGNING_KEY, signing_key)
            if progress.objects:
                known = Known(progress.installation, progress.objects)
                await self._state(OBJECTS_KEY, msgspec.json.encode(known))
            await self.catalog.change(self._session)
            await self.catalog.read(self._session)
            await self.catalog.store_queues(self._session)
            await self._end_leases()
            await self._connection.execute("DROP TABLE moving")
            await self._connection.execute(f'DROP SCHEMA IF EXISTS "{self._schema}"')
            await self._connection.execute(
                f'ALTER SCHEMA "{self._staged}" RENAME TO "{self._schema}"'
            )

    async def _number_on(self, sequence: int) -> None:
        await self._connection.execute("SELECT setval('numbers', $1)", max(1, sequence))
        for table in IDENTITIES:
            await self._connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), "
                f"greatest(1, (SELECT max(id) FROM {table})))"
            )

    async def _state(self, key: str, value: bytes) -> None:
        await self._connection.execute("INSERT INTO state (key, value) VALUES ($1, $2)", key, value)

    async def _end_leases(self) -> None:
        """What was in hand waits again; its last attempt is over where it was the last one.

        As of an engine that was killed. In the order in which they were sent, for groups.
        """
        ids = await self._connection.fetch("SELECT id FROM messages WHERE token > 0 ORDER BY seq")
        for one in ids:
            await self._connection.fetch(
                "SELECT end_lease(m, now_ms()) FROM messages m WHERE id = $1", one["id"]
            )


def _read(text: bytes) -> Progress:
    return msgspec.msgpack.decode(text, type=Progress)


def _plain_row(row: Any) -> Row:
    """Return a row as it was made: an entry of an index comes as a record."""
    return tuple(
        [one if isinstance(one, str) else tuple(one) for one in value]
        if isinstance(value, list)
        else value
        for value in row
    )
