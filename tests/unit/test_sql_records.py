"""Records are found by correlation ID and by function, wherever what finds them is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from wherry.codec import to_msgpack
from wherry.platforms.sql import records
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Done, GetTimeline, Note, RecentRecords, TimelineRows
from wherry.telemetry import InvocationRecord
from wherry.world import ManualClock


def record(number: int, correlation_id: str, function: str = "shop") -> InvocationRecord:
    return InvocationRecord(
        number, correlation_id, function, "POST /", "r", "", "", "", 1, 0, 0, 0, False, "ok", 200,
        "", "", [],
    )  # fmt: skip


def note(store: SqlStore, *found: InvocationRecord) -> None:
    assert store.run([("", Note(list(found)))]) == [Done()]


def correlated(store: SqlStore, correlation_id: str) -> list[int]:
    [rows] = store.run([("", GetTimeline(correlation_id))])
    assert isinstance(rows, TimelineRows)
    return sorted(row.number for row in rows.records)


def newest(store: SqlStore, function: str, limit: int = 1000) -> list[int]:
    [rows] = store.run([("", RecentRecords(function, limit))])
    assert isinstance(rows, TimelineRows)
    return [row.number for row in rows.records]


def started_again(store: SqlStore) -> SqlStore:
    """As after a kill: nothing more is written."""
    store._session.abandon()
    return SqlStore(store._session.path, ManualClock())


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.sqlite")


@pytest.mark.parametrize("count", [1, records.ASIDE - 1, records.ASIDE, 3 * records.ASIDE + 7])
def test_a_store_that_starts_again_finds_every_record(path: str, count: int) -> None:
    store = SqlStore(path, ManualClock())
    functions = ("even", "odd")
    made = [record(n, f"caller-{n % 100}", functions[n % 2]) for n in range(1, count + 1)]
    for at in range(0, count, 20):
        note(store, *made[at : at + 20])
    for _ in range(2):
        for of in range(100):
            wanted = [number for number in range(1, count + 1) if number % 100 == of]
            assert correlated(store, f"caller-{of}") == wanted
        assert newest(store, "even", 20) == [n for n in range(count, 0, -1) if n % 2 == 0][:20]
        assert newest(store, "nobody") == []
        store = started_again(store)
    store.close()


def test_a_record_that_comes_after_a_higher_one_was_moved_is_found_after_a_start(path: str) -> None:
    store = SqlStore(path, ManualClock())
    note(store, *(record(1000 + number, "moved") for number in range(records.ASIDE)))
    assert store._session.row("counter_get", records.MARK) == (1000 + records.ASIDE - 1,)
    note(store, record(7, "late", "slow"))
    note(store, record(5000, "late", "slow"))
    for _ in range(2):
        assert correlated(store, "late") == [7, 5000]
        assert newest(store, "slow") == [5000, 7]
        assert len(correlated(store, "moved")) == records.ASIDE
        store = started_again(store)
    store.close()


def test_a_store_that_wrote_all_it_had_aside_is_read_on(path: str) -> None:
    store = SqlStore(path, ManualClock())
    note(store, record(1, "before"), record(2, "before"))
    terms = [(records._term("before"), number) for number in (1, 2)]
    function = store._catalog.number("function", "shop")
    terms += [(-function, number) for number in (1, 2)]
    store._session.write("unfound_add", to_msgpack(terms))
    store._session.commit()
    store.close()
    for start in range(2):
        store = SqlStore(path, ManualClock())
        note(store, *(record(start * 1000 + 10 + at, "after") for at in range(records.ASIDE // 2)))
        assert correlated(store, "before") == [1, 2]
        assert len(correlated(store, "after")) == (start + 1) * (records.ASIDE // 2)
        assert newest(store, "shop")[-2:] == [2, 1]
        store.close()


def test_a_record_is_added_once_however_long_ago_it_was(path: str) -> None:
    store = SqlStore(path, ManualClock())
    count = 4 * records.RECENT
    for number in range(2, 2 * count, 32):
        note(store, *(record(even, "first") for even in range(number, number + 32, 2)))
    for number in (2, count, 2 * count - 2):
        note(store, record(number, "again"), record(number + 1, "new"), record(number + 1, "again"))
    assert correlated(store, "again") == []
    assert correlated(store, "new") == [3, count + 1, 2 * count - 1]
    store.close()
