"""The test kit delivers what comes in order, in turn, in batches and from events."""

from __future__ import annotations

import pytest
from msgspec import Struct

from wherry import App, Batch, Change, current, publish
from wherry.testing import running


class Job(Struct):
    group: str
    number: int
    fails: bool = False


class Done(Struct):
    key: str
    count: int = 0


def test_groups_come_in_order_and_a_batch_holds_what_is_next_of_each() -> None:
    app = App("ordered")
    jobs = app.queue(Job, fifo=True, group=lambda job: job.group)
    runs: list[list[tuple[str, int]]] = []

    @app.consume(jobs, batch=6)
    def work(batch: Batch[Job]) -> None:
        runs.append([(job.group, job.number) for job in batch.values])

    with running(app) as backend:
        with backend.acting():
            for number in range(4):
                for group in "abc":
                    jobs.send(Job(group, number))
        backend.drain()
    assert runs == [
        [("a", 0), ("a", 1), ("a", 2), ("a", 3), ("b", 0), ("c", 0)],
        [("b", 1), ("b", 2), ("b", 3), ("c", 1), ("c", 2), ("c", 3)],
    ]


def test_an_item_that_fails_stops_those_behind_it_in_its_group_and_costs_them_nothing() -> None:
    app = App("stopped")
    done = app.table(Done, key="key")
    jobs = app.queue(Job, fifo=True, group=lambda job: job.group, retry_base_s=1)
    entered: list[tuple[str, int]] = []

    @app.consume(jobs, batch=10, grants=[done.write])
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:
                entered.append((job.group, job.number))
                done.add(f"{job.group}{job.number}", count=1)
                if job.fails and current().attempt < 3:
                    raise ValueError("not yet")

    with running(app) as backend:
        with backend.acting():
            for number in range(4):
                jobs.send(Job("a", number, fails=number == 1))
                jobs.send(Job("b", number))
        backend.advance(0.0)
        assert entered == [("a", 0), ("a", 1), *(("b", number) for number in range(4))]
        backend.drain()
        assert entered[6:] == [("a", 1), ("a", 1), ("a", 2), ("a", 3)]
        assert {one.count for one in backend.items(done)} == {1}
        attempts = [
            row.attempt for row in backend.records if (row.function, row.ending) == ("work", "ok")
        ]
        assert sorted(attempts) == [1] * 7 + [3]


def test_a_group_is_split_in_order_until_what_fails_is_alone() -> None:
    app = App("split")
    done = app.table(Done, key="key")
    jobs = app.queue(Job, fifo=True, group=lambda job: job.group, max_attempts=1)
    runs: list[list[int]] = []

    @app.consume(jobs, batch=4, grants=[done.write])
    def work(batch: Batch[Job]) -> None:
        runs.append([job.number for job in batch.values])
        for job in batch.values:
            done.add(str(job.number), count=1)
        if any(job.fails for job in batch.values):
            raise ValueError("one of them")

    with running(app) as backend:
        with backend.acting():
            for number in range(4):
                jobs.send(Job("a", number, fails=number == 1))
        backend.drain()
        assert runs == [[0, 1, 2, 3], [0, 1], [0], [1, 2, 3], [1, 2], [1], [2, 3]]
        assert {one.key for one in backend.items(done)} == {"0", "2", "3"}
        assert [row.attempts for row in backend.failures()] == [1]


def test_a_step_inside_an_item_is_of_its_message() -> None:
    app = App("steps")
    jobs, later = app.queue(Job), app.queue(Job, name="later")

    def send_later(number: int) -> None:
        later.send(Job("later", number))

    @app.consume(jobs, batch=4, grants=[later.send])
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            with item as job:
                app.atomic("later", send_later, job.number)

    @app.consume(later)
    def finish(job: Job) -> None: ...

    with running(app) as backend:
        for number in range(2):
            with backend.acting():
                jobs.send(Job("a", number))
        backend.drain()
        by_run = {row.correlation_id: row for row in backend.records if row.function == "work"}
        steps = [row for row in backend.records if row.trigger == "step later"]
        ends = [row for row in backend.records if row.function == "finish"]
    assert len(by_run) == 2
    assert {row.correlation_id for row in steps} == set(by_run)
    assert {row.correlation_id for row in ends} == set(by_run)


