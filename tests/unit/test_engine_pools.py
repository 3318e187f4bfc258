"""How many environments a pool starts depends on what its runs wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from wherry import App, Struct, limits
from wherry.engine.admission import Admission
from wherry.engine.freememory import tell_reserved
from wherry.engine.mailbox import Mailbox, SocketChannel
from wherry.engine.pools import Pool
from wherry.engine.store import DirectStore, Then, When
from wherry.invocation import Spent
from wherry.platforms.socket import EngineLink
from wherry.ports import Commit, Request
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
        self.asked = 0

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
        asks: int = 0,
    ) -> None:
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.done = 0
        self.admission = Admission()
        self._run = (cpu_s, away_s)
        self._asks = asks
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
        environment.asked = self._asks
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


def test_quick_runs_that_ask_the_store_get_more_since_others_compute_while_one_waits() -> None:
    for asks in (1, 5):
        machine = Machine(0.0003, 0.0, queued_s=0.015, asks=asks)
        assert machine.after(2.0, 32) == limits.ASKING_ENVIRONMENTS
    assert Machine(0.0003, 0.0, queued_s=0.015, asks=1).after(2.0, 2) == 2  # for two callers


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


def test_what_is_being_ended_takes_nothing_more_also_while_its_process_is_not_known_yet() -> None:
    machine = Machine(0.001, 0.0, queued_s=0.0, concurrency=1)
    machine.submit()
    machine.loop.advance(FORK_S)
    [environment] = machine.pool.busy
    environment.pid, environment.end = 0, "it is worn"
    machine.loop.advance(1.0)
    assert (environment.runs, len(machine.pool.pending)) == (1, 1)
    machine.pool.lost(environment, started=True)
    machine.loop.advance(1.0)
    assert machine.done > 1


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


def test_more_memory_reserved_than_there_is_is_told() -> None:
    """All other functions have one environment at a time then, and nothing else would say why."""

    def said(reserved: int) -> list[tuple[str, str]]:
        app = App("reserving")
        jobs = app.queue(int, name="jobs")

        @app.consume(jobs, reserved=reserved, concurrency=500, memory_mb=10_240)
        def greedy(job: int) -> None: ...

        found: list[tuple[str, str]] = []
        with running(app) as backend:
            release = backend._composed.core.active
            assert release is not None
            tell_reserved(release, lambda level, text: found.append((level, text)))
        return found

    ((level, text),) = said(500)
    assert level == "warning"
    assert "keeps 5,120,000 MB free" in text
    assert said(0) == []


class Boxes:
    """A pool of quick runs whose environments have mailboxes; runs end when the test says so."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        loop = ManualLoop(self.clock)
        self.began: list[Any] = []
        self.refuses = False
        self.channels: dict[Any, SocketChannel] = {}
        self.admission = Admission()
        self.pool = Pool(
            "function", 32, loop, self.clock, self._start, self._begin, self._post,
            lambda: True, PROCESSORS, self.admission,
        )  # fmt: skip
        self.admission.pools.append(self.pool)
        self.pool.pace_s = 0.0001
        for _ in range(4):
            environment: Any = Standing(0.0001, 0.0)
            channel = SocketChannel()
            self.channels[environment] = channel
            environment.mailbox = Mailbox(channel, cast(Any, loop))
            self.pool.starting += 1
            self.pool.ready(environment)

    def _start(self, function: str) -> None:
        raise AssertionError("there are enough")

    def _begin(self, environment: Any, work: Any, taken: bool) -> None:
        environment.work = work
        environment.mailbox.begin(b"begun", True)
        self.channels[environment].theirs.recv(limits.MAIL_BYTES)  # it has taken it
        self.began.append(environment)

    def _post(self, mailbox: Any, work: Any) -> bool:
        if not self.refuses:
            mailbox.add(work, work.name.encode(), True)
        return not self.refuses

    def submit(self, name: str) -> None:
        now_s = self.clock.steady_s()
        work: Any = SimpleNamespace(name=name, at_s=now_s, ran_from_s=now_s, members=None)
        assert self.pool.submit(work)

    def close(self) -> None:
        for channel in self.channels.values():
            channel.close()


