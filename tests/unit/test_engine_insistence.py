"""What a run came to is sent again while the store is in trouble; its handler is not run for that,
and where the store never takes it, the attempt is over, and counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from wherry import App, Batch, Struct, limits
from wherry.errors import StoreFull
from wherry.testing import Backend, running


class Job(Struct):
    name: str


class Thing(Struct):
    name: str
    count: int = 0


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
