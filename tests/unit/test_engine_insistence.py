"""What a run came to is sent again while the store is in trouble; its handler is not run for that,
and where the store never takes it, the attempt is over, and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wherry import App, Batch, Struct, limits
from wherry.engine.store import DirectStore, When
from wherry.errors import StoreFull
from wherry.ports import Commit
from wherry.testing import Backend, running


class Job(Struct):
    name: str


class Thing(Struct):
    name: str
    count: int = 0


class Other(Struct):
    name: str


ATTEMPTS = 3
Consume = Callable[[App, Any, Any, list[str]], None]


def one_by_one(app: App, jobs: Any, things: Any, runs: list[str]) -> None:
    @app.consume(jobs, grants=[things.write])
    def work(job: Job) -> None:
        runs.append(job.name)
        things.add(job.name, count=1)


def in_batches(app: App, jobs: Any, things: Any, runs: list[str]) -> None:
    @app.consume(jobs, batch=2, grants=[things.write])
    def work(batch: Batch[Job]) -> None:
        for job in batch.values:
            runs.append(job.name)
            things.add(job.name, count=1)


@contextmanager
def consuming(consume: Consume) -> Iterator[tuple[Backend, Any, Any, list[str]]]:
    app = App("insistent")
    jobs = app.queue(Job, max_attempts=ATTEMPTS)
    things = app.table(Thing, key="name")
    runs: list[str] = []
    consume(app, jobs, things, runs)
    with running(app) as backend:
        with backend.acting():
            jobs.send(Job("a"))
            jobs.send(Job("b"))
        yield backend, jobs, things, runs


@pytest.mark.parametrize("consume", [one_by_one, in_batches])
def test_a_commit_that_comes_to_nothing_is_made_again_without_a_run(consume: Consume) -> None:
    with consuming(consume) as (backend, _, things, runs):
        with backend.fail(things, times=limits.COMMIT_TRIES - 1):
            backend.drain()
        assert sorted(runs) == ["a", "b"]
        assert backend.items(things) == [Thing("a", 1), Thing("b", 1)]
        assert backend.failures() == []


@pytest.mark.parametrize("consume", [one_by_one, in_batches])
def test_no_message_is_run_more_often_than_it_has_attempts(consume: Consume) -> None:
    with consuming(consume) as (backend, _, things, runs):
        with backend.fail(things, error="the cable is unplugged"):
            backend.drain()
        assert sorted(runs) == ["a"] * ATTEMPTS + ["b"] * ATTEMPTS
        failures = backend.failures()
        assert [one.attempts for one in failures] == [ATTEMPTS] * 2
        assert all("10 commits" in one.error for one in failures)
        assert all("the cable is unplugged" in one.error for one in failures)
        backend.redrive(*failures)
        backend.drain()
        assert backend.items(things) == [Thing("a", 1), Thing("b", 1)]


def test_the_log_says_once_that_the_store_does_not_take_it() -> None:
    with consuming(one_by_one) as (backend, _, things, _runs):
        with backend.fail(things, times=6):
            backend.drain()
        told = [line for line in backend.logs if "it is sent again" in line["message"]]
        assert len(told) == 2
        assert {line["function_name"] for line in told} == {"work"}


def test_what_waits_for_room_costs_no_attempt_however_long_it_takes() -> None:
    with consuming(one_by_one) as (backend, _, things, runs):
        with backend.fail(things, error=StoreFull("no room"), times=500):
            backend.drain()
        assert sorted(runs) == ["a", "b"]
        assert {row.attempt for row in backend.records if row.ending == "ok"} == {1}


def test_a_task_whose_end_is_never_taken_is_told_to_its_execution() -> None:
    """Its attempts are bounded too, and its workflow can catch that."""
    app = App("insistent")
    things = app.table(Thing, key="name")
    runs: list[str] = []

    @app.task(grants=[things.write])
    def work(thing: Thing) -> None:
        runs.append(thing.name)
        things.add(thing.name, count=1)

    caught = {"ErrorEquals": ["States.ALL"], "Next": "Caught"}
    states = {
        "Work": {"Type": "Task", "Resource": "work", "Catch": [caught], "End": True},
        "Caught": {"Type": "Pass", "End": True},
    }
    flow = app.workflow("flow", definition={"StartAt": "Work", "States": states}, input=Thing)
    with running(app) as backend:
        with backend.acting():
            flow.start(Thing("a"), name="one")
        with backend.fail(things):
            backend.drain()
        assert runs == ["a"] * limits.MAX_ATTEMPTS
        with backend.acting():
            found = flow.describe("one")
        assert found is not None
        assert found.status == "SUCCEEDED"
        assert backend.items(things) == []


def beside_a_request(
    monkeypatch: pytest.MonkeyPatch, fifo: bool = False, sends: bool = False
) -> list[str]:
    """Run a job while a request is on its way; return how soon its commit was to be sent."""
    app = App("insistent")
    group: Callable[[Job], str] = lambda job: job.name  # noqa: E731
    jobs = app.queue(Job, fifo=True, group=group) if fifo else app.queue(Job)
    others = app.queue(Other)
    things = app.table(Thing, key="name")

    @app.post("/things", grants=[things.write, jobs.send], concurrency=1)
    def make(thing: Thing) -> None:
        things.put(thing)
        jobs.send(Job(thing.name))

    @app.consume(jobs, grants=[things.write, others.send] if sends else [things.write])
    def work(job: Job) -> None:
        things.add(job.name, count=1)

    @app.consume(others)
    def read(other: Other) -> None: ...

    said: list[str] = []
    send = DirectStore.send

    def told(
        store: DirectStore, function: str, request: Any, then: Any, when: When = "soon"
    ) -> None:
        if isinstance(request, Commit) and function == "work":
            said.append(when)
        send(store, function, request, then, when)

    monkeypatch.setattr(DirectStore, "send", told)
    with running(app) as backend:
        backend._composed.core.feeds.pause(False)
        backend.together(*[("POST", "/things", '{"name":"a"}')] * 4)
        backend.drain()
    return said


def test_a_jobs_commit_goes_along_with_that_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself it would keep the store at its sync when that comes."""
    said = beside_a_request(monkeypatch)
    assert said == ["along"] * 3 + ["now"]


@pytest.mark.parametrize("waited_for", [{"fifo": True}, {"sends": True}])
def test_a_jobs_commit_does_not_linger_where_another_message_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, waited_for: dict[str, bool]
) -> None:
    """The next one of its group, or one that it sends."""
    assert "along" not in beside_a_request(monkeypatch, **waited_for)
