"""Starts: an import, an environment, a whole server; and what an idle one holds."""

from __future__ import annotations

import statistics
import time

from bench import ours
from bench.context import Bench, Measure
from bench.floors.drive import PING
from bench.processes import output_of, python, tree_pss_mb

COLD_FUNCTIONS = 40
IDLE_S = 3
INTERPRETERS = 9
IMPORT = """
import time
a = time.perf_counter()
import msgspec
b = time.perf_counter()
from wherry import App, Caller, NotFound, Struct, log
c = time.perf_counter()
print((c - b) * 1000)
"""


def _import(bench: Bench) -> dict[str, float]:
    """What a handler's module imports, beyond msgspec, which the same interpreter had first."""
    output_of(python("-c", IMPORT))  # writes the byte code, which every deployment has
    taken = [float(output_of(python("-c", IMPORT))) for _ in range(INTERPRETERS)]
    return {"import_wherry_ms": statistics.median(taken)}


def _cold(bench: Bench) -> dict[str, float]:
    """The first request to each of 40 functions, whole, as the client sees it; then the second."""
    with ours.serving(ours.COLD, bench.folder) as server:
        caller = ours.Caller(server.port)
        paths = [f"/cold/{number}" for number in range(COLD_FUNCTIONS)]
        cold = [caller.post_ms(path, PING) for path in paths]
        warm = [caller.post_ms(path, PING) for path in paths]
        return {
            "cold_environment_ms_p50": statistics.median(cold),
            "warm_environment_ms_p50": statistics.median(warm),
        }


def _start(bench: Bench) -> dict[str, float]:
    """From starting the process to a handler's first 200."""
    server = ours.start(ours.PLAIN, bench.folder)
    try:
        return {"start_to_first_200_ms": ours.first_200(server, "POST", "/trivial", PING)}
    finally:
        server.stop()


def _idle(bench: Bench) -> dict[str, float]:
    """The shop, 3 s after it is ready, nobody calling."""
    with ours.serving(ours.SHOP, bench.folder) as server:
        time.sleep(IDLE_S)
        return {"idle_pss_mb": tree_pss_mb(server.pid)}


IMPORTED = Measure(
    name="import",
    about="import wherry as a handler's module needs it, beyond msgspec",
    figures=("import_wherry_ms",),
    ours=_import,
)
COLD = Measure(
    name="cold",
    about=f"the first request to each of {COLD_FUNCTIONS} functions",
    figures=("cold_environment_ms_p50", "warm_environment_ms_p50"),
    ours=_cold,
)
START = Measure(
    name="start",
    about="wherry run to a handler's first 200",
    figures=("start_to_first_200_ms",),
    ours=_start,
)
IDLE = Measure(
    name="idle",
    about=f"memory of the shop's processes {IDLE_S} s after it is ready",
    figures=("idle_pss_mb",),
    ours=_idle,
)
