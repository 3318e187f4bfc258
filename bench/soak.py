"""Steady state: many orders with short retentions, and what becomes of files, rows and memory.

What the app stores expires after a minute (bench/apps/soak.py), and so do the engine's records
(WHERRY_RECORDS_S; `--env NAME=VALUE` for others). Orders come in slices of equal length, as fast
as they are answered or at a `--rate`. After each slice the engine is looked at from outside: the
sizes of its files, the rows of its tables, its memory, its file descriptors, its processor time.

Three questions are answered at the end. What still grows in the last third? What does the clean-up
cost, in processor time for each order, and how much slower are orders? Each by at most 5 %. For the
latter two a young wherry that removes nothing takes turns with the old one in the last third: a
machine's own speed changes within a quarter of an hour by more than what is asked for. What the old
one removes while the young one works is the old one's. Log files are shown and not judged: they
are rotated at `limits.LOG_FILE_BYTES`, later than most soaks end.

    python -m bench.soak [--orders N] [--slice-s S] [--rate R] [--env NAME=VALUE ...]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import sys
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import msgspec

from bench import ours
from bench.floors.drive import ORDER
from bench.folders import fresh_folder
from bench.load import BenchError, Plan, Request, drive
from bench.processes import Server, tree, tree_pss_mb

RESULTS = Path(__file__).parent / "soak.json"
SOAK = "bench.apps.soak:app"
ORDERS = 2_000_000
SLICE_S = 20
CONNECTIONS = 16
LEAST_SLICES = 9
YOUNG_SLICES = 3  # then another takes its place
WARM_S = 2
RETENTIONS = ("WHERRY_RECORDS_S", "WHERRY_IDEMPOTENCY_S", "WHERRY_FAILURES_S", "SOAK_KEPT_S")
SHORT = dict.fromkeys(RETENTIONS, "60")
LONG = dict.fromkeys(RETENTIONS, "86400")
LOGS = "logs"
TRIES = 20
BOUND = 0.05
# Less than this is no growth: an environment more or less, a page more or less; what finds records
# (`platforms/sql/records`) is removed some 32,768 rows at a time.
NOISE = {"files MB": 4.0, "files": 4.0, "rows": 40_000.0, "memory MB": 8.0, "descriptors": 24.0}


class Work(msgspec.Struct, frozen=True):
    """What one slice of orders took."""

    orders_per_s: float
    cpu_ms_per_order: float


class Slice(msgspec.Struct, frozen=True):
    """The state at the end of one slice; `young` worked in the next one, where it took turns."""

    seconds: float
    orders: int
    work: Work
    young: Work | None
    sizes_mb: dict[str, float]
    files: int
    rows: dict[str, int]
    memory_mb: float
    descriptors: int

    @property
    def judged(self) -> dict[str, float]:
        """What must not grow, by the names of NOISE."""
        return {
            "files MB": sum(size for name, size in self.sizes_mb.items() if name != LOGS),
            "files": self.files,
            "rows": sum(self.rows.values()),
            "memory MB": self.memory_mb,
            "descriptors": self.descriptors,
        }


class Verdict(msgspec.Struct, frozen=True):
    """Fractions: growth within the last third; processor time and rate that clean-up costs."""

    growth: dict[str, float]
    cost: float
    slower: float

    @property
    def steady(self) -> bool:
        return max(*self.growth.values(), self.cost, self.slower) <= BOUND


def judge(slices: Sequence[Slice]) -> Verdict:
    """Compare by medians. Raises BenchError where there are too few slices."""
    turns = [(one.work, one.young) for one in slices if one.young is not None]
    if len(slices) < LEAST_SLICES or not turns:
        raise BenchError(f"{len(slices)} slices are too few to judge: {LEAST_SLICES} at least")
    last = slices[-(len(slices) // 3) :]
    half = len(last) // 2
    growth = {}
    for name, noise in NOISE.items():
        before = statistics.median(each.judged[name] for each in last[:half])
        after = statistics.median(each.judged[name] for each in last[-half:])
        growth[name] = after / before - 1 if after - before > noise else 0.0
    return Verdict(
        growth,
        statistics.median(old.cpu_ms_per_order / young.cpu_ms_per_order for old, young in turns)
        - 1,
        1 - statistics.median(old.orders_per_s / young.orders_per_s for old, young in turns),
    )


# --- looking ------------------------------------------------------------------------------------


def sizes_mb(data: Path) -> dict[str, float]:
    """The size of each entry of the data folder, with all below it."""
    sizes: dict[str, float] = {}
    for path in files_of(data):
        name = path.relative_to(data).parts[0]
        sizes[name] = sizes.get(name, 0) + path.stat().st_size / 1e6
    return sizes


def files_of(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if path.is_file() and not path.is_symlink()]


def rows_of(database: Path) -> dict[str, int]:
    """The rows of each table that has any, as of the last checkpoint.

    The store holds its file alone; so it is read past its lock, and again where that was torn.
    """
    for _ in range(TRIES):
        with contextlib.suppress(apsw.Error):
            return _rows_past_the_lock(database)
        time.sleep(0.1)
    raise BenchError(f"{database} cannot be read beside the store")


def _rows_past_the_lock(database: Path) -> dict[str, int]:
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    connection = apsw.Connection(f"file:{database}?immutable=1", flags=flags)
    with contextlib.closing(connection):
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        counted = {
            str(name): connection.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0][0]
            for (name,) in names
        }
    return {name: int(rows) for name, rows in counted.items() if rows}


def descriptors_of(root: int) -> int:
    """The open files of a tree of processes."""
    found = 0
    for pid in tree(root):
        with contextlib.suppress(OSError):
            found += len(os.listdir(f"/proc/{pid}/fd"))
    return found


class Meter:
    """The processor time of a tree of processes, since it was last asked for."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._spent: dict[int, float] = {}
        self.ms()

    def ms(self) -> float:
        """Of the processes that are there now; what one that has ended had spent, is not seen."""
        ticks = os.sysconf("SC_CLK_TCK")
        spent: dict[int, float] = {}
        for pid in tree(self._root):
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                spent[pid] = (int(fields[11]) + int(fields[12])) * 1000 / ticks
        fresh = sum(ms - self._spent.get(pid, 0.0) for pid, ms in spent.items())
        self._spent = spent
        return fresh


