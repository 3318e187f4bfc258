"""How many environments a pool starts depends on what its runs wait for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from wherry import App, limits
from wherry.engine.admission import Admission
from wherry.engine.pools import Pool
from wherry.invocation import Spent
from wherry.platforms.socket import EngineLink
from wherry.runtime.stopwatch import Stopwatch
from wherry.testing import running
from wherry.world import ManualClock, ManualLoop, Meter, Usage

PROCESSORS = 8
FORK_S = 0.002


class Standing:
    """An environment that computes and waits outside for as long as it is told."""

    def __init__(self, cpu_s: float, away_s: float) -> None:
        self.spends = Spent(cpu_s, away_s)
        self.work: Any = None
        self.spent: Spent | None = None
        self.idle_since_s = 0.0
        self.runs = 0
        self.ran_s = 0.0
        self.pid = 1
        self.end = ""
        self.mailbox: Any = None

    def asleep(self) -> bool:
        return self.work is not None and self.spends.away_s > self.spends.cpu_s


class Machine:
    """A pool whose environments all behave alike; `queued_s` is what others cost each run."""

    def __init__(
        self,
        cpu_s: float,
        away_s: float,
        queued_s: float,
        concurrency: int = 32,
        reserved: int | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.done = 0
        self.admission = Admission()
        self._run = (cpu_s, away_s)
        self._run_s = cpu_s + away_s + queued_s
        self.pool = Pool(
            "function", concurrency, self.loop, self.clock, self._start, self._begin, self._post,
            lambda: reserved is None, PROCESSORS, self.admission, reserved or 0,
        )  # fmt: skip

    def _start(self, function: str) -> None:
        environment: Any = Standing(*self._run)
        self.loop.call_later(FORK_S, self.pool.ready, environment)

    def _post(self, mailbox: Any, work: Any) -> bool:
        raise AssertionError("these environments have no mailbox")

    def _begin(self, environment: Any, work: Any, taken: bool) -> None:
        assert not taken
        work.ran_from_s = self.clock.steady_s()
        environment.work = work
        environment.runs += 1
        self.loop.call_later(self._run_s, self._end, environment)

    def _end(self, environment: Any) -> None:
        environment.work = None
        self.done += 1
        cpu_s, away_s = self._run
        quick = cpu_s + away_s < limits.QUICK_OWN_S or environment.runs == 1  # as a stopwatch says
        environment.spent = None if quick else environment.spends
        environment.ran_s = self._run_s
        self.pool.took(environment)
        self.submit()  # its client asks again
        self.pool.release(environment)

    def submit(self) -> None:
        work: Any = SimpleNamespace(at_s=self.clock.steady_s(), ran_from_s=0.0, members=None)
        assert self.pool.submit(work)

    def after(self, seconds: float, clients: int) -> int:
        """Let clients ask again and again; return how many environments there are then."""
        for _ in range(clients):
            self.submit()
        self.loop.advance(seconds)
        return self.pool.size


def test_quick_runs_get_a_few_environments_however_long_they_queue_for_engine_and_store() -> None:
    for clients in (32, 256):
        assert Machine(0.0003, 0.0, queued_s=0.015).after(2.0, clients) == limits.QUICK_ENVIRONMENTS


class Usages:
    """A meter whose process computes and queues as the test says."""

    def __init__(self) -> None:
        self.now = Usage(0.0, 0.0)

    def read(self) -> Usage:
        return self.now


def test_only_a_slow_run_after_a_slow_one_tells_what_it_computed_and_waited_outside() -> None:
    clock, meter, link = ManualClock(), Usages(), SimpleNamespace(asked_s=0.0)
    stopwatch = Stopwatch(clock, cast(Meter, meter), cast(EngineLink, link))

    def run(took_s: float, cpu_s: float, queued_s: float, asked_s: float) -> Spent | None:
        stopwatch.start()
        clock.advance(took_s)
        link.asked_s += asked_s
        meter.now = Usage(meter.now.cpu_s + cpu_s, meter.now.queued_s + queued_s)
        return stopwatch.stop()

    assert run(0.0, 0.0, 0.0, 0.0) is None
    assert run(0.1, 0.01, 0.02, 0.03) is None  # the first slow one
    spent = run(0.1, 0.01, 0.02, 0.03)
    assert spent is not None
    assert (round(spent.cpu_s, 6), round(spent.away_s, 6)) == (0.01, 0.04)
    assert run(0.1, 0.001, 0.099, 0.0) is None  # it waited for a processor only
    assert run(0.1, 0.001, 0.0, 0.099) is None  # for the engine only


def test_runs_that_wait_outside_get_all_environments_before_the_first_has_ended() -> None:
    assert Machine(0.0005, 0.2, queued_s=0.0).after(0.19, 64) == 32


def test_runs_that_wait_a_little_outside_get_all_environments_too() -> None:
    assert Machine(0.0005, 0.005, queued_s=0.001).after(1.0, 64) == 32


def test_runs_that_compute_get_an_environment_a_processor_and_some_to_spare() -> None:
    machine = Machine(0.05, 0.0, queued_s=0.05)
    assert machine.after(2.0, 64) == PROCESSORS + limits.SPARE_ENVIRONMENTS


def test_what_admission_holds_back_starts_nothing() -> None:
    machine = Machine(0.0003, 0.0, queued_s=0.0)
    before = machine.after(1.0, 32)
    machine.admission.behind = True
    machine.loop.advance(1.0)
    assert machine.pool.pending
    assert machine.pool.size == before


def test_a_pool_never_has_more_than_its_concurrency() -> None:
    assert Machine(0.0005, 0.2, queued_s=0.0, concurrency=6).after(1.0, 64) == 6
    assert Machine(0.05, 0.0, queued_s=0.0, concurrency=3).after(1.0, 64) == 3


def test_runs_that_became_quick_are_soon_taken_for_quick() -> None:
    machine = Machine(0.0005, 0.2, queued_s=0.0)
    machine.after(1.0, 1)
    assert machine.pool.run_s > limits.QUICK_RUN_S
    (environment,) = machine.pool.busy
    for _ in range(100):
        environment.spent = None
        machine.pool.took(environment)
    assert machine.pool.run_s == 0.0


def test_on_a_full_machine_a_function_has_what_is_reserved_for_it_and_no_more() -> None:
    """One without a reservation has one environment, so that it runs at all."""
    assert Machine(0.0005, 0.2, queued_s=0.0, reserved=6).after(1.0, 64) == 6
    assert Machine(0.0005, 0.2, queued_s=0.0, reserved=0).after(1.0, 64) == 1


def test_memory_is_kept_for_what_others_have_reserved_and_do_not_have_yet() -> None:
    app = App("reserving")
    jobs = [app.queue(int, name=f"jobs{number}") for number in range(3)]

    @app.consume(jobs[0])
    def noisy(job: int) -> None: ...

    @app.consume(jobs[1], reserved=3, memory_mb=200)
    def quiet(job: int) -> None: ...

    @app.consume(jobs[2], reserved=1, memory_mb=150)
    def still(job: int) -> None: ...

    with running(app) as backend:
        release = backend._composed.core.active
        assert release is not None
        kept = {name: release.kept_mb(name) for name in release.functions}
        assert kept == {"noisy": 750, "quiet": 150, "still": 600}
        release.functions["quiet"].pool.warm(2)
        assert release.kept_mb("noisy") == 350
        release.functions["quiet"].pool.warm(5)
        assert (release.kept_mb("noisy"), release.kept_mb("still")) == (150, 0)
