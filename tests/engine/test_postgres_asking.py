"""What an engine asks of its Postgres: in time, too late, or given up when it stops."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, get_args

import asyncpg
import pytest
from msgspec import Raw

from tests.postgres_kit import server
from wherry import limits
from wherry.codec import to_msgpack
from wherry.engine.postgres import PostgresClient, opened
from wherry.engine.storeplace import StorePlace
from wherry.errors import FateUnknown
from wherry.platforms.postgres.database import Database
from wherry.platforms.postgres.store import PostgresStore
from wherry.ports import (
    Broken,
    Commit,
    GetState,
    ListPaused,
    Nothing,
    Paused,
    RecentRecords,
    Request,
    TimelineRows,
)
from wherry.telemetry import InvocationRecord
from wherry.world import Chance, SystemClock

from .shared_kit import asked

_numbers = itertools.count(1)


class Desk:
    """An engine's way to a database, and another one's."""

    def __init__(self, client: PostgresClient, other: asyncpg.Connection) -> None:
        self.client = client
        self.other = other

    def send(self, request: Request, function: str = "") -> asyncio.Future[Any]:
        """Ask; the future gets the answer."""
        answer = asyncio.get_running_loop().create_future()
        self.client.send(function, request, answer.set_result)
        return answer

    async def waiting(self, count: int) -> None:
        """Wait until so many statements wait for a lock."""
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        async with asyncio.timeout(60):
            while await self.other.fetchval(waits) != count:
                await asyncio.sleep(0)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    """A database of a test's own, and who asks it."""
    name = f"asking_{os.getpid()}_{next(_numbers)}"
    await asyncio.to_thread(asked, server().dsn, f"CREATE DATABASE {name}")
    dsn = f"postgres://wherry@/{name}?host={server().folder}"
    client = await opened(StorePlace(dsn), SystemClock(), Chance(), "engine-1", "test")
    other = await asyncpg.connect(dsn)
    try:
        yield Desk(client, other)
    finally:
        await other.close()
        client.stop()
        await client.close()


def play(scene: Callable[[Desk], Awaitable[None]]) -> None:
    """Play a scene with a desk of its own."""

    async def run() -> None:
        async with desk() as one:
            await scene(one)

    asyncio.run(run())


def commit() -> Commit:
    record = InvocationRecord(
        1, "c", "f", "POST /a", "r", "", "", "", 1, 0, 0.0, 0.0, False, "ok", 200, "", "", []
    )
    return Commit("f", Raw(to_msgpack([])), [], [], record, {})


LOCK = "LOCK TABLE wherry.records IN ACCESS EXCLUSIVE MODE"
LOOK = RecentRecords(None, 1)


def test_what_has_no_answer_in_time_is_given_up_and_a_commit_is_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its connection; what is asked later has another one."""

    async def scene(desk: Desk) -> None:
        async with desk.other.transaction():
            await desk.other.execute(LOCK)
            value, ended = desk.send(LOOK), desk.send(commit())
            await desk.waiting(2)
            monkeypatch.setattr(limits, "POSTGRES_ANSWER_S", 0.0)
            told = "The database does not answer."
            assert await value == Broken("passing", told)
            assert await ended == Broken(FateUnknown.code, told)
            monkeypatch.undo()
            assert desk.client.owed == 0
        assert isinstance(await desk.send(LOOK), TimelineRows)

    play(scene)


def test_what_has_no_answer_when_the_engine_stops_is_given_up_and_nobody_is_told() -> None:
    async def scene(desk: Desk) -> None:
        async with desk.other.transaction():
            await desk.other.execute(LOCK)
            answers = [desk.send(LOOK), desk.send(commit())]
            await desk.waiting(2)
            desk.client.stop()
            assert desk.client.owed == 0
        await asyncio.gather(
            *asyncio.all_tasks() - {asyncio.current_task()}, return_exceptions=True
        )
        assert not any(answer.done() for answer in answers)

    play(scene)


def test_a_fault_of_who_waits_is_told_as_one_of_any_callback() -> None:
    async def scene(desk: Desk) -> None:
        told: list[BaseException] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

        def fails(answer: object) -> None:
            raise LookupError(answer)

        desk.client.send("", GetState("a"), fails)
        while desk.client.owed:
            await asyncio.sleep(0)
        assert [type(one) for one in told] == [LookupError]
        assert await desk.send(GetState("a")) == Nothing()

    play(scene)


def test_what_was_prepared_before_the_schema_was_brought_forward_is_prepared_anew() -> None:
    """A statement whose result has another type now: it was not done, and is sent again."""

    async def scene(desk: Desk) -> None:
        assert await desk.send(ListPaused()) == Paused([])
        await desk.other.execute("ALTER TABLE wherry.pauses ALTER COLUMN actor TYPE varchar")
        assert await desk.send(ListPaused()) == Paused([])

    play(scene)


def test_the_store_answers_every_request() -> None:
    database = Database(server().dsn, "wherry", 1, SystemClock(), Chance())
    store = PostgresStore(database, SystemClock())
    assert {*store._of_functions, *store._of_engines} == set(get_args(Request))


def test_who_looks_whether_the_database_answers_goes_on_whatever_is_wrong(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """asyncpg says by an error of its own that the file of a certificate is being replaced."""
    failed = asyncio.Event()

    async def fails(*_: object, **__: object) -> None:
        failed.set()
        raise asyncpg.ClientConfigurationError("the file cannot be read")

    async def scene(desk: Desk) -> None:
        with monkeypatch.context() as often:  # not while it closes, which has as long
            often.setattr(limits, "POSTGRES_PROBE_S", 0.01)
            with monkeypatch.context() as patched:
                patched.setattr(asyncpg, "connect", fails)
                await desk.other.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                async with asyncio.timeout(60):
                    await failed.wait()
                    before_s = desk.client._answered_s
            desk.client.hangs = True
            async with asyncio.timeout(60):
                while desk.client.hangs:
                    await asyncio.sleep(0)
            assert desk.client._answered_s > before_s

    play(scene)
