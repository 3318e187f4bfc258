"""A primary and its standby: an address with both finds who takes writes, whatever the other is."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest

from tests.contract.conftest import Place
from tests.engine.server_kit import running, until
from tests.engine.shared_kit import asked
from tests.postgres_kit import Server, loop
from wherry.effects import SendMessage
from wherry.errors import Passing
from wherry.platforms.postgres.database import Away
from wherry.platforms.postgres.store import PostgresStore, open_store
from wherry.ports import (
    Already,
    Committed,
    Count,
    GetReply,
    GetState,
    PutState,
    ReplyAck,
    Request,
    State,
    StoredReply,
)
from wherry.world import Chance, SystemClock

SCHEMA = f"standby_{os.getpid()}"
WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
SETTINGS = ("shared_buffers=32MB", "max_connections=20")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Server, Server]]:
    """A primary that waits for its standby with each commit; the last case ends it."""
    primary, standby = Server(*SETTINGS), Server(*SETTINGS, empty=True)
    try:
        standby.follow(primary)
        asked(primary.dsn, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        asked(primary.dsn, "SELECT pg_reload_conf()")
        yield primary, standby
    finally:
        standby.remove()
        primary.remove()


def opened(dsn: str) -> PostgresStore:
    store = loop().run(open_store(dsn, SystemClock(), Chance(), SCHEMA, 2))
    store.database.retry_s = 60.0  # a slow machine may take its time to promote
    return store


def ask(store: PostgresStore, request: PutState | GetState) -> Any:
    return loop().run(store.answer("", request))


def both(*hosts: object) -> str:
    return f"postgres://wherry@/postgres?host={','.join(map(str, hosts))}"


class Waiting:
    """A store that is asked one thing after the other."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def run(self, requests: list[tuple[str, Request]]) -> list[Any]:
        return loop().run(self._store.run(requests))


def no_move(to: float) -> None:
    raise AssertionError(f"this clock is the server's own: it cannot be moved to {to}")


@contextmanager
def stopped(primary: Server, standby: Server) -> Iterator[Callable[[], None]]:
    """Nothing gets to the standby; the caller gets what lets the primary crash and come back."""
    [sender] = primary.processes(b"postgres: walsender")
    os.kill(sender, signal.SIGSTOP)
    for pid in (standby.postmaster, *standby.processes(b"postgres")):
        os.kill(pid, signal.SIGSTOP)

    def crash() -> None:
        pids = [primary.postmaster, *primary.processes(b"postgres")]
        for pid in pids:  # all: one may wait for a lock that the stopped sender holds
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(running, pids)), "its end")
        primary.start()

    try:
        yield crash
    finally:
        go_on(standby)


def go_on(standby: Server) -> None:
    for pid in (standby.postmaster, *standby.processes(b"postgres")):
        os.kill(pid, signal.SIGCONT)


def test_a_standby_alone_is_named_as_what_it_is(pair: tuple[Server, Server]) -> None:
    """Nothing is asked of a server that takes no writes."""
    primary, standby = pair
    with pytest.raises(Away, match="takes no writes; is it a standby"):
        opened(standby.dsn)
    gone = primary.folder / "gone"
    with pytest.raises(Passing, match=rf"{gone}: .*; {standby.folder}: it takes no writes"):
        opened(both(gone, standby.folder))


def test_a_host_that_says_nothing_at_all_leaves_time_for_the_next(
    pair: tuple[Server, Server],
) -> None:
    """As a machine whose plug was pulled: its connections are neither taken nor refused."""
    primary, _ = pair
    dark = primary.folder / "dark"
    dark.mkdir()
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(dark / ".s.PGSQL.5432"))
        silent.listen()
        store = opened(both(dark, primary.folder))
        assert ask(store, PutState("a", b"kept")) == Count(1)
        loop().run(store.close())


def test_a_commit_that_only_the_primary_has_is_not_acknowledged_before_the_standby_has_it(
    pair: tuple[Server, Server],
) -> None:
    """It waited for the standby when the primary crashed, and is there afterwards; who asks for it
    again waits as it did."""
    primary, standby = pair
    store = opened(primary.dsn)
    place = Place(Waiting(store), no_move)
    assert isinstance(place.commit(SendMessage("jobs", "a", b"{}")), Committed)
    with stopped(primary, standby) as crash, ThreadPoolExecutor(2) as threads:
        reply = ReplyAck("key", "print", b"reply", 60)
        request = place.request(SendMessage("jobs", "b", b"{}"), acks=[reply])
        asking = threads.submit(lambda: loop().run(store.answer("", request)))
        until(lambda: asked(primary.dsn, WAITS), "a commit that waits for the standby")
        crash()
        until(lambda: asked(primary.dsn, WAITS), "that it waits again")
        assert asked(primary.dsn, f"SELECT 1 FROM {SCHEMA}.messages WHERE id = 'b'") == [(1,)]
        reading = threads.submit(lambda: loop().run(store.answer("", GetReply("key"))))
        until(lambda: len(asked(primary.dsn, WAITS)) == 2, "that who reads the reply waits, too")
        assert (asking.done(), reading.done()) == (False, False)
        go_on(standby)
        assert asking.result(60) == Already(StoredReply("print", b"reply"))
        assert reading.result(60) == StoredReply("print", b"reply")
    loop().run(store.close())


def test_what_was_acknowledged_is_there_when_the_standby_has_taken_the_primarys_place(
    pair: tuple[Server, Server],
) -> None:
    """The same store goes on there by itself, in whatever order its address names them, and tells
    that it is another server."""
    primary, standby = pair
    stores = [
        opened(both(primary.folder, standby.folder)),
        opened(both(standby.folder, primary.folder)),
    ]
    turned: list[int] = []
    for nth, store in enumerate(stores):
        assert ask(store, PutState(f"{nth}", b"kept")) == Count(1)
        store.database.turned = partial(turned.append, nth)
    primary.stop()
    asked(standby.dsn, "SELECT pg_promote()")
    for nth, store in enumerate(stores):
        assert ask(store, GetState(f"{nth}")) == State(b"kept")
        assert ask(store, PutState(f"{nth}", b"again")) == Count(1)
        assert turned == [*range(nth + 1)]
        loop().run(store.close())
