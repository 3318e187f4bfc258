"""Sources: what is sent with a commit to who listens to events, objects and tables."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from tests.contract.conftest import TABLES, function
from tests.contract.trigger_kit import KINDS, claim, configure, depth, names, work_off
from wherry import limits
from wherry.blueprint import (
    Blueprint,
    ChangeSource,
    EventSource,
    EventSpec,
    Grant,
    ObjectSource,
    QueueSpec,
)
from wherry.codec import canonical_json, key_bytes
from wherry.effects import (
    Absent,
    DeleteItem,
    DeleteObject,
    PublishEvent,
    PutObject,
    UpdateItem,
)
from wherry.ports import Committed, Configure, Denied, GetTimeline, Rejected, Releases, Sweep

EVENTS = tuple(EventSpec(name="order", version=n, payload="Order", schema={}) for n in (1, 2))
LARGE = '{"total":[{"numeric":[">",100]}]}'


def heard(place: Any, *sources: Any, **parts: Any) -> None:
    configure(place, f"with {sources}", events=EVENTS, sources=sources, **parts)


def publish(place: Any, total: int, id: str = "e1", version: int = 1, **options: Any) -> Any:
    body = b'{"total":%d}' % total
    return place.commit(PublishEvent("order", version, id, body), function="", **options)


def bodies(messages: list[Any]) -> list[dict[str, Any]]:
    return [json.decode(message.body) for message in messages]


# --- events -------------------------------------------------------------------------------------


def test_an_event_goes_to_each_queue_with_a_matching_pattern(place: Any) -> None:
    heard(
        place,
        EventSource(queue="jobs", event="order", version=1, pattern=LARGE),
        EventSource(queue="mail", event="order", version=1),
        EventSource(queue="plain", event="order", version=2),
        EventSource(queue="plain", event="other", version=1),
    )
    assert publish(place, 120) == Committed([], {"jobs": place.now_ms, "mail": place.now_ms})
    [message] = claim(place, "jobs")
    assert message.id == "e1.jobs"
    assert bodies([message]) == [
        {
            "event": "order",
            "version": 1,
            "id": "e1",
            "at_ms": place.now_ms,
            "detail": {"total": 120},
        }
    ]
    assert names(claim(place, "mail")) == ["e1.mail"]
    assert set(publish(place, 100, "e2").queued) == {"mail"}
    assert set(publish(place, 1, "e3", version=2).queued) == {"plain"}


def test_a_queue_with_two_patterns_that_match_gets_an_event_once(place: Any) -> None:
    heard(
        place,
        EventSource(queue="jobs", event="order", version=1, pattern=LARGE),
        EventSource(queue="jobs", event="order", version=1, pattern='{"total":[{"exists":true}]}'),
    )
    publish(place, 120)
    publish(place, 1, "e2")
    assert names(claim(place, "jobs")) == ["e1.jobs", "e2.jobs"]


def test_an_events_messages_are_born_leased_where_they_are_offered_a_place(place: Any) -> None:
    heard(
        place,
        EventSource(queue="jobs", event="order", version=1),
        EventSource(queue="mail", event="order", version=1),
    )
    done = publish(place, 1, leases={"jobs": 1}, number=7)
    assert names(done.leased) == ["e1.jobs"]
    assert done.queued == {"mail": place.now_ms}
    assert done.leased[0].correlation_id == "correlation-7"
    waiting = place.ask(GetTimeline("correlation-7")).waiting
    assert [row.id for row in waiting] == ["e1.jobs", "e1.mail"]


def test_events_in_a_fifo_queue_do_not_wait_for_each_other(place: Any) -> None:
    heard(place, EventSource(queue="lane", event="order", version=1))
    publish(place, 1, "e1")
    publish(place, 2, "e2")
    assert names(claim(place, "lane")) == ["e1.lane", "e2.lane"]


def test_a_commit_that_is_not_applied_tells_nobody(place: Any) -> None:
    heard(place, EventSource(queue="jobs", event="order", version=1))
    place.commit(place.put("counters", "a", id="a"))
    unmet = place.put("counters", "a", when=Absent(), id="a")
    place.commit(PublishEvent("order", 1, "e1", b"{}"), unmet, function="")
    assert claim(place, "jobs") == []
    publish(place, 1, "e2", number=99)
    publish(place, 1, "e2", number=99)
    assert names(claim(place, "jobs")) == ["e2.jobs"]


def test_an_event_that_nobody_hears_is_no_error(place: Any) -> None:
    heard(place)
    assert publish(place, 1) == Committed([], {})


def test_publishing_needs_the_grant_and_the_event(place: Any) -> None:
    may = function("teller", [Grant(kind="event", resource="order", action="publish")])
    blueprint = Blueprint(
        app="shop", functions=(may, function("other", [])), events=EVENTS, tables=TABLES
    )
    place.ask(Configure("grants", canonical_json(blueprint), True))
    event = PublishEvent("order", 1, "e1", b"{}")

    def ask(who: str, event: PublishEvent = event) -> Any:
        return place.ask(place.request(event, function=who, release="grants"), f"{who}@grants")

    assert ask("other") == Denied("order", "publish")
    assert isinstance(ask("teller"), Committed)
    assert ask("teller", PublishEvent("unknown", 1, "e1", b"{}")) == Denied("unknown", "publish")
    unknown = place.commit(PublishEvent("unknown", 1, "e1", b"{}"), function="")
    assert isinstance(unknown, Rejected)


@pytest.mark.parametrize(
    ("id", "body"),
    [
        ("", b"{}"),
        ("x" * 192, b"{}"),
        ("e", b"{"),
        ("e", b"\xff"),
        ("e", b'"%s"' % (b"x" * limits.EVENT_BYTES)),
    ],
)
def test_an_event_out_of_its_bounds_is_rejected(place: Any, id: str, body: bytes) -> None:
    heard(place, EventSource(queue="jobs", event="order", version=1))
    assert isinstance(place.commit(PublishEvent("order", 1, id, body), function=""), Rejected)
    assert claim(place, "jobs") == []


def test_an_event_with_a_thousand_listeners_is_one_commit(place: Any) -> None:
    queues = tuple(QueueSpec(name=f"q{n}", payload="Job", schema={}) for n in range(1000))
    sources = [EventSource(queue=queue.name, event="order", version=1) for queue in queues]
    heard(place, *sources, queues=queues)
    assert len(publish(place, 1).queued) == 1000
    assert depth(place, "q999").waiting == 1
    large = PublishEvent("order", 1, "large", b'"%s"' % (b"x" * 100_000))
    refused = place.commit(large, function="")
    assert isinstance(refused, Rejected)
    assert "bucket" in refused.message
    assert depth(place, "q0").waiting == 1
    many = [PublishEvent("order", 1, f"many{n}", b"1") for n in range(11)]
    assert isinstance(place.commit(*many, function=""), Rejected)
    assert isinstance(place.commit(*many[:10], function=""), Committed)


def test_a_release_with_a_source_that_cannot_work_is_rejected(place: Any) -> None:
    for source in (
        EventSource(queue="nowhere", event="order", version=1),
        EventSource(queue="jobs", event="order", version=1, pattern='{"a":[{"numeric":[">"]}]}'),
    ):
        blueprint = Blueprint(app="shop", queues=KINDS, events=EVENTS, sources=(source,))
        answer = place.ask(Configure("bad", canonical_json(blueprint), True))
        assert isinstance(answer, Rejected)
    assert [row.digest for row in place.ask(Releases()).rows] == ["release-1"]


def test_what_an_older_release_publishes_is_heard_by_the_activated_one(place: Any) -> None:
    heard(place, EventSource(queue="jobs", event="order", version=1))
    publish(place, 1, "e1")
    heard(place, EventSource(queue="mail", event="order", version=1))
    publish(place, 1, "e2")
    assert names(claim(place, "jobs")) == ["e1.jobs"]
    assert names(claim(place, "mail")) == ["e2.mail"]


def test_a_version_that_is_declared_no_more_is_heard_by_who_listens_to_the_next(place: Any) -> None:
    """A run of an older release ends after the change: its event is not lost between the two."""
    listener = EventSource(queue="mail", event="order", version=2)
    configure(place, "both", events=EVENTS, sources=(listener,))
    publish(place, 1, "e1", version=1)
    assert names(claim(place, "mail")) == []  # it is declared, and nobody listens to it
    configure(place, "second", events=EVENTS[1:], sources=(listener,))
    publish(place, 1, "e2", version=1)
    assert names(claim(place, "mail")) == ["e2.mail"]


def test_what_downgrade_made_is_not_heard_by_who_heard_the_event_itself(place: Any) -> None:
    """A run of an older release tells both versions; of the older one nothing is left."""
    configure(
        place,
        "second",
        events=EVENTS[1:],
        sources=(EventSource(queue="mail", event="order", version=2),),
    )
    place.commit(
        PublishEvent("order", 2, "e1", b"{}"), PublishEvent("order", 1, "e1-1", b"{}"), function=""
    )
    assert names(claim(place, "mail")) == ["e1.mail"]


# --- objects ------------------------------------------------------------------------------------


def put(key: str, blob: str = "b1", **metadata: str) -> PutObject:
    return PutObject("assets", key, blob, 3, "abc", "image/png", metadata)


def test_an_object_that_appears_or_goes_is_told_by_prefix_and_suffix(place: Any) -> None:
    heard(
        place,
        ObjectSource(queue="jobs", bucket="assets", kind="created", prefix="in/", suffix=".png"),
        ObjectSource(queue="jobs", bucket="assets", kind="created", prefix="in/a"),
        ObjectSource(queue="mail", bucket="assets", kind="removed"),
        ObjectSource(queue="plain", bucket="other", kind="created"),
    )
    effects = [put(key, key) for key in ("in/a.png", "in/b.png", "in/c.jpg", "out/d.png")]
    assert set(place.commit(*effects, number=5).queued) == {"jobs"}
    found = claim(place, "jobs")
    assert [body["key"] for body in bodies(found)] == ["in/a.png", "in/b.png"]
    assert bodies(found)[0] == {
        "kind": "created",
        "bucket": "assets",
        "key": "in/a.png",
        "size_bytes": 3,
        "sha256": "abc",
        "media_type": "image/png",
        "metadata": {},
        "at_ms": place.now_ms,
    }
    place.commit(DeleteObject("assets", "in/a.png"), DeleteObject("assets", "none"))
    [gone] = bodies(claim(place, "mail"))
    assert (gone["kind"], gone["key"], gone["size_bytes"]) == ("removed", "in/a.png", 3)


def test_an_object_that_replaces_another_one_is_told_as_created(place: Any) -> None:
    heard(
        place,
        ObjectSource(queue="jobs", bucket="assets", kind="created"),
        ObjectSource(queue="mail", bucket="assets", kind="removed"),
    )
    place.commit(put("a", "b1"))
    place.commit(put("a", "b2", by="ana"))
    assert [body["metadata"] for body in bodies(claim(place, "jobs"))] == [{}, {"by": "ana"}]
    assert claim(place, "mail") == []


# --- changes ------------------------------------------------------------------------------------


def changes(place: Any, queue: str = "lane") -> list[dict[str, Any]]:
    found = []
    while claimed := claim(place, queue):
        for message in claimed:
            place.acknowledge(message)
            found.append(json.decode(message.body))
    return found


def add(id: str, amount: int) -> UpdateItem:
    initial = b'{"id":"%s","n":0}' % id.encode()
    return UpdateItem("counters", key_bytes(id), b"", b"{}", b'{"n":%d}' % amount, initial)


def short(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(body["kind"], body["old"], body["new"]) for body in found]


def test_changes_of_a_key_arrive_in_order_with_what_was_and_what_is(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    place.commit(place.put("counters", "a", id="a", n=1))
    place.commit(place.put("counters", "a", id="a", n=2))
    place.commit(add("a", 5))
    place.commit(add("b", 1))
    place.commit(DeleteItem("counters", *place.key("a")))
    first = claim(place, "lane")
    assert [json.decode(found.body)["new"]["id"] for found in first] == ["a", "b"]
    for found in first:
        place.acknowledge(found)
    a = {n: {"id": "a", "n": n} for n in (1, 2, 7)}
    rest = changes(place)
    assert short(rest) == [("modify", a[1], a[2]), ("modify", a[2], a[7]), ("remove", a[7], None)]
    versions = [body["version"] for body in rest]
    assert versions == sorted(set(versions))
    assert rest[0]["table"] == "counters"
    assert rest[0]["at_ms"] == place.now_ms


def test_every_follower_of_a_table_gets_each_change_once(place: Any) -> None:
    heard(
        place,
        ChangeSource(queue="lane", table="counters"),
        ChangeSource(queue="lane", table="counters"),
        ChangeSource(queue="strict", table="counters"),
        ChangeSource(queue="strict", table="orders"),
    )
    place.commit(place.put("counters", "a", id="a"))
    place.commit(place.put("orders", "ana", "o1", customer="ana", order="o1"))
    assert len(changes(place, "lane")) == 1
    assert [body["table"] for body in changes(place, "strict")] == ["counters", "orders"]


def test_what_changes_nothing_is_no_change(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    place.commit(place.put("counters", "a", id="a"))
    place.commit(place.put("counters", "a", id="a"))
    place.commit(DeleteItem("counters", *place.key("none")))
    place.commit(UpdateItem("counters", key_bytes("a"), b"", b"{}", b"{}"))
    assert [kind for kind, _, _ in short(changes(place))] == ["insert"]


def test_an_item_that_expires_is_told_as_removed(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="notes"))
    until = place.now_ms // 1000 + 10
    swept = {"id": "swept", "until": until}
    seen = {"id": "seen", "until": until}
    gone = {"id": "gone", "until": until}
    for item in (swept, seen, gone):
        place.commit(place.put("notes", item["id"], **item))
    assert len(changes(place)) == 3
    place.advance(10)
    place.commit(place.put("notes", "seen", id="seen"))
    place.commit(DeleteItem("notes", *place.key("gone")))
    told = [("remove", seen, None), ("insert", None, {"id": "seen"}), ("remove", gone, None)]
    assert sorted(short(changes(place)), key=str) == sorted(told, key=str)
    place.ask(Sweep(100))
    assert short(changes(place)) == [("remove", swept, None)]


def test_a_change_with_both_its_images_may_be_larger_than_what_is_sent(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    for fill in "ab":
        place.commit(place.put("counters", "a", id="a", text=fill * 399_000))
    assert [len(str(body)) > 390_000 for body in changes(place)] == [True, True]


def test_changes_of_one_commit_go_with_it_or_not_at_all(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    place.commit(place.put("counters", "a", id="a"))
    changes(place)
    place.commit(
        place.put("counters", "b", id="b"), place.put("counters", "a", when=Absent(), id="a")
    )
    assert changes(place) == []
    guard = place.guard("counters", "a")
    done = place.commit(place.put("counters", "a", id="a", n=1), guards=[guard], number=77)
    assert done == Committed([], {"lane": place.now_ms})
    assert place.commit(place.put("counters", "a", id="a", n=1), number=77) != done
    assert short(changes(place)) == [("modify", {"id": "a"}, {"id": "a", "n": 1})]


def test_a_consumer_may_be_handed_a_change_with_the_commit(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    done = place.commit(place.put("counters", "a", id="a"), leases={"lane": 3})
    assert len(done.leased) == 1
    assert place.commit(place.put("counters", "a", id="a", n=1), leases={"lane": 3}).leased == []


def test_what_waits_stays_when_its_source_is_removed(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    for n in range(3):
        place.commit(place.put("counters", "a", id="a", n=n))
    heard(place)
    place.commit(place.put("counters", "a", id="a", n=4))
    assert len(work_off(place, "lane")) == 3


def test_the_position_of_a_follower_is_seen_as_the_age_of_its_queue(place: Any) -> None:
    heard(place, ChangeSource(queue="lane", table="counters"))
    for n in range(3):
        place.commit(place.put("counters", "a", id="a", n=n))
        place.advance(2)
    assert (depth(place, "lane").waiting, depth(place, "lane").oldest_ms) == (3, 6_000)
    [first] = claim(place, "lane")
    place.acknowledge(first)
    assert depth(place, "lane").oldest_ms == 4_000


def test_nothing_is_read_or_written_for_what_nobody_follows(memory: Any) -> None:
    store = memory.platform
    written: list[str] = []
    heard(memory, ChangeSource(queue="lane", table="notes"))

    def trace(cursor: object, sql: str, values: object) -> bool:
        written.append(sql)
        return True

    store._session.db.set_exec_trace(trace)
    store._session.run = store._session.db.cursor().execute
    memory.commit(memory.put("counters", "a", id="a"))
    assert [sql for sql in written if sql.startswith("INSERT INTO items")]
    assert [sql for sql in written if "messages" in sql or "FROM items" in sql] == []
    store._session.db.set_exec_trace(None)
