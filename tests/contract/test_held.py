"""What a queue says of the messages that nobody is handed: paused, behind others, behind a failure.

A person must see why nothing moves, and what to do, without a look into the database.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import bury, claim, configure, depth, message, send
from wherry import limits
from wherry.blueprint import ChangeSource, QueueSpec
from wherry.ports import Discard, Pause, Redrive
from wherry.ports.failures import BlockedGroup
from wherry.ports.schedules import PausedRow


@pytest.fixture(autouse=True)
def kinds(place: Any) -> None:
    configure(place)


def test_a_queue_says_who_has_paused_it_and_since_when(place: Any) -> None:
    assert depth(place, "lane").pauses == []
    since_ms = place.now_ms
    place.ask(Pause("lane", True, "ana"))
    place.advance(5)
    place.ask(Pause("", True, "ben"))
    own, app = PausedRow("lane", since_ms, "ana"), PausedRow("", place.now_ms, "ben")
    assert depth(place, "lane").pauses == [app, own]
    assert depth(place, "plain").pauses == [app]
    place.ask(Pause("", False, "ben"))
    assert depth(place, "lane").pauses == [own]
    assert depth(place, "plain").pauses == []


def test_a_queue_counts_what_waits_behind_others_of_its_group_or_key(place: Any) -> None:
    send(place, "lane", "a", "b", "c")
    send(place, "lane", "d", group="h")
    send(place, "fair", "e", "f")
    send(place, "plain", "g", "i")
    assert [depth(place, one).behind for one in ("lane", "fair", "plain")] == [2, 1, 0]
    place.acknowledge(claim(place, "lane", 1)[0])
    assert depth(place, "lane").behind == 1


def test_a_queue_names_the_groups_that_wait_for_a_failure(place: Any) -> None:
    send(place, "strict", "a", "b", "c", group="alice")
    send(place, "strict", "x", "y", group="bob")
    send(place, "strict", "fine", group="carol")
    for found in claim(place, "strict")[:2]:
        bury(place, found)
    row = depth(place, "strict")
    assert row.blocked == [
        BlockedGroup("alice", "a", place.now_ms, 2),
        BlockedGroup("bob", "x", place.now_ms, 1),
    ]
    assert (row.blocked_groups, row.waiting, row.behind) == (2, 3, 3)
    place.ask(Redrive(["a"], None, "ana"))
    place.ask(Discard(["x"], None, "test data", "ana"))
    row = depth(place, "strict")
    assert (row.blocked, row.blocked_groups) == ([], 0)


def test_a_failure_that_blocks_nothing_is_no_blocked_group(place: Any) -> None:
    send(place, "lane", "a", "b")
    bury(place, claim(place, "lane", 1)[0])
    assert (depth(place, "lane").failed, depth(place, "lane").blocked) == (1, [])


def test_a_group_of_changes_is_named_by_its_table_and_key(place: Any) -> None:
    queue = QueueSpec(name="watch", payload="Order", schema={}, fifo=True, on_failure="block")
    source = ChangeSource(queue="watch", table="orders")
    configure(place, "changes", queues=(queue,), sources=(source,))
    for status in ("open", "paid"):
        place.commit(place.put("orders", "alice", "o-1", status=status), function="")
    bury(place, claim(place, "watch", 1)[0])
    [found] = depth(place, "watch").blocked
    assert (found.group, found.behind) == ("orders/alice/o-1", 1)


def test_however_many_groups_wait_a_bounded_number_is_looked_at(
    quick: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = quick
    configure(place)
    monkeypatch.setattr(limits, "HELD_COUNTED", 5)
    monkeypatch.setattr(limits, "BLOCKED_SHOWN", 2)
    for number in range(7):
        sent = [message("strict", f"m{number}-{place_}", f"g{number}") for place_ in range(2)]
        place.commit(*sent, function="")
    for found in claim(place, "strict"):
        bury(place, found)
    row = depth(place, "strict")
    assert (row.waiting, row.failed) == (7, 7)
    assert (row.behind, row.blocked_groups) == (5, 5)
    assert [one.group for one in row.blocked] == ["g0", "g1"]
