"""Claim check: the object of a large payload goes when its message leaves for ever, not before."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import bury, claim, configure, release, send
from wherry import limits
from wherry.blueprint import BucketSpec, QueueSpec
from wherry.codec import to_json
from wherry.effects import CancelMessage, PutObject, SendMessage
from wherry.ports import (
    Already,
    Committed,
    Discard,
    GetObject,
    ListObjects,
    MessageAck,
    Redrive,
    RedriveAll,
    RedriveTick,
    ReplyAck,
    Sweep,
)

BULKY = QueueSpec(name="bulky", payload="Job", schema={}, claim_check=True, retention_s=86_400)
LINE = QueueSpec(name="line", payload="Job", schema={}, claim_check=True, fifo=True)
PLAIN = QueueSpec(name="plain", payload="Job", schema={})


@pytest.fixture(autouse=True)
def queues(place: Any) -> None:
    buckets = [BucketSpec(name=f"{name}-payloads") for name in ("bulky", "line", "plain")]
    configure(place, queues=(BULKY, LINE, PLAIN), buckets=tuple(buckets))


def ticket(key: str) -> bytes:
    return to_json({"wherry_claim": key, "size_bytes": 5})


def send_large(place: Any, id: str, queue: str = "bulky", **options: Any) -> Any:
    """Send a message whose payload is an object of its queue's bucket."""
    blob = id.encode().hex().ljust(32, "0")
    put = PutObject(f"{queue}-payloads", id, blob, 5, "s", "application/json", {})
    fields = {name: options.pop(name) for name in ("dedup", "delay_ms", "group") if name in options}
    return place.commit(put, SendMessage(queue, id, ticket(id), **fields), function="", **options)


def kept(place: Any, queue: str = "bulky") -> list[str]:
    return [row.key for row in place.ask(ListObjects(f"{queue}-payloads", "", 100, None)).rows]


def blobs(place: Any) -> list[tuple[str, str]]:
    """Return what is to be removed from the disk."""
    place.advance(limits.STAGING_S + 1)
    blobs: list[tuple[str, str]] = place.ask(Sweep(100)).blobs
    return blobs


def test_the_object_goes_in_the_commit_that_finishes_its_message(place: Any) -> None:
    send_large(place, "a")
    send_large(place, "b")
    first, second = claim(place, "bulky")
    assert isinstance(place.acknowledge(first), Committed)
    assert kept(place) == ["b"]
    place.acknowledge(second)
    assert kept(place) == []


def test_it_goes_with_a_message_whose_key_was_done_before(place: Any) -> None:
    place.commit(acks=[ReplyAck("once/worker/k", "", b"", 100)], function="")
    send_large(place, "a")
    [found] = claim(place, "bulky")
    acks = [MessageAck(found.id, found.token), ReplyAck("once/worker/k", "", b"", 100)]
    assert isinstance(place.commit(acks=acks, function="worker"), Already)
    assert kept(place) == []


def test_it_stays_while_its_message_is_tried_again_or_waits_in_the_inbox(place: Any) -> None:
    send_large(place, "a")
    release(place, claim(place, "bulky")[0])
    assert kept(place) == ["a"]
    bury(place, claim(place, "bulky")[0])
    assert kept(place) == ["a"]
    place.ask(Redrive(["a"], None, "ana"))
    bury(place, claim(place, "bulky")[0])
    place.ask(RedriveAll("bulky", 100.0, "ana"))
    place.advance(limits.REDRIVE_MAX_S)
    place.ask(RedriveTick(10))
    assert kept(place) == ["a"]
    place.advance(limits.REDRIVE_MAX_S)
    place.acknowledge(claim(place, "bulky")[0])
    assert kept(place) == []


def test_it_stays_with_a_message_that_has_outlived_its_queue_and_is_in_the_inbox(
    place: Any,
) -> None:
    send_large(place, "a")
    place.advance(BULKY.retention_s + 1)
    place.ask(Sweep(100))
    assert claim(place, "bulky") == []
    assert kept(place) == ["a"]


@pytest.mark.parametrize("way", ["discard", "retention", "edit"])
def test_it_goes_with_a_message_that_leaves_the_inbox_for_ever(place: Any, way: str) -> None:
    send_large(place, "a")
    send_large(place, "other")
    bury(place, claim(place, "bulky", 1)[0])
    match way:
        case "discard":
            place.ask(Discard(["a"], None, "of no use", "ana"))
        case "edit":
            place.ask(Redrive(["a"], None, "ana", body=b"{}", new_id="a2"))
        case "retention":
            place.advance(limits.FAILURES_S + 1)
            place.ask(Sweep(100))
    assert kept(place) == ["other"]
    assert place.ask(GetObject("bulky-payloads", "other")).key == "other"


def test_it_goes_on_with_an_edited_message_that_still_refers_to_it(place: Any) -> None:
    send_large(place, "a")
    bury(place, claim(place, "bulky")[0])
    place.ask(Redrive(["a"], None, "ana", body=ticket("a"), new_id="a2"))
    assert kept(place) == ["a"]
    place.acknowledge(claim(place, "bulky")[0])
    assert kept(place) == []


def test_it_goes_with_a_message_that_is_cancelled_while_it_waits(place: Any) -> None:
    send_large(place, "a", delay_ms=60_000)
    send_large(place, "b")
    [running] = claim(place, "bulky")
    place.commit(CancelMessage("bulky", "a"), CancelMessage("bulky", "b"), function="")
    assert kept(place) == ["b"]
    place.acknowledge(running)
    assert kept(place) == []


def test_a_repeat_that_is_dropped_leaves_no_object_and_the_first_keeps_its_own(place: Any) -> None:
    send_large(place, "a", "line", dedup="once", group="g")
    send_large(place, "b", "line", dedup="once", group="g")
    assert kept(place, "line") == ["a"]
    send_large(place, "a", "line", dedup="once", group="g")
    assert kept(place, "line") == ["a"]


def test_its_blob_is_removed_from_the_disk_later(place: Any) -> None:
    send_large(place, "a")
    place.acknowledge(claim(place, "bulky")[0])
    assert blobs(place) == [("bulky-payloads", b"a".hex().ljust(32, "0"))]


def test_a_queue_without_a_claim_check_has_payloads_that_only_look_like_tickets(
    place: Any,
) -> None:
    blob = "ab" * 16
    place.commit(PutObject("plain-payloads", "x", blob, 5, "s", "t/t", {}), function="")
    place.commit(SendMessage("plain", "m", ticket("x")), function="")
    place.acknowledge(claim(place, "plain")[0])
    assert kept(place, "plain") == ["x"]


def test_a_ticket_that_was_edited_by_hand_harms_nobody(place: Any) -> None:
    send(place, "bulky", "a")
    bury(place, claim(place, "bulky")[0])
    broken = b'{"wherry_claim":7}'
    place.ask(Redrive(["a"], None, "ana", body=broken, new_id="a2"))
    assert isinstance(place.acknowledge(claim(place, "bulky")[0]), Committed)
