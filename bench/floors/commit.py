"""The disk itself: one 4 KB append with fdatasync, and one bare SQLite commit of one row.

No server can answer a durable request sooner than this.

    python -m bench.floors.commit --data DIR [--rate R --seconds S]

With a rate there are only commits, so many a second: a disk that has rested, and that has other
things to do in between, is slower than one that is kept busy.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from bench.floors.f2 import SEND_JOB, open_store

ROUNDS = 300
PAGE_BYTES = 4096


def typical_ms(step: Callable[[], object]) -> float:
    """The median duration of `step` in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken) * 1000


def append_ms(folder: Path) -> float:
    """Append 4 KB and wait until the disk has it."""
    file = os.open(folder / "append", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    page = os.urandom(PAGE_BYTES)

    def step() -> None:
        os.write(file, page)
        os.fdatasync(file)

    try:
        return typical_ms(step)
    finally:
        os.close(file)


def commit_ms(folder: Path) -> float:
    """One row, one transaction (WAL, synchronous=FULL)."""
    store = open_store(folder)
    body = os.urandom(100)
    return typical_ms(lambda: store.execute(SEND_JOB, (body,)))


def paced_ms(folder: Path, rate_per_s: float, seconds: float) -> list[float]:
    """How long each of these commits takes, counted from when it was due."""
    store = open_store(folder)
    body = os.urandom(100)
    taken = []
    begun = time.perf_counter()
    for number in range(int(rate_per_s * seconds)):
        due = begun + number / rate_per_s
        time.sleep(max(0.0, due - time.perf_counter()))
        store.execute(SEND_JOB, (body,))
        taken.append((time.perf_counter() - due) * 1000)
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=0, help="commits a second")
    parser.add_argument("--seconds", type=float, default=15)
    asked = parser.parse_args()
    folder: Path = asked.data
    if asked.rate:
        print(json.dumps(paced_ms(folder, asked.rate, asked.seconds)))
    else:
        print(json.dumps({"append_ms": append_ms(folder), "commit_ms": commit_ms(folder)}))


if __name__ == "__main__":
    main()
