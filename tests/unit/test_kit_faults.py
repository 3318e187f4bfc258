"""The test kit's faults: each strikes what it is told to, as often as it is told to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct

from wherry import App, limits
from wherry.errors import StoreFull
from wherry.testing import Backend, running


class Thing(Struct):
    """An item."""

    name: str
    count: int = 0


class Job(Struct):
    """A message."""

    name: str


app = App("faults")
things = app.table(Thing, key="name")
others = app.table(Thing, name="others", key="name")
jobs = app.queue(Job, max_attempts=4)
files = app.bucket("files")
key = app.secret("key")
may = [things.read, things.write, others.read, others.write, jobs.send,
       files.read, files.write, key.read]  # fmt: skip


@app.post("/do/{what}", grants=may)
def do(what: str) -> None:
    match what:
        case "get":
            things.get("a")
        case "query":
            things.query("a")
        case "put":
            things.put(Thing("a"))
        case "other":
            others.put(Thing("a"))
        case "send":
            jobs.send(Job("a"))
        case "head":
            files.head("a")
        case "list":
            files.list()
        case "open":
            found = files.get("there")
            assert found is not None
            found.read()
        case "stage":
            files.put("a", b"x")
        case "delete":
            files.delete("a")
        case "sign":
            files.presign_download("a")
        case "secret":
            key.get()
        case "count":
            found_thing = things.get("a") or Thing("a")
            things.put(Thing("a", found_thing.count + 1))


@app.consume(jobs, grants=may)
def work(job: Job) -> None:
    things.get("a")
    things.add("worked", count=1)


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app, secrets={"key": "value"}) as backend:
        with backend.acting():
            files.put("there", b"content")
        yield backend


USES = {
    "things": ["get", "query", "put", "count"],
    "others": ["other"],
    "jobs": ["send"],
    "files": ["head", "list", "open", "stage", "delete", "sign"],
    "key": ["secret"],
}


@pytest.mark.parametrize("resource", USES)
def test_a_failing_resource_fails_its_own_uses_and_no_other(
    backend: Backend, resource: str
) -> None:
    for name, uses in USES.items():
        for use in uses:
            with backend.fail(resource):
                struck = backend.post(f"/do/{use}")
            assert struck.status == (503 if name == resource else 204), use
            assert backend.post(f"/do/{use}").status == 204, use


def test_a_fault_can_be_given_by_handle_for_a_number_of_times(backend: Backend) -> None:
    backend.fail(things, others, times=2)
    assert [backend.post(f"/do/{use}").status for use in ("get", "other", "put")] == [503, 503, 204]


def test_a_fault_says_how_often_it_struck(backend: Backend) -> None:
    with backend.fail(things) as trouble:
        backend.post("/do/get")
        backend.post("/do/get")
    assert trouble.hits == 2


def test_a_full_disk_is_a_507(backend: Backend) -> None:
    with backend.fail(things, error=StoreFull("no room")):
        full = backend.post("/do/put")
    assert (full.status, full.json()["code"]) == (507, "store_full")


def test_the_words_of_a_fault_are_in_the_failure_inbox(backend: Backend) -> None:
    with backend.acting():
        jobs.send(Job("a"))
    with backend.fail(things, error="the cable is unplugged"):
        backend.drain()
    (failure,) = backend.failures()
    assert "the cable is unplugged" in failure.error
    assert failure.attempts == 4


def test_failed_work_that_goes_from_the_inbox_unseen_is_told_of(backend: Backend) -> None:
    """Its time there is over: nothing is dropped in silence."""
    with backend.fail(things):
        backend.post("/do/send")
        backend.drain()
    assert len(backend.failures()) == 1
    backend.advance(limits.FAILURES_S + 3600)
    assert backend.failures() == []
    [told] = [line for line in backend.logs if "nobody redrove" in line["message"]]
    assert (told["level"], told["queue"], told["count"]) == ("WARNING", "jobs", 1)


def test_what_the_test_itself_does_is_never_struck(backend: Backend) -> None:
    with backend.fail(things, files, jobs):
        with backend.acting():
            things.put(Thing("a"))
            files.put("b", b"x")
        assert backend.items(things) == [Thing("a")]
        assert backend.object(files, "b")


def test_a_resource_that_is_not_there_cannot_fail(backend: Backend) -> None:
    with pytest.raises(ValueError, match=r"there are: files, jobs, key, others, things"):
        backend.fail("orders")


def test_a_conflict_is_lost_by_who_checks_what_it_read(backend: Backend) -> None:
    backend.conflict_next(things)
    backend.post("/do/put")  # blind: nothing to lose
    backend.post("/do/count")
    assert [one.ending for one in backend.records][-3:] == ["ok", "conflict", "ok"]
    assert backend.items(things) == [Thing("a", 1)]


def test_an_environment_dies_before_its_commit_as_often_as_told(backend: Backend) -> None:
    backend.crash_before_commit(times=2)
    assert [backend.post("/do/count").status for _ in range(3)] == [502, 502, 204]
    assert backend.items(things) == [Thing("a", 1)]


def test_a_lost_answer_is_looked_up_and_the_effect_is_there_once(backend: Backend) -> None:
    backend.crash_after_commit(times=2)
    assert [backend.post("/do/count").status for _ in range(3)] == [204, 204, 204]
    assert backend.items(things) == [Thing("a", 3)]


def test_a_duplicated_message_runs_twice_and_counts_once(backend: Backend) -> None:
    with backend.duplicate("jobs"):
        backend.post("/do/send")
        backend.drain()
    backend.post("/do/send")
    backend.drain()
    endings = [one.ending for one in backend.records if one.function == "work"]
    assert endings == ["duplicate", "ok", "ok"]
    assert backend.items(things) == [Thing("worked", 2)]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_goes_wrong_everything_accepted_is_there_once(seed: int) -> None:
    """Every request that was answered with 2xx counts once, every job of them too."""
    from wherry.world import Chance

    chance = Chance(seed)
    simulated = App("simulated")
    tallies = simulated.table(Thing, name="tallies", key="name")
    first = simulated.queue(Job, name="first", max_attempts=1_000, retry_max_s=1)
    second = simulated.queue(Job, name="second", max_attempts=1_000, retry_max_s=1)
    grants = [tallies.read, tallies.write, first.send, second.send]

    def count(name: str) -> None:
        found = tallies.get(name) or Thing(name)
        tallies.put(Thing(name, found.count + 1))

    @simulated.post("/orders", status=201, grants=grants)
    def order() -> None:
        count("orders")
        first.send(Job("a"))

    @simulated.consume(first, grants=grants)
    def one(job: Job) -> None:
        count("first")
        second.send(job)
        second.send(job, delay_s=2)

    @simulated.consume(second, grants=grants)
    def two(job: Job) -> None:
        simulated.atomic("step", tallies.add, "steps", count=1)
        count("second")

    with running(simulated, seed=seed) as backend:
        accepted = 0
        faults: list[Any] = [
            lambda: backend.crash_before_commit(1 + chance.below(3)),
            lambda: backend.crash_after_commit(1 + chance.below(3)),
            lambda: backend.conflict_next(tallies, 1 + chance.below(4)),
            lambda: backend.fail(tallies, times=1 + chance.below(4)),
            lambda: backend.fail(first, times=1),
            lambda: backend.fail(second, times=1 + chance.below(3)),
            lambda: backend.duplicate(first),
            lambda: backend.duplicate(second),
            lambda: backend.advance(chance.between(0, 3)),
            lambda: None,
        ]
        for _ in range(12):
            faults[chance.below(len(faults))]()
            sent = backend.together(*[("POST", "/orders")] * (1 + chance.below(4)))
            accepted += [reply.status for reply in sent].count(201)
        backend.drain()
        found = {thing.name: thing.count for thing in backend.items(tallies)}
        wanted = {"orders": accepted, "first": accepted, "second": 2 * accepted,
                  "steps": 2 * accepted}  # fmt: skip
        assert found == {name: count for name, count in wanted.items() if count}
        assert backend.failures() == []
        core = backend._composed.core
        assert core.dispatcher.open == 0
        assert core.dispatcher.reruns._queues == {}
        assert all(not feed.offered and not feed.in_hand for feed in core.feeds.feeds.values())


@pytest.mark.parametrize("what", ["get", "secret", "open"])
def test_a_fault_strikes_both_of_two_compared_runs_and_counts_once(what: str) -> None:
    """Else they differ by it, and the handler is blamed."""
    with running(app, secrets={"key": "value"}, twice=True) as backend:
        with backend.acting():
            files.put("there", b"content")
        fault = backend.fail(things, files, key, times=1)
        assert backend.post(f"/do/{what}").status == 503
        assert fault.hits == 1
        assert backend.post(f"/do/{what}").status < 300
