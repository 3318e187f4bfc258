"""Which commits share a sync: a busy engine's, and a job's with a request's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from wherry import App, Change, Struct, limits, publish
from wherry.engine.store import DirectStore, When
from wherry.engine.syncs import Syncs
from wherry.ports import Commit
from wherry.testing import Backend, running
from wherry.world import ManualClock, ManualLoop


class Of:
    """Something of which only this matters."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


class Hand:
    """What an engine has in hand (`Dispatcher`), and where its commits go (`Store`)."""

    gathers = True

    def __init__(self, open: int) -> None:
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.open = open
        self.committing: dict[Any, None] = {}
        self.running: dict[Any, None] = {}
        self.jobs: Any = Of(patient=True)
        self.feeds = Of(feeds={"jobs": self.jobs})
        self.sent: list[tuple[float, str, When]] = []
        self.batches: list[list[str]] = []  # by turn of the loop
        self._turn: list[str] = []
        self._thens: list[Callable[[Any], None]] = []
        self.syncs = Syncs(cast(Any, self), self.loop, self.clock, cast(Any, self))
        self._begun_s = self.clock.steady_s()

    def send(self, function: str, request: Any, then: Any, when: When = "soon") -> None:
        self.sent.append((round(self.clock.steady_s() - self._begun_s, 6), function, when))
        self._thens.append(then)
        if not self._turn:
            self.batches.append(self._turn)
            self.loop.call_soon(self._over)
        self._turn.append(function)

    def _over(self) -> None:
        self._turn = []

    def synced(self, took_s: float, times: int = 1) -> None:
        """Requests have been committed, one by one."""
        for _ in range(times):
            self.done("before")
            self.loop.advance(took_s)
            self._thens.pop()(None)
        self.sent.clear()
        self.batches.clear()

    @property
    def busy(self) -> bool:
        return self.open >= limits.PATIENT_FROM

    def done(self, name: str, queue: str = "", solo: str = "") -> None:
        """A run has ended, a request's or a job's; it is to be committed."""
        message = Of(queue=queue) if queue else None
        work = Of(message=message, solo=solo)
        commit = Of(function=name, guards=[])
        self.syncs.send(cast(Any, work), cast(Any, commit), lambda answer: None)


def test_one_that_is_alone_goes_at_once() -> None:
    hand = Hand(1)
    hand.done("a")
    assert hand.sent == [(0.0, "a", "now")]


def test_on_an_engine_that_is_not_busy_a_requests_commit_waits_for_nothing() -> None:
    hand = Hand(limits.PATIENT_FROM - 1)
    hand.done("a")
    assert hand.sent == [(0.0, "a", "soon")]


def test_where_syncs_are_not_ours_nothing_waits() -> None:
    hand = Hand(100)
    hand.gathers = False
    hand.done("a")
    assert hand.sent == [(0.0, "a", "soon")]


def test_a_busy_engines_commits_of_a_turn_go_together() -> None:
    """However much ends in the next ones: none waits for longer."""
    hand = Hand(limits.PATIENT_FROM)
    for name in "abc":
        hand.loop.call_soon(hand.done, name)
    hand.loop.call_soon(lambda: hand.loop.call_soon(hand.done, "d"))
    hand.loop.run_ready()
    assert hand.batches == [["a", "b", "c"], ["d"]]


