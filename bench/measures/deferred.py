"""The peer on Postgres, on request: FastAPI with Procrastinate (bench/peers/deferred.py)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec

from bench.context import Bench, Measure
from bench.floors.drive import ORDER, WARM_S
from bench.load import BenchError, Request
from bench.measures.postgres import database
from bench.measures.triggers import CONNECTIONS
from bench.processes import ROOT, Server, free_port, python, running

NEEDED = ("fastapi", "uvicorn", "procrastinate", "psycopg_pool")
WORKERS = "8"
PATIENCE_S = 60
QUIET = ("--no-access-log", "--log-level", "warning")


@contextlib.contextmanager
def _front(bench: Bench) -> Iterator[tuple[Server, str]]:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise BenchError(f"the peer needs more packages: pip install {' '.join(missing)}")
    with database() as dsn:
        os.environ["PEER_DSN"] = dsn
        made = python("-c", "from bench.peers.deferred import make; make()")
        subprocess.run(made, cwd=ROOT, check=True)
        port = free_port()
        command = python("-m", "uvicorn", "bench.peers.deferred:app", "--port", str(port), *QUIET)
        with running(command, bench.folder, port) as server:
            yield server, dsn


@contextlib.contextmanager
def _worker(bench: Bench, dsn: str) -> Iterator[None]:
    """Its worker, from when it has done a job on."""
    options = ("--app", "bench.peers.deferred.queue", "worker", "--concurrency", WORKERS)
    command = python("-m", "procrastinate", "--log-level", "warning", *options)
    done = _done(dsn)
    server = Server(command, bench.folder, port=0)
    try:
        until = time.perf_counter() + PATIENCE_S
        while _done(dsn) == done:
            if server.ended or time.perf_counter() > until:
                raise BenchError(f"the peer's worker did no job: {server.complaint()}")
            time.sleep(0.05)
        yield
    finally:
        server.stop()


def _done(dsn: str) -> int:
    async def ask() -> int:
        import asyncpg

        connection = await asyncpg.connect(dsn)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM results"))
        finally:
            await connection.close()

    return asyncio.run(ask())


def _orders(bench: Bench) -> dict[str, float]:
    """Orders without the worker, then beside it, then the jobs that are left without orders."""
    with _front(bench) as (server, dsn):
        request = Request("/orders", ORDER, server.port)
        bench.closed(request, CONNECTIONS, WARM_S)
        alone = bench.closed(request, CONNECTIONS)
        with _worker(bench, dsn):
            before = _done(dsn)
            beside = bench.closed(request, CONNECTIONS)
            kept = _done(dsn) - before
            first, begun = _done(dsn), time.perf_counter()
            time.sleep(min(bench.seconds, 3))
            jobs = (_done(dsn) - first) / (time.perf_counter() - begun)
    return {
        "peer_orders_on_postgres_per_s": beside.per_s,
        "peer_jobs_to_orders_on_postgres": kept / beside.good,
        "peer_lone_orders_on_postgres_per_s": alone.per_s,
        "peer_jobs_on_postgres_per_s": jobs,
    }


PEER = Measure(
    "peer-postgres",
    f"FastAPI + Procrastinate on Postgres, {CONNECTIONS} connections: beside its worker, without",
    (
        "peer_orders_on_postgres_per_s",
        "peer_jobs_to_orders_on_postgres",
        "peer_lone_orders_on_postgres_per_s",
        "peer_jobs_on_postgres_per_s",
    ),
    _orders,
)
