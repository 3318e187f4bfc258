"""Torture real processes: `python -m tests.torture --minutes 10 --seed 7`, `--life 3` for one life.

Each life is an engine under load to which every kind of fault happens that this machine lets us
have, in an order drawn from the seed; then an oracle's ledger is held against what is there. Its
disk is in turn an ext4 whose power can be cut, a small tmpfs and a folder. With `--store postgres`
a life is two or three engines that share a Postgres, and both are hurt. Exit status 1 when an
invariant did not hold: the life's folder is left, and the command that does it again is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .course import CLIENTS, Told
from .disks import offered
from .faults import KINDS
from .life import Life
from .report import Report, device_of
from .shared_faults import KINDS as SHARED_KINDS
from .shared_life import SharedLife
from .shared_report import SharedReport


def read_arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--minutes", type=float, default=10.0, help="no life begins later")
    parser.add_argument("--seed", help="default: one that is drawn, and printed")
    parser.add_argument("--life", type=int, help="this one only")
    parser.add_argument("--only", action="append", metavar="KIND", help="these kinds of faults")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument(
        "--shipped", action="store_true", help="postgres: bounds as they ship (leases of 12 s)"
    )
    parser.add_argument("--clients", type=int, default=CLIENTS, help="so many place orders (8)")
    parser.add_argument("--folder", type=Path, help="where lives lie (default: a temporary one)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args(given)
    known = KINDS.keys() if options.store == "sqlite" else SHARED_KINDS.keys()
    if unknown := set(options.only or []) - known:
        parser.error(f"--only {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    return options


def main(given: list[str] | None = None) -> int:
    """Live, tell, and return the exit status."""
    options = read_arguments(given)
    seed = options.seed or str(random.SystemRandom().randrange(1_000_000))
    root = Path(tempfile.mkdtemp(prefix="wherry-torture-", dir=options.folder))
    if options.store == "postgres":
        play, report = on_postgres(root, seed, options)
    else:
        play, report = on_sqlite(root, seed, options)
    end_s = time.monotonic() + options.minutes * 60
    number = 0 if options.life is None else options.life
    while True:
        told = live(root, number, play, report)
        if told.wrong:
            blame(root, seed, told, options)
        number += 1
        if options.life is not None or time.monotonic() >= end_s:
            break
    print(json.dumps(report.json(), indent=2) if options.json else f"\n{report.table()}")
    if not report.failed:
        shutil.rmtree(root)
    return 1 if report.failed else 0


Play = Callable[[Path, int], Told]


def on_sqlite(root: Path, seed: str, options: argparse.Namespace) -> tuple[Play, Report]:
    """How a life of one engine is played, and what counts them."""
    disks, lacking = offered(root)
    for need, why in lacking.items():
        tell(f"skipped: faults that need {need}: {why}")
    report = Report(seed, lacking)
    kinds = options.only or [*KINDS]

    def play(folder: Path, number: int) -> Told:
        disk = disks[number % len(disks)]
        report.devices.add(disk if disk in ("tmpfs",) else f"{disk} on {device_of(folder)}")
        return Life(folder, seed, number, disk, kinds, options.clients).play()

    return play, report


def on_postgres(root: Path, seed: str, options: argparse.Namespace) -> tuple[Play, Report]:
    """How a life of several engines is played, and what counts them."""
    report = SharedReport(seed)
    report.devices.add(device_of(root))
    kinds = options.only or [*SHARED_KINDS]

    def play(folder: Path, number: int) -> Told:
        life = SharedLife(folder, seed, number, kinds, options.clients, options.shipped)
        told = life.play()
        report.lease_s.add(life.lease_s)
        report.postgres = life.version
        return told

    return play, report


def live(root: Path, number: int, play: Play, report: Report) -> Told:
    """Live one life, count it, and tell in a line what it came to."""
    folder = root / f"life-{number}"
    folder.mkdir()
    told = play(folder, number)
    report.add(told)
    accepted = len(told.ledger.ok) if told.ledger else 0
    verdict = "FAILED" if told.wrong else "every invariant holds"
    tell(
        f"life {number}: {len(told.strikes)} faults on {told.where}, {accepted} orders accepted, "
        f"{told.seconds:.0f} s: {verdict}"
    )
    if not told.wrong:
        shutil.rmtree(folder)
    return told


def blame(root: Path, seed: str, told: Told, options: argparse.Namespace) -> None:
    """Say what did not hold, where it lies, and how to do it again."""
    for text in told.wrong:
        tell(f"  {text}")
    again = "" if options.store == "sqlite" else f" --store {options.store}"
    again += "" if options.clients == CLIENTS else f" --clients {options.clients}"
    again += " --shipped" if options.shipped else ""
    again += "".join(f" --only '{kind}'" for kind in options.only or [])
    tell(
        f"  left in {root / f'life-{told.number}'}; the faults: "
        + ", ".join(strike.kind for strike in told.strikes)
    )
    tell(f"  again: python -m tests.torture --seed {seed} --life {told.number}{again}")


def tell(text: str) -> None:
    """Progress goes to standard error: what is printed is the report."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    os.environ.setdefault("PYTEST_XDIST_WORKER", "gw31")  # ports that no test beside it is given
    signal.signal(signal.SIGTERM, lambda number, stack: sys.exit(128 + number))  # leave nothing
    sys.exit(main())
