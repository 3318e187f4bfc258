"""A Postgres that dies, is away, is busy or says no: nothing acknowledged is lost, nothing is lied.

The server is one of these cases' own, with every commit synced, and so is its clock.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from msgspec import json

from tests.contract.conftest import QUEUES, Place
from tests.engine.shared_kit import asked as look
from tests.postgres_kit import Server, found, loop
from wherry.blueprint import QueueSpec
from wherry.codec import key_bytes
from wherry.effects import SendMessage, UpdateItem
from wherry.errors import FateUnknown
from wherry.platforms.postgres.database import Lost, Session
from wherry.platforms.postgres.pool import Pool
from wherry.platforms.postgres.store import PostgresStore, open_store
from wherry.ports import (
    Already,
    Broken,
    Claim,
    Commit,
    Committed,
    GetItem,
    GetState,
    Renew,
    Request,
)
from wherry.world import Chance, SystemClock

COMMITS = 40  # in flight at any moment
_schemas = itertools.count(1)


@pytest.fixture(scope="module")
def safe() -> Iterator[Server]:
    """A server that keeps what it has acknowledged."""
    made = Server("shared_buffers=32MB", "max_connections=40", "deadlock_timeout=50ms")
    yield made
    made.remove()


class Asked:
    """A store on it, asked for many things at once."""

    def __init__(self, dsn: str, size: int = 8) -> None:
        name = f"servers_{os.getpid()}_{next(_schemas)}"
        self.store: PostgresStore = loop().run(open_store(dsn, SystemClock(), Chance(), name, size))

    def run(self, requests: list[tuple[str, Request]]) -> list[Any]:
        return loop().run(self.store.run(requests))

    def together(self, requests: list[Commit]) -> list[Any]:
        async def ask() -> list[Any]:
            return await asyncio.gather(*(self.store.answer("", one) for one in requests))

        return loop().run(ask())

    def close(self) -> None:
        loop().run(self.store.close())


def no_move(to: float) -> None:
    raise AssertionError(f"this clock is the server's own: it cannot be moved to {to}")


@pytest.fixture
def asked(safe: Server) -> Iterator[Asked]:
    made = Asked(safe.dsn)
    yield made
    made.close()


def add(id: str, amount: int) -> UpdateItem:
    initial = b'{"id":"%s","n":0}' % id.encode()
    return UpdateItem("counters", key_bytes(id), b"", b"{}", b'{"n":%d}' % amount, initial)


def test_what_was_acknowledged_survives_a_server_that_crashes_again_and_again(
    safe: Server, asked: Asked
) -> None:
    """Commits go on while the server is killed. Those whose answer got lost are asked for again,
    by the store itself: each is applied once, and is said to be."""
    place = Place(asked, no_move)
    number = itertools.count(1)
    acknowledged: list[int] = []
    unknown: list[int] = []
    crashes = 3
    more = asyncio.Event()

    def request(n: int) -> Commit:
        item = place.put("orders", "c", f"{n:05}", n=n)
        return place.request(add(f"k{n % 4}", 1), item, SendMessage("jobs", f"m{n}", b"{}"))

    async def write(enough: asyncio.Event) -> None:
        while not enough.is_set():
            n = next(number)
            answer = await asked.store.answer("", request(n))
            if isinstance(answer, Committed | Already):
                acknowledged.append(n)
                if len(acknowledged) % 50 == 0:
                    more.set()
            else:
                assert isinstance(answer, Broken), answer
                unknown.append(n)

    async def crash() -> None:
        enough = asyncio.Event()
        writers = [asyncio.create_task(write(enough)) for _ in range(COMMITS)]
        for _ in range(crashes):
            more.clear()
            await more.wait()
            await asyncio.to_thread(safe.stop)
            await asyncio.to_thread(safe.start)
        enough.set()
        await asyncio.gather(*writers)

    loop().run(crash())
    rows = loop().run(found(asked.store, "SELECT id FROM messages"))
    sent = {int(row["id"][1:]) for row in rows}
    assert set(acknowledged) <= sent <= set(acknowledged) | set(unknown)
    assert len(acknowledged) > 50 * crashes - 1
    counted = 0
    for key in range(4):
        [item] = asked.run([("", GetItem("counters", *place.key(f"k{key}")))])
        counted += json.decode(item.body)["n"]
    assert counted == len(sent)
    for n in sent:
        assert place.get("orders", "c", f"{n:05}") == {"n": n}


def test_a_commit_whose_answer_was_lost_is_known_when_its_connection_is_cut(
    safe: Server, asked: Asked
) -> None:
    """The server applies it and cannot say so."""
    place = Place(asked, no_move)
    cut = Asked(safe.dsn)
    for n in range(12):
        request = place.request(add("once", 1), SendMessage("jobs", f"once{n}", b"{}"))

        async def cut_all(request: Commit = request, turns: int = 5 * n) -> Any:
            asking = asyncio.create_task(asked.store.answer("", request))
            for _ in range(turns):
                await asyncio.sleep(0)
            rows = await found(
                cut.store,
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'wherry' AND pid <> pg_backend_pid()",
            )
            assert rows
            return await asking

        asked.run([("", GetState("nothing"))])  # there is a connection to be cut
        answer = loop().run(cut_all())
        assert isinstance(answer, Committed | Already), answer
    cut.close()
    assert place.get("counters", "once") == {"id": "once", "n": 12}
    rows = loop().run(found(asked.store, "SELECT id FROM messages WHERE id LIKE 'once%'"))
    assert len(rows) == 12


@pytest.mark.parametrize("code", ["53100", "55P03"])
def test_who_was_cut_off_is_in_doubt_even_if_the_next_try_was_refused(
    asked: Asked, code: str
) -> None:
    """The try whose answer nobody heard may have been done, whatever the later one says."""
    tries: list[str] = []

    async def work(session: Session) -> Any:
        tries.append("one")
        cut, refuse = "pg_terminate_backend(pg_backend_pid())", f"RAISE SQLSTATE '{code}';"
        statement = f"SELECT {cut}" if len(tries) == 1 else f"DO $$BEGIN {refuse} END$$"
        return await session._connection.execute(statement)

    with pytest.raises(Lost, match=code if code == "55P03" else "disk"):
        loop().run(asked.store.database.run(work))
    with pytest.raises(asyncpg.PostgresError):  # where no answer was lost it is what it is
        loop().run(asked.store.database.run(work))
    assert len(tries) == 3


def test_an_applied_commit_whose_keeping_cannot_be_confirmed_is_in_doubt(
    asked: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second delivery finds it applied: to be told "not done" would be a lie."""
    place = Place(asked, no_move)
    request = place.request(add("kept", 1))
    [first] = asked.run([("", request)])
    assert isinstance(first, Committed)
    monkeypatch.setitem(asked.store.database._sql, "wait_for_standby", "SELECT FROM no_standby")
    [answer] = asked.run([("", request)])
    assert (type(answer), answer.code) == (Broken, FateUnknown.code)
    assert place.get("counters", "kept") == {"id": "kept", "n": 1}


