"""Steady state: many orders with short retentions, and what the files and the rate become.

Retentions are the engine's; shorten them by its environment, one `--env NAME=VALUE` each. Orders
come in slices of equal length. After each slice the sizes of the data folder's files are taken.
Two questions are answered at the end: do the files still grow in the last third, and how much
slower is the last third than the first slices, in which nothing was old enough to be removed.

    python -m bench.soak [--orders N] [--slice-s S] [--env NAME=VALUE ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path

import msgspec

from bench import ours
from bench.floors.drive import ORDER
from bench.folders import fresh_folder
from bench.load import BenchError, Plan, Request, drive

RESULTS = Path(__file__).parent / "soak.json"
ORDERS = 2_000_000
SLICE_S = 20
CONNECTIONS = 16
EARLY_SLICES = 3
GROWTH_BOUND = 0.05
COST_BOUND = 0.05


class Slice(msgspec.Struct, frozen=True):
    """The state at the end of one slice."""

    seconds: float
    orders: int
    orders_per_s: float
    sizes_mb: dict[str, float]

    @property
    def total_mb(self) -> float:
        return sum(self.sizes_mb.values())


class Verdict(msgspec.Struct, frozen=True):
    """Fractions: of growth from the middle third to the last, and of rate lost to the clean-up."""

    growth: float
    cost: float

    @property
    def steady(self) -> bool:
        return self.growth <= GROWTH_BOUND and self.cost <= COST_BOUND


def judge(slices: list[Slice]) -> Verdict:
    """Compare thirds by their medians. Raises BenchError where there are too few slices."""
    third = len(slices) // 3
    if third < EARLY_SLICES:
        raise BenchError(f"{len(slices)} slices are too few to judge: {3 * EARLY_SLICES} at least")
    middle, last = slices[third : 2 * third], slices[-third:]
    size_before = statistics.median(each.total_mb for each in middle)
    size_after = statistics.median(each.total_mb for each in last)
    rate_before = statistics.median(each.orders_per_s for each in slices[:EARLY_SLICES])
    rate_after = statistics.median(each.orders_per_s for each in last)
    return Verdict(growth=size_after / size_before - 1, cost=1 - rate_after / rate_before)


def sizes_mb(data: Path) -> dict[str, float]:
    """The size of each entry of the data folder, with all below it."""
    sizes: dict[str, float] = {}
    for path in data.rglob("*"):
        if path.is_file() and not path.is_symlink():
            name = path.relative_to(data).parts[0]
            sizes[name] = sizes.get(name, 0) + path.stat().st_size / 1e6
    return sizes


def soak(folder: Path, orders: int, slice_s: float) -> list[Slice]:
    slices: list[Slice] = []
    accepted = 0
    with ours.serving(ours.ORDERS, folder) as server:
        headers = ours.token(ours.ORDERS, folder)
        request = Request("/orders", ORDER, server.port, headers)
        begun = time.perf_counter()
        while accepted < orders:
            load = drive(Plan(request, CONNECTIONS, slice_s))
            accepted += load.good
            spent_s = time.perf_counter() - begun
            slices.append(Slice(spent_s, accepted, load.per_s, sizes_mb(ours.data_of(folder))))
            sizes = ", ".join(f"{name} {size:.1f}" for name, size in slices[-1].sizes_mb.items())
            print(f"{spent_s:7.0f} s  {accepted:9,} orders  {load.per_s:6,.0f}/s  MB: {sizes}")
    return slices


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--orders", type=int, default=ORDERS, metavar="N")
    parser.add_argument("--slice-s", type=float, default=SLICE_S, metavar="S")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    os.environ.update(dict(each.split("=", 1) for each in asked.env))
    try:
        with fresh_folder() as folder:
            slices = soak(folder, asked.orders, asked.slice_s)
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(slices), indent=2) + b"\n")
        verdict = judge(slices)
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    print(f"growth of files, middle to last third: {verdict.growth:+.1%} (at most 5 %)")
    print(f"rate lost once the clean-up works: {verdict.cost:+.1%} (at most 5 %)")
    return 0 if verdict.steady else 1


if __name__ == "__main__":
    sys.exit(main())
