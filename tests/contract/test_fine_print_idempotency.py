"""The fine print: the Idempotency-Key, scoped by caller and route, kept for 24 hours."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fine_print import Shelf, Thing, on_every_platform
from wherry import Forbidden, NotFound, Reply

pytestmark = on_every_platform

KEY = {"Idempotency-Key": "k-1"}


class Counting:
    """A route that counts how often it ran."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.runs = 0
        shelf = self.shelf

        @shelf.app.post("/count", auth=shelf.people, status=201, grants=shelf.all)
        def count(thing: Thing) -> Reply:
            self.runs += 1
            shelf.things.add(thing.name, count=1)
            return Reply({"run": self.runs}, status=201, headers={"x-run": str(self.runs)})

        @shelf.app.post("/other", auth=shelf.people, grants=shelf.all)
        def other(thing: Thing) -> int:
            self.runs += 1
            return self.runs


def test_a_repeat_gets_the_reply_of_the_first_and_runs_nothing(run: Any) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        first, second = (
            backend.post("/count", json=Thing("a"), token=alice, headers=KEY) for _ in range(2)
        )
        assert (first.status, first.body) == (second.status, second.body)
        assert second.headers["x-run"] == "1"
        assert "idempotency-replayed" not in first.headers
        assert second.headers["idempotency-replayed"] == "true"
        assert first.correlation_id != second.correlation_id
        assert case.runs == 1
        assert backend.items(case.shelf.things) == [Thing("a", 1)]


def test_the_same_key_with_another_request_is_refused(run: Any) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        backend.post("/count", json=Thing("a"), token=alice, headers=KEY)
        refused = backend.post("/count", json=Thing("b"), token=alice, headers=KEY)
        assert (refused.status, refused.json()["code"]) == (422, "invalid")
        assert backend.items(case.shelf.things) == [Thing("a", 1)]


@pytest.mark.parametrize(("who", "path"), [("bob", "/count"), ("alice", "/other")])
def test_a_key_is_scoped_by_caller_and_route(run: Any, who: str, path: str) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        backend.post("/count", json=Thing("a"), token=backend.token("alice"), headers=KEY)
        again = backend.post(path, json=Thing("a"), token=backend.token(who), headers=KEY)
        assert "idempotency-replayed" not in again.headers
        assert case.runs == 2


@pytest.mark.parametrize(("hours", "runs"), [(23.9, 1), (24.1, 2)])
def test_a_reply_is_kept_for_24_hours(run: Any, hours: float, runs: int) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        backend.post("/count", json=Thing("a"), token=backend.token("alice"), headers=KEY)
        backend.advance(hours * 3600)
        backend.post("/count", json=Thing("a"), token=backend.token("alice"), headers=KEY)
        assert case.runs == runs


def test_a_second_request_joins_the_one_that_runs(run: Any) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        ask = {"json": Thing("a"), "token": alice, "headers": KEY}
        replies = backend.together(*[("POST", "/count", ask)] * 8)
        assert {(reply.status, reply.body) for reply in replies} == {(201, b'{"run":1}')}
        assert case.runs == 1


def test_who_joins_with_another_body_is_refused(run: Any) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        replies = backend.together(
            ("POST", "/count", {"json": Thing("a"), "token": alice, "headers": KEY}),
            ("POST", "/count", {"json": Thing("b"), "token": alice, "headers": KEY}),
        )
        assert sorted(reply.status for reply in replies) == [201, 422]
        assert case.runs == 1


@pytest.mark.parametrize("error", [ValueError("no"), NotFound("thing", "a"), Forbidden("no")])
def test_only_committed_replies_are_stored(run: Any, error: Exception) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> int:
        runs.append(1)
        if len(runs) == 1:
            raise error
        return len(runs)

    with run(shelf.app) as backend:
        assert backend.post("/count", headers=KEY).status >= 400
        assert backend.post("/count", headers=KEY).json() == 2
        assert backend.post("/count", headers=KEY).json() == 2


def test_a_returned_reply_is_stored_whatever_its_status(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> Reply:
        runs.append(1)
        return Reply({"run": len(runs)}, status=409)

    with run(shelf.app) as backend:
        replies = [backend.post("/count", headers=KEY) for _ in range(2)]
        assert [reply.status for reply in replies] == [409, 409]
        assert len(runs) == 1


def test_a_lost_answer_is_replayed_to_who_asks_again(run: Any) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        backend.crash_after_commit()
        first = backend.post("/count", json=Thing("a"), token=alice, headers=KEY)
        second = backend.post("/count", json=Thing("a"), token=alice, headers=KEY)
        assert (first.status, first.body) == (second.status, second.body) == (201, b'{"run":1}')
        assert backend.items(case.shelf.things) == [Thing("a", 1)]


def test_a_request_that_dies_before_its_commit_is_run_by_its_repeat(run: Any) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        backend.crash_before_commit()
        ask = {"json": Thing("a"), "token": alice, "headers": KEY}
        assert backend.post("/count", **ask).status == 502
        assert backend.post("/count", **ask).status == 201
        assert backend.items(case.shelf.things) == [Thing("a", 1)]


@pytest.mark.parametrize("key", ["", "x" * 256, "snow \u2603", "tab\there"])
def test_a_key_that_is_none_is_refused(run: Any, key: str) -> None:
    case = Counting()
    with run(case.shelf.app) as backend:
        alice = backend.token("alice")
        headers = {"Idempotency-Key": key}
        refused = backend.post("/count", json=Thing("a"), token=alice, headers=headers)
        assert (refused.status, refused.json()["code"]) == (400, "bad_request")
        assert case.runs == 0


def test_a_safe_method_needs_no_key_and_takes_none(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.get("/count")
    def count() -> int:
        runs.append(1)
        return len(runs)

    with run(shelf.app) as backend:
        assert [backend.get("/count", headers=KEY).json() for _ in range(2)] == [1, 2]
