"""Start a floor, load it, and give its figures under the names of ours."""

from __future__ import annotations

import json

from bench.context import Bench
from bench.load import Load, Request
from bench.processes import free_port, output_of, python, running

ORDER = '{"lines":[{"sku":"tea","quantity":2},{"sku":"cup","quantity":1}]}'
PING = '{"text":"hello","number":41}'
WARM_S = 1
DRAINED_JOBS = 20_000


def part(bench: Bench, name: str) -> str:
    """A folder of its own for one of several runs in a round."""
    folder = bench.folder / name
    folder.mkdir()
    return str(folder)


def f1(bench: Bench, connections: int) -> Load:
    """Trivial requests through a bare front and bare isolated workers."""
    port = free_port()
    command = python("-m", "bench.floors.f1", "--port", str(port))
    with running(command, bench.folder, port):
        request = Request("/trivial", PING, port)
        bench.closed(request, connections, WARM_S)
        return bench.closed(request, connections)


def f2(bench: Bench, connections: int) -> Load:
    """Orders with their jobs into bare SQLite, nobody consuming."""
    port = free_port()
    command = python("-m", "bench.floors.f2", "--port", str(port))
    command += ["--data", part(bench, f"f2-{connections}")]
    with running(command, bench.folder, port):
        request = Request("/orders", ORDER, port)
        bench.closed(request, connections, WARM_S)
        return bench.closed(request, connections)


def f3(bench: Bench, connections: int) -> Load:
    """Orders with their jobs through the bare layout, whose jobs keep up."""
    port = free_port()
    command = python("-m", "bench.floors.f3", "--port", str(port))
    command += ["--data", part(bench, f"f3-{connections}")]
    with running(command, bench.folder, port):
        request = Request("/orders", ORDER, port)
        bench.closed(request, connections, WARM_S)
        return bench.closed(request, connections)


def f2_drain(bench: Bench) -> dict[str, float]:
    """Jobs per second that a bare consumer drains."""
    jobs = DRAINED_JOBS // 4 if bench.quick else DRAINED_JOBS
    command = python("-m", "bench.floors.f2", "--data", part(bench, "drain"))
    return {"drain_jobs_per_s": float(output_of([*command, "--drain", str(jobs)]))}


def disk(bench: Bench) -> dict[str, float]:
    """One synced append and one bare commit, in milliseconds."""
    command = python("-m", "bench.floors.commit", "--data", part(bench, "disk"))
    said = json.loads(output_of(command))
    return {"disk_append_ms": said["append_ms"], "sqlite_commit_ms": said["commit_ms"]}


def paced_commits(bench: Bench, rate_per_s: float, seconds: float) -> list[float]:
    """How long bare commits take, so many a second, in milliseconds."""
    command = python("-m", "bench.floors.commit", "--data", part(bench, "paced"))
    said = output_of([*command, "--rate", str(rate_per_s), "--seconds", str(seconds)])
    return [float(each) for each in json.loads(said)]
