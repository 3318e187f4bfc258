"""Measure wherry beside its floors: `python -m bench [--quick] [--only NAME] [--rounds N]`.

Floor and ours take turns, round by round, each on fresh data. Prints a table and writes
bench/results.json. Exit status 0 when everything asked for was measured, whatever the figures say.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from bench.context import Bench, Measure
from bench.figures import Figure, Samples, figure, number, table
from bench.folders import fresh_folder
from bench.load import BenchError, have_wrk
from bench.measures import (
    backlog,
    deferred,
    floors,
    held,
    jobs,
    orders,
    peers,
    postgres,
    requests,
    starts,
    triggers,
    workflows,
)
from bench.versions import versions

RESULTS = Path(__file__).parent / "results.json"
MEASURES: tuple[Measure, ...] = (
    floors.FLOORS,
    orders.ORDERS,
    orders.SINGLE,
    orders.FURTHER_COUNTS,
    orders.LAYOUT,
    requests.TRIVIAL,
    requests.READS,
    requests.WAITING,
    jobs.PACED,
    jobs.WAITING_JOBS,
    triggers.JOBS,
    triggers.DELIVERY,
    triggers.EVENTS,
    triggers.HOT,
    backlog.LONG,
    backlog.REDRIVE,
    workflows.TASKS,
    workflows.PASSES,
    workflows.MAP,
    postgres.ORDERS,
    postgres.JOBS,
    postgres.DELIVERY,
    held.HELD_OPEN,
    held.HELD_IN_ORDER,
    starts.COLD,
    starts.START,
    starts.IDLE,
    starts.IMPORTED,
)


class Asked(msgspec.Struct, frozen=True):
    quick: bool
    only: list[str]
    rounds: int
    seconds: float
    generator: str


class Results(msgspec.Struct):
    """What bench/results.json holds."""

    figures: dict[str, Figure]
    versions: dict[str, str]
    not_measured: dict[str, str]
    asked: Asked


def chosen(measures: tuple[Measure, ...], only: list[str]) -> list[Measure]:
    """The measures named in `only`, by their own name or by that of a figure; all when empty."""
    known = {name for each in measures for name in (each.name, *each.figures)}
    if unknown := set(only) - known:
        raise BenchError(f"no such measure: {', '.join(sorted(unknown))}")
    return [each for each in measures if not only or {each.name, *each.figures}.intersection(only)]


def take(measure: Measure, asked: Asked) -> dict[str, Samples]:
    """All rounds of one measure, floor and ours in turn."""
    samples: dict[str, Samples] = {}
    for turn in range(asked.rounds):
        for side in ("floor", "ours"):
            step = measure.floor if side == "floor" else measure.ours
            if step is None:
                continue
            begun = time.perf_counter()
            with fresh_folder() as folder:
                taken = step(Bench(folder, asked.seconds, asked.quick, asked.generator))
            for name, value in taken.items():
                held = samples.setdefault(name, Samples())
                (held.floor if side == "floor" else held.ours).append(value)
            said = ", ".join(f"{name} {number(value)}" for name, value in taken.items())
            label = side if measure.floor else ""
            spent_s = time.perf_counter() - begun
            print(f"  {turn + 1}/{asked.rounds} {label:5} {said}  ({spent_s:.0f} s)", flush=True)
    return samples


def measured(measures: list[Measure], asked: Asked) -> Results:
    """Take every measure; one that fails is noted with its reason and the others go on."""
    samples: dict[str, Samples] = {}
    failed: dict[str, str] = {}
    for measure in measures:
        print(f"{measure.name}: {measure.about}", flush=True)
        try:
            samples |= take(measure, asked)
        except BenchError as error:
            print(f"  not measured: {error}", flush=True)
            failed[measure.name] = str(error)
    figures = {name: figure(name, held) for name, held in samples.items() if held.ours}
    return Results(figures, versions(), failed, asked)


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--quick", action="store_true", help="two short rounds: a smoke test")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="default 5")
    parser.add_argument("--seconds", type=float, default=0, metavar="S", help="each load, 5")
    parser.add_argument(
        "--peer", action="store_true", help="also FastAPI with Huey, and with Procrastinate"
    )
    parser.add_argument("--generator", choices=("wrk", "own"), default="")
    return parser.parse_args()


def main() -> int:
    said = read_arguments()
    # A deployment has its byte code. Where none may be written, what was edited would be compiled
    # by every process of the bench.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    asked = Asked(
        quick=said.quick,
        only=said.only,
        rounds=said.rounds or (2 if said.quick else 5),
        seconds=said.seconds or (2 if said.quick else 5),
        generator=said.generator or ("wrk" if have_wrk() else "own"),
    )
    try:
        measures = MEASURES
        if said.peer:
            measures += (*peers.PEERS, deferred.PEER)
        results = measured(chosen(measures, asked.only), asked)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(f"\n{table(results.figures)}\n")
    for name, why in results.not_measured.items():
        print(f"not measured: {name}: {why}")
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=2) + b"\n")
    print(f"Load by {asked.generator}, {asked.rounds} rounds; written to {RESULTS}")
    return 1 if results.not_measured else 0


if __name__ == "__main__":
    sys.exit(main())
