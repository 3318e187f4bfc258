"""The fine print: the bounds of a commit, the same on every platform."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from tests.contract.fine_print import Job, Shelf, Thing, on_every_platform
from wherry import Reply, Struct, current, field, limits

pytestmark = on_every_platform


class Entry(Struct):
    """An item of a list."""

    of: str
    name: str


def refused(backend: Any, path: str = "/go") -> str:
    """Post, and return why it was refused; nothing of it may be left."""
    reply = backend.post(path)
    assert reply.status == 500
    errors = [line["message"] for line in backend.logs if line["level"] == "ERROR"]
    return str(errors[-1])


@pytest.mark.parametrize(("count", "fits"), [(90, True), (91, False)])
def test_a_commit_takes_90_effects_on_distinct_keys(run: Any, count: int, fits: bool) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/go", grants=[*shelf.all, shelf.jobs.send])
    def go() -> None:
        for number in range(count - 30):
            shelf.things.put(Thing(f"{number:03}"))
        shelf.jobs.send.many([Job("a")] * 30)

    with run(shelf.app) as backend:
        if fits:
            assert backend.post("/go").status == 204
            assert len(backend.items(shelf.things)) == 60
            assert len(backend.messages(shelf.jobs)) == 30
        else:
            assert "90 distinct keys" in refused(backend)
            assert backend.items(shelf.things) == []


def test_effects_on_one_key_fold_into_one(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> None:
        shelf.things.put(Thing("a", 1))
        for _ in range(200):
            shelf.things.add("a", count=1)
        shelf.things.update("a", note="folded")
        shelf.things.put(Thing("b"), if_absent=True)
        shelf.things.delete("b")
        shelf.things.put(Thing("b", 7))

    with run(shelf.app) as backend:
        assert backend.post("/go").status == 204
        assert backend.items(shelf.things) == [Thing("a", 201, "folded"), Thing("b", 7)]
        assert backend.post("/go").json()["code"] == "condition_failed"


def test_what_cannot_be_folded_is_refused(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> None:
        shelf.things.put(Thing("a", 1))
        shelf.things.update("a", note="x", when=field("count") == 1)

    with run(shelf.app) as backend:
        assert "cannot have a condition" in refused(backend)


@pytest.mark.parametrize(("size", "fits"), [(380_000, True), (390_000, False)])
def test_a_commit_takes_3_and_a_half_megabytes(run: Any, size: int, fits: bool) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> None:
        for number in range(9):
            shelf.things.put(Thing(str(number), note="x" * size))

    with run(shelf.app) as backend:
        if fits:
            assert backend.post("/go").status == 204
        else:
            assert "3500000 bytes" in refused(backend)
            assert backend.items(shelf.things) == []


@pytest.mark.parametrize(("size", "fits"), [(399_900, True), (400_000, False)])
def test_an_item_has_at_most_400_kb(run: Any, size: int, fits: bool) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> None:
        shelf.things.put(Thing("a", note="x" * size))

    with run(shelf.app) as backend:
        if fits:
            assert backend.post("/go").status == 204
        else:
            assert "bucket" in refused(backend)


def test_an_item_that_grows_in_place_is_bounded_too(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> None:
        shelf.things.update("a", note="x" * 400_000)

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.things.put(Thing("a"))
        assert refused(backend)
        assert backend.items(shelf.things) == [Thing("a")]


@pytest.mark.parametrize(("size", "fits"), [(349_900, True), (350_000, False)])
def test_a_message_has_at_most_350_kb(run: Any, size: int, fits: bool) -> None:
    shelf = Shelf()
    shelf.consume_nothing()

    @shelf.app.post("/go", grants=[shelf.jobs.send])
    def go() -> None:
        shelf.jobs.send(Job("x" * size))

    with run(shelf.app) as backend:
        if fits:
            assert backend.post("/go").status == 204
        else:
            assert "bucket" in refused(backend)


@pytest.mark.parametrize("keyed", [False, True])
@pytest.mark.parametrize(("size", "fits"), [(6 * 1024 * 1024, True), (6 * 1024 * 1024 + 1, False)])
def test_a_reply_has_at_most_6_mib(run: Any, size: int, fits: bool, keyed: bool) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> Reply:
        shelf.things.put(Thing("a"))
        return Reply(b"x" * size, media_type="application/octet-stream")

    with run(shelf.app) as backend:
        headers = {"Idempotency-Key": "k"} if keyed else {}
        reply = backend.post("/go", headers=headers)
        assert (reply.status == 200) is fits
        assert len(backend.items(shelf.things)) == int(fits)
        if keyed and fits:
            assert backend.post("/go", headers=headers).body == reply.body


def test_current_room_tells_what_is_left_and_more_goes_in_named_steps(run: Any) -> None:
    shelf = Shelf()

    def store(part: list[str]) -> int:
        for name in part:
            shelf.things.put(Thing(name))
        return len(part)

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> list[int]:
        names = [f"{number:03}" for number in range(200)]
        room = current().room().effects
        left = [room]
        for at in range(0, len(names), room):
            shelf.app.atomic("chunk", store, names[at : at + room])
        shelf.things.put(Thing("last"))
        left.append(current().room().effects)
        return left

    with run(shelf.app) as backend:
        assert backend.post("/go").json() == [limits.COMMIT_EFFECTS, limits.COMMIT_EFFECTS - 1]
        assert len(backend.items(shelf.things)) == 201


def test_a_key_has_as_many_bytes_as_dynamodb_takes(run: Any) -> None:
    shelf = Shelf()
    entries = shelf.app.table(Entry, key="of", sort="name")

    @shelf.app.post("/go", grants=[entries.write])
    def go() -> None:
        entries.put(Entry("x" * 2_048, "y" * 1_024))

    @shelf.app.post("/count", grants=[entries.read])
    def count() -> int:
        return len(entries.query("x" * 2_048))

    with run(shelf.app) as backend:
        assert backend.post("/go").status == 204
        assert backend.post("/count").json() == 1


@pytest.mark.parametrize("key", ["", "x" * 2_049])
def test_a_key_that_no_platform_can_hold_is_a_bad_request(run: Any, key: str) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> None:
        shelf.things.put(Thing(key))

    with run(shelf.app) as backend:
        reply = backend.post("/go")
        assert (reply.status, reply.json()["code"]) == (400, "bad_request")


def test_a_message_beyond_a_bound_is_not_tried_again(run: Any) -> None:
    shelf = Shelf(max_attempts=9)

    @shelf.app.consume(shelf.jobs, grants=shelf.all)
    def work(job: Job) -> None:
        for number in range(91):
            shelf.things.put(Thing(str(number)))

    with run(shelf.app) as backend:
        with backend.acting():
            shelf.jobs.send(Job("a"))
        backend.drain()
        (failure,) = backend.failures()
        assert (failure.code, failure.attempts) == ("bound_exceeded", 1)


@pytest.mark.parametrize("reads", ["versioned", "checked"])
@pytest.mark.parametrize(("written", "guarded", "fits"), [(45, 45, True), (45, 46, False)])
def test_a_guard_counts_as_one_of_the_keys_of_a_commit(
    run: Any, reads: Literal["versioned", "checked"], written: int, guarded: int, fits: bool
) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all, reads=reads)
    def go() -> int:
        for number in range(guarded):
            shelf.things.get(f"guarded {number}", guard=reads == "versioned")
            shelf.things.get(f"guarded {number}", guard=True)
        for number in range(written):
            shelf.things.put(Thing(f"written {number}"))
            shelf.things.get(f"written {number}", guard=True)
        return current().room().effects

    with run(shelf.app) as backend:
        if fits:
            assert backend.post("/go").json() == 0
        else:
            assert "distinct keys, written or guarded" in refused(backend)
        assert len(backend.items(shelf.things)) == (written if fits else 0)


def test_a_guarded_key_that_is_written_counts_once(run: Any) -> None:
    shelf = Shelf()

    @shelf.app.post("/go", grants=shelf.all)
    def go() -> int:
        for number in range(90):
            found = shelf.things.get(str(number), guard=True)
            assert found is None
        for number in range(90):
            shelf.things.put(Thing(str(number)))
        return current().room().effects

    with run(shelf.app) as backend:
        assert backend.post("/go").json() == 0
        assert len(backend.items(shelf.things)) == 90


def test_reads_that_are_not_guarded_and_queries_count_nothing(run: Any) -> None:
    shelf = Shelf()
    lists = shelf.app.table(Entry, key="of", sort="name")

    @shelf.app.post("/go", grants=[*shelf.all, lists.read])
    def go() -> int:
        for number in range(100):
            shelf.things.get(str(number))
        return current().room().effects

    @shelf.app.post("/query", grants=[lists.read, lists.write], reads="checked")
    def query() -> list[int]:
        count = len(lists.query("a"))
        return [count, current().room().effects]

    with run(shelf.app) as backend:
        for start in (0, 50):
            with backend.acting():
                for number in range(start, start + 50):
                    lists.put(Entry("a", f"{number:03}"))
        assert backend.post("/go").json() == 90
        assert backend.post("/query").json() == [100, 90]
