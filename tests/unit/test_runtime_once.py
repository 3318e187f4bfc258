"""`once_per`: of messages with one key, one is done; the key is stored by its commit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from tests.unit.runtime_kit import Runs, effects
from wherry import App, Batch
from wherry.testing import running


class Job(Struct):
    """A message about an order."""

    order_id: str
    note: str = ""


class Done(Struct):
    """An item."""

    order_id: str


app = App("once")
done = app.table(Done, key="order_id")
jobs = app.queue(Job)
many = app.queue(Job, name="many")
all_jobs = app.queue(Job, name="all_jobs")
aws_jobs = app.queue(Job, name="aws_jobs")
ran: list[str] = []


def key(job: Job) -> Any:
    odd = {"": "", "none": None, "odd": object(), "inner": ["o1", object()], "nan": float("nan")}
    odd["set"] = set(job.note.split())
    return odd.get(job.order_id, (job.order_id, 1))


@app.post("/send", grants=[jobs.send, many.send, all_jobs.send, aws_jobs.send])
def send() -> None: ...


@app.consume(jobs, once_per=key, once_s=60, grants=[done.write])
def single(job: Job) -> None:
    ran.append(job.note)
    if job.note == "fail":
        raise ValueError("not now")
    done.put(Done(job.order_id))


@app.consume(many, once_per=key, batch=10, grants=[done.write])
def each(batch: Batch[Job]) -> None:
    for item in batch:
        with item as job:
            single(job)


@app.consume(all_jobs, once_per=key, batch=10, grants=[done.write])
def whole(batch: Batch[Job]) -> None:
    for job in batch.values:
        single(job)


@app.consume(aws_jobs, once_per=lambda job: job.order_id, grants=[done.write])
def aws(event, context):  # type: ignore[no-untyped-def]
    ran.append(event["Records"][0]["body"])


@pytest.fixture
def backend() -> Iterator[Any]:
    ran.clear()
    with running(app) as found:
        yield found


def test_the_key_goes_with_the_commit_and_later_messages_are_done_already(backend: Any) -> None:
    runs = Runs(app, backend, "single")
    first = runs.one(Job("o1", "first"), "m1")
    assert first.once is not None
    assert first.once.key.startswith("once/single/")
    assert first.once.keep_s == 60
    runs.commit(first)
    second = runs.one(Job("o1", "second"), "m2")
    assert (second.failure, second.once, effects(second)) == (None, None, [])
    assert second.marks == ["done before"]
    other = runs.one(Job("o2", "other"), "m3")
    assert other.once is not None
    assert other.once.key != first.once.key
    assert ran == ["first", "other"]


def test_what_failed_was_not_done(backend: Any) -> None:
    runs = Runs(app, backend, "single")
    assert runs.one(Job("o1", "fail"), "m1").failure is not None
    assert runs.one(Job("o1", "again"), "m2").once is not None
    assert ran == ["fail", "again"]


def test_a_key_is_forgotten_when_its_time_is_over(backend: Any) -> None:
    runs = Runs(app, backend, "single")
    runs.commit(runs.one(Job("o1", "first"), "m1"))
    backend.advance(61)
    assert runs.one(Job("o1", "later"), "m2").once is not None
    assert ran == ["first", "later"]


def test_a_set_is_the_same_key_in_whatever_order(backend: Any) -> None:
    runs = Runs(app, backend, "single")
    names = [str(number) for number in range(40)]
    first = runs.one(Job("set", " ".join(names)), "m1")
    again = runs.one(Job("set", " ".join(reversed(names))), "m2")
    assert first.once is not None
    assert again.once is not None
    assert first.once.key == again.once.key


@pytest.mark.parametrize("order_id", ["", "none", "odd", "inner", "nan"])
def test_a_key_that_tells_nothing_apart_is_refused(backend: Any, order_id: str) -> None:
    failure = Runs(app, backend, "single").one(Job(order_id)).failure
    assert failure is not None
    assert failure.code == "refused"
    assert "once_per" in failure.message
    assert ran == []


def test_a_batch_leaves_out_what_was_done_and_repeats_within_it(backend: Any) -> None:
    """The first of a key is handed over; the others of the batch end as it does."""
    runs = Runs(app, backend, "each")
    (before,) = runs.batch(Job("o1", "before")).items
    runs.commit(before)
    outcome = runs.batch(Job("o1", "x"), Job("o2", "first"), Job("o2", "x"), Job("o3", "third"))
    assert ran == ["before", "first", "third"]
    assert [one.failure for one in outcome.items] == [None] * 4
    assert [one.once is not None for one in outcome.items] == [False, True, False, True]
    assert [len(effects(one)) for one in outcome.items] == [0, 1, 0, 1]


def test_a_repeat_within_a_batch_fails_with_the_first(backend: Any) -> None:
    outcome = Runs(app, backend, "each").batch(Job("o1", "fail"), Job("o1", "x"))
    assert ran == ["fail"]
    assert [one.failure.message for one in outcome.items if one.failure] == ["not now"] * 2


def test_a_batch_that_is_done_as_a_whole_stores_each_key_once(backend: Any) -> None:
    runs = Runs(app, backend, "whole")
    outcome = runs.batch(Job("o1", "a"), Job("o1", "x"), Job("o2", "b"))
    assert ran == ["a", "b"]
    assert [one.own for one in outcome.items] == [False] * 3
    assert [one.once is not None for one in outcome.items] == [True, False, True]
    assert len(effects(outcome)) == 2


def test_a_plain_handler_is_keyed_by_the_payload_of_its_queue(backend: Any) -> None:
    runs = Runs(app, backend, "aws")
    first = runs.one(Job("o1"), "m1")
    runs.commit(first)
    assert runs.one(Job("o1"), "m2").marks == ["done before"]
    assert len(ran) == 1
    failure = runs.one(b"no json").failure
    assert failure is not None
    assert failure.code == "do_not_retry"
