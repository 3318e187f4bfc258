"""A move from a data folder to Postgres: all is there and goes on, however often it was killed."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from tests.contract import inside
from tests.contract import workflow_kit as flows
from tests.contract.conftest import QUEUES, Place, function
from tests.contract.trigger_kit import FAIR, LANE, STRICT, bury, claim, names, release, send
from tests.postgres_kit import CLOCK, Server, Waited, database, loop, server
from tests.s3_kit import KEYS, S3, remote
from wherry.blueprint import ScheduleSource
from wherry.cli.moving.move import Move, Moved
from wherry.cli.moving.source import Source
from wherry.cli.root import wherry
from wherry.codec import canonical_json
from wherry.effects import DeleteObject, EndTask, PutObject
from wherry.engine.datafolder import DataFolder, FolderInUse
from wherry.engine.storeplace import StorePlace
from wherry.errors import Passing, Refused
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.postgres.store import open_store
from wherry.platforms.s3.remote import Remote
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Already,
    Configure,
    Configured,
    GetObject,
    GetState,
    GetTimeline,
    ListFailures,
    ListPaused,
    ListSchedules,
    ObjectRow,
    Part,
    Pause,
    PutState,
    QueueDepths,
    Releases,
    ReplyAck,
    State,
)
from wherry.world import Chance, ManualClock, SystemClock

LONG = "k" * 700  # as a key: longer than what an index of Postgres keeps
ONCE = ReplyAck("POST /orders once", "print", b"made", 3_600)
BLOB = "ab" * 16
CONTENT = b"content of an object"
TICK = ScheduleSource(queue="jobs", name="tick", expression="rate(1 minute)")
GROUPED = (LANE, STRICT, FAIR)
_numbers = itertools.count(1)


class Folder:
    """A data folder with a bit of everything in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Ahead of the database's clock, by which the move itself goes.
        self.clock = ManualClock(SystemClock().now_ms() + 3_600_000)
        with DataFolder.open(str(path)) as data:
            self.store = SqlStore(data.store, self.clock)
            self.place = Place(self.store, self.clock.advance_to)
            data.signing_key()
        functions = tuple(function(queue.name, (), queue.name) for queue in GROUPED)
        described = flows.blueprint(queues=(*QUEUES, *flows.OWN_QUEUES, *GROUPED), sources=(TICK,))
        described = replace(described, functions=(*described.functions, *functions))
        answer = self.place.ask(Configure("flows", canonical_json(described), True))
        assert isinstance(answer, Configured), answer

    def fill(self, items: int = 5) -> None:
        place = self.place
        for number in range(items):
            fields: dict[str, Any] = {
                "customer": "anna",
                "order": str(number),
                "status": "open",
                "at": number,
            }
            place.commit(place.put("orders", "anna", str(number), **fields))
        place.commit(place.put("notes", LONG, id=LONG, tag=LONG))
        place.commit(acks=[ONCE])
        for id in ("one", "two", "three"):
            place.send(id)
        place.send("later", delay_ms=60_000)
        send(place, "lane", "a", dedup="d")
        send(place, "lane", "b", "c")
        send(place, "lane", "x", "y", "z", group="h")
        send(place, "strict", "s1", "s2", "s3")
        send(place, "fair", "f1")
        place.advance(1)
        send(place, "fair", "f2")
        bury(place, claim(place, "strict", 1)[0])
        for _ in range(3):
            place.send("mailed", queue="mail")
        self.leased = [*place.claim(1), *claim(place, "lane"), *claim(place, "fair", 1)]
        sha = hashlib.sha256(CONTENT).hexdigest()
        place.commit(PutObject("assets", "k", BLOB, len(CONTENT), sha, "text/plain", {"a": "b"}))
        place.ask(PutState("kept", b"value"))
        place.ask(Pause("reader", True, "ops"))
        self.running = flows.begun(place, "one")
        flows.move(
            place, self.running, history=[(1, b"e1"), (2, b"e2")], tokens=["t" * 600],
            parts=[Part("c", "0", b"part")],
        )  # fmt: skip
        flows.ordered(place, flows.start("two"))

    def close(self, clean: bool) -> None:
        if clean:
            self.store.close()
        else:
            store: Any = self.store
            store._session.abandon()

    def digest(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.path)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else ""
            for path in sorted(self.path.rglob("*"))
        }


