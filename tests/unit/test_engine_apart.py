"""The engine and its store have a processor each while what runs is little and quick."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from wherry import App, limits
from wherry.engine.apart import Apart
from wherry.engine.numbers import Numbers
from wherry.engine.offload import Threads
from wherry.engine.releases import ActiveRelease
from wherry.runtime.process import places
from wherry.world import Chance, ManualClock, ManualLoop

pytestmark = pytest.mark.skipif(len(places.GIVEN) < 2, reason="needs Linux and two processors")


@dataclass
class Engine:
    """An engine whose runs begin by hand, in this thread, and a process that is its store."""

    store: subprocess.Popen[bytes]
    clock: ManualClock = field(default_factory=ManualClock)
    running: dict[Any, None] = field(default_factory=dict)
    busy: bool = False
    numbers: Numbers = field(default_factory=lambda: Numbers(ManualClock()))

    def __post_init__(self) -> None:
        self.apart = Apart(self.clock, Chance(7), self, self.store)

    def looks(self, seconds: float = 0.0, runs: bool = True) -> tuple[set[int], set[int]]:
        """Where the engine and the store may run, after so long."""
        self.clock.advance(seconds)
        self.apart.look(runs)
        return os.sched_getaffinity(0), os.sched_getaffinity(self.store.pid)

    def begins(self) -> None:
        """A run begins now; it goes on until somebody clears `running`."""
        self.running[_Run(self.clock.steady_s())] = None


@dataclass(eq=False)
class _Run:
    ran_from_s: float


def _process() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


@pytest.fixture
def engine() -> Iterator[Engine]:
    with _process() as store:
        engine = Engine(store)
        yield engine
        engine.apart.let_go()
        store.kill()


FREE = (set(places.GIVEN), set(places.GIVEN))


def apart(found: tuple[set[int], set[int]]) -> bool:
    """Whether each has one processor, which is not the other's."""
    engine, store = found
    return len(engine) == len(store) == 1 and engine != store


def test_they_are_bound_while_runs_begin_and_free_when_none_do(engine: Engine) -> None:
    assert engine.looks(runs=False) == FREE
    assert apart(engine.looks())
    assert engine.looks(runs=False) == FREE


def test_a_run_that_goes_on_frees_them_for_a_while(engine: Engine) -> None:
    engine.begins()
    assert apart(engine.looks(limits.APART_RUN_S / 2))
    assert engine.looks(limits.APART_RUN_S) == FREE
    engine.running.clear()
    assert engine.looks(limits.APART_AGAIN_S / 2) == FREE
    assert apart(engine.looks(limits.APART_AGAIN_S))


def test_much_in_hand_frees_them(engine: Engine) -> None:
    assert apart(engine.looks())
    engine.busy = True
    assert engine.looks() == FREE


def test_another_store_process_is_bound_after_the_first_has_died(engine: Engine) -> None:
    assert apart(engine.looks())
    engine.store.kill()
    engine.store.wait()
    with _process() as other:
        engine.store.pid = other.pid
        assert apart(engine.looks())
        engine.apart.let_go()
        other.kill()


def test_a_version_that_is_loaded_meanwhile_counts_all_processors(engine: Engine) -> None:
    """A function that computes gets as many environments as there are, not as the engine has."""
    assert apart(engine.looks())
    app = App("busy")

    @app.get("/")
    def look() -> int:
        return 1

    nobody: Any = None
    release = ActiveRelease(
        "digest", app.freeze(), "owner", ManualLoop(engine.clock), engine.clock,
        nobody, nobody, nobody, nobody, nobody,
    )  # fmt: skip
    assert [one.pool.processors for one in release.functions.values()] == [len(places.GIVEN)]


def test_a_process_that_nothing_was_bound_for_is_left_as_it_is(engine: Engine) -> None:
    """A container may have been given more processors since, or somebody has chosen some."""
    one = frozenset([min(places.GIVEN)])
    os.sched_setaffinity(engine.store.pid, one)
    places.free(engine.store.pid)
    assert os.sched_getaffinity(engine.store.pid) == one


def test_threads_for_blocking_work_may_run_everywhere(engine: Engine) -> None:
    assert apart(engine.looks())
    found: list[set[int]] = []
    at_once = SimpleNamespace(call_soon_threadsafe=lambda then, result: then(result))
    threads: Any = Threads(at_once)  # type: ignore[arg-type]
    threads(lambda: os.sched_getaffinity(0), found.append)
    threads._executor.shutdown(wait=True)
    assert found == [places.GIVEN]


def test_what_somebody_has_set_for_all_of_us_holds() -> None:
    """`taskset -c N wherry run` stays on N."""
    code = "from wherry.runtime.process import places; places.free(0); print(*places.GIVEN)"
    one = min(places.GIVEN)
    found = subprocess.run(
        [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{one}]); {code}"],
        stdout=subprocess.PIPE,
        check=True,
    )
    assert found.stdout.split() == [b"%d" % one]
