"""Opening a store: versions, ownership, damage, migrations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from wherry.errors import Passing, Refused, StoreFull
from wherry.platforms.sql import dialect
from wherry.platforms.sql.store import SqlStore
from wherry.ports import GetState, PutState, State, Sweep
from wherry.world import ManualClock


def make(path: Path) -> SqlStore:
    return SqlStore(str(path), ManualClock())


def fill(path: Path, values: int = 400) -> None:
    store = make(path)
    store.run([("", PutState(str(n), b"x" * 1000)) for n in range(values)])
    store.close()


@pytest.mark.parametrize("version", ["3.40.1", "3.51.2", "3.7.0"])
def test_a_sqlite_that_can_corrupt_is_refused(version: str) -> None:
    with pytest.raises(Refused, match=f"SQLite {version} can corrupt"):
        dialect.refuse_old_sqlite(version)


@pytest.mark.parametrize("version", ["3.51.3", "3.54.1", "4.0.0"])
def test_a_sound_sqlite_is_taken(version: str) -> None:
    dialect.refuse_old_sqlite(version)


def test_a_commit_is_synced_and_written_to_a_log(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    run = store._session.run
    assert run("PRAGMA journal_mode").get == "wal"
    assert run("PRAGMA synchronous").get == 2
    assert run("PRAGMA locking_mode").get == "exclusive"
    store.close()


def test_statements_stay_compiled_whatever_is_bound(tmp_path: Path) -> None:
    """SQLite looks at no bound value when it plans, and holds on to all statements."""
    store = make(tmp_path / "db")
    db = store._session.db
    assert db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, -1) == 1
    assert len(store._session.sql) <= db.cache_stats()["size"]
    store.close()


def test_a_store_has_one_owner(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    store.run([("", PutState("k", b"1"))])
    with pytest.raises(Passing, match="in use by another process"):
        make(tmp_path / "s")
    store.close()
    other = make(tmp_path / "s")
    assert other.run([("", GetState("k"))]) == [State(b"1")]
    other.close()


def test_a_clean_end_leaves_an_empty_log(tmp_path: Path) -> None:
    fill(tmp_path / "s")
    assert (tmp_path / "s-wal").stat().st_size == 0 or not (tmp_path / "s-wal").exists()


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    other = apsw.Connection(str(path))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(Refused, match="not a wherry store"):
        make(path)
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(dialect.StoreDamaged):
        make(path)
    assert path.read_bytes() == b"hello" * 1000


def test_a_store_of_a_newer_wherry_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "s", 1)
    db = apsw.Connection(str(tmp_path / "s"))
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(Refused, match="newer wherry"):
        make(tmp_path / "s")


def test_a_truncated_file_is_found_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "s"
    fill(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(dialect.StoreDamaged, match="damaged"):
        make(path)


def test_damage_is_found_at_the_start_after_an_unclean_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    fill(path)
    script = (
        "import os, sys; from wherry.platforms.sql.store import SqlStore;"
        "from wherry.ports import PutState; from wherry.world import SystemClock;"
        "SqlStore(sys.argv[1], SystemClock()).run([('', PutState('k', b'1'))]); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert Path(f"{path}-wal").stat().st_size > 0
    with path.open("r+b") as file:
        for page in range(10, 60):
            file.seek(page * dialect.PAGE_BYTES)
            file.write(b"\xee" * 64)
    with pytest.raises(dialect.StoreDamaged, match="damaged"):
        make(path)


def test_faults_of_the_disk_are_told_apart() -> None:
    assert isinstance(dialect.passing_fault(apsw.FullError()), StoreFull)
    assert dialect.passing_fault(apsw.IOError()).code == "passing"
    assert "damaged" in str(dialect.passing_fault(apsw.CorruptError()))
    assert not dialect.damaged_connection(apsw.FullError())
    assert dialect.damaged_connection(apsw.IOError())


def test_a_file_stops_growing_in_steady_state(tmp_path: Path) -> None:
    path = tmp_path / "s"
    store = make(path)
    sizes = []
    for round in range(6):
        for start in range(0, 400, 50):
            store.run(
                [("", PutState(f"{round}/{start + n}", b"x" * 2000, False, 1)) for n in range(50)]
            )
        while store.run([("", Sweep(500))])[0].count:  # type: ignore[union-attr]
            pass
        store.idle()
        sizes.append(path.stat().st_size + Path(f"{path}-wal").stat().st_size)
    assert sizes[-1] <= sizes[1]
    store.close()