class Target:
    """A schema that something is moved to."""

    def __init__(self) -> None:
        self.dsn = server().dsn
        self.schema = f"moved_{os.getpid()}_{next(_numbers)}"
        self._open: list[Waited] = []

    def move(self, folder: Path, objects: Remote | None = None) -> Moved:
        def tell(kind: str, count: int, total: int) -> None:
            assert count <= total or kind.endswith("verified")

        with Source(str(folder)) as source:
            place = StorePlace(self.dsn)
            move = Move(source, place, objects, SystemClock(), Chance(), tell, self.schema)
            return asyncio.run(move.run())

    def break_off(self, folder: Path, objects: Remote | None = None) -> None:
        """Begin to move, and stop behind the first batch."""

        def tell(kind: str, count: int, total: int) -> None:
            raise KeyboardInterrupt

        with Source(str(folder)) as source:
            place = StorePlace(self.dsn)
            move = Move(source, place, objects, SystemClock(), Chance(), tell, self.schema)
            with pytest.raises(KeyboardInterrupt):
                asyncio.run(move.run())

    def execute(self, sql: str) -> None:
        async def run() -> None:
            import asyncpg

            connection = await asyncpg.connect(self.dsn)
            await connection.execute(sql)
            await connection.close()

        asyncio.run(run())

    def place(self, clock: ManualClock) -> Place:
        opened = loop().run(open_store(self.dsn, clock, Chance(0), self.schema, 2))
        store = Waited(opened, clock)
        store.execute(CLOCK)
        self._open.append(store)
        place = Place.__new__(Place)
        place.platform = store
        place._start_ms = clock.now_ms()
        place._move = clock.advance_to
        place._moved_s = 0.0
        place._numbers = itertools.count(1_000_000)
        return place

    def close(self) -> None:
        for store in self._open:
            store.close()


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.close()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "data")


def without_objects(folder: Folder, items: int = 5) -> None:
    folder.fill(items)
    folder.place.commit(DeleteObject("assets", "k"))


def check(folder: Folder, place: Place, items: int = 5) -> None:
    """All is there, and works."""
    page = place.query("orders", "open", "by_status")
    assert [row["order"] for row in place.bodies(page)] == [str(n) for n in range(items)]
    assert place.get("notes", LONG) is not None
    assert len(place.bodies(place.query("notes", LONG, "by_tag"))) == 1
    again = place.commit(acks=[ONCE])
    assert isinstance(again, Already)
    assert again.stored is not None
    assert again.stored.body == b"made"
    assert names(place.claim(10)) == ["one", "two", "three"]
    place.advance(61)
    assert names(place.claim(10)) == ["one", "two", "three", "later"]
    assert names(claim(place, "lane")) == ["a", "x"]
    send(place, "lane", "repeat", dedup="d")
    assert inside.message(place, "repeat", "lane") is None
    assert claim(place, "strict") == []
    assert names(claim(place, "fair")) == ["f1", "f2"]
    assert [row.id for row in place.ask(ListFailures("strict", 10, None)).rows] == ["s1"]
    assert place.ask(GetState("kept")) == State(b"value")
    assert [row.function for row in place.ask(ListPaused()).rows] == ["reader"]
    assert [row.name for row in place.ask(ListSchedules(10)).rows] == ["tick"]
    assert [row.digest for row in place.ask(Releases()).rows] == ["flows", "release-1"]
    assert len(place.ask(GetTimeline("correlation-1")).records) == 1
    assert flows.events(place, folder.running) == [b"e1", b"e2"]
    assert flows.get(place, folder.running).version == 1
    assert flows.find(place, "two").status == "RUNNING"
    place.commit(place.put("orders", "new", "0", customer="new", order="0", status="open", at=9))
    assert place.version("orders", "new", "0") > place.version("orders", "anna", "0")
    assert len(flows.told(place)) == 1  # that "two" is to begin
    flows.ordered(place, EndTask("refund", "t" * 600, "done", "succeeded"))
    assert [one.execution for one in flows.told(place)] == [folder.running]
    assert flows.begun(place, "three") > folder.running


