"""Peers, on request: FastAPI alone, and FastAPI with SQLAlchemy and Huey (bench/peers/shop.py)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from bench.context import Bench, Measure
from bench.floors.drive import ORDER, PING, WARM_S
from bench.load import BenchError, Plan, Request, drive
from bench.processes import Server, free_port, python, running
from bench.stats import percentile

NEEDED = ("fastapi", "uvicorn", "sqlalchemy", "huey")
CONNECTIONS = 32
WORKERS = 4
POLL_S = "0.005"
DRAINED_JOBS = 400
RATE_PER_S = 20
PACED_S = 10
PATIENCE_S = 60
QUIET = ("--no-access-log", "--log-level", "warning")


def _check() -> None:
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise BenchError(f"the peer needs more packages: pip install {' '.join(missing)}")


@contextlib.contextmanager
def _front(bench: Bench) -> Iterator[Server]:
    _check()
    os.environ["PEER_DATA"] = str(bench.folder)
    port = free_port()
    command = python("-m", "uvicorn", "bench.peers.shop:app", "--port", str(port), *QUIET)
    with running(command, bench.folder, port) as server:
        yield server


@contextlib.contextmanager
def _consumer(bench: Bench) -> Iterator[Server]:
    """Huey's consumer with worker processes, polling every 5 ms and never less often."""
    command = python("-m", "huey.bin.huey_consumer", "bench.peers.shop.huey", "-q")
    command += ["-k", "process", "-w", str(WORKERS), "-d", POLL_S, "-m", POLL_S]
    server = Server(command, bench.folder, port=0)
    try:
        yield server
    finally:
        server.stop()


def _results_us(folder: Path) -> list[int]:
    """How long each finished job had waited."""
    with contextlib.closing(sqlite3.connect(folder / "orders.db", timeout=30)) as store:
        return [row[0] for row in store.execute("SELECT waited_us FROM results")]


def _trivial(bench: Bench) -> dict[str, float]:
    with _front(bench) as server:
        request = Request("/trivial", PING, server.port)
        bench.closed(request, CONNECTIONS, WARM_S)
        return {"peer_trivial_requests_per_s": bench.closed(request, CONNECTIONS).per_s}


def _orders(bench: Bench) -> dict[str, float]:
    """Orders with the consumer running, one connection alone, then what is left drained alone."""
    with _front(bench) as server:
        request = Request("/orders", ORDER, server.port)
        with _consumer(bench):
            _until_done(bench.folder, request, 1)
            single = bench.closed(request, 1)
            before = len(_results_us(bench.folder))
            load = bench.closed(request, CONNECTIONS)
            done = len(_results_us(bench.folder)) - before
    return {
        "peer_orders_per_s": load.per_s,
        "peer_jobs_to_orders": done / load.good,
        "peer_order_ms_p50": single.p50_ms,
    }


def _until_done(folder: Path, request: Request, orders: int) -> None:
    """Place `orders` slowly and wait until each one's job is done: consumer and tables are warm."""
    drive(Plan(request, 1, orders / RATE_PER_S, RATE_PER_S))
    until = time.perf_counter() + PATIENCE_S
    while len(_results_us(folder)) < orders:
        if time.perf_counter() > until:
            raise BenchError(f"the peer's consumer did not finish {orders} jobs in {PATIENCE_S} s")
        time.sleep(0.05)


def _drain(bench: Bench) -> dict[str, float]:
    """Jobs per second with nobody ordering."""
    with _front(bench) as server:
        request = Request("/orders", ORDER, server.port)
        waiting = 0
        while waiting < DRAINED_JOBS:
            waiting += bench.closed(request, CONNECTIONS, WARM_S).good
        with _consumer(bench):
            while len(_results_us(bench.folder)) < waiting // 10:
                time.sleep(0.01)
            first, begun = len(_results_us(bench.folder)), time.perf_counter()
            time.sleep(min(bench.seconds, 2))
            done = len(_results_us(bench.folder)) - first
            return {"peer_drain_jobs_per_s": done / (time.perf_counter() - begun)}


def _paced(bench: Bench) -> dict[str, float]:
    with _front(bench) as server, _consumer(bench):
        request = Request("/orders", ORDER, server.port)
        _until_done(bench.folder, request, RATE_PER_S)
        seconds = PACED_S / 3 if bench.quick else PACED_S
        drive(Plan(request, 4, seconds, RATE_PER_S))
        time.sleep(1)
        waited_ms = [each / 1000 for each in _results_us(bench.folder)[RATE_PER_S:]]
        return {
            "peer_enqueue_to_start_ms_p50": percentile(waited_ms, 50),
            "peer_enqueue_to_start_ms_p99": percentile(waited_ms, 99),
        }


PEERS = (
    Measure("peer", "FastAPI alone, trivial POST", ("peer_trivial_requests_per_s",), _trivial),
    Measure(
        "peer-orders",
        f"FastAPI + SQLAlchemy + Huey, {CONNECTIONS} connections",
        ("peer_orders_per_s", "peer_jobs_to_orders", "peer_order_ms_p50"),
        _orders,
    ),
    Measure("peer-drain", "Huey alone", ("peer_drain_jobs_per_s",), _drain),
    Measure(
        "peer-paced",
        f"FastAPI + Huey at {RATE_PER_S} jobs/s",
        ("peer_enqueue_to_start_ms_p50", "peer_enqueue_to_start_ms_p99"),
        _paced,
    ),
)
