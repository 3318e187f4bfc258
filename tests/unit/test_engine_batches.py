"""Batches in the engine: how they are gathered and split, what becomes of each message."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import pytest
from msgspec import Struct

from wherry import App, Batch, DoNotRetry, current, limits
from wherry.ports import Pause
from wherry.testing import Backend, running


class Job(Struct):
    key: str
    do: str = ""


class Done(Struct):
    key: str
    count: int = 0


@contextmanager
def consuming(
    act: Callable[[Any, Batch[Job]], None], twice: bool = False, **options: Any
) -> Iterator[tuple[Backend, Any, Any, list[list[str]]]]:
    """A consumer of batches of up to 8; each run's keys are listed."""
    app = App("gathering")
    done = app.table(Done, key="key")
    jobs = app.queue(Job, retry_base_s=1, max_attempts=3)
    runs: list[list[str]] = []

    @app.consume(jobs, grants=[done.read, done.write], **({"batch": 8} | options))
    def work(batch: Batch[Job]) -> None:
        runs.append([job.key for job in batch.values])
        act(done, batch)

    with running(app, twice=twice) as backend:
        yield backend, jobs, done, runs


def send(backend: Backend, jobs: Any, *wanted: Job) -> None:
    with backend.acting():
        for job in wanted:
            jobs.send(job)


def each(done: Any, batch: Batch[Job]) -> None:
    for item in batch:
        with item as job:
            done.add(job.key, count=1)
            if job.do == "fail":
                raise ValueError("not this one")
            if job.do == "give up":
                raise DoNotRetry("no use")


def all_at_once(done: Any, batch: Batch[Job]) -> None:
    for job in batch.values:
        done.add(job.key, count=1)
        if job.do == "fail":
            raise ValueError("one of them")
        if job.do == "give up":
            raise DoNotRetry("no use")


def counts(backend: Backend, done: Any) -> dict[str, int]:
    return {one.key: one.count for one in backend.items(done)}


def jobs_of(text: str) -> list[Job]:
    """`a b! c?`: b fails each time, c is given up."""
    kinds = {"!": "fail", "?": "give up"}
    return [Job(one.rstrip("!?"), kinds.get(one[-1], "")) for one in text.split()]


# --- gathering ----------------------------------------------------------------------------------


def test_what_waits_comes_at_once_and_in_full_batches() -> None:
    """One claim or many: nothing comes in smaller ones than it must."""
    with consuming(each) as (backend, jobs, done, runs):
        send(backend, jobs, *(Job(f"j{number:02}") for number in range(20)))
        backend.drain()
        assert [len(run) for run in runs] == [8, 8, 4]
        assert list(chain(*runs)) == sorted(counts(backend, done))
    with consuming(each, batch=100) as (backend, jobs, done, runs):
        for _ in range(2):
            send(backend, jobs, *(Job(f"k{len(runs)}-{number}") for number in range(80)))
        backend.drain()
        assert [len(run) for run in runs] == [100, 60]


def test_the_first_message_waits_for_its_window_and_a_full_batch_does_not() -> None:
    with consuming(each, window_s=2.0) as (backend, jobs, _done, runs):
        send(backend, jobs, Job("a"))
        backend.advance(1.5)
        assert runs == []
        send(backend, jobs, Job("b"))
        backend.advance(0.4)
        assert runs == []
        backend.advance(0.2)
        assert runs == [["a", "b"]]
        send(backend, jobs, *(Job(f"full{number}") for number in range(8)))
        backend.advance(0.0)
        assert len(runs[-1]) == 8


def test_a_window_longer_than_a_lease_is_waited_for() -> None:
    """What waits for others is held, and its attempt does not count."""
    with consuming(each, window_s=200.0) as (backend, jobs, _done, runs):
        send(backend, jobs, Job("a"))
        backend.advance(150)
        backend.clock.advance(10)
        send(backend, jobs, Job("b"))
        backend.drain()
        assert runs == [["a", "b"]]
        assert [row.attempt for row in backend.records if row.function == "work"] == [1, 1]