def test_a_deadlock_with_others_is_tried_again(asked: Asked) -> None:
    """Somebody else holds a row that a commit needs, and wants one that it holds."""
    place = Place(asked, no_move)
    place.commit(place.put("counters", "a", n=0), place.put("counters", "b", n=0))

    async def clash() -> Any:
        other = await asked.store.database.connect()
        try:
            async with other.transaction():
                touch = "UPDATE items SET writer = writer WHERE pk = $1"
                await other.execute(touch, key_bytes("b"))
                request = place.request(
                    place.put("counters", "a", n=1), place.put("counters", "b", n=1)
                )
                asking = asyncio.create_task(asked.store.answer("", request))
                waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                while not await other.fetchval(waits):
                    pass
                with suppress(Exception):  # one of the two is the victim
                    await other.execute(touch, key_bytes("a"))
        except Exception:
            pass  # it was the other one
        finally:
            await other.close()
        return await asking

    for _ in range(5):
        assert isinstance(loop().run(clash()), Committed)
    assert place.get("counters", "a") == place.get("counters", "b") == {"n": 1}


def test_a_claim_that_meets_a_busy_group_looks_again_in_a_moment(asked: Asked) -> None:
    """A commit of the group holds its lock: what waits behind that is due all the same."""
    place = Place(asked, no_move)
    mail = QueueSpec(name="mail", payload="Job", schema={}, fair=True)
    place.configure("turns", queues=(mail, QUEUES[0]))
    for number in range(3):
        message = SendMessage("mail", f"m-{number}", b"{}", 0, group="ann")
        assert isinstance(place.commit(message, release="turns"), Committed)
    claim = Claim("mail", 10, "engine-1")

    async def beside_a_commit() -> Any:
        other = await asked.store.database.connect()
        try:
            async with other.transaction():
                lock = "SELECT pg_advisory_xact_lock(group_key(queue, grp)) FROM messages LIMIT 1"
                await other.fetch(lock)
                return await asked.store.answer("", claim)
        finally:
            await other.close()

    for _ in range(2):  # also where it was searched from later on
        met = loop().run(beside_a_commit())
        assert met.messages == []
        assert 0 < met.next_due_ms - met.now_ms < 100
    [free] = asked.run([("", claim)])
    assert [one.id for one in free.messages] == ["m-0", "m-1", "m-2"]


