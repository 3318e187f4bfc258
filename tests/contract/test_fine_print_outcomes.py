"""The fine print: an outcome commits as a whole, with its acknowledgement, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import (
    Conflict,
    Invalid,
    NotFound,
    Problem,
    Reply,
    TooManyRequests,
    current,
    limits,
    now,
)
from wherry.testing import call

pytestmark = on_every_platform


@pytest.mark.parametrize(
    "error", [ValueError("no"), NotFound("thing", 1), Conflict(), SystemExit(3)]
)
def test_raising_discards_the_effects(run: Any, error: BaseException) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/things", grants=[*shelf.all, shelf.jobs.send])
    def put() -> None:
        shelf.things.put(Thing("a"))
        shelf.jobs.send(Job("a"))
        raise error

    with run(shelf.app) as backend:
        assert backend.post("/things").status == getattr(error, "status", 500)
        assert backend.items(shelf.things) == []
        assert backend.messages(shelf.jobs) == []


class NoStatus(Problem):
    """A status that HTTP does not have."""

    status = 99


class NoProblem(Problem):
    """It never becomes what a problem is."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (TooManyRequests("no", headers={"retry-after": 7}), "'retry-after'"),  # type: ignore[dict-item]
        (TooManyRequests("no", headers={"retry-after": "a\r\nx: y"}), "'retry-after'"),
        (Conflict("no", headers={"content-length": "1"}), "'content-length'"),
        (Conflict("no", extra={"of": object()}), "object has no JSON form"),
        (Conflict("no", extra={"of": float("nan")}), "nan"),
        (Conflict("no", extra={"status": 200, "code": "z"}), "['code', 'status']"),
        (Conflict("no", extra={"of": "x" * limits.REPLY_BODY_BYTES}), "are allowed"),
        (Invalid(faults=[{"at": object()}]), "object has no JSON form"),  # type: ignore[dict-item]
        (NoStatus("no"), "status=99"),
        (NoProblem(), "no attribute 'message'"),
    ],
)
def test_a_problem_that_cannot_be_sent_is_the_function_s_fault(
    run: Any, error: Problem, why: str
) -> None:
    """The caller gets a 500 without internals, the team the reason; a message fails as it may."""
    shelf = Shelf(max_attempts=1)

    @shelf.app.post("/things", grants=[*shelf.all, shelf.jobs.send])
    def put() -> None:
        shelf.things.put(Thing("a"))
        raise error

    @shelf.app.consume(shelf.jobs)
    def work(job: Job) -> None:
        raise error

    with run(shelf.app) as backend:
        reply = backend.post("/things")
        assert (reply.status, reply.json()["code"]) == (500, "handler_failed")
        assert why not in reply.text
        assert any(why in line["message"] for line in backend.logs)
        assert backend.items(shelf.things) == []
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        assert len(backend.failures()) == 1


def test_a_problem_says_what_it_was_given_as_text(run: Any) -> None:
    """An exception, a number, a character that UTF-8 has not: the answer is what was raised."""
    shelf = Shelf()
    given: list[Problem] = []

    @shelf.app.get("/things")
    def get() -> None:
        raise given.pop()

    with run(shelf.app) as backend:
        for error, detail in [
            (Conflict(5), "5"),  # type: ignore[arg-type]
            (Conflict(KeyError("a")), "'a'"),  # type: ignore[arg-type]
            (Conflict("a \ud800"), "a \\ud800"),
        ]:
            given.append(error)
            reply = backend.get("/things")
            assert (reply.status, reply.json()["detail"]) == (409, detail)


