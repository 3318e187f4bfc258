"""Records and timelines, objects, small values, releases: what is kept, and for how long."""

from __future__ import annotations

from typing import Any

from tests.contract.conftest import QUEUES, TABLES
from wherry import limits
from wherry.blueprint import Blueprint
from wherry.codec import canonical_json
from wherry.effects import DeleteObject, PutObject, SendMessage
from wherry.ports import (
    Claim,
    Configure,
    Configured,
    Count,
    Denied,
    Done,
    FindOrphans,
    GetObject,
    GetState,
    GetTimeline,
    ListObjects,
    ListUndeclared,
    Note,
    Nothing,
    Orphans,
    PutState,
    QueueDepths,
    RecentRecords,
    Rejected,
    Releases,
    ReplyAck,
    State,
    Sweep,
    Swept,
    Undeclared,
    UndeclaredRow,
)


def blob(number: int) -> str:
    return f"{number:032x}"


def put_object(key: str, number: int, **options: Any) -> PutObject:
    return PutObject("assets", key, blob(number), 5, "sha", "text/plain", {"a": "b"}, **options)


# --- records and timelines ----------------------------------------------------------------------


def test_a_timeline_joins_records_waiting_and_running_messages(place: Any) -> None:
    place.commit(
        SendMessage("jobs", "a", b"{}"),
        SendMessage("mail", "m", b"{}", 5000),
        number=3,
        correlation_id="x",
    )
    place.advance(1)
    place.ask(Note([place.record(5, correlation_id="x", ending="failed"), place.record(6)]))
    [message] = place.claim()
    assert message.id == "a"
    timeline = place.ask(GetTimeline("x"))
    assert [record.number for record in timeline.records] == [3, 5]
    assert [(row.id, row.leased) for row in timeline.waiting] == [("a", True), ("m", False)]
    assert place.ask(GetTimeline("y")).records == []


def test_records_are_found_among_thousands_by_correlation_id_and_by_function(place: Any) -> None:
    for start in range(0, 6_000, 500):
        records = [
            place.record(
                start + n + 1,
                correlation_id=f"c{(start + n) % 2_000}",
                function=f"f{(start + n) % 3}",
            )
            for n in range(500)
        ]
        assert place.ask(Note(records)) == Done()
    found = place.ask(GetTimeline("c77")).records
    assert [record.number for record in found] == [78, 2078, 4078]
    newest = place.ask(RecentRecords("f1", 3)).records
    assert [record.number for record in newest] == [5999, 5996, 5993]
    assert [record.number for record in place.ask(RecentRecords(None, 2)).records] == [6000, 5999]
    assert place.ask(RecentRecords("unknown", 2)).records == []


def test_a_record_that_is_noted_twice_is_there_once(place: Any) -> None:
    note = Note([place.record(5, correlation_id="x")])
    place.batch(note, note)
    place.ask(note)
    assert len(place.ask(GetTimeline("x")).records) == 1


def test_records_go_after_their_retention_in_small_batches(place: Any) -> None:
    place.ask(Note([place.record(n, correlation_id="x") for n in range(1, 1500)]))
    place.advance(limits.RECORDS_S / 2)
    place.ask(Note([place.record(n, correlation_id="y") for n in range(2000, 2003)]))
    place.advance(limits.RECORDS_S / 2 + 1)
    counts = []
    while count := place.ask(Sweep(limits.SWEEP_BATCH)).count:
        assert count <= limits.SWEEP_BATCH
        counts.append(count)
    assert sum(counts) >= 1499
    assert place.ask(GetTimeline("x")).records == []
    assert len(place.ask(GetTimeline("y")).records) == 3


