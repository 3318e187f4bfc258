"""Play lives of the simulated cluster: `python -m tests.simulation --seeds 5000`, `--seed 17`.

With `--store postgres` its nodes share a real Postgres, which is started for it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from typing import Any

from wherry.ports import Commit, Request

from .app import app
from .cluster import Cluster, Shared
from .run import Scenario


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many lives")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one only, with all that happens in it")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    options = parser.parse_args()
    cluster = cluster_on(options.store)
    with tempfile.TemporaryDirectory() as folder:
        shared = Shared(app, folder)
        if options.seed is not None:
            return one(shared, options.seed, cluster)
        return many(shared, options.first, options.seeds, cluster)


def cluster_on(store: str) -> type[Cluster]:
    """Return what is simulated, by what its nodes share."""
    if store == "sqlite":
        return Cluster
    from .postgres import SharedCluster

    return SharedCluster


def many(shared: Shared, first: int, count: int, cluster: type[Cluster]) -> int:
    """Play many lives, and tell of those in which something went wrong."""
    begun = time.monotonic()
    bad = 0
    for number in range(count):
        result = Scenario(first + number, shared, app, cluster=cluster).play()
        if result.faults:
            bad += 1
            print(f"seed {result.seed}: {'; '.join(result.faults[:5])}", flush=True)
        if (number + 1) % 500 == 0 or number + 1 == count:
            each_ms = (time.monotonic() - begun) / (number + 1) * 1000
            print(f"{number + 1} of {count} seeds, {bad} bad, {each_ms:.0f} ms each", flush=True)
    return 1 if bad else 0


def one(shared: Shared, seed: int, kind: type[Cluster]) -> int:
    """Play one life aloud."""
    scenario = Scenario(seed, shared, app, cluster=kind)
    cluster, strike = scenario.cluster, scenario._strike

    def told(function: str, request: Request, answer: Any) -> None:
        what = request.key if isinstance(request, Commit) else type(request).__name__
        tell(f"{function or 'engine'}: {what} -> {type(answer).__name__}")

    def struck(kind: str) -> None:
        tell(f"FAULT {kind}")
        strike(kind)

    def tell(text: str) -> None:
        print(f"{cluster.clock.steady_s():9.4f} {text}")

    cluster.watch = told
    scenario._strike = struck  # type: ignore[method-assign]
    result = scenario.play()
    print("\n".join(result.faults) or f"seed {seed}: every invariant holds")
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