@pytest.mark.parametrize("clean", [True, False])
def test_all_is_there_and_goes_on_and_the_folder_is_as_it_was(
    folder: Folder, target: Target, clean: bool
) -> None:
    without_objects(folder)
    before_rows = {kind: flows.rows(folder.place, kind) for kind in ("messages", "records")}
    versions = folder.place.version("orders", "anna", "3")
    folder.close(clean)
    before = folder.digest()
    moved = target.move(folder.path)
    assert folder.digest() == before
    rows = {one.kind: one.rows for one in moved.kinds}
    assert {kind: rows[kind] for kind in before_rows} == before_rows
    place = target.place(folder.clock)
    assert place.version("orders", "anna", "3") == versions
    check(folder, place)
    again = target.move(folder.path)
    assert again.before
    assert again.kinds == moved.kinds


def test_what_was_in_hand_waits_again_with_its_attempt_counted(
    folder: Folder, target: Target
) -> None:
    without_objects(folder)
    place = folder.place
    [tried] = place.claim(1, queue="mail")
    for _ in range(2):
        release(place, tried)
        [tried] = place.claim(1, queue="mail")
    folder.close(clean=False)
    target.move(folder.path)
    place = target.place(folder.clock)
    jobs = next(row for row in place.ask(QueueDepths()).rows if row.queue == "jobs")
    assert (jobs.leased, jobs.waiting) == (0, 4)
    for before, queue in zip(folder.leased, ("jobs", "lane", "lane", "fair"), strict=True):
        [found] = claim(place, queue, 1)
        assert (found.id, found.attempt) == (before.id, 2)
        assert found.token > before.token
    [failed] = place.ask(ListFailures("mail", 10, None)).rows
    assert (failed.id, failed.code, failed.attempts) == (tried.id, "lease_expired", 3)


MOVING = """
import asyncio, os, signal, sys
from wherry.cli.moving import source as room
from wherry.cli.moving.move import Move
from wherry.engine.storeplace import StorePlace
from wherry.world import Chance, SystemClock
dsn, schema, folder, last = sys.argv[1:]
room.BATCH_ROWS = 3
left = int(last)
def tell(kind, count, total):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
with room.Source(folder) as source:
    move = Move(source, StorePlace(dsn), None, SystemClock(), Chance(), tell, schema)
    asyncio.run(move.run())
"""


def test_a_move_that_is_killed_again_and_again_goes_on_where_it_was(
    folder: Folder, target: Target
) -> None:
    without_objects(folder, items=20)
    folder.close(clean=False)
    before = folder.digest()
    killed = 0
    for batches in (1, 4, 6, 3, 9, 12, 30, 1_000):
        done = subprocess.run(
            [sys.executable, "-c", MOVING, server().dsn, target.schema, str(folder.path),
             str(batches)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        killed += done.returncode == -signal.SIGKILL
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
    assert done.returncode == 0
    assert killed > 4
    assert folder.digest() == before
    assert target.move(folder.path).before
    check(folder, target.place(folder.clock), items=20)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("DELETE FROM items WHERE ctid = (SELECT min(ctid) FROM items)", "items: 6 rows in the"),
        ("UPDATE messages SET body = 'other'", "messages: the checksums"),
        ("UPDATE items SET entries = '{}'", "items: the checksums"),
        ("DELETE FROM execution_parts", "execution_parts: 1 rows in the folder, 0"),
        ("INSERT INTO dedups VALUES (1, 'more', 1)", "dedups: "),
    ],
)
def test_a_store_that_is_not_what_the_folder_has_is_never_put_in_its_place(
    folder: Folder, target: Target, change: str, told: str
) -> None:
    without_objects(folder)
    folder.close(clean=True)

    async def spoil() -> None:
        import asyncpg

        connection = await asyncpg.connect(server().dsn)
        await connection.execute(f"SET search_path TO {target.schema}_moving")
        await connection.execute(change)
        await connection.close()

    def tell(kind: str, count: int, total: int) -> None:
        if kind == "stops":  # the last one
            loop().run(spoil())

    with Source(str(folder.path)) as source:
        place = StorePlace(server().dsn)
        move = Move(source, place, None, SystemClock(), Chance(), tell, target.schema)
        with pytest.raises(Refused, match="is not what is in the folder") as refused:
            asyncio.run(move.run())
    assert told in str(refused.value)
    with pytest.raises(Refused, match="is not what is in the folder"):
        target.move(folder.path)


