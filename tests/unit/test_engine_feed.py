"""How many messages an engine holds for a consumer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from wherry import App, Batch, Struct
from wherry.engine.store import DirectStore, Then, When
from wherry.ports import Claim, Commit, Request
from wherry.testing import running


class Job(Struct):
    number: int


@pytest.mark.parametrize(("concurrency", "runs"), [(1, 1), (4, 8)])
def test_while_ends_are_committed_others_run_unless_one_runs_at_a_time(
    monkeypatch: pytest.MonkeyPatch, concurrency: int, runs: int
) -> None:
    """Where one runs at a time the next is to find what it wrote. And there is a bound."""
    app = App("slow")
    jobs = app.queue(Job)
    began: list[int] = []
    held: list[Any] = []

    @app.consume(jobs, concurrency=concurrency)
    def work(job: Job) -> None:
        began.append(job.number)

    send = DirectStore.send

    def hold(
        store: DirectStore, function: str, request: Request, then: Then, when: When = "soon"
    ) -> None:
        if isinstance(request, Commit) and function == "work":
            held.append(lambda: send(store, function, request, then, when))
        else:
            send(store, function, request, then, when)

    with running(app) as backend:
        with backend.acting():
            jobs.send.many([Job(number) for number in range(40)])
        with monkeypatch.context() as patched:
            patched.setattr(DirectStore, "send", hold)
            backend._composed.core.feeds.pause(False)
            backend._composed.loop.advance(0.05)
            assert len(began) == runs
        for commit in held:
            commit()
        backend.drain()
        assert sorted(began) == list(range(40))


def test_runs_that_take_no_time_at_all_do_not_grow_without_a_bound() -> None:
    """In the test kit a clock stands still while they run."""
    app = App("quick")
    jobs = app.queue(Job)

    @app.consume(jobs)
    def work(job: Job) -> None: ...

    with running(app) as backend:
        core = backend._composed.core
        assert core.active is not None
        core.active.functions["work"].pool.pace_s = 5e-324
        with backend.acting():
            jobs.send.many([Job(number) for number in range(40)])
        backend.drain()


def test_a_queue_that_is_declared_no_more_is_claimed_for_nobody() -> None:
    """Its messages wait, with all their attempts, for a version that declares it again."""
    app = App("changing")
    jobs = app.queue(Job, max_attempts=1)
    began: list[int] = []

    @app.consume(jobs)
    def work(job: Job) -> None:
        began.append(job.number)

    with running(app) as backend:
        core, loop = backend._composed.core, backend._composed.loop
        assert core.active is not None
        core.feeds.pause(False)
        with backend.acting():
            jobs.send(Job(1), delay_s=4)
        loop.advance(1)
        core.feeds.follow([])
        loop.advance(30)
        assert began == []
        core.feeds.follow(core.active.consumers())
        backend.drain()
        assert began == [1]
        assert backend.failures(jobs) == []


@pytest.mark.parametrize("end", ["the queue is declared no more", "the engine stops"])
@pytest.mark.parametrize("kind", [Claim, Commit])
@pytest.mark.parametrize("batch", [1, 5])
def test_what_is_leased_when_nobody_here_consumes_it_any_more_is_given_back(
    monkeypatch: pytest.MonkeyPatch, kind: type[Request], batch: int, end: str
) -> None:
    """Claimed, or born leased, in an answer that was on its way: its attempt is not spent."""
    app = App("changing")
    jobs = app.queue(Job, max_attempts=1)
    began: list[int] = []
    held: list[Callable[[], None]] = []

    @app.post("/jobs", grants=[jobs.send])
    def place() -> None:
        jobs.send(Job(1))

    if batch == 1:

        @app.consume(jobs)
        def work(job: Job) -> None:
            began.append(job.number)
    else:

        @app.consume(jobs, batch=batch)
        def work_many(found: Batch[Job]) -> None:
            for item in found:
                with item as job:
                    began.append(job.number)

    send = DirectStore.send

    def hold(
        store: DirectStore, function: str, request: Request, then: Then, when: When = "soon"
    ) -> None:
        late = isinstance(request, kind)
        send(store, function, request, partial(keep, then) if late else then, when)

    def keep(then: Then, answer: Any) -> None:
        held.append(partial(then, answer))

    with running(app) as backend:
        core, loop = backend._composed.core, backend._composed.loop
        assert core.active is not None
        if kind is Claim:
            backend.post("/jobs")
        with monkeypatch.context() as patched:
            patched.setattr(DirectStore, "send", hold)
            core.feeds.pause(False)
            if kind is Commit:
                backend._composed.client.send("POST", "/jobs")
            loop.run_ready()
        if end == "the engine stops":
            core.feeds.give_back_waiting()
        else:
            core.feeds.follow([])
        assert held
        for answer in held:
            answer()
        loop.advance(30)
        assert began == []
        core.feeds.stopping = False  # as of the next engine
        core.feeds.follow(core.active.consumers())
        backend.drain()
        assert began == [1]
        assert backend.failures(jobs) == []