@pytest.fixture
def boxes() -> Iterator[Boxes]:
    found = Boxes()
    yield found
    found.close()


def test_what_admission_lets_in_together_is_run_by_one_environment(boxes: Boxes) -> None:
    boxes.admission.behind = True
    for number in range(3):
        boxes.submit(f"order {number}")
    assert not boxes.began
    for _ in range(4):  # messages done
        boxes.admission.done()
    (environment,) = boxes.began
    assert [work.name for work in environment.mailbox.works] == ["order 1", "order 2"]


def test_what_is_taken_back_from_behind_a_slow_run_is_not_put_there_again(boxes: Boxes) -> None:
    boxes.submit("slow")
    boxes.submit("behind")
    (slow,) = boxes.began
    assert len(slow.mailbox.works) == 1
    boxes.clock.advance(limits.RECALL_S)
    boxes.pool.recall(slow)
    assert not slow.mailbox.works
    (_, other) = boxes.began
    assert (other is slow, other.work.name) == (False, "behind")


def test_what_is_taken_back_goes_to_who_is_idle_and_not_behind_another_run(boxes: Boxes) -> None:
    boxes.submit("slow")
    boxes.submit("behind")
    slow = boxes.began[0]
    boxes.clock.advance(limits.RECALL_S)
    boxes.submit("quick")
    assert len(boxes.began) == 2
    boxes.pool.recall(slow)
    assert [environment.work.name for environment in boxes.began] == ["slow", "quick", "behind"]


def test_what_no_mailbox_takes_costs_no_credit_of_admission(boxes: Boxes) -> None:
    boxes.submit("first")
    boxes.refuses = True
    boxes.admission.behind = True
    boxes.submit("large")
    for _ in range(2):  # messages done: 1.8 credits
        boxes.admission.done()
    assert [environment.work.name for environment in boxes.began] == ["first", "large"]


# --- versions that end --------------------------------------------------------------------------


def test_an_environment_that_is_being_ended_is_given_nothing_more() -> None:
    """Its process is still there, and idle: what came now would die with it."""
    machine = Machine(0.0003, 0.0, queued_s=0.0)
    machine.loop.call_later(0.0, machine.pool.warm, 2)
    machine.loop.advance(0.01)
    ended: Any = machine.pool.idle[-1]
    ended.kill = lambda why: setattr(ended, "end", why)
    machine.pool.end(ended, "its version was replaced")
    machine.submit()
    assert ended.end
    assert ended.work is None
    assert len(machine.pool.busy) == 2  # it counts until it is gone


class Counter(Struct):
    name: str
    count: int


def test_what_loses_a_conflict_after_its_version_has_ended_is_run_by_the_present_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App("counting")
    counters = app.table(Counter, key="name")

    @app.post("/more", grants=[counters.read, counters.write])
    def more() -> int:
        count = (counters.get("a") or Counter("a", 0)).count + 1
        counters.put(Counter("a", count))
        return count

    send = DirectStore.send
    held: list[Callable[[], None]] = []

    def hold(
        store: DirectStore, function: str, request: Request, then: Then, when: When = "soon"
    ) -> None:
        if isinstance(request, Commit) and function == "more":
            held.append(partial(send, store, function, request, then, when))
        else:
            send(store, function, request, then, when)

    with running(app) as backend:
        composed = backend._composed
        old = composed.core.active
        assert old is not None
        with monkeypatch.context() as patched:
            patched.setattr(DirectStore, "send", hold)
            waiting = composed.client.send("POST", "/more")
            composed.loop.run_ready()
        with backend.acting():
            counters.put(Counter("a", 7))
        composed._activate()
        old.functions["more"].pool.idle.clear()  # its zygote has ended
        composed.core.leave(old)
        for commit in held:
            commit()
        composed.settle(waiting)
        assert waiting.reply().json() == 8