@pytest.mark.parametrize("paused", ["work", ""])
def test_what_gathers_waits_with_the_rest_where_its_function_is_paused(paused: str) -> None:
    """Nothing begins amid a pause; afterwards all come together, and no attempt was counted."""
    with consuming(each, window_s=2.0) as (backend, jobs, _done, runs):
        send(backend, jobs, Job("a"))
        backend.advance(1.0)
        backend._composed.ask(Pause(paused, True, "ops"))
        backend.advance(3.0)
        send(backend, jobs, Job("b"))
        backend.advance(60.0)
        assert runs == []
        backend._composed.ask(Pause(paused, False, "ops"))
        backend.drain()
        assert runs == [["a", "b"]]
        assert [row.attempt for row in backend.records if row.function == "work"] == [1, 1]


def test_a_batch_stays_below_what_an_environment_is_handed_at_once() -> None:
    text = "x" * 300_000
    with consuming(each, batch=100) as (backend, jobs, _done, runs):
        for number in range(24):
            send(backend, jobs, Job(str(number), text))
        backend.drain()
        assert sorted(chain(*runs), key=int) == [str(number) for number in range(24)]
        assert max(map(len, runs)) <= limits.BATCH_BYTES // 300_000


def test_the_concurrency_counts_runs_not_messages() -> None:
    with consuming(each, concurrency=1) as (backend, jobs, _done, runs):
        send(backend, jobs, *(Job(f"j{number}") for number in range(40)))
        backend.drain()
        assert [len(run) for run in runs] == [8] * 5


# --- each message its own -----------------------------------------------------------------------


def test_each_message_has_its_own_end_record_and_line() -> None:
    with consuming(each) as (backend, jobs, done, runs):
        for job in jobs_of("a b! c d?"):
            send(backend, jobs, job)
        backend.drain()
        assert counts(backend, done) == {"a": 1, "c": 1}
        assert runs == [["a", "b", "c", "d"], ["b"], ["b"]]
        records = [row for row in backend.records if row.function == "work"]
        assert [(row.ending, row.attempt) for row in records] == [
            ("ok", 1), ("failed", 1), ("ok", 1), ("failed", 1), ("failed", 2), ("failed", 3),
        ]  # fmt: skip
        assert len({row.correlation_id for row in records}) == 4
        assert records[0].marks == ["add dones/a"] or "a" in records[0].marks[0]
        found = {row.attempts: row.code for row in backend.failures()}
        assert found == {3: "handler_failed", 1: "do_not_retry"}
        lines = [line for line in backend.logs if line.get("function_name") == "work"]
        endings = [line["ending"] for line in lines if "ending" in line]
        assert sorted(endings) == ["failed"] * 4 + ["ok"] * 2
        assert "b" in backend.timeline(records[1].correlation_id)


def test_what_was_decided_for_all_is_one_commit_with_a_record_for_each() -> None:
    with consuming(all_at_once) as (backend, jobs, done, _runs):
        for job in jobs_of("a b c"):
            send(backend, jobs, job)
        backend.drain()
        assert counts(backend, done) == {"a": 1, "b": 1, "c": 1}
        records = [row for row in backend.records if row.function == "work"]
        assert [row.ending for row in records] == ["ok"] * 3
        assert len({row.correlation_id for row in records}) == 3


