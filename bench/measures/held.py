"""A transaction held open elsewhere in the database, while jobs are sent and run.

Its snapshot sees all that was there when it began, so that no vacuum removes what is done since:
every message that was sent, leased and deleted stays as a dead row, and so do its index entries.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import PING, WARM_S
from bench.load import BenchError, Request
from bench.measures.postgres import database, serving
from bench.measures.triggers import DELIVERED, FILLERS, JOBS_PER_REQUEST, PATIENCE_S
from bench.processes import Server

FREE = 2  # slices of the load before it, of `--seconds` each; and as many behind it
HELD = 4  # slices while it is held, of which the last one counts: ten minutes are `--seconds 150`
_DEAD = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'messages'"


def _held(bench: Bench) -> dict[str, float]:
    with database() as dsn, serving(ours.TRIGGERS, bench, dsn) as server:

        def slices(count: int) -> list[float]:
            return [_jobs_per_s(bench, server) for _ in range(count)]

        _jobs_per_s(bench, server)  # warms up
        free = statistics.mean(slices(FREE))
        dead = _asked(dsn, _DEAD)
        with _snapshot(dsn):
            held = slices(HELD)[-1]
            dead_held = _asked(dsn, _DEAD)
        after = statistics.mean(slices(FREE))
    return {
        "held_jobs_ratio": held / free,
        "after_held_jobs_ratio": after / free,
        "dead_messages": dead,
        "dead_messages_held": dead_held,
    }


def _jobs_per_s(bench: Bench, server: Server) -> float:
    """Jobs per second: again and again some thousands, which are waited for."""
    request = Request("/jobs", PING.replace("41", str(JOBS_PER_REQUEST)), server.port)
    log = ours.Log(server)
    begun = time.perf_counter()
    sent = done = 0
    while time.perf_counter() < begun + bench.seconds:
        sent += bench.closed(request, FILLERS, WARM_S).good * JOBS_PER_REQUEST
        until = time.perf_counter() + PATIENCE_S
        while done < sent:
            time.sleep(0.02)
            done += log.count(DELIVERED)
            if time.perf_counter() > until:
                raise BenchError(f"only {done} of {sent} were delivered in {PATIENCE_S} s")
    return done / (time.perf_counter() - begun)


def _asked(dsn: str, sql: str) -> float:
    async def ask() -> Any:
        import asyncpg

        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return float(asyncio.run(ask()))


@contextlib.contextmanager
def _snapshot(dsn: str) -> Iterator[None]:
    """Hold a snapshot of the database, on a connection of its own, for as long as this lasts."""
    begun, over = threading.Event(), threading.Event()

    async def hold() -> None:
        import asyncpg

        connection = await asyncpg.connect(dsn)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.fetchval("SELECT count(*) FROM pg_class")
            begun.set()
            await asyncio.to_thread(over.wait)
        await connection.close()

    holder = threading.Thread(target=asyncio.run, args=(hold(),))
    holder.start()
    begun.wait()
    try:
        yield
    finally:
        over.set()
        holder.join()


HELD_OPEN = Measure(
    name="postgres-held",
    about="on Postgres: jobs while a transaction is held open elsewhere, beside those before it",
    figures=(
        "held_jobs_ratio",
        "after_held_jobs_ratio",
        "dead_messages",
        "dead_messages_held",
    ),
    ours=_held,
)
