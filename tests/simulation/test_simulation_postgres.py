"""A few lives of the cluster on a real Postgres; `make simulate STORE=postgres` plays more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from .app import app
from .cluster import Shared
from .postgres import SharedCluster
from .run import Scenario

SEEDS = int(os.environ.get("WHERRY_POSTGRES_SEEDS", "2"))
COMMITS = """SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE proname IN ('commit_run', 'commit_plain')
        AND pronamespace = current_schema()::regnamespace
    ORDER BY proname DESC"""
CHECKED = (
    ("row_.version = g.version ELSE g.version = 0", "true ELSE true"),
    ("unnest(guards) g WHERE g.version <>", "unnest(guards) g WHERE false AND g.version <>"),
)


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(prefix="wherry-simulated-", dir=memory) as folder:
        yield Shared(app, folder)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_invariant_holds_on_postgres_whatever_fails(shared: Shared, seed: int) -> None:
    """Nothing accepted is lost, nothing refused is there, no effect happens twice."""
    result = Scenario(seed, shared, app, cluster=SharedCluster).play()
    again = f"make simulate STORE=postgres SEED={seed}"
    assert not result.faults, f"seed {seed} ({again}): {result.faults}"
    for kind in ("pause", "crash", "clock", "repeat", "die"):
        assert result.hits.get(kind, 0) > 0, f"no {kind}"


def test_a_bug_that_is_planted_in_the_database_is_found(shared: Shared) -> None:
    """A commit that holds nothing to what its run has read: one of a few lives loses counts."""
    assert any(_loses_counts(seed, shared) for seed in (1, 5, 9, 13))  # busy ones


def _loses_counts(seed: int, shared: Shared) -> bool:
    """Whether a life loses counts in which commits check nothing."""
    scenario = Scenario(seed, shared, app, cluster=SharedCluster)
    rights = [right for (right,) in scenario.cluster.platform.query(COMMITS)]
    for right, (checked, unchecked) in zip(rights, CHECKED, strict=True):
        assert checked in right
        scenario.cluster.platform.execute(right.replace(checked, unchecked))
    try:
        faults = scenario.play().faults
    finally:
        for right in rights:
            scenario.cluster.platform.execute(right)
    return any(fault.startswith("C:") for fault in faults)
