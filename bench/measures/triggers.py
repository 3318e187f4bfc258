"""What runs by itself: jobs and events to the last delivery, and a key that all want."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import PING, WARM_S
from bench.load import BenchError, Load, Request
from bench.measures.jobs import paced
from bench.processes import Server
from bench.stats import percentile

CONNECTIONS = 32
FILLERS = 4
JOBS_PER_REQUEST = 80
LISTENERS = 5
RATE_PER_S = 50
PACED_S = 20
LOG_S = 1
PATIENCE_S = 60
DELIVERED = b'"message":"queue '  # each attempt has a line
HEARD = b'"message":"event '


def throughput(
    server: Server, load: Callable[[], Load], deliveries: int, line: bytes = DELIVERED
) -> float:
    """Deliveries per second, from the first request until the last one is done."""
    time.sleep(LOG_S)  # what the warm-up has left
    log = ours.Log(server)
    begun = time.perf_counter()
    wanted = load().good * deliveries
    done = log.count(line)
    while done < wanted:
        time.sleep(0.02)
        done += log.count(line)
        if time.perf_counter() > begun + PATIENCE_S:
            raise BenchError(f"only {done} of {wanted} were delivered in {PATIENCE_S} s")
    return done / (time.perf_counter() - begun)  # with those whose sender had hung up


def _jobs(bench: Bench) -> dict[str, float]:
    """Jobs that a handler sends one by one, 80 in a request; then each in a request of its own."""
    many = PING.replace("41", str(JOBS_PER_REQUEST))
    one = PING.replace("41", "1")
    with ours.serving(ours.TRIGGERS, bench.folder) as server:
        filled = Request("/jobs", many, server.port)
        alone = Request("/jobs", one, server.port)
        bench.closed(alone, CONNECTIONS, WARM_S)
        return {
            "jobs_per_s": throughput(
                server, lambda: bench.closed(filled, FILLERS), JOBS_PER_REQUEST
            ),
            "lone_jobs_per_s": throughput(server, lambda: bench.closed(alone, CONNECTIONS), 1),
        }


def _delivery(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.TRIGGERS, bench.folder) as server:
        waited_ms, _ = paced(server, RATE_PER_S, PACED_S / 4 if bench.quick else PACED_S)
        return {
            "delivery_ms_p50": percentile(waited_ms, 50),
            "delivery_ms_p99": percentile(waited_ms, 99),
        }


def _events(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.TRIGGERS, bench.folder) as server:
        request = Request("/events", PING, server.port)
        bench.closed(request, CONNECTIONS, WARM_S)
        load = throughput(server, lambda: bench.closed(request, CONNECTIONS), LISTENERS, HEARD)
        return {"event_deliveries_per_s": load}


def _hot(bench: Bench) -> dict[str, float]:
    """One item that all 32 connections read and put; then `add` to it, beside other keys each."""
    with ours.serving(ours.TRIGGERS, bench.folder) as server:
        found = {}
        for path in ("/count", "/add", "/spread"):
            request = Request(path, PING, server.port)
            bench.closed(request, CONNECTIONS, WARM_S)
            found[path] = bench.closed(request, CONNECTIONS).per_s
        return {
            "hot_counter_per_s": found["/count"],
            "hot_add_per_s": found["/add"],
            "distinct_adds_per_s": found["/spread"],
            "hot_add_ratio": found["/add"] / found["/spread"],
        }


JOBS = Measure(
    name="jobs",
    about="jobs from send to the end of a trivial consumer, sent while others run",
    figures=("jobs_per_s", "lone_jobs_per_s"),
    ours=_jobs,
)
DELIVERY = Measure(
    name="delivery",
    about=f"{RATE_PER_S} jobs/s, open loop: from send to the job's first line",
    figures=("delivery_ms_p50", "delivery_ms_p99"),
    ours=_delivery,
)
EVENTS = Measure(
    name="events",
    about=f"an event with {LISTENERS} listeners, from publish to the end of the last",
    figures=("event_deliveries_per_s",),
    ours=_events,
)
HOT = Measure(
    name="hot",
    about=f"one item that {CONNECTIONS} connections read and put, and add to",
    figures=("hot_counter_per_s", "hot_add_per_s", "distinct_adds_per_s", "hot_add_ratio"),
    ours=_hot,
)
