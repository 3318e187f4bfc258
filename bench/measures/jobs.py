"""Jobs: how soon one starts, and what a long backlog changes."""

from __future__ import annotations

import time

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import PING, paced_commits
from bench.load import BenchError, Load, Plan, Request, drive
from bench.measures.orders import JOB_DONE, fill
from bench.processes import Server, tree_pss_mb
from bench.stats import percentile

RATE_PER_S = 20
PACED_CONNECTIONS = 4
PACED_S = 15
LOG_S = 1
SMALL_BACKLOG = 2_000
BACKLOG = 100_000
FILL_S = 60
PATIENCE_S = 30


def paced(server: Server, rate_per_s: float, seconds: float) -> tuple[list[float], Load]:
    """How long each job waited in ms, sent on time; it logs how long ago `send` was called."""
    request = Request("/timed", PING, server.port)
    drive(Plan(request, PACED_CONNECTIONS, 1, rate_per_s))
    time.sleep(LOG_S)
    log = ours.Log(server)
    load = drive(Plan(request, PACED_CONNECTIONS, seconds, rate_per_s))
    time.sleep(LOG_S)
    waited_ms = [each / 1000 for each in log.numbers("waited_us")]
    if len(waited_ms) != load.good:
        raise BenchError(f"{load.good} jobs were sent, {len(waited_ms)} said when they began")
    return waited_ms, load


def _paced(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.ORDERS, bench.folder) as server:
        seconds = PACED_S / 3 if bench.quick else PACED_S
        waited_ms, load = paced(server, RATE_PER_S, seconds)
        return {
            "enqueue_to_start_ms_p50": percentile(waited_ms, 50),
            "enqueue_to_start_ms_p99": percentile(waited_ms, 99),
            "paced_request_ms_p99": load.p99_ms,
        }


def _paced_floor(bench: Bench) -> dict[str, float]:
    """A job starts after the commit that sends it: no sooner than a bare one is durable."""
    seconds = PACED_S / 3 if bench.quick else PACED_S
    taken_ms = paced_commits(bench, RATE_PER_S, seconds)
    return {
        "enqueue_to_start_ms_p50": percentile(taken_ms, 50),
        "enqueue_to_start_ms_p99": percentile(taken_ms, 99),
    }


def _backlog(bench: Bench) -> dict[str, float]:
    """The first 2,000 jobs out of 100,000 that wait, beside 2,000 that wait alone."""
    many = BACKLOG // 10 if bench.quick else BACKLOG
    with ours.serving(ours.ORDERS, bench.folder) as server:
        _first_jobs_s(server, SMALL_BACKLOG, due_s=4)
        before_mb = tree_pss_mb(server.pid)
        alone_s = _first_jobs_s(server, SMALL_BACKLOG, due_s=4)
        among_s = _first_jobs_s(server, many, due_s=FILL_S)
        after_mb = tree_pss_mb(server.pid)
        return {"backlog_memory_mb": after_mb - before_mb, "backlog_claim_ratio": among_s / alone_s}


def _first_jobs_s(server: Server, jobs: int, due_s: float) -> float:
    """Seconds from when `jobs` become due until SMALL_BACKLOG of them are done."""
    due = fill(server, jobs, due_s)
    log = ours.Log(server)
    time.sleep(max(0.0, due - time.perf_counter()))
    done = 0
    while done < SMALL_BACKLOG:
        time.sleep(0.002)
        done += log.count(JOB_DONE)
        if time.perf_counter() > due + PATIENCE_S:
            raise BenchError(f"only {done} of {jobs} jobs were done in {PATIENCE_S} s")
    return time.perf_counter() - due


PACED = Measure(
    name="paced",
    about=f"{RATE_PER_S} jobs/s, open loop: from send to the job's first line",
    figures=("enqueue_to_start_ms_p50", "enqueue_to_start_ms_p99", "paced_request_ms_p99"),
    ours=_paced,
    floor=_paced_floor,
)
WAITING_JOBS = Measure(
    name="backlog",
    about=f"{BACKLOG:,} messages waiting: memory, and the time of the first {SMALL_BACKLOG:,}",
    figures=("backlog_memory_mb", "backlog_claim_ratio"),
    ours=_backlog,
)
