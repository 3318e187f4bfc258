"""Every attempt leaves a line, and what is the app's own mistake is told to the team."""

from __future__ import annotations

import pytest

from wherry import App, Batch, Caller, NotFound, Struct, Unauthenticated, limits
from wherry.testing import running


class Thing(Struct):
    """An item."""

    name: str
    count: int = 0


def test_a_mistake_of_the_app_is_logged_and_an_answer_is_not_a_failure() -> None:
    app = App("endings")
    things = app.table(Thing, key="name")

    @app.post("/mistake", grants=[things.read, things.write])
    def mistake() -> None:
        things.put(Thing("a"))
        things.query("a")

    @app.post("/answer")
    def answer() -> None:
        raise NotFound("thing", "a")

    with running(app) as backend:
        assert backend.post("/mistake").status == 500
        assert backend.post("/answer").status == 404
        assert [record.ending for record in backend.records] == ["failed", "refused"]
        (error,) = [line for line in backend.logs if line["level"] == "ERROR"]
        assert "committed=True" in error["message"]
        assert error["code"] == "refused"


def test_a_401_that_a_handler_raises_says_how_to_authenticate() -> None:
    """As the gateway's own does (RFC 9110): `Bearer`, unless the handler says another way."""
    app = App("endings")

    @app.post("/plain")
    def plain() -> None:
        raise Unauthenticated("Log in first.")

    @app.post("/basic")
    def basic() -> None:
        raise Unauthenticated("Log in first.", headers={"WWW-Authenticate": "Basic"})

    with running(app) as backend:
        told = [backend.post(path).headers["www-authenticate"] for path in ("/plain", "/basic")]
        assert told == ["Bearer", "Basic"]


def test_every_request_has_one_line_with_its_status_and_correlation_id() -> None:
    app = App("endings")
    people = app.auth("people")
    things = app.table(Thing, key="name")

    @app.post("/{how}", auth=people, grants=[things.write])
    def go(how: str, caller: Caller) -> None:
        if how == "raise":
            raise ValueError(how)
        if how == "missing":
            raise NotFound(how)
        things.put(Thing(how), if_absent=True)

    with running(app) as backend:
        token = backend.token("alice")
        replies = [backend.post(f"/{how}", token=token) for how in ("a", "a", "raise", "missing")]
        lines = [line for line in backend.logs if "ending" in line]
        assert [(line["ending"], line["status"]) for line in lines] == [
            ("ok", 204), ("condition", 409), ("failed", 500), ("refused", 404),
        ]  # fmt: skip
        assert [line["correlation_id"] for line in lines] == [
            reply.correlation_id for reply in replies
        ]


@pytest.mark.parametrize(
    ("size_bytes", "claim_check", "bound"),
    [(limits.MESSAGE_BYTES, False, "MESSAGE_BYTES"), (40_000_000, True, "CLAIM_BYTES")],
)
def test_a_bound_that_a_handler_passes_is_named_in_its_log_and_to_its_caller(
    size_bytes: int, claim_check: bool, bound: str
) -> None:
    app = App("endings")
    jobs = app.queue(Thing, name="jobs", claim_check=claim_check)

    @app.consume(jobs)
    def work(thing: Thing) -> None: ...

    @app.post("/send", grants=[jobs.send])
    def send() -> None:
        jobs.send(Thing("x" * size_bytes))

    with running(app) as backend:
        reply = backend.post("/send")
        assert (reply.status, reply.json()["code"]) == (500, "bound_exceeded")
        (error,) = [line for line in backend.logs if line["level"] == "ERROR"]
        assert error["code"] == "bound_exceeded"
        assert f"{getattr(limits, bound)} are allowed" in error["message"]
        assert bound in error["message"]
        assert "bucket" in error["message"]
        assert backend.messages(jobs) == []


def test_who_waits_for_a_turn_past_the_deadline_is_told_to_come_again() -> None:
    app = App("endings")
    things = app.table(Thing, key="name")

    @app.post("/count", grants=[things.read, things.write], timeout_s=3)
    def count() -> None:
        found = things.get("a") or Thing("a")
        backend.clock.advance(0.9)
        things.put(Thing("a", found.count + 1))

    with running(app) as backend:
        replies = backend.together(*[("POST", "/count")] * 6)
        done = [reply.status for reply in replies].count(204)
        assert {reply.status for reply in replies} <= {204, 503, 504}
        assert [thing.count for thing in backend.items(things)] == ([done] if done else [])
        assert backend.post("/count").status == 204  # nothing is left that holds the key


@pytest.mark.parametrize("batch", [1, 5])
def test_a_message_that_loses_until_its_time_is_over_has_had_an_attempt(batch: int) -> None:
    app = App("endings")
    things = app.table(Thing, key="name")
    jobs = app.queue(Thing, name="jobs", max_attempts=3)

    def one(thing: Thing) -> None:
        found = things.get(thing.name) or Thing(thing.name)
        backend.clock.advance(0.4)
        things.put(Thing(thing.name, found.count + 1))

    if batch == 1:

        @app.consume(jobs, grants=[things.read, things.write], timeout_s=3)
        def count(thing: Thing) -> None:
            one(thing)
    else:

        @app.consume(jobs, grants=[things.read, things.write], timeout_s=3, batch=batch)
        def count_all(things: Batch[Thing]) -> None:
            for thing in things.values:
                one(thing)

    with running(app) as backend:
        backend.conflict_next(things, times=1_000)
        with backend.acting():
            jobs.send(Thing("a"))
        backend.drain()
        (failure,) = backend.failures()
        assert (failure.attempts, failure.code) == (3, "unavailable")
        assert "until its time was over, which is an attempt" in failure.error
        records = [record for record in backend.records if record.trigger == "queue jobs"]
        assert {record.ending for record in records} == {"conflict"}
        told = [record.attempt for record in records if "which is an attempt" in record.error]
        assert told == [1, 2, 3]
        assert "which is an attempt" in backend.timeline(failure.correlation_id)


def test_a_message_that_waits_for_its_turn_until_its_time_is_over_has_had_an_attempt() -> None:
    app = App("endings")
    things = app.table(Thing, key="name")
    jobs = app.queue(Thing, name="jobs", max_attempts=2)

    @app.consume(jobs, grants=[things.read, things.write], timeout_s=2, concurrency=4)
    def count(thing: Thing) -> None:
        found = things.get("a") or Thing("a")
        backend.clock.advance(0.9)
        things.put(Thing("a", found.count + 1))

    with running(app) as backend:
        with backend.acting():
            for _ in range(12):
                jobs.send(Thing("a"))
        backend.drain()
        done = 12 - len(backend.failures())
        assert backend.items(things) == [Thing("a", done)]
        assert all(failure.attempts == 2 for failure in backend.failures())


def test_a_message_that_is_refused_for_want_of_room_has_not_had_its_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = App("endings")
    jobs = app.queue(Thing, max_attempts=1)
    done: list[str] = []

    @app.consume(jobs)
    def work(job: Thing) -> None:
        done.append(job.name)

    with running(app) as backend:
        with monkeypatch.context() as crowded:
            crowded.setattr(limits, "PENDING_INVOCATIONS", 0)
            with backend.acting():
                jobs.send(Thing("a"))
            backend.advance(1)
            assert done == []
        backend.drain()
        assert (done, backend.failures()) == (["a"], [])