def test_only_what_conflicted_runs_again() -> None:
    def read_and_put(done: Any, batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:
                found = done.get(job.key) or Done(job.key)
                done.put(Done(job.key, found.count + 1))

    with consuming(read_and_put) as (backend, jobs, done, runs):
        send(backend, jobs, *jobs_of("a b a c"))
        backend.drain()
        assert runs == [["a", "b", "a", "c"], ["a"]]
        assert counts(backend, done) == {"a": 2, "b": 1, "c": 1}


def test_a_decision_for_all_that_conflicts_is_taken_again_for_all() -> None:
    def read_and_put(done: Any, batch: Batch[Job]) -> None:
        for job in batch.values:
            found = done.get(job.key) or Done(job.key)
            done.put(Done(job.key, found.count + 1))

    with consuming(read_and_put) as (backend, jobs, done, runs):
        backend.conflict_next(done, times=2)
        send(backend, jobs, *jobs_of("a b"))
        backend.drain()
        assert runs == [["a", "b"]] * 3
        assert counts(backend, done) == {"a": 1, "b": 1}
        endings = [row.ending for row in backend.records if row.function == "work"]
        assert endings == ["conflict"] * 4 + ["ok"] * 2
        assert {row.attempt for row in backend.records} == {1}


@pytest.mark.parametrize("act", [each, all_at_once])
def test_a_lost_lease_drops_its_message_from_the_batch_and_no_other(act: Any) -> None:
    """It was delivered again meanwhile; every effect is there once."""
    with consuming(act) as (backend, jobs, done, _runs):
        with backend.duplicate(jobs):
            send(backend, jobs, *jobs_of("a b c"))
            backend.drain()
        assert counts(backend, done) == {"a": 1, "b": 1, "c": 1}
        assert not backend.failures()


@pytest.mark.parametrize("act", [each, all_at_once])
def test_a_commit_whose_answer_was_lost_is_not_applied_again(act: Any) -> None:
    with consuming(act) as (backend, jobs, done, _runs):
        backend.crash_after_commit(2)
        send(backend, jobs, *jobs_of("a b c"))
        backend.drain()
        assert counts(backend, done) == {"a": 1, "b": 1, "c": 1}


def test_a_batch_is_compared_with_its_repeat() -> None:
    with consuming(each, twice=True) as (backend, jobs, done, runs):
        send(backend, jobs, *jobs_of("a b c"))
        backend.drain()
        assert runs == [["a", "b", "c"]] * 2
        assert counts(backend, done) == {"a": 1, "b": 1, "c": 1}


# --- failures of the whole ----------------------------------------------------------------------


def test_a_poison_message_is_found_and_costs_no_other_an_attempt() -> None:
    with consuming(all_at_once) as (backend, jobs, done, runs):
        send(backend, jobs, *jobs_of("a b c d e f! g h"))
        backend.drain()
        assert counts(backend, done) == dict.fromkeys("abcdegh", 1)
        assert runs[:6] == [
            list("abcdefgh"), list("abcd"), list("efgh"), list("ef"), list("gh"), ["e"],
        ]  # fmt: skip
        (failure,) = backend.failures()
        assert failure.attempts == 3
        ok = [row for row in backend.records if row.ending == "ok" and row.function == "work"]
        assert {row.attempt for row in ok} == {1}


def test_giving_up_is_only_for_the_message_that_was_alone() -> None:
    with consuming(all_at_once) as (backend, jobs, done, _runs):
        send(backend, jobs, *jobs_of("a b? c d"))
        backend.drain()
        assert counts(backend, done) == {"a": 1, "c": 1, "d": 1}
        (failure,) = backend.failures()
        assert (failure.code, failure.attempts) == ("do_not_retry", 1)


def test_where_all_fail_each_has_its_attempts_and_it_ends() -> None:
    with consuming(all_at_once) as (backend, jobs, done, runs):
        send(backend, jobs, *jobs_of("a! b! c! d! e!"))
        backend.drain()
        assert counts(backend, done) == {}
        assert [row.attempts for row in backend.failures()] == [3] * 5
        assert len(runs) <= 3 * (2 * 5 - 1)


def test_an_environment_that_dies_splits_its_batch() -> None:
    with consuming(all_at_once) as (backend, jobs, done, runs):
        backend.crash_before_commit()
        send(backend, jobs, *jobs_of("a b c d"))
        backend.drain()
        assert runs == [list("abcd"), list("ab"), list("cd")]
        assert counts(backend, done) == dict.fromkeys("abcd", 1)
        rows = [row for row in backend.records if row.function == "work"]
        assert [row.ending for row in rows] == ["died"] * 4 + ["ok"] * 4
        assert {row.attempt for row in rows} == {1}


def test_a_batch_that_is_over_its_time_is_split() -> None:
    def slow(done: Any, batch: Batch[Job]) -> None:
        backends[0].clock.advance(0.4 * len(batch))
        each(done, batch)

    backends: list[Backend] = []
    with consuming(slow, timeout_s=1) as (backend, jobs, done, runs):
        backends.append(backend)
        send(backend, jobs, *jobs_of("a b c d"))
        backend.drain()
        assert runs == [list("abcd"), list("ab"), list("cd")]
        assert counts(backend, done) == dict.fromkeys("abcd", 1)


def test_a_condition_that_does_not_hold_is_of_one_message_only() -> None:
    def insert(done: Any, batch: Batch[Job]) -> None:
        for job in batch.values:
            done.put(Done(job.key), if_absent=True)

    with consuming(insert) as (backend, jobs, done, _runs):
        with backend.acting():
            done.put(Done("c"))
        send(backend, jobs, *jobs_of("a b c d"))
        backend.drain()
        assert set(counts(backend, done)) == set("abcd")
        (failure,) = backend.failures()
        assert failure.code == "condition_failed"


def test_a_store_in_trouble_costs_no_attempt_and_splits_nothing() -> None:
    with consuming(all_at_once) as (backend, jobs, done, runs):
        with backend.fail(done, times=1):
            send(backend, jobs, *jobs_of("a b c d"))
            backend.drain()
        assert runs == [list("abcd")]  # only its commit was made again
        assert {row.attempt for row in backend.records if row.ending == "ok"} == {1}


def test_what_is_tried_again_does_not_keep_company_with_what_is_fresh() -> None:
    with consuming(all_at_once) as (backend, jobs, _done, runs):
        send(backend, jobs, *jobs_of("bad!"))
        backend.advance(0.0)
        backend.clock.advance(5)
        send(backend, jobs, *jobs_of("a b"))
        backend.drain()
        assert ["a", "b"] in runs


# --- once for a key -----------------------------------------------------------------------------


@pytest.mark.parametrize("act", [each, all_at_once])
def test_of_a_key_one_message_is_done_and_the_others_are_duplicates(act: Any) -> None:
    options: dict[str, Any] = {"once_per": lambda job: job.key, "once_s": 60}
    with consuming(act, **options) as (backend, jobs, done, _runs):
        send(backend, jobs, *jobs_of("a b a"))
        backend.drain()
        assert counts(backend, done) == {"a": 1, "b": 1}
        send(backend, jobs, *jobs_of("a c"))
        backend.drain()
        assert counts(backend, done) == {"a": 1, "b": 1, "c": 1}
        assert not backend.messages(jobs)
        endings = [row.ending for row in backend.records if row.function == "work"]
        assert sorted(endings) == ["duplicate"] * 2 + ["ok"] * 3
        backend.clock.advance(61)
        send(backend, jobs, *jobs_of("a"))
        backend.drain()
        assert counts(backend, done)["a"] == 2


def test_one_message_at_a_time_is_done_once_for_its_key_too() -> None:
    """Two that run side by side: the commit decides, and the loser leaves nothing behind."""
    app = App("once")
    done = app.table(Done, key="key")
    jobs = app.queue(Job)

    @app.consume(jobs, once_per=lambda job: job.key, grants=[done.write])
    def work(job: Job) -> None:
        done.add(job.key, count=1)
        assert current().attempt == 1

    with running(app) as backend:
        send(backend, jobs, *jobs_of("a a a b"))
        backend.drain()
        assert counts(backend, done) == {"a": 1, "b": 1}
        endings = [row.ending for row in backend.records if row.function == "work"]
        assert sorted(endings) == ["duplicate", "duplicate", "ok", "ok"]
        assert not backend.failures()


def test_a_repeat_runs_where_the_one_before_it_in_its_batch_was_not_done() -> None:
    """Both have one `once_per` key; the commit of the first fails, so the other is no repeat."""

    def act(done: Any, batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:
                done.put(Done("taken" if job.do else job.key, 7), if_absent=True)

    with consuming(act, once_per=lambda job: job.key) as (backend, jobs, done, _runs):
        with backend.acting():
            done.put(Done("taken", 1))
        send(backend, jobs, Job("a", "collide"), Job("a"), Job("b"), Job("b"))
        backend.drain()
        assert counts(backend, done) == {"taken": 1, "a": 7, "b": 7}
        assert len(backend.failures()) == 1
