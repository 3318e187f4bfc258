"""The fine print: one key for each invocation, and a run that repeats itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import Struct, current, new_id, now, outside
from wherry.testing import NotRepeatable

pytestmark = on_every_platform


class Seen:
    """What runs have seen of themselves."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, str, datetime, int]] = []

    def note(self) -> None:
        """Look at the present run."""
        self.runs.append((current().key("charge"), new_id(), now(), current().attempt))


def failing_consumer(shelf: Shelf, seen: Seen, times: int) -> None:
    """Declare a consumer that fails at first."""

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        seen.note()
        if len(seen.runs) <= times:
            raise ValueError("not yet")


def test_a_message_has_one_key_on_every_attempt(run: Any) -> None:
    shelf, seen = Shelf(max_attempts=5), Seen()
    failing_consumer(shelf, seen, 3)
    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
    keys, ids, moments, attempts = zip(*seen.runs, strict=True)
    assert attempts == (1, 2, 3, 4)
    assert len(set(keys)) == len(set(ids)) == len(set(moments)) == 1


def test_now_is_the_start_of_the_first_attempt(run: Any) -> None:
    shelf, seen = Shelf(), Seen()
    failing_consumer(shelf, seen, 1)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    with run(shelf.app, start=start) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.advance(3600)
        assert [found[2] for found in seen.runs] == [start, start]


def test_a_redriven_message_keeps_its_key(run: Any) -> None:
    shelf, seen = Shelf(max_attempts=2), Seen()
    failing_consumer(shelf, seen, 2)
    with run(shelf.app) as backend:
        with backend.acting():
            sent = shelf.jobs.send(Job("a"))
        backend.drain()
        (failure,) = backend.failures()
        assert failure.id == sent
        backend.advance(3 * 86_400)
        assert backend.redrive(failure) == 1
        backend.drain()
    keys, ids, moments, _ = zip(*seen.runs, strict=True)
    assert len(keys) == 3
    assert len(set(keys)) == len(set(ids)) == len(set(moments)) == 1


def test_edit_and_redrive_makes_a_new_key(run: Any) -> None:
    shelf, seen = Shelf(max_attempts=1), Seen()
    failing_consumer(shelf, seen, 1)
    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        backend.redrive(*backend.failures(), edited=Job("b"))
        backend.drain()
        assert backend.failures() == []
    assert len({key for key, *_ in seen.runs}) == 2


def test_two_messages_have_two_keys(run: Any) -> None:
    shelf, seen = Shelf(), Seen()
    failing_consumer(shelf, seen, 0)
    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send.many([Job("a"), Job("a")])
        backend.drain()
    assert len({key for key, *_ in seen.runs}) == 2


def test_a_request_without_idempotency_key_has_its_own(run: Any) -> None:
    shelf, seen = Shelf(), Seen()

    @shelf.app.post("/things")
    def post() -> None:
        seen.note()

    with run(shelf.app) as backend:
        backend.post("/things")
        backend.post("/things")
    assert len({key for key, *_ in seen.runs}) == len({id for _, id, *_ in seen.runs}) == 2


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (("alice", "/one", "k"), ("alice", "/one", "k"), True),
        (("alice", "/one", "k"), ("alice", "/one", "l"), False),
        (("alice", "/one", "k"), ("bob", "/one", "k"), False),
        (("alice", "/one", "k"), ("alice", "/two", "k"), False),
    ],
)
def test_a_request_with_idempotency_key_has_that_of_caller_route_and_key(
    run: Any, first: tuple[str, str, str], second: tuple[str, str, str], same: bool
) -> None:
    shelf, seen = Shelf(), Seen()

    def post() -> None:
        seen.note()
        if len(seen.runs) == 1:
            raise ValueError("nothing is stored of this one")

    bundle = shelf.app.bundle("both", auth=shelf.people)
    bundle.post("/one")(post)

    @bundle.post("/two")
    def two() -> None:
        post()

    with run(shelf.app) as backend:
        for who, path, key in (first, second):
            token = backend.token(who)
            backend.post(path, token=token, headers={"Idempotency-Key": key})
    assert (seen.runs[0][0] == seen.runs[1][0]) is same


def test_new_ids_of_one_run_differ_and_are_in_order_of_time(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/ids")
    def post() -> list[str]:
        return [new_id() for _ in range(3)]

    with run(shelf.app) as backend:
        first = backend.post("/ids").json()
        backend.advance(1)
        later = backend.post("/ids").json()
    assert len({*first, *later}) == 6
    assert max(first) < min(later)


def test_a_rerun_after_a_conflict_sends_the_same_bytes_to_the_outside(run: Any) -> None:
    shelf, sent = Shelf(), []

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> str:
        shelf.things.get("a")
        sent.append((new_id(), now(), current().key("charge")))
        shelf.things.put(Thing("a"))
        return outside("charge", lambda key: charged(key))

    calls: list[str] = []

    def charged(key: str) -> str:
        calls.append(key)
        return f"receipt {len(calls)}"

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=3)
        reply = backend.post("/things")
    assert len(sent) == 4
    assert len(set(sent)) == 1
    assert calls == [sent[0][2]]  # kept for the re-runs of this attempt
    assert reply.json() == "receipt 1"


class Receipt(Struct):
    """What a service answers."""

    number: int
    at: datetime


