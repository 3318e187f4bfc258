"""The same work on Postgres: a server of the round's own, every commit synced."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import ORDER, PING, WARM_S
from bench.folders import MEMORY, MOUNTS, file_system
from bench.load import BenchError, Request
from bench.measures.jobs import paced
from bench.measures.triggers import (
    CONNECTIONS,
    DELIVERED,
    FILLERS,
    JOBS_PER_REQUEST,
    LOG_S,
    PACED_S,
    PATIENCE_S,
    RATE_PER_S,
)
from bench.processes import Server
from bench.stats import percentile
from tests import postgres_kit

SETTINGS = ("shared_buffers=128MB", "max_connections=100")  # all else as Postgres comes


@contextlib.contextmanager
def database() -> Iterator[str]:
    """The address of a server that syncs each commit; it is gone at the end."""
    server = postgres_kit.Server(*SETTINGS)
    try:
        if MOUNTS.exists() and file_system(server.folder, MOUNTS.read_text()) in MEMORY:
            raise BenchError(f"{server.folder} lies in memory, where syncing is free: set TMPDIR")
        yield server.dsn
    finally:
        server.remove()


@contextlib.contextmanager
def serving(app: str, bench: Bench, dsn: str, name: str = "one") -> Iterator[Server]:
    """An engine on it, whose data folder is its own."""
    folder = bench.folder / name
    folder.mkdir()
    with ours.serving(app, folder, "--store", dsn, "--objects-local") as server:
        yield server


def _orders(bench: Bench) -> dict[str, float]:
    """Orders from 32 connections while their jobs run; and while the consumer is paused."""
    with database() as dsn, serving(ours.ORDERS, bench, dsn) as server:
        headers = ours.token(ours.ORDERS, bench.folder / "one")
        request = Request("/orders", ORDER, server.port, headers)
        bench.closed(request, CONNECTIONS, WARM_S)
        both = bench.closed(request, CONNECTIONS)
        ours.pause("work", bench.folder / "one")
        alone = bench.closed(request, CONNECTIONS)
    return {
        "orders_on_postgres_per_s": both.per_s,
        "lone_orders_on_postgres_per_s": alone.per_s,
    }


def _jobs(bench: Bench) -> dict[str, float]:
    """Jobs that one engine is sent and runs; then half of them each of two engines."""
    with database() as dsn, serving(ours.TRIGGERS, bench, dsn) as first:
        alone = delivered_per_s(bench, [first])
        with serving(ours.TRIGGERS, bench, dsn, "two") as second:
            both = delivered_per_s(bench, [first, second])
    return {"jobs_on_postgres_per_s": alone, "two_engines_ratio": both / alone}


def delivered_per_s(bench: Bench, servers: list[Server]) -> float:
    """Jobs per second, from the first request until the last one is done, whoever ran them."""
    many = PING.replace("41", str(JOBS_PER_REQUEST))
    requests = [Request("/jobs", many, server.port) for server in servers]
    each = FILLERS // len(servers)
    with ThreadPoolExecutor(len(servers)) as threads:
        list(threads.map(lambda request: bench.closed(request, each, WARM_S), requests))
        _drained(servers)
        logs = [ours.Log(server) for server in servers]
        begun = time.perf_counter()
        loads = list(threads.map(lambda request: bench.closed(request, each), requests))
    wanted = sum(load.good for load in loads) * JOBS_PER_REQUEST
    done = 0
    while done < wanted:
        time.sleep(0.02)
        done += sum(log.count(DELIVERED) for log in logs)
        if time.perf_counter() > begun + PATIENCE_S:
            raise BenchError(f"only {done} of {wanted} were delivered in {PATIENCE_S} s")
    return done / (time.perf_counter() - begun)  # with those whose sender had hung up


def _drained(servers: list[Server]) -> None:
    """Wait until nothing more of the warm-up is delivered."""
    logs = [ours.Log(server) for server in servers]
    until = time.perf_counter() + PATIENCE_S
    time.sleep(LOG_S)
    while sum([log.count(DELIVERED) for log in logs]):
        if time.perf_counter() > until:
            raise BenchError(f"the warm-up's jobs were not done in {PATIENCE_S} s")
        time.sleep(LOG_S)


def _delivery(bench: Bench) -> dict[str, float]:
    with database() as dsn, serving(ours.TRIGGERS, bench, dsn) as server:
        waited_ms, _ = paced(server, RATE_PER_S, PACED_S / 4 if bench.quick else PACED_S)
        return {
            "postgres_delivery_ms_p50": percentile(waited_ms, 50),
            "postgres_delivery_ms_p99": percentile(waited_ms, 99),
        }


ORDERS = Measure(
    name="postgres-orders",
    about=f"on Postgres: POST /orders with its job, {CONNECTIONS} connections: run, and left",
    figures=("orders_on_postgres_per_s", "lone_orders_on_postgres_per_s"),
    ours=_orders,
)
JOBS = Measure(
    name="postgres-jobs",
    about="on Postgres: jobs from send to the end of a trivial consumer, by one engine and by two",
    figures=("jobs_on_postgres_per_s", "two_engines_ratio"),
    ours=_jobs,
)
DELIVERY = Measure(
    name="postgres-delivery",
    about=f"on Postgres: {RATE_PER_S} jobs/s, open loop: from send to the job's first line",
    figures=("postgres_delivery_ms_p50", "postgres_delivery_ms_p99"),
    ours=_delivery,
)
