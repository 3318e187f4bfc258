"""The floors by themselves: the disk, one commit, and a bare consumer."""

from __future__ import annotations

from bench.context import Bench, Measure
from bench.floors.drive import disk, f2_drain


def _bare(bench: Bench) -> dict[str, float]:
    return disk(bench) | f2_drain(bench)


FLOORS = Measure(
    name="floors",
    about="the disk, a bare commit, a bare consumer",
    figures=("disk_append_ms", "sqlite_commit_ms", "drain_jobs_per_s"),
    ours=_bare,
)