# -- a job's commit beside a request -----------------------------------------------------------


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any sync takes long enough."""
    monkeypatch.setattr(limits, "COMMIT_SLOW_S", 0.0)


def test_a_jobs_commit_waits_for_a_request_where_and_while_syncs_take_their_time() -> None:
    """Where they do not, two commits in one batch take longer than one."""
    hand = Hand(2)
    hand.committing[Of()] = None
    hand.synced(limits.COMMIT_SLOW_S / 2, times=100)
    hand.done("job", queue="jobs")
    assert [name for _, name, _ in hand.sent] == ["job"]
    hand.synced(2 * limits.COMMIT_SLOW_S, times=100)
    hand.done("job", queue="jobs")
    assert hand.sent == []
    hand.synced(limits.COMMIT_SLOW_S / 2, times=100)
    hand.done("job", queue="jobs")
    assert [name for _, name, _ in hand.sent] == ["job"]


@pytest.mark.usefixtures("slow_disk")
def test_a_jobs_commit_waits_for_a_request_no_longer_than_is_said() -> None:
    hand = Hand(2)
    hand.running[Of(message=None, function=Of(writes=True))] = None
    hand.done("job", queue="jobs")
    hand.loop.advance(1.0)
    assert hand.sent == [(limits.COMMIT_ALONG_S, "job", "soon")]


@pytest.mark.usefixtures("slow_disk")
def test_a_jobs_commit_waits_for_no_request_that_only_reads() -> None:
    hand = Hand(2)
    hand.running[Of(message=None, function=Of(writes=False))] = None
    hand.done("job", queue="jobs")
    assert hand.sent == [(0.0, "job", "soon")]


@pytest.mark.usefixtures("slow_disk")
def test_a_jobs_commit_goes_behind_that_of_the_request() -> None:
    """Which has not seen what it writes, and would have to be run again."""
    hand = Hand(2)
    hand.committing[Of()] = None
    hand.done("job", queue="jobs")
    hand.done("request")
    hand.loop.run_ready()
    assert hand.batches == [["request", "job"]]


@pytest.mark.usefixtures("slow_disk")
def test_a_jobs_commit_waits_no_longer_when_there_is_more_for_its_consumer() -> None:
    """Its place is needed."""
    hand = Hand(2)
    hand.committing[Of()] = None
    hand.done("job", queue="jobs")
    hand.jobs.patient = False
    hand.loop.advance(limits.COMMIT_LOOK_S)
    assert [name for _, name, _ in hand.sent] == ["job"]


@pytest.mark.usefixtures("slow_disk")
def test_who_has_a_key_for_himself_waits_for_nobody() -> None:
    hand = Hand(2)
    hand.committing[Of()] = None
    hand.done("job", queue="jobs", solo="things/a")
    assert hand.sent == [(0.0, "job", "soon")]


@pytest.mark.usefixtures("slow_disk")
def test_a_jobs_commit_goes_when_no_request_is_left() -> None:
    """Not at once: the next one of the same caller is a moment away."""
    hand = Hand(2)
    hand.committing[Of()] = None
    hand.done("job", queue="jobs")
    hand.committing.clear()
    hand.loop.advance(limits.COMMIT_LOOK_S)
    assert hand.sent == []
    hand.loop.advance(limits.COMMIT_LOOK_S)
    assert [name for _, name, _ in hand.sent] == ["job"]


class Job(Struct):
    name: str


class Thing(Struct):
    name: str
    count: int = 0


class Other(Struct):
    name: str


@contextmanager
def shop(
    fifo: bool = False,
    sends: bool = False,
    publishes: bool = False,
    heard: bool = False,
    reads: bool = False,
    concurrency: int = 32,
) -> Iterator[Backend]:
    """Requests that are run one after the other, each with a job that is run beside the next."""
    app = App("shop")
    group: Callable[[Job], str] = lambda job: job.name  # noqa: E731
    jobs = app.queue(Job, fifo=True, group=group) if fifo else app.queue(Job)
    others = app.queue(Other)
    things = app.table(Thing, key="name")

    @app.event("shop.done")
    class Done(Struct):
        name: str

    @app.post("/things", grants=[things.write, jobs.send], concurrency=1)
    def make(thing: Thing) -> None:
        things.put(thing)
        jobs.send(Job(thing.name))

    grants: list[Any] = [things.write, things.read]
    grants += [others.send] * sends + [publish[Done]] * publishes

    @app.consume(jobs, grants=grants, concurrency=concurrency)
    def work(job: Job) -> None:
        if reads:
            things.get(job.name)
        things.put(Thing(job.name, count=1))

    @app.consume(others)
    def read(other: Other) -> None: ...

    if heard:

        @things.on_change()
        def hear(change: Change[Thing]) -> None: ...

    with running(app) as backend:
        backend._composed.core.feeds.pause(False)
        yield backend


def batches(monkeypatch: pytest.MonkeyPatch, backend: Backend) -> list[list[str]]:
    """Send four requests; return whose commits shared a sync."""
    found: list[list[str]] = []
    flush = DirectStore._flush

    def told(store: DirectStore) -> None:
        found.append([name for name, one, _ in store._batch if isinstance(one, Commit)])
        flush(store)

    monkeypatch.setattr(DirectStore, "_flush", told)
    monkeypatch.setattr(DirectStore, "gathers", True)
    replies = backend.together(*[("POST", "/things", f'{{"name":"{n}"}}') for n in "abcd"])
    backend.drain()
    assert [reply.status for reply in replies] == [204] * 4
    return [batch for batch in found if batch]


@pytest.mark.usefixtures("slow_disk")
def test_a_jobs_commit_goes_with_the_next_one_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would keep the store at its sync when that comes."""
    with shop() as backend:
        found = batches(monkeypatch, backend)
        assert sum(batch == ["work"] for batch in found) <= 1  # the last one
        assert sum("work" in batch and "make" in batch for batch in found) >= 2


@pytest.mark.usefixtures("slow_disk")
@pytest.mark.parametrize(
    "waited_for",
    [
        {"fifo": True},
        {"sends": True},
        {"publishes": True},
        {"heard": True},
        {"concurrency": 1},
        {"reads": True},
    ],
)
def test_a_jobs_commit_does_not_linger_where_something_goes_on_with_it(
    monkeypatch: pytest.MonkeyPatch, waited_for: dict[str, Any]
) -> None:
    """The next of its group, what it may begin, who needs its place, what it has read."""
    held: list[Syncs] = []
    wait = Syncs._wait

    def told(syncs: Syncs) -> None:
        held.append(syncs)
        wait(syncs)

    monkeypatch.setattr(Syncs, "_wait", told)
    with shop(**waited_for) as backend:
        batches(monkeypatch, backend)
        assert held == []
    with shop() as backend:
        batches(monkeypatch, backend)
        assert held
