"""Somebody else in the database: locks in another order than the engines', rows that are held for
too long, transactions that the database refuses for the sake of others.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ..postgres_kit import loop
from .faults import now_ns
from .shared_victim import Shared

ROUNDS = 4  # deadlocks of one fault
WAITED_S = 5.0  # for an engine that meets the row
REFUSED_S = 3.0
TOTAL = "SELECT 1 FROM wherry.items JOIN wherry.names ON id = tbl WHERE name = 'totals' FOR UPDATE"
MEETS = "SELECT min(pid) FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
MESSAGES = "SELECT 1 FROM wherry.messages ORDER BY id DESC FOR UPDATE"
KEYS = """
SELECT pg_advisory_xact_lock((classid::bigint << 32) | objid::bigint) FROM pg_locks
WHERE pid = $1 AND locktype = 'advisory' AND mode = 'ExclusiveLock' AND granted
"""
REFUSES = """
CREATE FUNCTION refuse_some() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < 0.3 THEN
        RAISE EXCEPTION 'could not serialize access' USING ERRCODE = '40001';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON wherry.items
    FOR EACH ROW EXECUTE FUNCTION refuse_some();
"""


def deadlocks(life: Shared) -> int | None:
    """Who holds the row that all want, then wants what the one holds that waits for it: Postgres
    ends the engine's transaction, as the other one looks for deadlocks later."""
    made = sum(loop().run(_cross(life.server.dsn)) for _ in range(ROUNDS))
    return now_ns() if made else None


async def _cross(dsn: str) -> bool:
    import asyncpg

    connection = await asyncpg.connect(dsn, server_settings={"deadlock_timeout": "30s"})
    try:
        async with connection.transaction():
            await connection.execute(TOTAL)
            waiter = await _waiter(connection)
            if waiter is None:
                return False
            await connection.execute(MESSAGES)
            await connection.execute(KEYS, waiter)
            return True  # it has let go, and ours is held still
    finally:
        await connection.close()


async def _waiter(connection: Any) -> int | None:
    give_up_s = time.monotonic() + WAITED_S
    while time.monotonic() < give_up_s:
        pid: int | None = await connection.fetchval(MEETS)
        if pid is not None:
            return pid
        await asyncio.sleep(0.01)
    return None


def held(life: Shared) -> int | None:
    """The row that all want is held for longer than anybody waits for it."""
    loop().run(_hold(life.server.dsn, 1.5 * life.lock_s))
    return now_ns()


async def _hold(dsn: str, for_s: float) -> None:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        async with connection.transaction():
            await connection.execute(TOTAL)
            await asyncio.sleep(for_s)  # this long, whoever waits
    finally:
        await connection.close()


def refusals(life: Shared) -> int | None:
    """Some writes of items fail to serialize, in the middle of commits."""
    loop().run(_execute(life.server.dsn, REFUSES))
    try:
        time.sleep(REFUSED_S)  # this long, whoever writes
        life.grows(5)
    finally:
        loop().run(_execute(life.server.dsn, "DROP FUNCTION refuse_some CASCADE"))
    return now_ns()


async def _execute(dsn: str, sql: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
