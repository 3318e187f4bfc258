"""Batches under whatever goes wrong: each effect once, poison in the inbox, nothing left behind."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from msgspec import Struct

from wherry import App, Batch, DoNotRetry
from wherry.testing import running

SEEDS = 80
ATTEMPTS = 4


class Job(Struct):
    key: str
    do: str = ""
    place: int = 0  # among all that were sent


class Done(Struct):
    key: str
    count: int = 0


class Last(Struct):
    """What was done last of a group, and how often an earlier one came later."""

    group: str
    place: int = -1
    overtaken: int = 0


def app_of(chance: random.Random) -> App:
    """A consumer with chosen options; some of its handlers decide for all."""
    app = App("chance")
    done = app.table(Done, key="key")
    lasts = app.table(Last, key="group")
    options: dict[str, object] = {
        "batch": chance.choice((2, 3, 8, 50)),
        "window_s": chance.choice((0, 0, 0.5, 20)),
        "concurrency": chance.choice((1, 2, 8)),
        "timeout_s": 5,
    }
    if chance.random() < 0.3:
        options["once_per"] = lambda job: job.key
    kind = chance.choice(("plain", "fifo", "fifo", "fair"))
    queue = {
        "plain": {},
        "fifo": {"fifo": True, "group": lambda job: job.key[0]},
        "fair": {"fair_by": lambda job: job.key[0]},
    }[kind]
    jobs = app.queue(Job, name="jobs", max_attempts=ATTEMPTS, retry_base_s=1, **queue)  # type: ignore[arg-type]
    alike, reads = chance.random() < 0.5, chance.random() < 0.5

    def act(job: Job) -> None:
        if reads:
            found = done.get(job.key) or Done(job.key)
            done.put(Done(job.key, found.count + 1))
        else:
            done.add(job.key, count=1)
        if kind == "fifo":
            last = lasts.get(job.key[0]) or Last(job.key[0])
            late = last.overtaken + (job.place < last.place)
            lasts.put(Last(job.key[0], job.place, late))
        if job.do == "fail":
            raise ValueError(job.key)
        if job.do == "give up":
            raise DoNotRetry(job.key)

    @app.consume(jobs, grants=[done.read, done.write, lasts.read, lasts.write], **options)  # type: ignore[arg-type]
    def work(batch: Batch[Job]) -> None:
        for item in batch:
            if alike:
                act(item.value)
                continue
            with item as job:
                act(job)

    return app


@pytest.mark.parametrize("first", range(0, SEEDS, 20))
def test_each_effect_is_there_once_whatever_fails(first: int) -> None:
    for seed in range(first, first + 20):
        play(seed)


def play(seed: int) -> None:
    chance = random.Random(seed)
    app = app_of(chance)
    (jobs,), (done, lasts) = app._queues, app._tables
    expected: Counter[str] = Counter()
    with running(app, seed=seed) as backend:
        for turn in range(6):
            with backend.acting():
                for number in range(chance.randrange(1, 15)):
                    do = chance.choice(("", "", "", "", "fail", "give up"))
                    key = f"{chance.choice('abc')}{turn}-{number}"
                    jobs.send(Job(key, do, len(expected)))
                    expected[key] += not do
            if chance.random() < 0.4:
                backend.crash_before_commit(chance.randrange(1, 3))
            if chance.random() < 0.3:
                backend.crash_after_commit(chance.randrange(1, 4))
            if chance.random() < 0.3:
                backend.conflict_next(done, chance.randrange(1, 4))
            if chance.random() < 0.2:
                backend.duplicate("jobs")
            if chance.random() < 0.2:
                backend.fail(done, times=2)
            backend.advance(chance.choice((0.0, 0.3, 3.0, 30.0)))
        backend.drain()
        composed = backend._composed
        counts = {one.key: one.count for one in backend.items(done)}
        dead = Counter(jobs.shape.decode(row.body).key for row in backend.failures())
        assert not backend.messages(jobs), f"seed {seed}"
        assert composed.core.dispatcher.open == 0, f"seed {seed}"
        feed = composed.core.feeds.feeds["jobs"]
        assert (feed.in_hand, feed.offered) == ({}, 0), f"seed {seed}"
        assert [one.overtaken for one in backend.items(lasts) if one.overtaken] == [], (
            f"seed {seed}"
        )
        good = {key for key, count in expected.items() if count}
        wrong = {key: counts.get(key, 0) for key in good if counts.get(key, 0) + dead[key] != 1}
        assert not wrong, f"seed {seed}: {wrong}"
        assert not counts.keys() - good, f"seed {seed}"
        assert set(expected) - good <= set(dead), f"seed {seed}"
