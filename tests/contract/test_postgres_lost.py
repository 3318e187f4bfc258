"""A connection that breaks behind a statement: it was done, and nobody has heard its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.conftest import Place
from tests.contract.trigger_kit import configure, message
from tests.postgres_kit import Schema, loop, schema, server
from wherry.effects import Guard, SendMessage
from wherry.platforms.postgres.database import Database
from wherry.platforms.postgres.store import PostgresStore
from wherry.ports import Already, Claim, Claims, Committed, Conflicted, MessageAck
from wherry.world import Chance, ManualClock

OWNER = "engine-1"


class Breaking:
    """A connection of asyncpg's that breaks behind the next statement of a kind."""

    def __init__(self, connection: Any, breaks: set[str]) -> None:
        self._connection = connection
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def prepare(self, sql: str) -> Any:
        return Statement(await self._connection.prepare(sql), lambda: self._behind(sql))

    def _behind(self, sql: str) -> None:
        for called in [one for one in self._breaks if one in sql]:
            self._breaks.remove(called)
            self._connection.terminate()
            raise ConnectionResetError("the network is broken")


class Statement:
    """A prepared statement, and what happens behind it."""

    def __init__(self, prepared: Any, behind: Callable[[], None]) -> None:
        self._prepared = prepared
        self._behind = behind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._prepared, name)

    async def fetchrow(self, *values: Any) -> Any:
        row = await self._prepared.fetchrow(*values)
        self._behind()
        return row


class Engine:
    """A place, and an engine on it whose connections break when it is told so."""

    def __init__(self, one: Schema) -> None:
        self.place = Place(one.store, one.clock.advance_to)
        self.breaks: set[str] = set()
        breaks = self.breaks

        class Frail(Database):
            async def connect(self) -> Any:
                return Breaking(await super().connect(), breaks)

        database = Frail(server().dsn, one.name, 4, one.clock, Chance(0))
        self.store = PostgresStore(database, one.clock)
        loop().run(self.store.begin())

    def ask(self, request: Any) -> Any:
        return loop().run(self.store.answer("", request))

    def claim(self, queue: str = "jobs") -> list[tuple[str, int]]:
        answer = self.ask(Claim(queue, 10, OWNER))
        assert isinstance(answer, Claims)
        return [(one.id, one.attempt) for one in answer.messages]

    def close(self) -> None:
        loop().run(self.store.close())


@pytest.fixture
def engine() -> Iterator[Engine]:
    with schema(ManualClock()) as one:
        found = Engine(one)
        yield found
        found.close()


def send(engine: Engine, *ids: str, **leases: int) -> Any:
    effects = [SendMessage("jobs", id, b"{}") for id in ids]
    return engine.ask(engine.place.request(*effects, leases=leases, owner=OWNER))


def test_what_a_claim_leased_whose_answer_was_lost_has_spent_no_attempt(engine: Engine) -> None:
    send(engine, "a", "b")
    engine.breaks.add("claim_messages")
    assert engine.claim() == [("a", 1), ("b", 1)]
    assert engine.breaks == set()
    assert engine.claim() == []  # leased once


def test_what_a_claim_leased_that_came_to_nothing_comes_with_the_next_one(engine: Engine) -> None:
    engine.store.database.retry_s = 0.0
    send(engine, "a")
    engine.breaks.add("claim_messages")
    assert not isinstance(engine.ask(Claim("jobs", 10, OWNER)), Claims)
    assert engine.claim() == [("a", 1)]


def test_what_was_born_leased_in_a_lost_answer_has_spent_no_attempt(engine: Engine) -> None:
    engine.breaks.add("commit_plain")
    assert isinstance(send(engine, "a", jobs=5), Already)
    assert engine.breaks == set()
    assert engine.claim() == [("a", 1)]


def test_what_this_engine_knows_to_be_its_own_is_not_given_back(engine: Engine) -> None:
    """Nor what another engine has."""
    answer = send(engine, "born", jobs=1)
    assert isinstance(answer, Committed)
    [born] = answer.leased
    send(engine, "a")
    [(claimed, _)] = engine.claim()
    engine.place.commit(SendMessage("jobs", "b", b"{}"))
    [others] = engine.place.claim(owner="engine-2")
    send(engine, "c")
    engine.breaks.add("claim_messages")
    assert engine.claim() == [("c", 1)]
    assert claimed == "a"
    for held in (born, others):
        ack = MessageAck(held.id, held.token)
        done = engine.ask(engine.place.request(acks=[ack], function=""))
        assert isinstance(done, Committed)


@pytest.mark.parametrize("queue", ["lane", "plain"])
def test_what_was_leased_since_a_claim_was_lost_is_not_given_back_with_it(
    engine: Engine, queue: str
) -> None:
    """It is in hand here: of a group, or run again since its commit lost a conflict."""
    configure(engine.place)
    engine.store.database.retry_s = 0.0
    engine.breaks.add("claim_messages")
    assert not isinstance(engine.ask(Claim(queue, 10, OWNER)), Claims)
    born = message(queue, "born", group="g" if queue == "lane" else "")
    answer = engine.ask(engine.place.request(born, leases={queue: 1}, owner=OWNER, function=""))
    assert isinstance(answer, Committed)
    [held] = answer.leased
    guard, ack = Guard("orders", b"sx", b"s1", 7), MessageAck(held.id, held.token)
    lost = engine.place.request(guards=[guard], acks=[ack], function="")
    assert isinstance(engine.ask(lost), Conflicted)
    assert engine.claim(queue) == []
