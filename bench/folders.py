"""Where the bench keeps its data: a fresh folder on a real disk.

On a memory file system fdatasync costs nothing, and every figure with a commit in it would lie.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.load import BenchError

MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
MOUNTS = Path("/proc/self/mounts")


def file_system(folder: Path, mounts: str) -> str:
    """The type of the file system that holds `folder`, by the text of /proc/self/mounts."""
    best, found = -1, ""
    for line in mounts.splitlines():
        _, point, kind, *_ = line.split()
        at = Path(point.replace("\\040", " "))
        if folder.is_relative_to(at) and len(at.parts) >= best:
            best, found = len(at.parts), kind
    return found


@contextlib.contextmanager
def fresh_folder() -> Iterator[Path]:
    """A folder below $WHERRY_BENCH_DIR, or below bench/tmp, that is removed at the end."""
    base = Path(os.environ.get("WHERRY_BENCH_DIR") or Path(__file__).parent / "tmp").resolve()
    base.mkdir(parents=True, exist_ok=True)
    if MOUNTS.exists() and (kind := file_system(base, MOUNTS.read_text())) in MEMORY:
        raise BenchError(
            f"{base} is on {kind}, where syncing is free: set WHERRY_BENCH_DIR to a real disk"
        )
    with tempfile.TemporaryDirectory(dir=base, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
