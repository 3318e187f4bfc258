"""2,000 lives of a cluster, each with 200 operations on three nodes and 20 faults of five kinds.

Many of the operations read: what was accepted has to be seen while everything fails, too.

A seed is a life: `make simulate SEEDS=100000` plays more of them, `make simulate SEED=17` plays one
again and tells what happened to it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from random import Random
from tempfile import TemporaryDirectory

import pytest

from wherry.codec import to_msgpack
from wherry.invocation import EMPTY, MEMORY_LIMIT, Failure, Outcome
from wherry.ports import Claim, Request

from .app import app
from .bugs import BUGS, planted
from .cluster import Cluster, Shared
from .run import Scenario

SEEDS = int(os.environ.get("WHERRY_SEEDS", "2000"))
CHUNK = 20  # of one test: workers that share the suite end at about the same time
FIND_WITHIN = 400  # seeds; well below those of the suite


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """Contents of objects lie in memory where they can: it is no disk that is simulated."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(prefix="wherry-simulated-", dir=memory) as folder:
        yield Shared(app, folder)


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds_whatever_fails(shared: Shared, first: int) -> None:
    """Nothing accepted is lost, nothing refused is there, no effect happens twice."""
    struck: dict[str, int] = {}
    for seed in range(first, min(first + CHUNK, SEEDS)):
        result = Scenario(seed, shared, app).play()
        assert not result.faults, f"seed {seed} (make simulate SEED={seed}): {result.faults}"
        for kind, count in result.hits.items():
            struck[kind] = struck.get(kind, 0) + count
    if min(first + CHUNK, SEEDS) - first == CHUNK:  # the faults are real ones
        for kind in ("pause", "crash", "clock", "die", "lose", "repeat", "refuse", "asked twice"):
            assert struck.get(kind, 0) > 0, f"no {kind} in {CHUNK} seeds"


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(shared: Shared, bug: str) -> None:
    """Each breaks the invariant that it is said to break, and that is seen.

    Where it was seen before is looked at first; if it does not show there any more, it is searched.
    """
    invariant, _, seen_at, kinds = BUGS[bug]
    apart = shared.apart()
    with planted(bug):
        for seed in (seen_at, *range(FIND_WITHIN)):
            faults = Scenario(seed, apart, app, kinds).play().faults
            if any(fault.startswith(f"{invariant}:") for fault in faults):
                return
    pytest.fail(f"{bug!r} was not found in {FIND_WITHIN} seeds")


def test_a_seed_repeats_itself(shared: Shared) -> None:
    """What fails can be looked at again: the same seed, the same life."""
    lives = [Scenario(7, shared, app).play() for _ in range(2)]
    told = [
        [(one.name, one.fate, one.unsure) for one in life.oracle.orders + life.oracle.bumps]
        for life in lives
    ]
    assert told[0] == told[1]
    assert lives[0].hits == lives[1].hits


def test_an_engine_whose_clock_is_ahead_waits_for_the_store_s_time(shared: Shared) -> None:
    """What falls due does so by the store's clock: ours, minutes ahead, asks no more for that."""
    cluster = Cluster(app, Random(1), 1, shared)
    [node] = cluster.nodes
    cluster.loop.advance(1.0)
    node.clock.skew_ms = 300_000
    claims: list[Request] = []
    apply = cluster.apply

    def counted(function: str, request: Request) -> object:
        claims.extend([request] if isinstance(request, Claim) else [])
        return apply(function, request)

    cluster.apply = counted
    order = {"order_id": "late", "kind": "plain", "delay_s": 20.0}
    node.client.send("POST", "/orders", json=order)
    cluster.loop.advance(19.0)
    assert len(claims) < 20 * len(cluster.blueprint.queues)
    assert not cluster.idle()
    cluster.loop.advance(8.0)
    assert cluster.idle()
    cluster.close()


def test_a_worn_environment_runs_nothing_more_although_its_process_is_not_known_yet(
    shared: Shared,
) -> None:
    """Under load it may answer before the zygote has said which process it is."""
    cluster = Cluster(app, Random(1), 1, shared)
    [node] = cluster.nodes
    cluster.loop.advance(1.0)
    node.client.send("POST", "/bump/hot-1")
    dispatcher = node.core.dispatcher
    while not dispatcher.running:
        cluster.loop.advance(0.0001)
    [work] = dispatcher.running
    worn, pool = work.environment, work.function.pool
    assert worn is not None
    assert worn.pid == 0
    failure = Failure(MEMORY_LIMIT, "MemoryError", "it is full", retry=True)
    dispatcher.outcome(worn, to_msgpack(Outcome(None, EMPTY, 0, [], [], failure)))
    assert worn.end
    assert worn not in (*pool.idle, *pool.busy)
    cluster.close()
