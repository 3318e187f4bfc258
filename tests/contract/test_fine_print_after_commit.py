"""The fine print: what runs after a commit is a message, sent with the commit or not at all."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import App, current, new_id
from wherry.errors import AppInvalid
from wherry.testing import call

pytestmark = on_every_platform


class Told:
    """A shelf with a function that runs after a commit, and a route that asks for it."""

    def __init__(self, **options: Any) -> None:
        self.shelf = Shelf()
        self.seen: list[Any] = []
        self.how = ""
        shelf = self.shelf
        shelf.consume_nothing()

        @shelf.app.after_commit(grants=[shelf.things.read], **options)
        def notify(thing: Thing, text: str, at: datetime | None = None) -> None:
            self.seen.append((thing, text, at, shelf.things.get(thing.name)))
            if self.how == "broken":
                raise ValueError("the post is on strike")

        self.notify = notify

        @shelf.app.post("/go", grants=[*shelf.all, notify.send])
        def go(name: str) -> str:
            thing = Thing(name, note=new_id())
            shelf.things.get(name)
            shelf.things.put(thing, if_absent=self.how == "condition")
            sent = notify.send(thing, text="hello")
            if self.how == "raise":
                raise ValueError("no")
            return sent

        self.go = go


def test_it_runs_once_the_commit_is_there_and_sees_what_was_written(run: Any) -> None:
    case = Told()
    with run(case.shelf.app) as backend:
        assert backend.post("/go", query={"name": "a"}).status == 200
        assert case.seen == []
        assert [sorted(one) for one in backend.messages(case.notify.queue)] == [["text", "thing"]]
        backend.drain()
        [(thing, text, at, stored)] = case.seen
        assert (text, at) == ("hello", None)
        assert isinstance(thing, Thing)
        assert thing == stored


@pytest.mark.parametrize("how", ["raise", "condition", "died"])
def test_it_never_runs_for_a_run_that_commits_nothing(run: Any, how: str) -> None:
    case = Told()
    with run(case.shelf.app) as backend:
        with backend.acting():
            case.shelf.things.put(Thing("a"))
        case.how = how
        if how == "died":
            backend.crash_before_commit()
        assert backend.post("/go", query={"name": "a"}).status >= 400
        backend.drain()
        assert case.seen == []


def test_a_rerun_after_a_conflict_has_it_run_once_and_as_the_last_run_said(run: Any) -> None:
    case = Told()
    with run(case.shelf.app) as backend:
        backend.conflict_next(case.shelf.things, times=2)
        backend.crash_after_commit()
        assert backend.post("/go", query={"name": "a"}).status == 200
        backend.drain()
        assert [one[0].name for one in case.seen] == ["a"]


def test_it_has_retries_of_its_own_and_then_waits_in_the_failure_inbox(run: Any) -> None:
    case = Told(max_attempts=2, retry_base_s=5)
    with run(case.shelf.app) as backend:
        case.how = "broken"
        assert backend.post("/go", query={"name": "a"}).status == 200
        backend.drain()
        (failure,) = backend.failures()
        assert (failure.function, failure.queue, failure.attempts) == ("notify", "notify", 2)
        case.how = ""
        assert backend.redrive() == 1
        backend.drain()
        assert backend.failures() == []
        assert len(case.seen) == 3


def test_its_timeline_is_that_of_the_request_which_asked_for_it(run: Any) -> None:
    case = Told()
    with run(case.shelf.app) as backend:
        reply = backend.post("/go", query={"name": "a"})
        backend.drain()
        text = backend.timeline(reply.headers["x-correlation-id"])
        assert "go" in text
        assert "notify" in text


def test_its_own_writes_need_grants_of_its_own_and_commit_with_the_message(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.after_commit(grants=[shelf.things.write])
    async def count(name: str, by: int = 1) -> None:
        shelf.things.add(name, count=by)

    @shelf.app.after_commit()
    def peek() -> None:
        shelf.things.get("a")

    @shelf.app.post("/go", grants=[count.send, peek.send])
    def go() -> None:
        count.send("a")
        count.send("a", by=5)
        peek.send()

    with run(shelf.app) as backend:
        backend.duplicate(count.queue)
        assert backend.post("/go").status == 204
        backend.drain()
        assert [thing.count for thing in backend.items(shelf.things)] == [6]
        (failure,) = backend.failures()
        assert (failure.function, failure.code) == ("peek", "grant_missing")


def test_who_asks_for_it_needs_its_grant(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.after_commit()
    def notify(name: str) -> None:
        pass

    @shelf.app.post("/go")
    def go() -> None:
        notify.send("a")

    with run(shelf.app) as backend:
        reply = backend.post("/go")
        assert (reply.status, reply.json()["code"]) == (500, "grant_missing")
        assert "Add notify.send to the grants of go" in str(backend.logs)


@pytest.mark.parametrize(
    ("args", "kwargs", "named"),
    [
        ((), {}, "do not fit"),
        (("a", 1, 2), {}, "do not fit"),
        (("a",), {"name": "b"}, "do not fit"),
        (("a",), {"size": 1}, "do not fit"),
        ((7,), {}, "'name' does not fit"),
        (("a", "many"), {}, "'count' does not fit"),
        (({1, object()},), {}, "'name' does not fit"),
    ],
)
def test_what_does_not_fit_is_refused_at_the_call(
    run: Any, args: tuple[Any, ...], kwargs: dict[str, Any], named: str
) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.after_commit()
    def notify(name: str, count: int = 0) -> None:
        pass

    @shelf.app.post("/go", grants=[notify.send])
    def go() -> None:
        notify.send(*args, **kwargs)

    with run(shelf.app) as backend:
        assert backend.post("/go").status == 500
        assert named in str(backend.logs)
        assert "takes (name, count)" in str(backend.logs)
        assert backend.messages(notify.queue) == []


class Parcel(BaseModel):
    """A Pydantic model."""

    weight: int
    to: list[str] = []


def test_it_takes_what_a_message_can_be_and_gives_it_back_as_it_was(run: Any) -> None:
    shelf, seen = Shelf(), []
    shelf.consume_nothing()
    at = datetime(2026, 1, 2, tzinfo=UTC)

    @shelf.app.after_commit()
    def get_parcel(
        parcel: Parcel, jobs: list[Job], at: datetime, *, note: str | None = None
    ) -> None:
        seen.append((parcel, jobs, at, note, current().function))

    with run(shelf.app) as backend:
        with backend.acting():
            get_parcel.send(Parcel(weight=3), [Job("a"), Job("b")], at, note=None)
        backend.drain()
        assert seen == [(Parcel(weight=3), [Job("a"), Job("b")], at, None, "get_parcel")]


def test_a_payload_that_lacks_an_argument_is_not_tried_again(run: Any) -> None:
    case = Told()
    with run(case.shelf.app) as backend:
        case.how = "broken"
        backend.post("/go", query={"name": "a"})
        backend.drain()
        backend.redrive(*backend.failures(), edited={"text": "alone"})
        backend.drain()
        (failure,) = backend.failures()
        assert failure.attempts == 1
        assert "it lacks thing" in failure.error


def test_a_test_calls_it_like_any_function(run: Any) -> None:
    case = Told()
    called = call(case.shelf.app, case.notify, Thing("a"), "hello")
    assert called.value is None
    assert case.seen == [(Thing("a"), "hello", None, None)]
    sent = call(case.shelf.app, case.go, "b").effects.sent(case.notify.queue)
    assert [one["text"] for one in sent] == ["hello"]
    with run(case.shelf.app):
        pass


def test_a_function_whose_arguments_no_message_can_carry_is_a_finding(run: Any) -> None:
    app = App("odd")

    @app.after_commit()
    def one(event: Any, context: Any) -> None:
        pass

    @app.after_commit()
    def two(*names: str) -> None:
        pass

    @app.after_commit()
    def three(name) -> None:  # type: ignore[no-untyped-def]
        pass

    @app.after_commit()
    def four(thing: complex, parcels: list[Parcel]) -> None:
        pass

    @app.after_commit()
    def five(run: App) -> None:
        pass

    @app.post("/go", grants=[one, two.send, three.send, four.send, five.send])
    def go() -> None:
        pass

    with pytest.raises(AppInvalid) as found, run(app):
        pass
    codes = [finding.code for finding in found.value.findings]
    assert sorted(codes) == [
        "after_commit_plain", "argument_kind", "argument_unsupported", "argument_without_type",
        "grant_kind", "type_unsupported", "type_unsupported",
    ]  # fmt: skip
    assert "one.send" in str(found.value)
