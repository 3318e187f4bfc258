"""What every platform owes a consumer of batches, and one whose work is done once per key."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from wherry import limits
from wherry.ports import (
    Already,
    Committed,
    GetReply,
    GetTimeline,
    LeaseLost,
    MessageAck,
    Nothing,
    ReplyAck,
    StoredReply,
)

ONCE = "once/worker/key"


def acks_of(*messages: Any) -> list[Any]:
    return [MessageAck(message.id, message.token) for message in messages]


def endings(place: Any, correlation_id: str) -> list[str]:
    return [row.ending for row in place.ask(GetTimeline(correlation_id)).records]


def test_several_messages_are_done_in_one_commit_each_with_its_record(place: Any) -> None:
    for id in ("a", "b", "c"):
        place.send(id)
    messages = place.claim()
    request = place.request(place.put("orders", "c", "1"), acks=acks_of(*messages))
    request = replace(request, others=[place.record(), place.record()])
    assert isinstance(place.ask(request), Committed)
    place.advance(limits.LEASE_S + 1)
    assert place.claim() == []
    for record in (request.record, *request.others):
        assert endings(place, record.correlation_id) == ["ok"]
    assert isinstance(place.ask(request), Already)


def test_a_lost_lease_is_named_and_nothing_of_its_batch_is_applied(place: Any) -> None:
    """The others are still held: they can be done without it."""
    for id in ("a", "b", "c"):
        place.send(id)
    first, second, third = place.claim()
    place.acknowledge(second)
    stale = replace(third, token=third.token + 1000)
    effect = place.put("orders", "c", "1")
    lost = place.commit(effect, acks=acks_of(first, second, stale))
    assert lost == LeaseLost(["b", "c"])
    assert place.get("orders", "c", "1") is None
    assert isinstance(place.commit(effect, acks=acks_of(first, third)), Committed)


def test_a_message_whose_key_was_done_before_is_deleted_and_nothing_else_is_done(
    place: Any,
) -> None:
    once = ReplyAck(ONCE, "", b"", 60)
    place.send("a")
    place.send("b")
    first, second = place.claim()
    assert isinstance(place.commit(acks=[*acks_of(first), once]), Committed)
    request = place.request(place.put("orders", "c", "1"), acks=[*acks_of(second), once])
    assert place.ask(request) == Already(StoredReply("", b""), ONCE)
    assert place.get("orders", "c", "1") is None
    assert endings(place, request.record.correlation_id) == ["duplicate"]
    place.advance(limits.LEASE_S + 1)
    assert place.claim() == []
    assert place.ask(request) == Already(StoredReply("", b""))  # asked again: it was this commit


def test_a_message_that_lost_its_lease_is_no_duplicate(place: Any) -> None:
    once = ReplyAck(ONCE, "", b"", 60)
    place.commit(acks=[once])
    place.send("a")
    [message] = place.claim()
    stale = [MessageAck("a", message.token + 1), once]
    assert place.commit(acks=stale) == LeaseLost(["a"])
    assert isinstance(place.acknowledge(message), Committed)


def test_of_a_batch_with_one_key_that_was_done_nothing_is_deleted(place: Any) -> None:
    """The key is named: who it was of is done by itself, the others run without it."""
    place.commit(acks=[ReplyAck(ONCE, "", b"", 60)])
    place.send("a")
    place.send("b")
    messages = place.claim()
    keys = [ReplyAck("once/worker/other", "", b"", 60), ReplyAck(ONCE, "", b"", 60)]
    effect = place.put("orders", "c", "1")
    answer = place.commit(effect, acks=[*acks_of(*messages), *keys])
    assert answer == Already(StoredReply("", b""), ONCE)
    assert place.get("orders", "c", "1") is None
    assert place.ask(GetReply("once/worker/other")) == Nothing()
    for message in messages:
        assert isinstance(place.acknowledge(message), Committed)