def test_a_record_stays_for_its_retention_though_others_with_higher_numbers_go(place: Any) -> None:
    """Numbers are those of engines, whose clocks may differ."""
    later_ms = place.now_ms + int(limits.RECORDS_S * 500)
    place.ask(Note([place.record(n, correlation_id="x") for n in (1, 3)]))
    place.ask(Note([place.record(2, correlation_id="y", at_ms=later_ms)]))
    place.advance(limits.RECORDS_S + 1)
    while place.ask(Sweep(limits.SWEEP_BATCH)).count:
        pass
    assert [one.number for one in place.ask(GetTimeline("y")).records] == [2]


# --- objects ------------------------------------------------------------------------------------


def test_an_object_is_visible_with_its_commit(place: Any) -> None:
    place.commit(put_object("a/1", 1))
    found = place.ask(GetObject("assets", "a/1"))
    assert (found.blob, found.size_bytes, found.metadata) == (blob(1), 5, {"a": "b"})
    assert found.created_ms == place.now_ms
    assert place.ask(GetObject("assets", "a")) == Nothing()
    assert place.ask(GetObject("assets", "a/1"), function="creator") == Denied("assets", "read")


def test_objects_are_listed_by_prefix_in_the_order_of_their_utf8(place: Any) -> None:
    for number, key in enumerate(["b", "a/2", "a/1", "a", "a/é", "a/\U0001f600", "a/\uffee"]):
        place.commit(put_object(key, number))
    first = place.ask(ListObjects("assets", "a/", 2, None))
    assert [row.key for row in first.rows] == ["a/1", "a/2"]
    rest = place.ask(ListObjects("assets", "a/", 10, first.after))
    assert [row.key for row in rest.rows] == ["a/é", "a/\uffee", "a/\U0001f600"]
    assert rest.after is None
    assert len(place.ask(ListObjects("assets", "", 100, None)).rows) == 7


def test_a_blob_that_no_object_names_is_reported_when_readers_have_finished(place: Any) -> None:
    place.commit(put_object("a", 1))
    place.commit(put_object("a", 2))
    place.commit(put_object("b", 3))
    place.commit(DeleteObject("assets", "b"))
    place.commit(DeleteObject("assets", "nothing"))
    assert place.ask(Sweep(10)) == Swept(0, [])
    place.advance(limits.STAGING_S)
    assert place.ask(Sweep(10)).blobs == [("assets", blob(1)), ("assets", blob(3))]
    assert place.ask(Sweep(10)) == Swept(2, [])
    assert place.ask(Sweep(10)) == Swept(0, [])
    assert place.ask(GetObject("assets", "a")).blob == blob(2)


def test_a_blob_that_is_named_again_is_no_garbage(place: Any) -> None:
    place.commit(put_object("a", 1))
    place.commit(put_object("a", 1))
    place.commit(DeleteObject("assets", "a"))
    place.commit(put_object("a", 1))
    place.advance(limits.STAGING_S)
    assert place.ask(Sweep(10)).blobs == []


def test_a_blob_is_an_orphan_that_no_object_and_no_garbage_of_its_bucket_names(place: Any) -> None:
    place.commit(put_object("a", 1))
    place.commit(put_object("a", 2))
    asked = FindOrphans("assets", [blob(1), blob(2), blob(3)])
    assert place.ask(asked) == Orphans([blob(3)])
    assert place.ask(FindOrphans("nothing", [blob(2)])) == Orphans([blob(2)])
    assert place.ask(FindOrphans("assets", [])) == Orphans([])


# --- small values -------------------------------------------------------------------------------


def test_a_small_value_is_written_once_if_asked_so(place: Any) -> None:
    assert place.ask(GetState("k")) == Nothing()
    assert place.ask(PutState("k", b"1", if_absent=True)) == Count(1)
    assert place.ask(PutState("k", b"2", if_absent=True)) == Count(0)
    assert place.ask(GetState("k")) == State(b"1")
    assert place.ask(PutState("k", b"3")) == Count(1)
    assert place.ask(GetState("k")) == State(b"3")


