"""The test kit's running app: requests, time, background work, looking, setting things up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from wherry import App, BadRequest, Caller, RawBody, Reply, Unavailable, current, log, now, outside
from wherry.errors import AppInvalid, ConditionFailed, Refused
from wherry.testing import Backend, running


class Thing(Struct):
    """An item."""

    name: str
    count: int = 0


class Job(Struct):
    """A message."""

    name: str


app = App("kit")
people = app.auth("people", roles=["customer", "staff"])
machines = app.auth(
    "machines", issuer="https://login.test/tenant", audiences=["kit"], roles=["robot"]
)
things = app.table(Thing, key="name")
jobs = app.queue(Job)
files = app.bucket("files")
token = app.secret("carrier")
everything = [
    things.read, things.write, jobs.send, files.read, files.write, token.read
]  # fmt: skip


@app.post("/echo/{name}")
def echo(name: str, raw: RawBody, many: list[int] | None = None, q: str = "") -> dict[str, Any]:
    log.info("echoed", name=name)
    return {
        "name": name,
        "many": many,
        "q": q,
        "body": raw.content.decode(),
        "type": raw.media_type,
    }


@app.get("/who", auth=people)
def who(caller: Caller) -> list[Any]:
    return [caller.subject, caller.roles]


@app.get("/robot", auth=machines, roles=["robot"])
def robot(caller: Caller) -> str:
    return caller.subject


@app.get("/moment")
def moment() -> datetime:
    return now()


@app.post("/jobs/{name}", grants=everything)
def start(name: str) -> None:
    things.put(Thing(name))
    jobs.send(Job(name))


@app.consume(jobs, grants=everything)
def work(job: Job) -> None:
    log.info("working", attempt_seen=current().attempt)
    things.add(job.name, count=1)


@app.get("/cookies")
def cookies() -> Reply:
    return Reply(b"x", cookies=["a=1", "b=2"], headers={"x-note": "y"})


@app.get("/bad")
def bad() -> None:
    raise BadRequest("no")


@app.get("/secret", grants=everything)
def secret() -> str:
    return token.get()


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app, secrets={"carrier": "s-e-c-r-e-t"}) as backend:
        yield backend


def test_requests_take_parameters_queries_and_bodies_of_any_kind(backend: Backend) -> None:
    reply = backend.post(
        "/echo/a b\u00e9/".rstrip("/"), "text", headers={"Content-Type": "text/plain"},
        query={"many": [1, 2], "q": "x&y", "left": None},
    )  # fmt: skip
    assert reply.json() == {
        "name": "a b\u00e9", "many": [1, 2], "q": "x&y", "body": "text", "type": "text/plain"
    }  # fmt: skip
    assert backend.post("/echo/a?q=1", json=Thing("t")).json()["body"] == '{"name":"t","count":0}'
    assert backend.post("/echo/a", json=None).json()["body"] == "null"
    assert backend.request("POST", "/echo/a", b"\x00").json()["body"] == "\x00"


def test_a_reply_has_headers_in_any_case_cookies_text_and_json(backend: Backend) -> None:
    reply = backend.get("/cookies")
    assert reply.cookies == ["a=1", "b=2"]
    assert reply.headers["X-Note"] == reply.headers.get("x-note") == "y"
    assert "X-NOTE" in reply.headers
    assert reply.headers.get("nothing") is None
    assert reply.text == "x"
    assert "200" in repr(reply)
    refused = backend.get("/bad")
    assert refused.json(dict[str, Any])["correlation_id"] == refused.correlation_id


@pytest.mark.parametrize("path", ["/echo/../x", "/echo//x", "echo"])
def test_a_target_that_no_server_takes_is_refused_here_too(backend: Backend, path: str) -> None:
    assert backend.post(path).status == 400


def test_head_and_options_and_what_the_engine_serves_itself(backend: Backend) -> None:
    assert backend.request("HEAD", "/moment").body == b""
    assert backend.request("OPTIONS", "/moment").headers["allow"]
    assert backend.get("/healthz").status == backend.get("/readyz").status == 200
    assert backend.get("/openapi.json").json()["openapi"].startswith("3.1")
    refused = backend.delete("/moment")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
    assert refused.json()["detail"] == "This path takes GET, HEAD, OPTIONS."
    assert backend.get("/nowhere").status == 404


def test_what_cannot_be_sent_is_named_to_the_team_and_not_to_the_caller() -> None:
    """Log and timeline say which field is no number; the answer says that the function failed."""
    app = App("numbers")

    @app.get("/mean")
    def mean() -> dict[str, float | None]:
        return {"mean": float("nan"), "median": None}

    with running(app) as backend:
        reply = backend.get("/mean")
        assert (reply.status, reply.json()["code"]) == (500, "handler_failed")
        assert "$.mean" not in reply.text
        assert any("$.mean is nan" in str(line["message"]) for line in backend.logs)
        assert "$.mean is nan" in backend.timeline(reply.correlation_id)


@pytest.mark.parametrize(("given", "told"), [({}, "1"), ({"Retry-After": "60"}, "60")])
def test_who_is_told_to_come_later_is_told_when(given: dict[str, str], told: str) -> None:
    """A 503 that a handler raises has a Retry-After, its own where it gives one."""
    app = App("later")

    @app.get("/later")
    def later() -> None:
        raise Unavailable("Later.", headers=given)

    with running(app) as backend:
        reply = backend.get("/later")
        assert (reply.status, reply.headers["retry-after"]) == (503, told)


def test_another_host_is_no_backend_of_this_test(backend: Backend) -> None:
    with pytest.raises(ValueError, match="this backend only"):
        backend.get("https://example.com/x")


def test_tokens_are_for_anybody_with_any_role(backend: Backend) -> None:
    alice = backend.token("alice", roles=["staff"], auth="people")
    assert backend.get("/who", token=alice).json() == ["alice", ["staff"]]
    assert backend.get("/who", token=alice[:-4] + "AAAA").status == 401
    with pytest.raises(Refused, match="no role"):
        backend.token("alice", roles=["king"], auth="people")
    with pytest.raises(Refused, match="--auth"):
        backend.token("alice")


def test_an_outside_issuer_is_stood_in_for(backend: Backend) -> None:
    unit = backend.token("unit-7", ["robot"], auth="machines")
    assert backend.get("/robot", token=unit).json() == "unit-7"
    assert backend.get("/robot", token=backend.token("unit-7", auth="machines")).status == 403
    assert backend.get("/robot", token=backend.token("bob", auth="people")).status == 401


def test_time_stands_still_until_it_is_moved() -> None:
    start_at = datetime(2031, 5, 6, tzinfo=UTC)
    with running(app, start=start_at) as backend:
        assert backend.get("/moment").json() == "2031-05-06T00:00:00Z"
        assert backend.get("/moment").json() == "2031-05-06T00:00:00Z"
        backend.advance(90)
        assert backend.get("/moment").json() == "2031-05-06T00:01:30Z"
        backend.clock.advance(30)
        assert backend.get("/moment").json() == "2031-05-06T00:02:00Z"


def test_background_work_waits_for_drain_or_advance(backend: Backend) -> None:
    backend.post("/jobs/a")
    assert backend.messages(jobs) == [Job("a")]
    assert backend.items(things) == [Thing("a", 0)]
    backend.drain()
    assert backend.messages(jobs) == []
    assert backend.items(things) == [Thing("a", 1)]
    backend.post("/jobs/b")
    backend.advance(0)
    assert backend.items(things) == [Thing("a", 1), Thing("b", 1)]


def test_days_pass_in_milliseconds(backend: Backend) -> None:
    backend.post("/jobs/a")
    backend.advance(400 * 86_400)
    assert backend.items(things) == [Thing("a", 1)]
    assert backend.get("/moment").json().startswith("2027-02-05")


def test_records_timeline_and_logs_tell_what_happened(backend: Backend) -> None:
    reply = backend.post("/jobs/a", headers={"X-Correlation-Id": "monday-1"})
    backend.drain()
    assert [(one.function, one.ending) for one in backend.records] == [
        ("start", "ok"), ("work", "ok"),
    ]  # fmt: skip
    page = backend.timeline(reply.correlation_id)
    assert "POST /jobs/a" in page or "POST /jobs/{name}" in page
    assert "queue jobs" in page
    (line,) = [line for line in backend.logs if line["message"] == "working"]
    assert (line["correlation_id"], line["attempt_seen"]) == ("monday-1", 1)


def test_acting_commits_at_the_end_and_nothing_where_the_block_raises(backend: Backend) -> None:
    with backend.acting():
        things.put(Thing("a"))
        files.put("a.txt", b"text")
        jobs.send(Job("a"), delay_s=60)
        assert token.get() == "s-e-c-r-e-t"
        assert backend.items(things) == []
    assert backend.items(things) == [Thing("a")]
    assert backend.object(files, "a.txt").read() == b"text"  # type: ignore[union-attr]
    assert backend.object("files", "b.txt") is None
    assert backend.messages(jobs) == [Job("a")]
    with suppress(KeyError), backend.acting():
        things.put(Thing("b"))
        raise KeyError
    with pytest.raises(ConditionFailed), backend.acting():
        things.put(Thing("a", 9), if_absent=True)
    assert backend.items(things) == [Thing("a")]


def test_acting_can_read_and_take_named_steps(backend: Backend) -> None:
    with backend.acting():
        app.atomic("first", things.put, Thing("a", 5))
        found = things.get("a")
        assert found == Thing("a", 5)
    with backend.acting():
        app.atomic("first", things.put, Thing("a", 6))
    assert backend.items(things) == [Thing("a", 6)]


def test_the_same_seed_makes_the_same_run_and_each_backend_is_alone() -> None:
    def once(seed: int) -> list[Any]:
        with running(app, seed=seed) as backend:
            assert backend.items(things) == []
            with backend.fail(things, times=2):
                backend.post("/jobs/a")
                backend.post("/jobs/b")
            backend.post("/jobs/c")
            backend.drain()
            return [[one.traceparent, one.ending] for one in backend.records]

    assert once(1) == once(1)
    assert once(1) != once(2)


def test_a_data_folder_outlives_its_backend(tmp_path: Path) -> None:
    for number in range(1, 4):
        with running(app, data=str(tmp_path / "data")) as backend:
            began_s = backend.clock.steady_s()
            backend.drain()
            assert backend.clock.steady_s() == began_s
            assert [thing.count for thing in backend.items(things)] == [1] * (number - 1)
            assert backend.post(f"/jobs/{number}").status == 204
            with backend.acting():
                files.put(f"{number}.txt", b"text")
    with running(app, data=str(tmp_path / "data")) as backend:
        assert backend.object(files, "1.txt").read() == b"text"  # type: ignore[union-attr]
        assert backend.messages(jobs) == [Job("3")]
        assert len(backend.records) == 3 + 3 + 2


def test_requests_sent_together_are_all_answered_in_their_order(backend: Backend) -> None:
    replies = backend.together(
        ("GET", "/moment"), ("POST", "/echo/a", "body"), ("POST", "/echo/b", {"json": [1]})
    )
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert [reply.json()["body"] for reply in replies[1:]] == ["body", "[1]"]


def test_an_app_with_faults_is_refused_with_all_of_them() -> None:
    wrong = App("wrong")

    @wrong.get("/things/{id}")
    def get() -> int:
        return 1

    with pytest.raises(AppInvalid), running(wrong):
        raise AssertionError("never reached")


def test_a_thread_of_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile
    import threading

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # others use the common one meanwhile
    before = threading.active_count()
    with running(app) as backend, backend.acting():
        files.put("a.txt", b"text")
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())
    assert threading.active_count() == before


def test_one_backend_knows_nothing_of_what_was_outside_of_another() -> None:
    calls: list[str] = []
    outgoing = App("outgoing")

    @outgoing.post("/charge")
    def charge() -> None:
        outside("charge", calls.append)

    for _ in range(2):
        with running(outgoing) as backend:
            assert backend.post("/charge").status == 204
    assert len(calls) == 2


def test_a_long_backlog_is_drained_and_is_no_endless_loop(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wherry.testing import composing

    monkeypatch.setattr(composing, "RUNS", 10)
    for _ in range(3):
        with backend.acting():
            jobs.send.many([Job("a")] * 90)
    backend.drain()
    assert backend.items(things) == [Thing("a", 270)]


def test_a_secret_is_masked_no_longer_than_its_backend_lives() -> None:
    """Else another test's lines would lose a word that happens to be the same."""
    from wherry.handles.logs import masked

    keeper = App("keeper")
    word = keeper.secret("word")

    @keeper.get("/", grants=[word.read])
    def look() -> int:
        return len(word.get())

    before = masked()
    with running(keeper, secrets={"word": "value"}) as backend:
        assert backend.get("/").json() == 5
        assert "value" in masked()
    assert masked() == before


@pytest.mark.parametrize(
    "ask",
    [
        lambda backend: backend.conflict_next("nosuch"),
        lambda backend: backend.duplicate("nosuch"),
        lambda backend: backend.object("nosuch", "key"),
        lambda backend: backend.advance(-5),
    ],
)
def test_what_cannot_be_is_refused_by_the_kit(ask: Callable[[Any], object]) -> None:
    """A test that asks for it would test nothing."""
    with running(App("empty")) as backend, pytest.raises(ValueError, match=r"nosuch|-5 seconds"):
        ask(backend)


def test_after_commit_without_parentheses_says_how_it_is_written() -> None:
    app = App("shop")
    with pytest.raises(Refused, match=r"Write @app.after_commit\(\)"):
        app.after_commit(lambda: None)
