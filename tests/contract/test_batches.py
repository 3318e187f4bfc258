"""What every platform owes a consumer of batches, and one whose work is done once per key."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.contract.trigger_kit import bury, configure, release, send
from wherry import limits
from wherry.ports import (
    Already,
    Claim,
    Committed,
    GetReply,
    GetTimeline,
    LeaseLost,
    MessageAck,
    Nothing,
    Renew,
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


# --- several of a group at once -----------------------------------------------------------------


def prefix(
    place: Any, queue: str, most: int, limit: int = 10, owner: str = "engine-1"
) -> list[Any]:
    claimed: list[Any] = place.ask(Claim(queue, limit, owner, most)).messages
    return claimed


def test_a_prefix_of_each_group_is_leased_in_order(place: Any) -> None:
    configure(place)
    send(place, "lane", "a1", "a2", "a3", group="a")
    send(place, "lane", "b1", "b2", group="b")
    found = prefix(place, "lane", 2)
    assert [(one.id, one.group) for one in found] == [
        ("a1", "a"), ("a2", "a"), ("b1", "b"), ("b2", "b"),
    ]  # fmt: skip
    assert [one.attempt for one in found] == [1] * 4
    assert prefix(place, "lane", 2) == []  # a3 comes when nothing before it is held
    for one in found[:2]:
        place.acknowledge(one)
    assert [one.id for one in prefix(place, "lane", 2)] == ["a3"]


def test_a_prefix_has_no_more_than_is_asked_for_and_nothing_that_is_not_due(place: Any) -> None:
    configure(place)
    send(place, "lane", "a1", "a2", "a3", group="a")
    send(place, "lane", "b1", group="b")
    assert [one.id for one in prefix(place, "lane", 10, limit=3)] == ["a1", "a2", "b1"]
    send(place, "strict", "c1", "c2", group="c")
    send(place, "strict", "c3", group="c")
    assert [one.id for one in prefix(place, "strict", 1)] == ["c1"]
    assert place.claim(queue="jobs") == []


@pytest.mark.parametrize("first", [True, False])
def test_what_is_given_back_of_a_prefix_comes_again_in_order(place: Any, first: bool) -> None:
    """Whoever is given back first; what waits for its retry holds those behind it."""
    configure(place)
    send(place, "lane", "a1", "a2", "a3", group="a")
    one, two, three = prefix(place, "lane", 3)
    for message in (one, two, three) if first else (three, two, one):
        again = message is one
        release(place, message, delay_s=5 if again else 0, counted=again)
    assert prefix(place, "lane", 3) == []
    place.advance(5)
    found = prefix(place, "lane", 3)
    assert [(message.id, message.attempt) for message in found] == [("a1", 2), ("a2", 1), ("a3", 1)]


def test_a_dead_message_of_a_prefix_lets_the_others_come_or_blocks_them(place: Any) -> None:
    configure(place)
    for queue, wanted in (("lane", ["2", "3"]), ("strict", [])):
        send(place, queue, *(f"{queue}{number}" for number in "123"), group="a")
        one, two, three = prefix(place, queue, 3)
        bury(place, one)
        release(place, two, counted=False)
        release(place, three, counted=False)
        assert [message.id for message in prefix(place, queue, 3)] == [queue + n for n in wanted]


def test_leases_of_a_prefix_that_run_out_give_it_back_in_order(place: Any) -> None:
    configure(place)
    send(place, "lane", "a1", "a2", "a3", group="a")
    one, two, three = prefix(place, "lane", 3)
    place.advance(limits.LEASE_S - 1)
    place.ask(Renew("engine-1", ["a2"]))
    place.advance(1)
    assert prefix(place, "lane", 3, owner="engine-2") == []  # a2 is held: nothing overtakes it
    assert place.acknowledge(one) == LeaseLost(["a1"])
    release(place, two, counted=False)
    found = prefix(place, "lane", 3, owner="engine-2")
    assert [(message.id, message.attempt) for message in found] == [("a1", 2), ("a2", 1), ("a3", 2)]
    assert place.acknowledge(three) == LeaseLost(["a3"])