@pytest.mark.parametrize("batch", [1, 5])
def test_what_waits_behind_a_dead_message_is_no_endless_loop(batch: int) -> None:
    """`drain` and `advance` end; redriven, the group goes on."""
    app = App("blocked")
    jobs = app.queue(
        Job, fifo=True, group=lambda job: job.group, on_failure="block", max_attempts=2
    )
    done: list[tuple[str, int]] = []
    broken = [True]

    def act(job: Job) -> None:
        if job.fails and broken[0]:
            raise ValueError("not yet")
        done.append((job.group, job.number))

    if batch == 1:

        @app.consume(jobs)
        def work(job: Job) -> None:
            act(job)

    else:

        @app.consume(jobs, batch=batch)
        def work_many(found: Batch[Job]) -> None:
            for item in found:
                with item as job:
                    act(job)

    with running(app) as backend:
        with backend.acting():
            jobs.send(Job("a", 0, fails=True))
            jobs.send(Job("a", 1))
            jobs.send(Job("b", 0))
        backend.drain()
        backend.advance(86_400)
        assert done == [("b", 0)]
        assert [job.number for job in backend.messages(jobs)] == [1]
        broken[0] = False
        assert backend.redrive(*backend.failures()) == 1
        backend.drain()
        assert done == [("b", 0), ("a", 0), ("a", 1)]


def test_keys_take_turns_in_batches_too() -> None:
    app = App("turns")
    jobs = app.queue(Job, fair_by=lambda job: job.group)
    seen: list[str] = []

    @app.consume(jobs, batch=4, concurrency=1)
    def work(batch: Batch[Job]) -> None:
        seen.extend(job.group for job in batch.values)

    with running(app) as backend:
        with backend.acting():
            for number in range(20):
                jobs.send(Job("loud", number))
            jobs.send(Job("quiet", 0))
        backend.drain()
    assert len(seen) == 21
    assert "quiet" in seen[:3]


def test_an_event_reaches_each_listener_once_whatever_fails() -> None:
    app = App("events")
    done = app.table(Done, key="key")

    @app.event("things.happened")
    class Happened(Struct):
        key: str

    @app.post("/happen", grants=[publish[Happened]])
    def happen(key: str) -> None:
        publish(Happened(key))

    @app.on(Happened, grants=[done.write])
    def first(event: Happened) -> None:
        done.add(f"first {event.key}", count=1)

    @app.on(Happened, grants=[done.write], where={"key": [{"prefix": "a"}]})
    def second(event: Happened) -> None:
        done.add(f"second {event.key}", count=1)

    with running(app) as backend:
        backend.crash_before_commit()
        assert backend.post("/happen", query={"key": "a lost one"}).status == 502
        for key in ("a", "b"):
            assert backend.post("/happen", query={"key": key}).status == 204
        backend.crash_before_commit(2)
        backend.crash_after_commit(2)
        backend.drain()
        found = {one.key: one.count for one in backend.items(done)}
    assert found == {"first a": 1, "second a": 1, "first b": 1}


def test_changes_come_in_batches_in_the_order_of_their_key() -> None:
    app = App("changes")
    done = app.table(Done, key="key")
    seen: list[tuple[str, str, int]] = []

    @app.post("/count", grants=[done.write])
    def count(key: str) -> None:
        done.add(key, count=1)

    @done.on_change(batch=10)
    def follow(changes: Batch[Change[Done]]) -> None:
        for item in changes:
            with item as change:
                seen.append((change.item.key, change.kind, change.item.count))

    with running(app) as backend:
        for key in ("a", "b", "a", "a"):
            backend.post("/count", query={"key": key})
        backend.drain()
    assert [one for one in seen if one[0] == "a"] == [
        ("a", "insert", 1), ("a", "modify", 2), ("a", "modify", 3),
    ]  # fmt: skip
    assert len(seen) == 4