def test_a_database_that_goes_away_ends_the_move_with_the_advice_to_start_it_again(
    folder: Folder,
) -> None:
    without_objects(folder)
    folder.close(clean=True)
    database = Server("fsync=off")  # it is stopped, the machine is not
    there = True

    def tell(kind: str, count: int, total: int) -> None:
        nonlocal there
        if there and kind == "messages":
            there = False
            database.stop()

    def move() -> Moved:
        with Source(str(folder.path)) as source:
            place = StorePlace(database.dsn)
            made = Move(source, place, None, SystemClock(), Chance(), tell)
            return asyncio.run(made.run())

    try:
        with pytest.raises(Passing, match="it goes on where it was"):
            move()
        database.start()
        moved = move()
    finally:
        database.remove()
    assert moved.resumed
    assert {one.kind: one.rows for one in moved.kinds}["items"] == 6


def test_an_unfinished_move_is_gone_on_with_from_its_own_folder_only(
    folder: Folder, target: Target, tmp_path: Path
) -> None:
    without_objects(folder)
    folder.close(clean=True)
    subprocess.run(
        [sys.executable, "-c", MOVING, server().dsn, target.schema, str(folder.path), "5"],
        check=False,
    )
    other = Folder(tmp_path / "other")
    other.close(clean=True)
    with pytest.raises(Refused, match="unfinished move of another folder"):
        target.move(other.path)
    assert target.move(folder.path).resumed
    with pytest.raises(Refused, match="a store is there"):
        target.move(other.path)
    check(folder, target.place(folder.clock))


def test_a_folder_whose_engine_runs_is_not_moved(folder: Folder, target: Target) -> None:
    folder.close(clean=True)
    with DataFolder.open(str(folder.path)), pytest.raises(FolderInUse, match="in use by process"):
        target.move(folder.path)


def test_nobody_opens_a_folder_that_is_being_moved(folder: Folder) -> None:
    folder.close(clean=True)
    with Source(str(folder.path)), pytest.raises(FolderInUse):
        DataFolder.open(str(folder.path))


def test_a_schema_that_is_not_wherrys_is_left_alone(folder: Folder, target: Target) -> None:
    folder.close(clean=True)

    async def make() -> None:
        import asyncpg

        connection = await asyncpg.connect(server().dsn)
        await connection.execute(f"CREATE SCHEMA {target.schema} CREATE TABLE theirs (a integer)")
        await connection.close()

    asyncio.run(make())
    with pytest.raises(Refused, match="is not empty"):
        target.move(folder.path)


MAY = "GRANT CREATE ON DATABASE {user} TO {user}"


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        ([], "GRANT CREATE ON DATABASE"),
        ([MAY, "CREATE SCHEMA {schema}"], "ALTER SCHEMA"),
        ([MAY, "CREATE SCHEMA {schema}", "GRANT ALL ON SCHEMA {schema} TO {user}"], "ALTER SCHEMA"),
        ([MAY, "CREATE SCHEMA {schema}_moving", "GRANT ALL ON SCHEMA {schema}_moving TO {user}"],
         "ALTER SCHEMA"),
        ([MAY, "CREATE SCHEMA {schema} AUTHORIZATION {user}",
          "CREATE FUNCTION {schema}.theirs() RETURNS integer LANGUAGE sql AS 'SELECT 1'"],
         "drop that schema"),
    ],
)  # fmt: skip
def test_a_move_that_could_not_be_brought_to_its_end_is_refused_before_anything_is_copied(
    folder: Folder, target: Target, statements: list[str], told: str
) -> None:
    folder.close(clean=True)
    target.dsn = database(*statements, schema=target.schema)
    with pytest.raises(Refused, match=told):
        target.move(folder.path)


def test_an_empty_schema_of_the_user_is_the_place_of_the_store(
    folder: Folder, target: Target
) -> None:
    without_objects(folder)
    folder.close(clean=True)
    own = "CREATE SCHEMA {schema} AUTHORIZATION {user}"
    target.dsn = database(MAY, own, schema=target.schema)
    assert not target.move(folder.path).before
    assert target.move(folder.path).before