def test_a_header_is_sent_once_whoever_else_gives_it(run: Any) -> None:
    """A problem's own content type counts; the correlation ID is always the engine's."""
    shelf = Shelf()
    headers = {"Content-Type": "application/json", "X-Correlation-Id": "mine", "traceparent": "x"}

    @shelf.app.get("/raised")
    def raised() -> None:
        raise Conflict(headers=headers, extra={"type": "https://example.com/taken"})

    @shelf.app.get("/returned")
    def returned() -> Reply:
        return Reply({}, headers=headers)

    @shelf.app.get("/as-aws")
    def as_aws(event: Any, context: Any) -> Any:
        return {"statusCode": 200, "headers": headers, "body": "{}"}

    with run(shelf.app) as backend:
        for path in ("/raised", "/returned", "/as-aws"):
            reply = backend.get(path, headers={"x-correlation-id": "theirs"})
            assert reply.correlation_id == "theirs"
            assert reply.headers["content-type"] == "application/json"
            assert "," not in reply.headers["traceparent"]
        assert backend.get("/raised").json()["type"] == "https://example.com/taken"


@pytest.mark.parametrize("status", [200, 202, 302, 404, 409, 500, 503])
def test_returning_commits_them_whatever_the_status(run: Any, status: int) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/things", grants=[*shelf.all, shelf.jobs.send])
    def put() -> Reply:
        shelf.things.put(Thing("a"))
        shelf.jobs.send(Job("a"))
        return Reply({"said": status}, status=status)

    with run(shelf.app) as backend:
        assert backend.post("/things").status == status
        assert backend.items(shelf.things) == [Thing("a")]
        assert backend.messages(shelf.jobs) == [Job("a")]


def test_a_deadline_that_was_answered_never_commits_afterwards(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=shelf.all, timeout_s=5)
    def put() -> None:
        shelf.things.put(Thing("a"))
        backend.clock.advance(5)

    with run(shelf.app) as backend:
        late = backend.post("/things")
        assert (late.status, late.json()["code"]) == (504, "deadline_exceeded")
        backend.advance(60)
        assert backend.items(shelf.things) == []
        assert [record.ending for record in backend.records] == ["timeout"]


def test_a_request_whose_environment_dies_leaves_nothing_and_is_told(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=shelf.all)
    def put() -> None:
        shelf.things.put(Thing("a"))

    with run(shelf.app) as backend:
        backend.crash_before_commit()
        died = backend.post("/things")
        assert (died.status, died.json()["code"]) == (502, "environment_died")
        assert backend.items(shelf.things) == []
        assert backend.post("/things").status == 204


