"""FIFO: a group is done in the order of its commits, one message at a time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import (
    FAIR,
    KINDS,
    LANE,
    PLAIN,
    STRICT,
    bury,
    claim,
    configure,
    depth,
    failures,
    message,
    names,
    release,
    send,
    work_off,
)
from wherry import limits
from wherry.blueprint import QueueSpec
from wherry.effects import CancelMessage
from wherry.ports import (
    Committed,
    Count,
    Discard,
    GetTimeline,
    Pause,
    Redrive,
    Rejected,
    Renew,
    Sweep,
)


@pytest.fixture(autouse=True)
def kinds(place: Any) -> None:
    configure(place)


def test_a_group_is_handed_out_one_by_one_in_the_order_of_its_commits(place: Any) -> None:
    send(place, "lane", "c", "a", "b")
    send(place, "lane", "other", group="h")
    [first, other] = claim(place, "lane")
    assert (first.id, other.id) == ("c", "other")
    assert claim(place, "lane") == []
    assert place.acknowledge(first) == Committed([], {"lane": first.visible_at_ms})
    assert work_off(place, "lane") == ["a", "b"]


def test_messages_of_one_commit_keep_their_order(place: Any) -> None:
    place.commit(*(message("lane", id) for id in "zyx"), function="")
    assert work_off(place, "lane") == ["z", "y", "x"]


def test_a_commit_that_is_offered_a_place_gets_only_the_first_of_a_group(place: Any) -> None:
    effects = [message("lane", id, group=id[0]) for id in ("a1", "a2", "b1")]
    done = place.commit(*effects, leases={"lane": 5}, function="")
    assert names(done.leased) == ["a1", "b1"]
    assert done.queued == {}
    assert send(place, "lane", "a3", group="a", leases={"lane": 5}) == Committed([], {})
    place.acknowledge(done.leased[0])
    assert names(claim(place, "lane")) == ["a2"]


def test_a_message_that_is_tried_again_keeps_its_group_waiting(place: Any) -> None:
    send(place, "lane", "a", "b")
    [first] = claim(place, "lane")
    release(place, first, delay_s=60)
    assert claim(place, "lane") == []
    place.advance(60)
    [again] = claim(place, "lane")
    assert (again.id, again.attempt) == ("a", 2)
    release(place, again, counted=False)
    assert work_off(place, "lane") == ["a", "b"]


def test_a_group_waits_for_a_delayed_message(place: Any) -> None:
    send(place, "lane", "a", delay_ms=5_000)
    send(place, "lane", "b")
    assert claim(place, "lane") == []
    place.advance(5)
    assert work_off(place, "lane") == ["a", "b"]


def test_a_lease_that_ends_gives_the_head_back_and_nothing_else(place: Any) -> None:
    send(place, "lane", "a", "b")
    claim(place, "lane")
    place.advance(limits.LEASE_S)
    [again] = claim(place, "lane")
    assert (again.id, again.attempt) == ("a", 2)
    assert claim(place, "lane") == []
    place.advance(limits.LEASE_S / 2)
    place.ask(Renew("engine-1", ["a"]))
    place.advance(limits.LEASE_S / 2)
    assert claim(place, "lane") == []


def test_a_message_that_dies_lets_the_next_one_come(place: Any) -> None:
    send(place, "lane", "a", "b", "c")
    bury(place, claim(place, "lane")[0])
    assert [(row.id, row.blocks) for row in failures(place)] == [("a", False)]
    assert work_off(place, "lane") == ["b", "c"]


def test_a_redriven_message_goes_to_the_end_of_its_group(place: Any) -> None:
    send(place, "lane", "a", "b", "c")
    bury(place, claim(place, "lane")[0])
    assert place.ask(Redrive(["a"], None, "ana")) == Count(1)
    assert work_off(place, "lane") == ["b", "c", "a"]


@pytest.mark.parametrize("way", ["redrive", "edit", "discard", "retention"])
def test_a_dead_message_that_blocks_keeps_its_group_waiting_until_it_is_dealt_with(
    place: Any, way: str
) -> None:
    send(place, "strict", "a", "b", "c")
    send(place, "strict", "other", group="h")
    bury(place, claim(place, "strict", 1)[0])
    send(place, "strict", "d")
    assert work_off(place, "strict") == ["other"]
    assert depth(place, "strict").waiting == 3
    assert [(row.id, row.blocks) for row in failures(place)] == [("a", True)]
    match way:
        case "redrive":
            place.ask(Redrive(["a"], None, "ana"))
            assert work_off(place, "strict") == ["a", "b", "c", "d"]
        case "edit":
            place.ask(Redrive(["a"], None, "ana", body=b"{}", new_id="a2"))
            assert work_off(place, "strict") == ["a2", "b", "c", "d"]
        case "discard":
            assert place.ask(Discard(["a"], None, "of no use", "ana")) == Count(1)
            assert work_off(place, "strict") == ["b", "c", "d"]
        case "retention":
            place.advance(limits.FAILURES_S)
            place.ask(Sweep(1))  # the inbox, of which the messages behind are not part yet
            assert [row.id for row in failures(place)] != ["a"]


def test_two_dead_messages_of_a_group_come_back_in_their_order(place: Any) -> None:
    send(place, "strict", "a", "b", "c")
    bury(place, claim(place, "strict")[0])
    place.ask(Redrive(["a"], None, "ana"))
    [again] = claim(place, "strict")
    place.acknowledge(again)
    [second] = claim(place, "strict")
    bury(place, second)
    assert claim(place, "strict") == []
    place.ask(Redrive([], "strict", "ana"))
    assert work_off(place, "strict") == ["b", "c"]


def test_of_two_dead_ones_the_later_waits_for_the_earlier_to_be_dealt_with(place: Any) -> None:
    send(place, "strict", "a", "b", "c")
    bury(place, claim(place, "strict")[0])
    place.advance(limits.MESSAGE_RETENTION_S + 1)
    place.ask(Sweep(100))
    assert sorted(row.id for row in failures(place)) == ["a", "b", "c"]
    place.ask(Redrive(["b"], None, "ana"))
    assert claim(place, "strict") == []
    place.ask(Redrive(["a"], None, "ana"))
    assert work_off(place, "strict") == ["a", "b"]
    place.ask(Redrive(["c"], None, "ana"))
    assert work_off(place, "strict") == ["c"]


def test_a_cancelled_message_is_gone_wherever_in_its_group_it_waits(place: Any) -> None:
    send(place, "lane", "a", "b", "c", "d")
    assert place.commit(CancelMessage("lane", "b"), function="") == Committed([], {})
    assert depth(place, "lane").waiting == 3
    answer = place.commit(CancelMessage("lane", "a"), function="")
    assert set(answer.queued) == {"lane"}
    assert work_off(place, "lane") == ["c", "d"]
    send(place, "lane", "e", "f")
    [running] = claim(place, "lane")
    place.commit(CancelMessage("lane", running.id), function="")
    assert place.acknowledge(running).queued
    assert work_off(place, "lane") == ["f"]


def test_parked_messages_outlive_their_retention_too(place: Any) -> None:
    send(place, "lane", "a", "b", "c")
    place.advance(LANE.retention_s)
    send(place, "lane", "young")
    place.ask(Sweep(100))
    assert sorted(row.id for row in failures(place)) == ["a", "b", "c"]
    assert depth(place, "lane").waiting == 1
    assert work_off(place, "lane") == ["young"]


def test_a_repeat_within_the_window_is_dropped_and_after_it_is_not(place: Any) -> None:
    send(place, "lane", "a", dedup="once")
    send(place, "lane", "b", dedup="once")
    send(place, "lane", "c", dedup="other")
    assert work_off(place, "lane") == ["a", "c"]
    place.advance(limits.DEDUP_S - 1)
    assert send(place, "lane", "d", dedup="once") == Committed([], {})
    place.advance(1)
    send(place, "lane", "e", dedup="once")
    assert work_off(place, "lane") == ["e"]


def test_without_a_deduplication_id_a_messages_own_one_tells_its_repeats(place: Any) -> None:
    send(place, "lane", "a")
    assert work_off(place, "lane") == ["a"]
    place.advance(limits.DEDUP_S - 1)
    assert send(place, "lane", "a") == Committed([], {})
    assert work_off(place, "lane") == []
    place.advance(1)
    send(place, "lane", "a")
    assert work_off(place, "lane") == ["a"]


def test_a_message_that_failed_is_redriven_within_the_window_of_its_id(place: Any) -> None:
    send(place, "lane", "a")
    bury(place, claim(place, "lane")[0])
    assert send(place, "lane", "a") == Committed([], {})
    assert place.ask(Redrive(["a"], None, "ana")) == Count(1)
    assert work_off(place, "lane") == ["a"]


@pytest.mark.parametrize("queue", ["fair", "plain"])
def test_where_no_order_counts_nothing_is_remembered_of_what_is_done(
    place: Any, queue: str
) -> None:
    send(place, queue, "a")
    assert work_off(place, queue) == ["a"]
    place.advance(limits.DEDUP_S)
    assert place.ask(Sweep(100)).count == 0


def test_a_deduplication_id_is_of_its_queue_alone_and_only_where_order_counts(place: Any) -> None:
    send(place, "lane", "a", dedup="once")
    send(place, "strict", "b", dedup="once")
    send(place, "fair", "c", "d", dedup="once")
    send(place, "plain", "e", "f", dedup="once")
    waiting = {name: depth(place, name).waiting for name in ("lane", "strict", "fair", "plain")}
    assert waiting == {"lane": 1, "strict": 1, "fair": 2, "plain": 2}


def test_deduplication_ids_are_swept(place: Any) -> None:
    for number in range(20):
        send(place, "lane", f"m{number}", dedup=str(number))
    work_off(place, "lane")
    place.ask(Sweep(100))
    place.advance(limits.DEDUP_S)
    assert place.ask(Sweep(100)).count == 20
    assert place.ask(Sweep(100)).count == 0


@pytest.mark.parametrize("field", ["group", "dedup"])
def test_a_group_and_a_deduplication_id_are_bounded(place: Any, field: str) -> None:
    good = message("lane", "a", **{field: "x" * limits.GROUP_LENGTH})
    assert isinstance(place.commit(good, function=""), Committed)
    bad = message("lane", "b", **{field: "x" * (limits.GROUP_LENGTH + 1)})
    assert isinstance(place.commit(bad, function=""), Rejected)


def test_a_message_sent_again_is_no_second_one(place: Any) -> None:
    send(place, "lane", "a", "b", "a", "b")
    send(place, "fair", "c", "c")
    assert work_off(place, "lane") == ["a", "b"]
    assert work_off(place, "fair") == ["c"]


def test_the_age_of_a_fifo_queue_is_that_of_its_oldest_waiting_message(place: Any) -> None:
    send(place, "lane", "a")
    place.advance(3)
    send(place, "lane", "b")
    [head] = claim(place, "lane")
    place.advance(4)
    assert depth(place, "lane").oldest_ms == 4_000
    release(place, head, delay_s=60)
    assert depth(place, "lane").oldest_ms == 7_000


def test_the_timeline_says_why_a_message_waits(place: Any) -> None:
    effects = [message("lane", id) for id in ("a", "b")]
    place.commit(*effects, message("jobs", "c"), function="", number=7)
    claim(place, "lane")

    def waiting() -> list[tuple[str, str]]:
        rows = place.ask(GetTimeline("correlation-7")).waiting
        return [(row.id, row.held) for row in rows]

    assert waiting() == [("a", ""), ("b", "behind"), ("c", "")]
    place.ask(Pause("", True, "ana"))
    assert waiting() == [("a", ""), ("b", "paused"), ("c", "paused")]


# --- other releases -----------------------------------------------------------------------------

SAME: dict[str, Any] = {"name": "lane", "payload": "Job", "schema": {}}


@pytest.mark.parametrize("kind", [{}, {"fair": True}, {"fifo": True, "on_failure": "block"}])
def test_what_is_parked_comes_when_the_queue_is_of_another_kind(
    place: Any, kind: dict[str, Any]
) -> None:
    send(place, "lane", "a", "b", "c")
    send(place, "lane", "h1", "h2", group="h")
    [held, _] = claim(place, "lane")
    configure(place, "next", queues=(*KINDS[:2], QueueSpec(**SAME, **kind)))
    place.acknowledge(held)
    send(place, "lane", "d")
    place.advance(limits.LEASE_S)
    assert sorted(work_off(place, "lane")) == ["b", "c", "d", "h1", "h2"]


def test_what_took_turns_comes_when_the_queue_is_fifo(place: Any) -> None:
    send(place, "fair", "a", "b", "c", "d")
    [first] = claim(place, "fair", 1)
    [second] = claim(place, "fair", 1)
    configure(place, "next", queues=(*KINDS[:2], QueueSpec(**(SAME | {"name": "fair"}), fifo=True)))
    place.acknowledge(second)
    send(place, "fair", "e")
    place.acknowledge(first)
    assert sorted(work_off(place, "fair")) == ["c", "d", "e"]


def test_a_group_goes_on_when_its_queue_no_longer_blocks(place: Any) -> None:
    send(place, "strict", "a", "b")
    bury(place, claim(place, "strict")[0])
    skipping = QueueSpec(name="strict", payload="Job", schema={}, fifo=True)
    configure(place, "next", queues=(*KINDS[:2], skipping))
    place.ask(Sweep(100))
    assert work_off(place, "strict") == ["b"]
    place.ask(Redrive(["a"], None, "ana"))
    assert work_off(place, "strict") == ["a"]


def test_the_groups_of_a_queue_that_was_dropped_wait_for_it_to_come_back(place: Any) -> None:
    send(place, "lane", "a", "b", "c")
    [held] = claim(place, "lane")
    configure(place, "without", queues=(FAIR, STRICT))
    place.acknowledge(held)
    place.advance(30 * 86_400)
    place.ask(Sweep(100))
    assert depth(place, "lane").waiting == 2
    configure(place, "again", queues=(LANE, PLAIN))
    assert work_off(place, "lane") == ["b", "c"]