def test_a_small_value_that_expires_is_not_read_and_is_swept(place: Any) -> None:
    at = place.now_ms // 1000 + 60
    place.ask(PutState("k", b"1", expires_at_s=at))
    place.ask(PutState("l", b"1", expires_at_s=at))
    place.advance(60)
    assert place.ask(GetState("k")) == Nothing()
    assert place.ask(PutState("k", b"2", if_absent=True)) == Count(1)
    assert place.ask(GetState("k")) == State(b"2")
    assert place.ask(Sweep(10)).count == 1


def test_replies_go_after_their_time(place: Any) -> None:
    for number in range(3):
        place.commit(acks=[ReplyAck(f"idem/shop/{number}", "", b"", 60)])
    place.advance(60)
    assert [place.ask(Sweep(2)).count for _ in range(3)] == [2, 1, 0]


# --- releases -----------------------------------------------------------------------------------


def test_an_app_of_another_name_does_not_come_upon_a_store_by_chance(place: Any) -> None:
    """It would share the queues and tables of the one that is there."""

    def started(app: str, chosen: bool = False) -> Any:
        blueprint = canonical_json(Blueprint(app=app, tables=TABLES, queues=QUEUES))
        return place.ask(Configure(f"of-{app}", blueprint, True, chosen=chosen))

    said = started("till")
    assert isinstance(said, Rejected)
    assert "that of the app 'shop'" in said.message
    assert place.active() == "release-1"
    assert isinstance(started("till", chosen=True), Configured)  # it is its new name
    assert isinstance(started("till"), Configured)
    place.advance(1)
    place.configure("release-1", chosen=True)  # back to the old code
    assert isinstance(started("other"), Rejected)


def test_releases_are_listed_with_the_last_activated_first(place: Any) -> None:
    place.advance(1)
    place.configure("release-2", activate=False)
    place.configure("release-3")
    place.configure("release-1")
    rows = place.ask(Releases()).rows
    assert [row.digest for row in rows] == ["release-1", "release-3", "release-2"]
    assert [row.activated_ms for row in rows] == [place.now_ms, place.now_ms, 0]


def test_a_blueprint_that_cannot_be_read_is_refused_and_changes_nothing(place: Any) -> None:
    assert isinstance(place.ask(Configure("bad", b"{", True)), Rejected)
    assert [row.digest for row in place.ask(Releases()).rows] == ["release-1"]


def test_no_function_may_ask_what_is_the_engines(place: Any) -> None:
    for request in (Claim("jobs", 1, "x"), GetState("k"), Releases(), Note([])):
        assert isinstance(place.ask(request, function="shop"), Denied)


# --- what no release declares -------------------------------------------------------------------


def test_what_is_kept_and_declared_no_more_is_listed_until_it_is_declared_again(place: Any) -> None:
    """A class that was renamed takes the name of its table or queue with it."""
    place.commit(place.put("orders", "c", "1"), place.put("orders", "c", "2"))
    place.send("now")
    place.send("later", delay_ms=60_000)
    assert place.ask(ListUndeclared()) == Undeclared([])
    place.configure("release-2", tables=TABLES[1:], queues=QUEUES[1:])
    left = [UndeclaredRow("table", "orders", 2), UndeclaredRow("queue", "jobs", 2)]
    assert place.ask(ListUndeclared()) == Undeclared(left)
    depths = {row.queue: row for row in place.ask(QueueDepths()).rows}
    assert (depths["jobs"].declared, depths["mail"].declared) == (False, True)
    place.configure("release-1")
    assert place.ask(ListUndeclared()) == Undeclared([])
    assert all(row.declared for row in place.ask(QueueDepths()).rows)


def test_what_is_declared_no_more_is_counted_up_to_a_bound(place: Any) -> None:
    most = limits.UNDECLARED_COUNTED
    for start in range(0, most + 90, 90):
        place.commit(*(place.put("orders", "c", str(start + number)) for number in range(90)))
    place.configure("release-2", tables=TABLES[1:])
    assert place.ask(ListUndeclared()).rows == [UndeclaredRow("table", "orders", most)]
