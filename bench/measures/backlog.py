"""What very much waiting work changes: a million messages, a hundred thousand failures redriven."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator

import msgspec

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import PING
from bench.load import BenchError, Request
from bench.measures.triggers import FILLERS, JOBS_PER_REQUEST, throughput
from bench.processes import Server, tree_pss_mb
from bench.stats import percentile
from wherry import limits
from wherry.effects import SendMessage
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Claim, Commit, Committed, Recover
from wherry.telemetry import InvocationRecord
from wherry.world import SystemClock

SMALL = 40_000
MILLION = 1_000_000
FAILURES = 100_000
CLAIMS = 200
PER_BATCH = 64  # commits that share a sync
WARM_S = 1.0
PATIENCE_S = 120
JOB_DONE = b'"message":"queue jobs"'


def _preload(bench: Bench, queue: str, jobs: int) -> list[float]:
    """Put jobs into the store of an engine that has stopped, as a handler's commits would.

    Returns how long claims of them take, in ms.
    """
    store = SqlStore(str(ours.data_of(bench.folder) / "store.sqlite"), SystemClock())
    try:
        commits = list(_commits(queue, jobs))
        for at in range(0, len(commits), PER_BATCH):
            answers = store.run([("", commit) for commit in commits[at : at + PER_BATCH]])
            if not all(isinstance(answer, Committed) for answer in answers):
                raise BenchError(f"filling failed: {answers[0]}")
        return [_claim_ms(store, queue) for _ in range(CLAIMS)]
    finally:
        store.close()


def _claim_ms(store: SqlStore, queue: str) -> float:
    """How long a full claim takes; what it leased goes back."""
    begun = time.perf_counter()
    store.run([("", Claim(queue, limits.CLAIM_BATCH, "bench"))])
    took_ms = (time.perf_counter() - begun) * 1000
    store.run([("", Recover("bench", []))])
    return took_ms


def _commits(queue: str, jobs: int) -> Iterator[Commit]:
    each = limits.COMMIT_EFFECTS
    for first in range(0, jobs, each):
        numbers = range(first, min(first + each, jobs))
        effects = [
            SendMessage(queue, f"fill-{number}", json.dumps({"number": number}).encode())
            for number in numbers
        ]
        record = InvocationRecord(
            number=10**12 + first, correlation_id=f"fill-{first}", function="send_jobs",
            trigger="POST /jobs", request_id=f"fill-{first}", traceparent="", parent="",
            release="", attempt=1, at_ms=0, waited_ms=0, ran_ms=0, cold=False, ending="ok",
            status=200, error="", cause="", marks=[],
        )  # fmt: skip
        packed = msgspec.Raw(msgspec.msgpack.encode(effects))
        yield Commit("", packed, [], [], record, {})


def _drained_per_s(server: Server, seconds: float, wanted: int) -> float:
    """Jobs done per second from a moment after the start on, while there are some."""
    time.sleep(WARM_S)
    log, done, begun = ours.Log(server), 0, time.perf_counter()
    while time.perf_counter() < begun + seconds and done < wanted:
        time.sleep(0.05)
        done += log.count(JOB_DONE)
    return done / (time.perf_counter() - begun)


def _long(bench: Bench) -> dict[str, float]:
    """The rate at which a short and a very long backlog shrink, and what the long one costs."""
    many = MILLION // 10 if bench.quick else MILLION
    rates: list[float] = []
    memory: list[float] = []
    for jobs in (SMALL, many):
        folder = bench.folder / str(jobs)
        folder.mkdir()
        part = Bench(folder, bench.seconds, bench.quick, bench.generator)
        with ours.serving(ours.TRIGGERS, folder):
            pass
        claims_ms = _preload(part, "jobs", jobs)
        with ours.serving(ours.TRIGGERS, folder) as server:
            # Of the short one, what is left after the first second lasts as long as it lasts.
            rates.append(_drained_per_s(server, 4 * bench.seconds, jobs // 2))
            memory.append(tree_pss_mb(server.pid))
    return {
        "drain_per_s": rates[0],
        "drain_of_million_per_s": rates[1],
        "drain_of_million_ratio": rates[1] / rates[0],
        "million_memory_mb": memory[1],
        "million_claim_ms_p99": percentile(claims_ms, 99),
    }


def _redrive(bench: Bench) -> dict[str, float]:
    """Normal jobs per second alone, and while all failures go back at the usual rate and fail."""
    many = FAILURES // 10 if bench.quick else FAILURES
    with ours.serving(ours.TRIGGERS, bench.folder):
        pass
    _preload(bench, "doomed", many)
    with ours.serving(ours.TRIGGERS, bench.folder) as server:
        _wait_for_failures(bench, many)
        alone = _jobs_per_s(bench, server)
        _wherry(bench, "failures", "redrive", "--queue", "doomed")
        log = ours.Log(server)
        beside = _jobs_per_s(bench, server)
        redriven = log.count(b'"message":"queue doomed"')
        _wherry(bench, "failures", "stop", "doomed")
        return {
            "jobs_alone_per_s": alone,
            "jobs_beside_redrive_per_s": beside,
            "jobs_beside_redrive_ratio": beside / alone,
            "redriven": float(redriven),
        }


def _jobs_per_s(bench: Bench, server: Server) -> float:
    """Normal work at its full rate, from the first request to the end of the last job."""
    request = Request("/jobs", PING.replace("41", str(JOBS_PER_REQUEST)), server.port)
    load = lambda: bench.closed(request, FILLERS, bench.seconds / 2)  # noqa: E731
    return throughput(server, load, JOBS_PER_REQUEST, JOB_DONE)


def _wait_for_failures(bench: Bench, wanted: int) -> None:
    until = time.perf_counter() + PATIENCE_S
    while time.perf_counter() < until:
        rows = json.loads(_wherry(bench, "queues", "--json"))
        if sum(row["failed"] for row in rows) >= wanted:
            return
        time.sleep(0.5)
    raise BenchError(f"{wanted} jobs did not fail within {PATIENCE_S} s")


def _wherry(bench: Bench, *words: str) -> str:
    command = [ours.WHERRY, *words, "--data", str(ours.data_of(bench.folder))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


LONG = Measure(
    name="long_backlog",
    about=f"{MILLION:,} messages waiting when the engine starts, beside {SMALL:,}",
    figures=(
        "drain_per_s",
        "drain_of_million_per_s",
        "drain_of_million_ratio",
        "million_memory_mb",
    ),
    ours=_long,
)  # fmt: skip
REDRIVE = Measure(
    name="redrive",
    about=f"normal jobs while {FAILURES:,} failures go back at the usual rate, and fail again",
    figures=(
        "jobs_alone_per_s", "jobs_beside_redrive_per_s", "jobs_beside_redrive_ratio", "redriven",
    ),
    ours=_redrive,
)  # fmt: skip
