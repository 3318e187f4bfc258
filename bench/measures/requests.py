"""Requests that store nothing: what the gateway and an isolated environment cost."""

from __future__ import annotations

import threading

import msgspec

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import PING, WARM_S, f1
from bench.load import Request
from bench.processes import tree_pss_mb

CONNECTIONS = 32
WAITING_CONNECTIONS = 64
PSS_EVERY_S = 0.5
READING_CALLS = 40


def _trivial_floor(bench: Bench) -> dict[str, float]:
    return {"trivial_requests_per_s": f1(bench, CONNECTIONS).per_s}


def _trivial(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.PLAIN, bench.folder) as server:
        request = Request("/trivial", PING, server.port)
        bench.closed(request, CONNECTIONS, WARM_S)
        return {"trivial_requests_per_s": bench.closed(request, CONNECTIONS).per_s}


def _waiting(bench: Bench) -> dict[str, float]:
    with ours.serving(ours.PLAIN, bench.folder) as server:
        request = Request("/wait", PING, server.port)
        bench.closed(request, WAITING_CONNECTIONS, WARM_S)
        held: list[float] = []
        over = threading.Event()

        def watch() -> None:
            while not over.wait(PSS_EVERY_S):
                held.append(tree_pss_mb(server.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            load = bench.closed(request, WAITING_CONNECTIONS)
        finally:
            over.set()
            watcher.join()
        return {"waiting_handlers_per_s": load.per_s, "waiting_handlers_pss_mb": max(held)}


def _reads(bench: Bench) -> dict[str, float]:
    """The handler itself times 50 gets of different keys, over and over; the median of all."""
    with ours.serving(ours.PLAIN, bench.folder) as server:
        caller = ours.Caller(server.port)
        caller.post("/items", PING)
        taken_us: list[float] = []
        for _ in range(READING_CALLS):
            taken_us += msgspec.json.decode(caller.post("/reads", PING), type=ReadTimes).taken_us
        return {"read_ms_p50": sorted(taken_us)[len(taken_us) // 2] / 1000}


class ReadTimes(msgspec.Struct):
    taken_us: list[float]


TRIVIAL = Measure(
    name="trivial",
    about=f"a trivial POST through gateway and environment, {CONNECTIONS} connections",
    figures=("trivial_requests_per_s",),
    ours=_trivial,
    floor=_trivial_floor,
)
WAITING = Measure(
    name="waiting",
    about=f"{WAITING_CONNECTIONS} connections to a handler that waits 200 ms",
    figures=("waiting_handlers_per_s", "waiting_handlers_pss_mb"),
    ours=_waiting,
)
READS = Measure(
    name="reads",
    about="one get through the engine, seen from the handler",
    figures=("read_ms_p50",),
    ours=_reads,
)
