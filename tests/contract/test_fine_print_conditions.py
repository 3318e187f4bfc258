"""The fine print: an unmet condition is an answer, a lost version conflict is run again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import field

pytestmark = on_every_platform


def test_an_unmet_condition_is_a_409_with_table_and_key_and_nothing_runs_again(run: Any) -> None:
    shelf, runs = Shelf(), []
    shelf.consume_nothing()

    @shelf.app.post("/things", grants=[*shelf.all, shelf.jobs.send])
    def put() -> None:
        runs.append(1)
        shelf.things.put(Thing("other"))
        shelf.things.put(Thing("a"), if_absent=True)
        shelf.jobs.send(Job("a"))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a", 1))
        refused = backend.post("/things")
        problem = refused.json()
        assert (refused.status, problem["code"]) == (409, "condition_failed")
        assert (problem["table"], problem["key"]) == ("things", "a")
        assert backend.items(shelf.things) == [Thing("a", 1)]
        assert backend.messages(shelf.jobs) == []
        assert backend.records[-1].ending == "condition"
    assert runs == [1]


@pytest.mark.parametrize(("count", "status"), [(0, 409), (1, 204)])
@pytest.mark.parametrize("write", ["put", "update", "add", "delete"])
def test_a_condition_on_the_stored_item_holds_for_every_write(
    run: Any, write: str, count: int, status: int
) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=shelf.all)
    def put() -> None:
        when = field("count") >= 1
        match write:
            case "put":
                shelf.things.put(Thing("a", 5), when=when)
            case "update":
                shelf.things.update("a", note="paid", when=when)
            case "add":
                shelf.things.add("a", count=1, when=when)
            case "delete":
                shelf.things.delete("a", when=when)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a", count))
        assert backend.post("/things").status == status
        if status == 409:
            assert backend.items(shelf.things) == [Thing("a", count)]


def test_an_update_of_what_is_not_there_is_an_unmet_condition(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=shelf.all)
    def put() -> None:
        shelf.things.update("a", note="paid")

    with run(shelf.app) as backend:
        assert backend.post("/things").json()["code"] == "condition_failed"


def test_a_message_with_an_unmet_condition_goes_to_the_failure_inbox_at_once(run: Any) -> None:
    shelf, runs = Shelf(max_attempts=9), []

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        runs.append(1)
        shelf.things.put(Thing("a"), if_absent=True)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a", 1))
            shelf.jobs.send(Job("a"))
        backend.drain()
        (failure,) = backend.failures()
        assert (failure.code, failure.attempts) == ("condition_failed", 1)
        assert "things" in failure.error
        assert "a" in failure.error
    assert runs == [1]


def test_a_lost_conflict_is_run_again_and_names_the_winner(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/slow", grants=shelf.all)
    def slow() -> None:
        found = shelf.things.get("a") or Thing("a")
        runs.append(found.count)
        if len(runs) == 1:
            shelf.app.atomic("meddle", meddle)
        shelf.things.put(Thing("a", found.count + 1))

    def meddle() -> None:
        shelf.things.put(Thing("a", 100))

    with run(shelf.app) as backend:
        assert backend.post("/slow").status == 204
        assert backend.items(shelf.things) == [Thing("a", 101)]
        (conflict,) = [record for record in backend.records if record.ending == "conflict"]
        assert "things/a" in conflict.error
        assert "slow" in conflict.error
        assert conflict.request_id in conflict.error
    assert runs == [0, 100]


def test_a_conflict_that_does_not_end_is_a_503_within_the_deadline(run: Any) -> None:
    shelf, runs = Shelf(), []

    @shelf.app.post("/count", grants=shelf.all, timeout_s=5)
    def count() -> None:
        runs.append(1)
        backend.clock.advance(0.5)
        found = shelf.things.get("a") or Thing("a")
        shelf.things.put(Thing("a", found.count + 1))

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=1_000)
        busy = backend.post("/count")
        assert (busy.status, busy.json()["code"]) in [
            (503, "unavailable"),
            (504, "deadline_exceeded"),
        ]
        assert "retry-after" in busy.headers or busy.status == 504
        assert backend.items(shelf.things) == []
    assert 5 <= len(runs) <= 11


@pytest.mark.parametrize(("conflicts", "spent"), [(6, 0), (30, 1)])
def test_a_message_that_loses_conflicts_spends_an_attempt_when_its_time_is_over(
    run: Any, conflicts: int, spent: int
) -> None:
    shelf, attempts = Shelf(max_attempts=1), []

    @shelf.app.consume(shelf.jobs, grants=shelf.all, timeout_s=2)
    def count(job: Job) -> None:
        attempts.append(1)
        backend.clock.advance(0.25)
        found = shelf.things.get("a") or Thing("a")
        shelf.things.put(Thing("a", found.count + 1))

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=conflicts)
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        assert [one.attempts for one in backend.failures()] == [1] * spent
        assert backend.items(shelf.things) == [Thing("a", 1)][spent:]
    assert 7 <= len(attempts) < 12


@pytest.mark.parametrize("clients", [2, 32])
def test_a_hot_key_becomes_serial_and_never_a_503(run: Any, clients: int) -> None:
    shelf = Shelf()

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> int:
        found = shelf.things.get("a") or Thing("a")
        shelf.things.put(Thing("a", found.count + 1))
        return found.count + 1

    with run(shelf.app) as backend:
        replies = backend.together(*[("POST", "/count")] * clients)
        assert {reply.status for reply in replies} == {200}
        assert sorted(reply.json() for reply in replies) == list(range(1, clients + 1))
        assert backend.items(shelf.things) == [Thing("a", clients)]
        endings = [record.ending for record in backend.records]
        assert "conflict" in endings
        assert endings.count("conflict") <= 5 * clients


def test_many_messages_on_one_key_all_count(run: Any) -> None:
    shelf = Shelf(max_attempts=1)

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def count(job: Job) -> None:
        found = shelf.things.get("a") or Thing("a")
        shelf.things.put(Thing("a", found.count + 1))

    with run(shelf.app) as backend:
        for _ in range(3):
            with backend.acting():
                shelf.jobs.send.many([Job("a")] * 30)
        backend.drain()
        assert backend.items(shelf.things) == [Thing("a", 90)]
        assert backend.failures() == []


def test_two_hot_keys_in_opposite_order_never_block_each_other(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/move/{first}/{second}", grants=shelf.all)
    def move(first: str, second: str) -> None:
        for name in (first, second):
            found = shelf.things.get(name) or Thing(name)
            shelf.things.put(Thing(name, found.count + 1))

    with run(shelf.app) as backend:
        replies = backend.together(*[("POST", "/move/a/b"), ("POST", "/move/b/a")] * 10)
        assert {reply.status for reply in replies} == {204}
        assert backend.items(shelf.things) == [Thing("a", 20), Thing("b", 20)]


def test_add_commutes_without_a_conflict(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/count", grants=shelf.all)
    def count() -> None:
        shelf.things.add("a", count=1)

    with run(shelf.app) as backend:
        backend.together(*[("POST", "/count")] * 16)
        assert backend.items(shelf.things) == [Thing("a", 16)]
        assert {record.ending for record in backend.records} == {"ok"}