def test_who_waits_too_long_for_a_connection_is_told_and_leases_are_renewed_all_the_same(
    safe: Server,
) -> None:
    asked = Asked(safe.dsn, size=2)
    place = Place(asked, no_move)
    place.commit(SendMessage("jobs", "m", b"{}"))
    [message] = place.claim()
    pool: Pool = asked.store.database._pool
    pool.wait_s = 0.05

    async def exhaust() -> tuple[Any, Any]:
        held = [await pool.take(), await pool.take()]
        told = await asked.store.answer("", Claim("jobs", 1, "engine-1"))
        renewed = await asked.store.answer("", Renew("engine-1", [message.id]))
        for one in held:
            pool.give(one)
        return told, renewed

    told, renewed = loop().run(exhaust())
    assert isinstance(told, Broken)
    assert "connections" in told.message
    assert not isinstance(renewed, Broken)
    assert isinstance(place.commit(SendMessage("jobs", "after", b"{}")), Committed)
    asked.close()


def test_what_is_in_the_way_of_nobody_is_not_said_to_be_lost(safe: Server) -> None:
    """A server that is away before anything was sent: it was not done, and that is known."""
    asked = Asked(safe.dsn, size=2)
    place = Place(asked, no_move)
    asked.store.database.retry_s = 0.2
    safe.stop("INT")
    answer = place.commit(place.put("counters", "k", n=1))
    safe.start()
    assert isinstance(answer, Broken)
    assert place.get("counters", "k") in (None, {"n": 1})
    if answer.code == "passing":
        assert place.get("counters", "k") is None
    assert Lost.code == "passing"
    assert isinstance(place.commit(place.put("counters", "k", n=2)), Committed)
    asked.close()


def test_what_isolation_the_database_gives_others_changes_nothing_here(safe: Server) -> None:
    """Under `repeatable read` a commit would not see what others did before it had its locks."""
    setting = "default_transaction_isolation"
    look(safe.dsn, f"ALTER ROLE wherry SET {setting} = 'serializable'")
    try:
        made = Asked(safe.dsn)
        assert loop().run(found(made.store, "SHOW transaction_isolation")) == [("read committed",)]
        made.close()
    finally:
        look(safe.dsn, f"ALTER ROLE wherry RESET {setting}")


@pytest.mark.parametrize(
    ("values", "said"), [((), "expects 1 argument"), ((1 << 63,), "out of int64 range")]
)
def test_a_statement_that_is_asked_wrongly_is_told_at_once(
    asked: Asked, values: tuple[int, ...], said: str
) -> None:
    """It is not the connection: with the next one it would come to the same."""
    tries = []

    async def ask(session: Session) -> Any:
        tries.append(session)
        return await session._connection.fetchval("SELECT $1::bigint", *values)

    with pytest.raises((asyncpg.InterfaceError, asyncpg.DataError), match=said):
        loop().run(asked.store.database.run(ask))
    assert len(tries) == 1


def test_a_statement_whose_connection_was_closed_before_it_is_asked_again(asked: Asked) -> None:
    """asyncpg tells of that by the same error."""
    tries = []

    async def ask(session: Session) -> Any:
        tries.append(session)
        if len(tries) == 1:
            session.terminate()
        return await session._connection.fetchval("SELECT $1::bigint", 5)

    assert loop().run(asked.store.database.run(ask)) == 5
    assert len(tries) == 2
