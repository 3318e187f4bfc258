"""The cost of a request does not grow with what is stored: no scan, no sorting on the side."""

from __future__ import annotations

from pathlib import Path

import pytest

import wherry.platforms.sql as room
from wherry.platforms.shared.statements import load_statements
from wherry.platforms.sql.dialect import FOLDER
from wherry.platforms.sql.session import Session
from wherry.world import ManualClock

# These read everything on purpose: small tables at the start, counts that are then kept in memory,
# what a wall clock that was set back has to be put right of.
WHOLE = {
    "messages_set_back",
    "rates_set_back",
    "schedules_not_begun",
    "schedules_set_back",
    "count_slots",
    "count_failures",
    "definitions_all",
    "indexes_all",
    "names_all",
    "owners_all",
    "pauses_all",
    "redrives_all",
    "release_active",
    "release_newest",
    "releases_lately",
    "releases_list",
    "runs_all",
    "schedules_all",
    "unfound_all",
    "unfound_clear",
}
# These read one end of a table, in the order of its key.
FROM_ONE_END = {
    "audit_oldest",
    "failures_aged",
    "failures_oldest",
    "garbage_old",
    "record_highest",
    "records_newest",
    "records_oldest",
    "stops_all",
}
# These sort a few rows: what is leased, of a new store process; jobs, one for each queue.
SORTED = {"count_leased", "leases_all", "redrives_all"}


@pytest.fixture(scope="module")
def session() -> Session:
    return Session(":memory:", ManualClock())


def plan(session: Session, sql: str) -> list[str]:
    rows = session.run(f"EXPLAIN QUERY PLAN {sql}", (None,) * parameters(sql)).fetchall()
    return [row[3] for row in rows]  # type: ignore[misc]


def parameters(sql: str) -> int:
    numbered = {part[0] for part in sql.split("?")[1:] if part[:1].isdigit()}
    return len(numbered) or sql.count("?")


@pytest.mark.parametrize("name", sorted(load_statements(FOLDER)))
def test_a_statement_finds_its_rows_without_a_scan(session: Session, name: str) -> None:
    steps = plan(session, session.sql[name])
    if name in WHOLE:
        return
    if name in FROM_ONE_END:
        assert all(step.startswith(("SCAN", "SEARCH")) for step in steps)
        assert "ORDER BY" in session.sql[name]
    else:
        assert not [step for step in steps if step.startswith("SCAN")], steps
    if name not in SORTED:
        assert not [step for step in steps if "TEMP B-TREE" in step], steps


def test_a_claim_reads_its_index_in_order_and_stops_at_its_limit(session: Session) -> None:
    [step] = plan(session, session.sql["claim"])
    assert step == "SEARCH messages USING INDEX messages_slot (slot=? AND due_ms<?)"


def test_cancelling_looks_up_one_message_however_many_wait(session: Session) -> None:
    [step] = plan(session, session.sql["message_cancel"])
    assert step == "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (id=?)"


@pytest.mark.parametrize("name", ["group_live", "group_active", "group_first"])
def test_the_next_of_a_group_is_found_in_its_index(session: Session, name: str) -> None:
    [step] = plan(session, session.sql[name])
    assert step.startswith("SEARCH messages USING")
    assert "INDEX messages_group (queue=? AND grp=?" in step


def test_what_blocks_a_group_is_found_in_its_index(session: Session) -> None:
    [step] = plan(session, session.sql["group_blocked"])
    assert step.endswith("INDEX failures_blocking (queue=? AND grp=? AND place<?)")


def test_every_named_statement_is_used() -> None:
    platforms = Path(room.__file__).parents[1]
    users = [*platforms.glob("sql/*.py"), *platforms.glob("shared/*.py")]
    text = "".join(path.read_text() for path in users)
    assert [name for name in load_statements(FOLDER) if f'"{name}"' not in text] == []


@pytest.mark.parametrize("backlog", [100, 20_000])
def test_a_claim_costs_the_same_whatever_the_backlog(backlog: int) -> None:

    from wherry.platforms.sql.store import SqlStore
    from wherry.ports import Claim

    store = SqlStore(":memory:", ManualClock())
    session = store._session
    queue = store._catalog.number("queue", "jobs")
    rows = [
        (n, f"m{n}", queue, n // 10, queue, 0, 0, 0, 0, 0, 1 << 60, "", "", "", b"{}")
        for n in range(1, backlog + 1)
    ]
    session.many(session.sql["message_insert"], rows)
    session.commit()
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    session.db.set_progress_handler(count, 10)  # type: ignore[arg-type]
    [claims] = store.run([("", Claim("jobs", 64, "one"))])
    assert len(claims.messages) == 64  # type: ignore[union-attr]
    assert steps < 700


@pytest.mark.parametrize("backlog", [100, 20_000])
@pytest.mark.parametrize(("kind", "most"), [({"fair": True}, 120), ({"fifo": True}, 120)])
def test_the_turn_of_a_group_costs_the_same_whatever_is_parked(
    kind: dict[str, bool], most: int, backlog: int
) -> None:
    from msgspec import Raw, msgpack

    from wherry.blueprint import Blueprint, QueueSpec
    from wherry.codec import canonical_json
    from wherry.effects import SendMessage
    from wherry.platforms.sql.store import SqlStore
    from wherry.ports import Claim, Commit, Configure, MessageAck
    from wherry.telemetry import InvocationRecord

    store = SqlStore(":memory:", ManualClock())
    jobs = QueueSpec(name="jobs", payload="Job", schema={}, **kind)  # type: ignore[arg-type]
    blueprint = canonical_json(Blueprint(app="shop", queues=(jobs,)))
    numbers = iter(range(1, 1 << 30))

    def commit(*effects: SendMessage, acks: tuple[MessageAck, ...] = ()) -> Commit:
        number = next(numbers)
        record = InvocationRecord(
            number, str(number), "", "", "", "", "", "", 1, 0, 0, 0, False, "ok", 200, "", "", []
        )
        return Commit("", Raw(msgpack.encode(effects)), [], list(acks), record, {})

    store.run([("", Configure("one", blueprint, True))])
    for start in range(0, backlog, 50):
        sends = (SendMessage("jobs", f"m{start + n}", b"{}", 0, "noisy") for n in range(50))
        store.run([("", commit(*sends))])
    store.run([("", commit(SendMessage("jobs", "quiet", b"{}", 0, "quiet")))])
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    store._session.db.set_progress_handler(count, 10)  # type: ignore[arg-type]
    [claims] = store.run([("", Claim("jobs", 2, "one"))])
    assert [found.id for found in claims.messages] == ["m0", "quiet"]  # type: ignore[union-attr]
    for found in claims.messages:  # type: ignore[union-attr]
        store.run([("", commit(acks=(MessageAck(found.id, found.token),)))])
    assert steps < most
    [claims] = store.run([("", Claim("jobs", 1, "one"))])
    assert [found.id for found in claims.messages] == ["m1"]  # type: ignore[union-attr]