def test_a_kept_result_has_the_type_that_the_call_says(run: Any) -> None:
    shelf, seen = Shelf(), []

    def charged(key: str) -> Receipt:
        seen.append(key)
        return Receipt(len(seen), datetime(2026, 1, 2, tzinfo=UTC))

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> list[Receipt]:
        shelf.things.get("a")
        receipts = [outside("one", charged), outside("two", charged)]
        plain = outside("plain", lambda key: {"key": key, "sizes": [1, 2.5, None]})
        assert plain["sizes"] == [1, 2.5, None]
        shelf.things.put(Thing("a", note=str(plain["key"])))
        return receipts

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=2)
        assert [one["number"] for one in backend.post("/things").json()] == [1, 2]
    assert len(seen) == len(set(seen)) == 2


def test_a_step_keeps_what_it_got_outside_for_its_own_reruns_and_those_around_it(run: Any) -> None:
    shelf = Shelf()
    calls: list[str] = []

    def step() -> None:
        shelf.things.get("step")
        outside("charge", calls.append)
        shelf.things.put(Thing("step"))

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> None:
        shelf.things.get("a")
        outside("charge", calls.append)
        shelf.app.atomic("step", step)
        shelf.things.put(Thing("a"))

    with run(shelf.app) as backend:
        backend.conflict_next(shelf.things, times=4)
        assert backend.post("/things").status == 204
    assert len(calls) == len(set(calls)) == 2


@pytest.mark.parametrize("result", [Thing("a"), (1, 2), object(), float("nan"), {1, 2}])
def test_a_result_that_would_not_come_back_as_it_is_is_refused_at_the_call(
    run: Any, result: Any
) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> None:
        shelf.things.put(Thing("a"))
        outside("charge", lambda key: result)

    with run(shelf.app) as backend:
        assert backend.post("/things").status == 500
        assert "annotate the type" in str(backend.logs)
        assert backend.items(shelf.things) == []


def test_what_an_attempt_keeps_of_the_outside_is_bounded(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/things", grants=shelf.all)
    def post(parts: int) -> None:
        for part in range(parts):
            outside(f"part {part}", lambda key: "x" * 500_000)

    with run(shelf.app) as backend:
        assert backend.post("/things", query={"parts": 2}).status == 204
        assert backend.post("/things", query={"parts": 3}).status == 500
        assert "part 2" in str(backend.logs)


def test_the_result_of_an_outside_call_is_kept_while_others_run(run: Any) -> None:
    shelf = Shelf()
    calls: list[str] = []

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> None:
        found = shelf.things.get("a") or Thing("a")
        outside("charge", calls.append)
        shelf.things.put(Thing("a", found.count + 1))

    with run(shelf.app) as backend:
        replies = backend.together(*[("POST", "/things")] * 8)
        assert {reply.status for reply in replies} == {204}
        assert "conflict" in {record.ending for record in backend.records}
    assert len(calls) == len(set(calls)) == 8


def test_calls_of_one_name_in_a_run_are_each_made_and_kept(run: Any) -> None:
    """As in a loop; a run that is repeated gets what each of them gave."""
    shelf = Shelf()
    calls: list[str] = []
    keys: set[str] = set()

    def charge(key: str) -> int:
        calls.append(key)
        return len(calls)

    @shelf.app.post("/things", grants=shelf.all)
    def post() -> list[int]:
        found = shelf.things.get("a") or Thing("a")
        given = [outside("charge", charge) for _ in range(3)]
        shelf.things.put(Thing("a", found.count + 1))
        keys.add(current().key("charge"))
        return given

    with run(shelf.app) as backend:
        replies = backend.together(*[("POST", "/things")] * 4)
        assert "conflict" in {record.ending for record in backend.records}
    given = [number for reply in replies for number in reply.json()]
    assert sorted(given) == list(range(1, 13))
    assert len(set(calls)) == 12
    assert keys < set(calls)


def test_an_outside_call_is_made_again_on_the_next_attempt_with_the_same_key(run: Any) -> None:
    shelf = Shelf()
    calls: list[str] = []

    @shelf.app.consume(shelf.jobs)
    def work(job: Job) -> None:
        outside("charge", calls.append)
        if len(calls) < 3:
            raise ValueError("the service took it, then we failed")

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
    assert len(calls) == 3
    assert len(set(calls)) == 1


def test_every_handler_can_be_run_twice_under_one_key_and_compared(run: Any) -> None:
    shelf = Shelf()
    shelf.consume_nothing()
    told = iter(range(100))

    @shelf.app.post("/good", grants=[*shelf.all, shelf.jobs.send])
    def good() -> Thing:
        thing = Thing(new_id(), note=now().isoformat())
        shelf.things.put(thing)
        shelf.jobs.send(Job(thing.name))
        return thing

    @shelf.app.post("/bad", grants=shelf.all)
    def bad() -> None:
        shelf.things.put(Thing("a", next(told)))

    with run(shelf.app, twice=True) as backend:
        assert backend.post("/good").status == 200
        assert len(backend.items(shelf.things)) == 1
        with pytest.raises(NotRepeatable, match=r'(?s)"count":0.*"count":1.*now\(\)'):
            backend.post("/bad")
        assert backend.post("/good").status == 200
        assert len(backend.items(shelf.things)) == 2