def test_content_of_objects_goes_to_s3_and_is_never_left_behind(
    folder: Folder, target: Target, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    folder.fill()
    ref = Blobs(str(folder.path / "objects")).put("assets", BLOB, CONTENT)
    folder.close(clean=True)
    with pytest.raises(Refused, match="content of 1 objects lies in the folder"):
        target.move(folder.path)
    bucket = s3.bucket()
    with remote(s3.endpoint, bucket) as place_in_s3:
        moved = target.move(folder.path, place_in_s3)
        taken: list[bytes] = []
        place_in_s3.get("assets", ref, taken.append)
    assert b"".join(taken) == CONTENT
    assert moved.objects == f"s3://{bucket}/objects"
    place = target.place(folder.clock)
    known = json.loads(place.ask(GetState("engine/objects")).value)
    assert known["place"] == moved.objects  # an engine with another place is refused
    found = place.ask(GetObject("assets", "k"))
    assert isinstance(found, ObjectRow)
    assert (found.blob, found.metadata) == (BLOB, {"a": "b"})


def test_a_move_that_names_a_place_that_is_not_there_leaves_nothing_behind(
    folder: Folder, target: Target, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So the command goes on when the name has been corrected."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    folder.fill()
    Blobs(str(folder.path / "objects")).put("assets", BLOB, CONTENT)
    folder.close(clean=True)
    with (
        remote(s3.endpoint, "mistyped") as wrong,
        pytest.raises(Refused, match="There is no bucket mistyped"),
    ):
        target.move(folder.path, wrong)
    with remote(s3.endpoint, s3.bucket()) as right:
        assert not target.move(folder.path, right).resumed


def test_a_move_that_was_given_up_is_begun_anew_in_the_same_place(
    folder: Folder, target: Target, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropping what it had gathered is enough; a place that has become a store's stays that."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    folder.fill()
    Blobs(str(folder.path / "objects")).put("assets", BLOB, CONTENT)
    folder.close(clean=True)
    with remote(s3.endpoint, s3.bucket()) as place, remote(s3.endpoint, s3.bucket()) as elsewhere:
        target.break_off(folder.path, place)
        with pytest.raises(Refused, match=f"or drop .*: DROP SCHEMA .{target.schema}_moving"):
            target.move(folder.path, elsewhere)
        target.execute(f"DROP SCHEMA {target.schema}_moving CASCADE")
        assert not target.move(folder.path, place).resumed
        with pytest.raises(Refused, match="the objects of another store"):
            Target().move(folder.path, place)


def test_no_store_is_begun_where_a_move_is_not_finished(folder: Folder, target: Target) -> None:
    """An empty one would be served, and keep the move from its end."""
    without_objects(folder)
    folder.close(clean=True)
    target.break_off(folder.path)
    with pytest.raises(Refused, match=r"A move .* is not finished.*wherry move.*DROP SCHEMA"):
        target.place(folder.clock)
    assert target.move(folder.path).resumed
    check(folder, target.place(folder.clock))


def test_the_verb_says_what_it_has_moved(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is moved under the name of wherry's own schema, of a database that is its own."""
    without_objects(folder)
    folder.close(clean=True)
    database = f"verb_{os.getpid()}"

    async def make() -> None:
        import asyncpg

        connection = await asyncpg.connect(server().dsn)
        await connection.execute(f"CREATE DATABASE {database}")
        await connection.close()

    asyncio.run(make())
    monkeypatch.delenv("WHERRY_STORE", raising=False)
    dsn = server().dsn.replace("/postgres?", f"/{database}?")
    words = ["move", "--to", dsn, "--data", str(folder.path)]
    shown = CliRunner().invoke(wherry, words)
    assert shown.exit_code == 0, shown.output
    assert "items" in shown.output
    told = CliRunner().invoke(wherry, [*words, "--json"])
    result = json.loads(told.stdout)
    assert result["before"] is True
    assert {one["kind"]: one["rows"] for one in result["kinds"]}["items"] == 6
    refused = CliRunner().invoke(wherry, ["move", "--to", "postgres://a:secret@h/d"])
    assert refused.exit_code == 2
    assert "--to-file" in refused.output
    assert "secret" not in refused.output
