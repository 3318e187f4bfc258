"""Fair queues: keys take turns, however many messages one of them has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.trigger_kit import (
    FAIR,
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
from wherry.effects import CancelMessage
from wherry.ports import Claim, Committed, Redrive, Sweep


@pytest.fixture(autouse=True)
def kinds(place: Any) -> None:
    configure(place)


def noisy(place: Any, count: int, key: str = "noisy") -> list[str]:
    ids = [f"{key}{number}" for number in range(count)]
    for start in range(0, count, 50):
        place.commit(*(message("fair", id, key) for id in ids[start : start + 50]), function="")
    return ids


def test_keys_take_turns_within_one_claim(place: Any) -> None:
    noisy(place, 5)
    send(place, "fair", "quiet0", "quiet1", group="quiet")
    assert names(claim(place, "fair", 4)) == ["noisy0", "quiet0", "noisy1", "quiet1"]
    assert names(claim(place, "fair", 10)) == ["noisy2", "noisy3", "noisy4"]


def test_keys_take_turns_from_claim_to_claim_even_at_one_moment(place: Any) -> None:
    noisy(place, 5)
    taken = names(claim(place, "fair", 1))
    send(place, "fair", "quiet0", "quiet1", group="quiet")
    for _ in range(5):
        taken += names(claim(place, "fair", 1))
    assert taken == ["noisy0", "noisy1", "quiet0", "noisy2", "quiet1", "noisy3"]


def test_a_noisy_key_delays_another_one_by_a_turn(place: Any) -> None:
    noisy(place, 600)
    place.advance(60)
    claim(place, "fair", 64)
    send(place, "fair", "quiet", group="quiet")
    assert "quiet" in names(claim(place, "fair", 2))


def test_a_key_alone_fills_a_whole_claim(place: Any) -> None:
    ids = noisy(place, 100)
    assert names(claim(place, "fair", limits.CLAIM_BATCH)) == ids[: limits.CLAIM_BATCH]


def test_messages_of_a_key_run_side_by_side(place: Any) -> None:
    noisy(place, 2)
    assert len(claim(place, "fair", 1)) == len(claim(place, "fair", 1)) == 1


def test_a_message_that_is_tried_again_does_not_hold_its_key_back(place: Any) -> None:
    noisy(place, 3)
    [first] = claim(place, "fair", 1)
    release(place, first, delay_s=10)
    assert names(claim(place, "fair")) == ["noisy1", "noisy2"]
    place.advance(10)
    assert names(claim(place, "fair")) == ["noisy0"]


def test_many_messages_of_a_key_that_fall_due_at_once_take_turns_as_well(place: Any) -> None:
    noisy(place, 20)
    for found in claim(place, "fair", 20):
        release(place, found, delay_s=10)
    place.advance(10)
    send(place, "fair", "quiet", group="quiet")
    assert "quiet" in names(claim(place, "fair", 2))
    assert len(claim(place, "fair", 64)) == 19


def test_a_delayed_message_does_not_hold_its_key_back(place: Any) -> None:
    send(place, "fair", "later", delay_ms=6_000)
    send(place, "fair", "latest", delay_ms=9_000)
    send(place, "fair", "now", "also now")
    assert names(claim(place, "fair")) == ["now", "also now"]
    assert place.ask(Claim("fair", 1, "engine-1")).next_due_ms == place.now_ms + 6_000
    place.advance(6)
    assert names(claim(place, "fair")) == ["later"]
    place.advance(3)
    assert names(claim(place, "fair")) == ["latest"]


def test_offers_are_taken_as_long_as_nothing_waits(place: Any) -> None:
    done = place.commit(*(message("fair", id) for id in "abc"), leases={"fair": 2}, function="")
    assert names(done.leased) == ["a", "b"]
    assert done.queued == {"fair": place.now_ms}
    assert names(claim(place, "fair")) == ["c"]


def test_the_next_of_a_key_comes_when_the_first_is_cancelled_or_outlived(place: Any) -> None:
    send(place, "fair", "a", "b", "c")
    assert place.commit(CancelMessage("fair", "a"), function="").queued == {"fair": place.now_ms}
    place.commit(CancelMessage("fair", "c"), function="")
    assert names(claim(place, "fair")) == ["b"]
    send(place, "fair", "d", "e", group="h")
    place.advance(FAIR.retention_s - 1)
    send(place, "fair", "f", group="h")
    place.advance(1)
    place.ask(Sweep(100))
    assert sorted(row.id for row in failures(place)) == ["d", "e"]
    assert sorted(names(claim(place, "fair"))) == ["b", "f"]


def test_what_is_redriven_takes_its_turn(place: Any) -> None:
    noisy(place, 3)
    for found in claim(place, "fair"):
        bury(place, found)
    place.ask(Redrive([], "fair", "ana"))
    send(place, "fair", "quiet", group="quiet")
    assert "quiet" in names(claim(place, "fair", 2))
    assert depth(place, "fair").waiting == 2
    assert len(work_off(place, "fair")) == 2


def test_a_lease_that_ends_gives_a_message_back_to_its_key(place: Any) -> None:
    noisy(place, 3)
    claim(place, "fair", 2)
    place.advance(limits.LEASE_S)
    assert sorted(names(claim(place, "fair"))) == ["noisy0", "noisy1", "noisy2"]
    assert isinstance(send(place, "fair", "more"), Committed)
    assert names(claim(place, "fair")) == ["more"]


def test_the_next_of_a_key_comes_also_where_a_lease_ended_beside_the_first(place: Any) -> None:
    send(place, "fair", "ended")
    claim(place, "fair")
    place.advance(1)
    send(place, "fair", "first", "next")
    place.advance(limits.LEASE_S)
    assert sorted(names(claim(place, "fair", 2))) == ["ended", "first"]
    assert names(claim(place, "fair")) == ["next"]
