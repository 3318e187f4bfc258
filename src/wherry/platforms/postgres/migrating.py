"""Brings the schema forward: numbered steps, each in a transaction, one node at a time."""

from __future__ import annotations

from wherry.errors import Refused
from wherry.platforms.postgres.database import FOLDER, Database, refuse_name, sqlstate
from wherry.platforms.postgres.pool import Connection
from wherry.platforms.shared.statements import texts

LOCK = 0x7768657272790001  # "wherry": whoever migrates holds it
STAGED = "_moving"  # behind the name of a schema: what `wherry move` has not finished
OLDEST_POSTGRES = 140_000  # its functions and grammar are used
MIXED = {"26000", "42P05"}  # a statement that was prepared is gone, or was prepared by another
# What a role or a database may set. The last one is there from Postgres 17 on.
TIMEOUTS = ("lock_timeout", "statement_timeout", "idle_session_timeout", "transaction_timeout")


async def take_time(connection: Connection) -> None:
    """Let no timeout end what a connection does, which takes as long as it takes."""
    await connection.fetch(
        "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY ($1)", TIMEOUTS
    )


async def refuse_shared_sessions(database: Database, connection: Connection) -> None:
    """See that what is said on a connection stays on it: locks, settings, who listens.

    Behind a pooler that gives away a session after each transaction, two connections that are open
    have the same one by turns, or one has another each time.

    Raises:
        Refused: It does not.
    """
    ask = "SELECT pg_backend_pid()"
    second = await database.connect()
    try:
        before = await connection.fetchval(ask)
        beside = await second.fetchval(ask)
        mixed = beside == before or await connection.fetchval(ask) != before
    except Exception as error:
        if sqlstate(error) not in MIXED:
            raise
        mixed = True
    finally:
        second.terminate()
    if mixed:
        raise Refused(
            "Connections to the database share their sessions: a pooler in transaction mode is in "
            "front of it, and locks and notifications are lost there.",
            advice="Connect to Postgres itself, or set the pooler to session mode (PgBouncer: "
            "pool_mode = session).",
        )


async def migrate(connection: Connection, schema: str) -> None:
    """Make the schema, or bring it forward. A newer one is left as it is: code runs on the next.

    Raises:
        Refused: The server is too old, the database keeps other characters than all, or the schema
            is not wherry's, or a move is to take its name.
    """
    refuse_name(schema)
    version = int(await connection.fetchval("SHOW server_version_num"))
    if version < OLDEST_POSTGRES:
        raise Refused(
            f"Postgres {version // 10_000} is too old.",
            advice=f"Use Postgres {OLDEST_POSTGRES // 10_000} or later.",
        )
    encoding = await connection.fetchval("SHOW server_encoding")
    if encoding != "UTF8":  # SQL_ASCII knows no characters: what is cut to a length is cut in two
        raise Refused(
            f"The encoding of the database is {encoding}: not every text can be kept in it.",
            advice="Use another one: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
        )
    steps = texts(FOLDER, "migrations")
    await take_time(connection)  # another node may take its time, too
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    try:
        at = await _version(connection, schema)
        for number, step in enumerate(steps[at:], at + 1):
            async with connection.transaction():
                await connection.execute(f'SET LOCAL search_path TO "{schema}"')
                await connection.execute(step)
                await connection.execute(f'UPDATE "{schema}".wherry SET version = {number}')
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)


async def _version(connection: Connection, schema: str) -> int:
    """Return how far the schema is; make it if it is not there."""
    marked = await connection.fetchval("SELECT to_regclass($1)", f'"{schema}".wherry')
    if marked is not None:
        return int(await connection.fetchval(f'SELECT version FROM "{schema}".wherry'))
    used = await connection.fetchval(
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1",
        schema,
    )
    if used:
        raise Refused(
            f"The schema {schema!r} holds tables that are not wherry's.",
            advice="Choose another schema, or another database.",
        )
    staged = schema + STAGED
    if await connection.fetchval("SELECT to_regclass($1)", f'"{staged}".moving') is not None:
        raise Refused(
            "A move into this database is not finished: an empty store would be in its way.",
            advice="Go on with `wherry move`, as it was begun; or give it up: "
            f'DROP SCHEMA "{staged}" CASCADE',
        )
    made = await connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = $1", schema)
    async with connection.transaction():
        if made is None:  # IF NOT EXISTS asks for the right to make one, also where it is there
            await connection.execute(f'CREATE SCHEMA "{schema}"')
        await connection.execute(f'CREATE TABLE "{schema}".wherry (version integer NOT NULL)')
        await connection.execute(f'INSERT INTO "{schema}".wherry VALUES (0)')
    return 0
