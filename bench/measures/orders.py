"""Orders with their jobs: throughput beside F2, and one connection's latency."""

from __future__ import annotations

import time

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import ORDER, WARM_S, f2, f3
from bench.load import BenchError, Request
from bench.processes import Server

CONNECTIONS = 32
FURTHER = (4, 16, 64)
WAITING_JOBS = 2_000
JOBS_PER_FILL = 80
DUE_IN_S = 4
JOB_DONE = b'"job done"'


def fill(server: Server, jobs: int, due_s: float) -> float:
    """Enqueue `jobs` which all become due `due_s` from now; returns that time (perf_counter)."""
    caller = ours.Caller(server.port)
    due = time.perf_counter() + due_s
    for _ in range(jobs // JOBS_PER_FILL):
        delay_s = due - time.perf_counter()
        caller.post("/fill", f'{{"jobs":{JOBS_PER_FILL},"delay_s":{delay_s:.3f}}}')
    if time.perf_counter() > due:
        raise BenchError(f"filling with {jobs} jobs took longer than {due_s} s")
    return due


def _orders_floor(bench: Bench) -> dict[str, float]:
    load = f2(bench, CONNECTIONS)
    return {
        "orders_per_s": load.per_s,
        "orders_ms_p50_32": load.p50_ms,
        "orders_ms_p99_32": load.p99_ms,
    }


def _orders(bench: Bench) -> dict[str, float]:
    """Orders from 32 connections while jobs run; 2,000 jobs wait when the window opens."""
    with ours.serving(ours.ORDERS, bench.folder) as server:
        headers = ours.token(ours.ORDERS, bench.folder)
        request = Request("/orders", ORDER, server.port, headers)
        bench.closed(request, CONNECTIONS, WARM_S)
        due = fill(server, WAITING_JOBS, DUE_IN_S)
        time.sleep(max(0.0, due - time.perf_counter()))
        log = ours.Log(server)
        load = bench.closed(request, CONNECTIONS)
        return {
            "orders_per_s": load.per_s,
            "jobs_to_orders": log.count(JOB_DONE) / load.good,
            "orders_ms_p50_32": load.p50_ms,
            "orders_ms_p99_32": load.p99_ms,
        }


def _single_floor(bench: Bench) -> dict[str, float]:
    load = f2(bench, 1)
    return {"order_ms_p50": load.p50_ms, "order_ms_p99": load.p99_ms}


def _single(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.ORDERS, bench.folder) as server:
        headers = ours.token(ours.ORDERS, bench.folder)
        request = Request("/orders", ORDER, server.port, headers)
        bench.closed(request, 1, WARM_S)
        load = bench.closed(request, 1)
        return {"order_ms_p50": load.p50_ms, "order_ms_p99": load.p99_ms}


def _further_floor(bench: Bench) -> dict[str, float]:
    return {f"orders_per_s_{each}": f2(bench, each).per_s for each in FURTHER}


def _further(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.ORDERS, bench.folder) as server:
        headers = ours.token(ours.ORDERS, bench.folder)
        request = Request("/orders", ORDER, server.port, headers)
        bench.closed(request, CONNECTIONS, WARM_S)
        return {f"orders_per_s_{each}": bench.closed(request, each).per_s for each in FURTHER}


def _layout_floor(bench: Bench) -> dict[str, float]:
    return {
        "layout_orders_per_s": f2(bench, CONNECTIONS).per_s,
        "layout_order_ms_p50": f2(bench, 1).p50_ms,
    }


def _layout(bench: Bench) -> dict[str, float]:
    """What of the goals, which are ratios to F2, the layout itself leaves."""
    return {
        "layout_orders_per_s": f3(bench, CONNECTIONS).per_s,
        "layout_order_ms_p50": f3(bench, 1).p50_ms,
    }


ORDERS = Measure(
    name="orders",
    about=f"POST /orders with its job, {CONNECTIONS} connections, jobs running",
    figures=("orders_per_s", "jobs_to_orders", "orders_ms_p50_32", "orders_ms_p99_32"),
    ours=_orders,
    floor=_orders_floor,
)
SINGLE = Measure(
    name="single",
    about="POST /orders over one connection",
    figures=("order_ms_p50", "order_ms_p99"),
    ours=_single,
    floor=_single_floor,
)
FURTHER_COUNTS = Measure(
    name="connections",
    about="POST /orders at other numbers of connections",
    figures=tuple(f"orders_per_s_{each}" for each in FURTHER),
    ours=_further,
    floor=_further_floor,
)
LAYOUT = Measure(
    name="layout",
    about="the bare layout (F3) beside F2: orders with their jobs, nothing of wherry",
    figures=("layout_orders_per_s", "layout_order_ms_p50"),
    ours=_layout,
    floor=_layout_floor,
)