def test_a_message_whose_environment_dies_is_run_again_to_one_effect(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        shelf.things.add(job.name, count=1)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.crash_before_commit(times=2)
        backend.drain()
        assert backend.items(shelf.things) == [Thing("a", 1)]
        assert [record.ending for record in backend.records][-3:] == ["died", "died", "ok"]


def test_a_commit_whose_fate_is_unknown_is_looked_up_before_anything_is_answered(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", status=201, grants=[*shelf.all, shelf.jobs.send])
    def put() -> Thing:
        shelf.things.add("a", count=1)
        shelf.jobs.send(Job("a"))
        return Thing("a")

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        shelf.things.add("worked", count=1)

    with run(shelf.app) as backend:
        backend.crash_after_commit()
        done = backend.post("/things")
        assert (done.status, done.json()["name"]) == (201, "a")
        backend.crash_after_commit()
        backend.drain()
        assert backend.items(shelf.things) == [Thing("a", 1), Thing("worked", 1)]


def test_delivered_twice_is_applied_once(run: Any) -> None:
    shelf = Shelf()
    runs = []

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        runs.append(job)
        shelf.things.add(job.name, count=1)

    with run(shelf.app) as backend:
        with backend.duplicate(shelf.jobs):
            with backend.acting():
                shelf.jobs.send.many([Job("a"), Job("b"), Job("a")])
            backend.drain()
        assert len(runs) == 6
        assert backend.items(shelf.things) == [Thing("a", 2), Thing("b", 1)]


def test_saved_the_order_but_lost_the_job_cannot_happen(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/things", grants=[*shelf.all, shelf.jobs.send])
    def put() -> None:
        shelf.things.put(Thing("a"))
        shelf.jobs.send(Job("a"))

    with run(shelf.app) as backend:
        with backend.fail(shelf.jobs):
            refused = backend.post("/things")
        assert (refused.status, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert backend.items(shelf.things) == []
        assert backend.messages(shelf.jobs) == []


def test_a_store_in_trouble_is_no_fault_of_the_request(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.get("/things/{name}", grants=shelf.all)
    def get(name: str) -> Thing | None:
        return shelf.things.get(name)

    with run(shelf.app) as backend:
        with backend.fail(shelf.things):
            refused = backend.get("/things/a")
        assert (refused.status, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) > 0
        assert backend.get("/things/a").status == 204


def test_a_store_in_trouble_costs_a_finished_run_no_attempt(run: Any) -> None:
    shelf = Shelf(max_attempts=1)

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        shelf.things.add(job.name, count=1)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        with backend.fail(shelf.things, times=7) as trouble:
            backend.drain()
        assert trouble.hits == 7
        assert backend.items(shelf.things) == [Thing("a", 1)]
        assert backend.failures() == []


def test_a_message_that_was_leased_in_a_lost_answer_has_spent_no_attempt(run: Any) -> None:
    shelf, ran = Shelf(max_attempts=1), []
    more = shelf.app.queue(Thing, name="more", max_attempts=1)

    @shelf.app.consume(shelf.jobs, grants=[more.send])
    def first(job: Job) -> None:
        more.send(Thing(job.name))

    @shelf.app.consume(more)
    def second(thing: Thing) -> None:
        ran.append(thing)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.crash_after_commit()
        backend.drain()
        assert backend.failures() == []
    assert ran == [Thing("a")]


def test_async_handlers_record_and_commit_as_others_do(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=[*shelf.all, shelf.jobs.send])
    async def put() -> Thing:
        async def later() -> Thing:
            return Thing("a", 1)

        thing = await later()
        shelf.things.put(thing)
        shelf.jobs.send(Job("a"))
        return thing

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    async def work(job: Job) -> None:
        shelf.things.add(job.name, count=1)

    with run(shelf.app) as backend:
        assert backend.post("/things").json()["count"] == 1
        backend.drain()
        assert backend.items(shelf.things) == [Thing("a", 2)]


def test_async_handlers_run_where_a_loop_runs_already(run: Any) -> None:
    """As in an async test; what a handler keeps for its next run finds its loop again."""
    shelf = Shelf()
    loops: list[Any] = []

    @shelf.app.post("/things/{name}", grants=shelf.all)
    async def put(name: str) -> Thing:
        await asyncio.sleep(0)
        loops.append(asyncio.get_running_loop())
        shelf.things.put(Thing(name))
        return Thing(name)

    async def test() -> None:
        for name in "ab":
            assert backend.post(f"/things/{name}").json()["name"] == name
        assert call(shelf.app, put, "c").value == Thing("c")
        assert len(set(loops)) == 1
        assert loops[0] is not asyncio.get_running_loop()

    with run(shelf.app) as backend:
        asyncio.run(test())
        assert backend.items(shelf.things) == [Thing("a"), Thing("b")]


def test_a_run_knows_its_ids_its_deadline_and_how_long_it_has(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", timeout_s=10)
    def put() -> list[Any]:
        backend.clock.advance(4)
        run = current()
        moment = now()
        return [
            run.function,
            run.correlation_id,
            run.attempt,
            (run.deadline - moment).total_seconds(),
            round(run.remaining_s(), 3),
        ]

    with run(shelf.app) as backend:
        reply = backend.post("/things", headers={"X-Correlation-Id": "c-1"})
        assert reply.json() == ["put", "c-1", 1, 10.0, 6.0]


def test_a_message_over_its_time_leaves_nothing_and_is_tried_again(run: Any) -> None:
    shelf, runs = Shelf(max_attempts=3), []

    @shelf.app.consume(shelf.jobs, grants=shelf.all, timeout_s=5)
    def work(job: Job) -> None:
        runs.append(1)
        shelf.things.add("a", count=1)
        if len(runs) < 3:
            backend.clock.advance(6)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        assert backend.items(shelf.things) == [Thing("a", 1)]
        assert [record.ending for record in backend.records][-3:] == ["timeout", "timeout", "ok"]
