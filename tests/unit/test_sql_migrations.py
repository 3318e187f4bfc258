"""A data folder of an earlier wherry opens, is brought forward once, and keeps what it holds."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest

import wherry.platforms.sql as room
from wherry.blueprint import (
    Blueprint,
    FunctionSpec,
    QueueSpec,
    QueueTrigger,
    TableSpec,
    WorkflowSpec,
)
from wherry.codec import canonical_json
from wherry.effects import StartExecution
from wherry.platforms.sql.dialect import APPLICATION_ID
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Claim,
    Claims,
    Commit,
    Committed,
    Configure,
    Configured,
    ExecutionRow,
    FindExecution,
    ListFailures,
    QueueDepths,
    Redrive,
    Rejected,
)
from wherry.telemetry import InvocationRecord
from wherry.world import ManualClock

STEPS = sorted((Path(room.__file__).parent / "migrations").glob("*.sql"))
NOW_MS = ManualClock().now_ms()


def blueprint(**queue: bool) -> bytes:
    work = FunctionSpec(
        name="work", module="app", triggers=(QueueTrigger(endpoint="work", queue="jobs"),)
    )
    jobs = QueueSpec(name="jobs", payload="Job", schema={}, **queue)  # type: ignore[arg-type]
    return canonical_json(Blueprint(app="shop", functions=(work,), queues=(jobs,)))


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store as the first wherry left it: messages that wait and are leased, and a dead one."""
    path = tmp_path / "store"
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(STEPS[0].read_text())
    db.execute("INSERT INTO names (kind, name) VALUES ('queue', 'jobs')")
    db.execute("INSERT INTO releases VALUES ('old', 1, 1, 2, ?)", (blueprint(),))
    db.execute("INSERT INTO owners (name) VALUES ('engine-0')")
    db.execute("INSERT INTO counters VALUES ('sequence', 100)")
    for seq, slot, token in ((3, 1, 0), (4, 1, 0), (5, -1, 5)):
        db.execute(
            "INSERT INTO messages VALUES (?, ?, ?, ?, 1, ?, 1, 0, ?, 0, ?, 'c', '', '', x'7b7d')",
            (seq, f"m{seq}", slot, NOW_MS - 10 + seq, token, NOW_MS, 1 << 60),
        )
    db.execute(
        "INSERT INTO failures VALUES (6, 'm6', 1, 'work', 'failed', '', 3, 0, ?, 0, ?, 'c', '', '',"
        " x'7b7d')",
        (NOW_MS, NOW_MS),
    )
    db.execute("PRAGMA user_version = 1")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.close()
    return path


def claim(store: SqlStore) -> list[str]:
    [answer] = store.run([("", Claim("jobs", 10, "engine-1"))])
    assert isinstance(answer, Claims)
    return [message.id for message in answer.messages]


def version(path: Path) -> object:
    db = apsw.Connection(str(path))
    try:
        return db.execute("PRAGMA user_version").get
    finally:
        db.close()


def test_an_old_store_opens_and_its_messages_are_handed_out(old: Path) -> None:
    store = SqlStore(str(old), ManualClock())
    assert claim(store) == ["m3", "m4"]
    [configured] = store.run([("", Configure("old", blueprint(), True, "engine-1"))])
    assert isinstance(configured, Configured)
    assert claim(store) == ["m5"]
    store.run([("", Redrive([], "jobs", "ana"))])
    assert claim(store) == ["m6"]
    store.close()
    assert version(old) == len(STEPS)


def test_it_is_brought_forward_once_and_opens_again(old: Path) -> None:
    for _ in range(3):
        store = SqlStore(str(old), ManualClock())
        [depths] = store.run([("", QueueDepths())])
        assert msgspec.to_builtins(depths)[1][0][1:5] == ["jobs", 2, 1, 1]
        store.close()


@pytest.mark.parametrize("queue", [{"fifo": True}, {"fair": True}])
def test_what_waited_before_its_queue_had_groups_is_handed_out(
    old: Path, queue: dict[str, bool]
) -> None:
    store = SqlStore(str(old), ManualClock())
    store.run([("", Configure("new", blueprint(**queue), True, "engine-1"))])
    assert claim(store) == ["m3", "m4", "m5"]
    store.run([("", Redrive([], "jobs", "ana"))])
    assert claim(store) == ["m6"]
    [failures] = store.run([("", ListFailures(None, 10, None))])
    assert failures.rows == []  # type: ignore[union-attr]
    store.close()


def test_a_store_from_before_workflows_takes_executions(old: Path) -> None:
    refund = WorkflowSpec(name="refund", definition='{"StartAt":"A","States":{}}')
    happened = QueueSpec(name="refund", payload="Happened", schema={})
    release = canonical_json(Blueprint(app="shop", queues=(happened,), workflows=(refund,)))
    store = SqlStore(str(old), ManualClock())
    store.run([("", Configure("new", release, True, "engine-1"))])
    effects = msgspec.Raw(msgspec.msgpack.encode([StartExecution("refund", "one", "m", b"{}")]))
    record = InvocationRecord(
        1, "c", "", "", "r", "", "", "new", 1, NOW_MS, 0, 0, False, "ok", 200, "", "", []
    )
    [answer] = store.run([("", Commit("", effects, [], [], record, {}))])
    assert isinstance(answer, Committed), answer
    store.close()
    store = SqlStore(str(old), ManualClock())
    [row] = store.run([("", FindExecution("refund", "one"))])
    assert isinstance(row, ExecutionRow)
    assert (row.status, row.input) == ("RUNNING", b"{}")
    store.close()


def test_the_release_that_an_old_store_ran_says_how_its_items_are_keyed(old: Path) -> None:
    """It was stored before that was recorded."""

    def release(key: str) -> bytes:
        table = TableSpec(name="notes", item="Note", schema={}, key=key)
        return canonical_json(Blueprint(app="shop", tables=(table,)))

    db = apsw.Connection(str(old))
    db.execute("UPDATE releases SET blueprint = ?", (release("id"),))
    db.execute("INSERT INTO names (kind, name) VALUES ('table', 'notes')")
    db.execute("INSERT INTO items VALUES (1, 2, x'73', x'', 1, 1, NULL, x'7b7d')")
    db.close()
    store = SqlStore(str(old), ManualClock())
    [refused] = store.run([("", Configure("new", release("title"), True, "engine-1"))])
    assert isinstance(refused, Rejected)
    assert "'notes' are stored by key=id; this release declares key=title" in refused.message
    [taken] = store.run([("", Configure("new", release("id"), True, "engine-1"))])
    assert isinstance(taken, Configured)
    store.close()
