"""Most commits on Postgres are one call of `commit_plain`; what it leaves is `commit_run`'s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.conftest import Place
from tests.postgres_kit import Schema, loop, schema, server
from wherry.effects import (
    Absent,
    CancelMessage,
    DeleteItem,
    DeleteObject,
    Guard,
    Present,
    SendMessage,
)
from wherry.platforms.postgres.database import Database
from wherry.platforms.postgres.store import PostgresStore
from wherry.ports import (
    Already,
    Commit,
    Committed,
    Conflicted,
    LeaseLost,
    MessageAck,
    ReplyAck,
    Unmet,
)
from wherry.world import Chance, ManualClock

OWNER = "engine-1"
PLAIN, WHOLE = "commit_plain", "commit_run"


class Told:
    """A connection of asyncpg's that notes which commits it is asked for."""

    def __init__(self, connection: Any, calls: list[str]) -> None:
        self._connection = connection
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def prepare(self, sql: str) -> Any:
        return Noted(await self._connection.prepare(sql), sql, self._calls)


class Noted:
    """A prepared statement that notes when it is asked."""

    def __init__(self, prepared: Any, sql: str, calls: list[str]) -> None:
        self._prepared = prepared
        self._called = [name for name in (PLAIN, WHOLE) if name in sql]
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)

    async def fetchrow(self, *values: Any) -> Any:
        self._calls += self._called
        return await self._prepared.fetchrow(*values)


class Engine:
    """A place, and an engine on it that tells how it commits."""

    def __init__(self, one: Schema) -> None:
        self.place = Place(one.store, one.clock.advance_to)
        self._calls: list[str] = []
        calls = self._calls

        class Listened(Database):
            async def connect(self) -> Any:
                return Told(await super().connect(), calls)

        self._store = PostgresStore(
            Listened(server().dsn, one.name, 2, one.clock, Chance(0)), one.clock
        )
        loop().run(self._store.begin())

    def commit(self, *effects: Any, **options: Any) -> tuple[Any, list[str]]:
        """Commit; return the answer, and what was called for it."""
        return self.ask(self.place.request(*effects, owner=OWNER, **options))

    def ask(self, commit: Commit) -> tuple[Any, list[str]]:
        self._calls.clear()
        return loop().run(self._store.answer("", commit)), list(self._calls)

    def close(self) -> None:
        loop().run(self._store.close())


@pytest.fixture
def engine() -> Iterator[Engine]:
    with schema(ManualClock()) as one:
        found = Engine(one)
        yield found
        found.close()


def test_an_order_with_its_job_and_the_end_of_the_job_are_plain(engine: Engine) -> None:
    place = engine.place
    order = place.put("counters", "order", when=Absent(), status="open")
    sent, calls = engine.commit(order, SendMessage("jobs", "job", b"{}"), leases={"jobs": 1})
    assert calls == [PLAIN]
    assert isinstance(sent, Committed)
    [job] = sent.leased
    assert (job.id, job.attempt, job.body) == ("job", 1, b"{}")

    result = place.put("counters", "1", lines=2)
    seen = Guard("counters", *place.key("order"), place.version("counters", "order"))
    ended, calls = engine.commit(result, guards=[seen], acks=[MessageAck(job.id, job.token)])
    assert (type(ended), calls) == (Committed, [PLAIN])
    assert place.get("counters", "1") == {"lines": 2}
    place.advance(60)
    assert place.claim() == []  # it is done


def test_a_reply_that_is_kept_is_plain(engine: Engine) -> None:
    ack = ReplyAck("key", "print", b"reply", 60)
    answer, calls = engine.commit(engine.place.put("counters", "1"), acks=[ack])
    assert (type(answer), calls) == (Committed, [PLAIN])


@pytest.mark.parametrize("what", ["an index", "a delete", "an object", "a batch", "a cancelling"])
def test_what_few_commits_do_is_left_to_the_whole_one(engine: Engine, what: str) -> None:
    place = engine.place
    options: dict[str, Any] = {}
    effects: list[Any] = []
    match what:
        case "an index":
            effects = [place.put("notes", "1", tag="red")]
        case "a delete":
            effects = [DeleteItem("counters", *place.key("1"))]
        case "an object":
            effects = [DeleteObject("assets", "a.txt")]
        case "a cancelling":
            effects = [CancelMessage("jobs", "job")]
        case _:
            place.commit(SendMessage("jobs", "a", b"{}"), SendMessage("jobs", "b", b"{}"))
            options["acks"] = [MessageAck(one.id, one.token) for one in place.claim()]
    answer, calls = engine.commit(*effects, **options)
    assert (type(answer), calls) == (Committed, [WHOLE])


def test_what_does_not_hold_changes_nothing_and_is_told_by_the_whole_one(engine: Engine) -> None:
    place = engine.place
    place.commit(place.put("counters", "there"))
    key, version = place.key("there"), place.version("counters", "there")
    written = place.put("counters", "1"), SendMessage("mail", "mail", b"{}")
    there = place.put("counters", "there", when=Absent())
    absent = place.put("counters", "absent", when=Present())
    for effects, guards, kind in (
        ([], [Guard("counters", *key, version - 1)], Conflicted),
        ([], [Guard("counters", *key, 0)], Conflicted),
        ([there], [], Unmet),
        ([absent], [], Unmet),
    ):
        answer, calls = engine.commit(*written, *effects, guards=guards)
        assert (type(answer), calls) == (kind, [PLAIN, WHOLE])
    assert place.get("counters", "1") is None
    assert place.claim(queue="mail") == []


def test_a_lease_that_has_ended_changes_nothing(engine: Engine) -> None:
    place = engine.place
    sent, _ = engine.commit(SendMessage("jobs", "job", b"{}"), leases={"jobs": 1})
    [job] = sent.leased
    place.advance(60)
    assert place.get("counters", "1") is None  # which tells the database what time it is
    late, calls = engine.commit(place.put("counters", "1"), acks=[MessageAck(job.id, job.token)])
    assert (type(late), calls) == (LeaseLost, [PLAIN, WHOLE])
    assert place.get("counters", "1") is None
    assert [one.attempt for one in place.claim()] == [2]


def test_a_commit_is_applied_once_however_often_it_comes(engine: Engine) -> None:
    place = engine.place
    request = place.request(place.put("counters", "1", n=1), owner=OWNER)
    assert isinstance(engine.ask(request)[0], Committed)
    version = place.version("counters", "1")
    answer, calls = engine.ask(request)
    assert (type(answer), calls) == (Already, [PLAIN, WHOLE])
    assert place.version("counters", "1") == version
