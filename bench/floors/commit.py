"""The disk itself: one 4 KB append with fdatasync, and one bare SQLite commit of one row.

No server can answer a durable request sooner than this.

    python -m bench.floors.commit --data DIR
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    folder: Path = parser.parse_args().data
    print(json.dumps({"append_ms": append_ms(folder), "commit_ms": commit_ms(folder)}))


if __name__ == "__main__":
    main()