# --- running ------------------------------------------------------------------------------------


def soak(
    folder: Path, orders: int, slice_s: float, rate_per_s: float, kept: Mapping[str, str]
) -> list[Slice]:
    slices: list[Slice] = []
    accepted = 0
    data = ours.data_of(folder)
    with serving(folder, kept) as (server, request), contextlib.closing(young(slice_s)) as others:
        meter = Meter(server.pid)
        begun = time.perf_counter()
        while accepted < orders:
            load = drive(Plan(request, CONNECTIONS, slice_s, rate_per_s))
            accepted += load.good
            in_turns = 3 * accepted > 2 * orders
            other = work_of(*next(others), slice_s, rate_per_s) if in_turns else None
            slices.append(
                Slice(
                    time.perf_counter() - begun,
                    accepted,
                    Work(load.per_s, meter.ms() / load.good),
                    other,
                    sizes_mb(data),
                    len(files_of(data)),
                    rows_of(next(data.glob("*.sqlite"))),
                    tree_pss_mb(server.pid),
                    descriptors_of(server.pid),
                )
            )
            print(_line(slices[-1]), flush=True)
    return slices


@contextlib.contextmanager
def serving(folder: Path, kept: Mapping[str, str]) -> Iterator[tuple[Server, Request]]:
    """A wherry with these retentions, and an order for it."""
    os.environ.update(kept)
    with ours.serving(SOAK, folder, "--no-access-log") as server:
        yield server, Request("/orders", ORDER, server.port, ours.token(SOAK, folder))


def young(slice_s: float) -> Generator[tuple[Server, Request], None, None]:
    """Yield, for each slice, a wherry that has little to keep and nothing to remove."""
    while True:
        with fresh_folder() as folder, serving(folder, LONG) as (server, request):
            drive(Plan(request, CONNECTIONS, min(WARM_S, slice_s)))
            for _ in range(YOUNG_SLICES):
                yield server, request


def work_of(server: Server, request: Request, slice_s: float, rate_per_s: float) -> Work:
    """Have a wherry work for one slice."""
    meter = Meter(server.pid)
    load = drive(Plan(request, CONNECTIONS, slice_s, rate_per_s))
    return Work(load.per_s, meter.ms() / load.good)


def _line(one: Slice) -> str:
    judged = ", ".join(f"{name} {value:,.0f}" for name, value in one.judged.items())
    rate = f"{_shown(one.work)} of processors each"
    if one.young is not None:
        rate += f" (beside a young one: {_shown(one.young)})"
    logs = f"logs {one.sizes_mb.get(LOGS, 0):.1f} MB"
    return f"{one.seconds:6.0f} s  {one.orders:9,} orders  {rate}; {judged}; {logs}"


def _shown(work: Work) -> str:
    return f"{work.orders_per_s:6,.0f}/s, {work.cpu_ms_per_order:.2f} ms"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--orders", type=int, default=ORDERS, metavar="N")
    parser.add_argument("--slice-s", type=float, default=SLICE_S, metavar="S")
    parser.add_argument("--rate", type=float, default=0, metavar="R", help="orders a second")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    kept = SHORT | dict(each.split("=", 1) for each in asked.env)
    try:
        with fresh_folder() as folder:
            slices = soak(folder, asked.orders, asked.slice_s, asked.rate, kept)
        RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(slices), indent=2) + b"\n")
        verdict = judge(slices)
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 2
    for name, rows in sorted(slices[-1].rows.items(), key=lambda found: -found[1]):
        third = slices[len(slices) // 3].rows.get(name, 0)
        print(f"rows of {name}: {third:,} after a third, {rows:,} at the end")
    for name, growth in verdict.growth.items():
        print(f"growth of {name} within the last third: {growth:+.1%}")
    print(f"processor time that the clean-up costs each order: {verdict.cost:+.1%}")
    print(f"rate lost: {verdict.slower:+.1%}")
    print(f"{'steady' if verdict.steady else 'NOT steady'}: each at most {BOUND:.0%}")
    return 0 if verdict.steady else 1


if __name__ == "__main__":
    sys.exit(main())
