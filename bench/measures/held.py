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
from typing import Any, NamedTuple

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


class Rates(NamedTuple):
    """Jobs per second, and dead rows of messages."""

    free: float
    held: float
    after: float
    dead: float
    dead_held: float


def _rates(bench: Bench, path: str) -> Rates:
    with database() as dsn, serving(ours.TRIGGERS, bench, dsn) as server:

        def slices(count: int) -> list[float]:
            return [_jobs_per_s(bench, server, path) for _ in range(count)]

        slices(1)  # warms up
        free = statistics.mean(slices(FREE))
        dead = _asked(dsn, _DEAD)
        with _snapshot(dsn):
            held = slices(HELD)[-1]
            dead_held = _asked(dsn, _DEAD)
        return Rates(free, held, statistics.mean(slices(FREE)), dead, dead_held)


def _held(bench: Bench) -> dict[str, float]:
    jobs = _rates(bench, "/jobs")
    return {
        "held_jobs_ratio": jobs.held / jobs.free,
        "after_held_jobs_ratio": jobs.after / jobs.free,
        "dead_messages": jobs.dead,
        "dead_messages_held": jobs.dead_held,
    }


def _held_in_order(bench: Bench) -> dict[str, float]:
    jobs = _rates(bench, "/lane")
    return {
        "ordered_jobs_per_s": jobs.free,
        "held_ordered_jobs_ratio": jobs.held / jobs.free,
        "after_held_ordered_jobs_ratio": jobs.after / jobs.free,
    }


def _jobs_per_s(bench: Bench, server: Server, path: str) -> float:
    """Jobs per second: again and again some thousands, which are waited for."""
    request = Request(path, PING.replace("41", str(JOBS_PER_REQUEST)), server.port)
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
HELD_IN_ORDER = Measure(
    name="postgres-held-order",
    about="on Postgres: the same with jobs of one FIFO group, one after the other",
    figures=(
        "ordered_jobs_per_s",
        "held_ordered_jobs_ratio",
        "after_held_ordered_jobs_ratio",
    ),
    ours=_held_in_order,
)
