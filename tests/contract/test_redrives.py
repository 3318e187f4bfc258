"""Redrive in bulk: a job of its own rate, which can be stopped and outlives a restart."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.inside import audit
from tests.contract.trigger_kit import bury, claim, configure, depth, failures, message, names
from wherry import limits
from wherry.ports import (
    Count,
    Discard,
    GetTimeline,
    ListRedrives,
    Pause,
    Redrive,
    RedriveAll,
    RedriveJob,
    Redriven,
    RedriveTick,
    Rejected,
    StopRedrive,
)


@pytest.fixture(autouse=True)
def kinds(place: Any) -> None:
    configure(place)


def fail(place: Any, count: int, queue: str = "jobs", first: int = 0) -> list[str]:
    """Let so many messages of as many groups die; return their IDs."""
    ids = [f"{queue}{number:04}" for number in range(first, first + count)]
    for start in range(0, count, 50):
        place.commit(*(message(queue, id, id) for id in ids[start : start + 50]), function="")
        while found := claim(place, queue, 64):
            for one in found:
                bury(place, one)
    return ids


def begin(place: Any, per_s: float = 10, queue: str = "jobs") -> Any:
    return place.ask(RedriveAll(queue, per_s, "ana"))


def tick(place: Any, limit: int = 1000) -> Redriven:
    answer: Redriven = place.ask(RedriveTick(limit))
    return answer


def jobs(place: Any) -> list[RedriveJob]:
    found: list[RedriveJob] = place.ask(ListRedrives()).rows
    return found


def test_a_job_gives_messages_back_at_its_rate_oldest_first(place: Any) -> None:
    ids = fail(place, 25)
    start = place.now_ms
    assert begin(place) == RedriveJob("jobs", 10, "ana", start, 0, 25)
    assert tick(place) == Redriven(1, {"jobs": start}, start + 100)
    assert tick(place) == Redriven(0, {}, start + 100)
    place.advance(1)
    assert tick(place).count == 10
    assert jobs(place) == [RedriveJob("jobs", 10, "ana", start, 11, 14)]
    assert names(claim(place, "jobs", 64)) == ids[:11]
    place.advance(0.55)
    assert tick(place).count == 5
    place.advance(10)
    assert tick(place).count == 9
    assert tick(place) == Redriven(0, {}, None)
    assert jobs(place) == []
    assert failures(place) == []


@pytest.mark.parametrize("step_s", [0.001, 0.05, 0.3])
def test_the_rate_is_the_jobs_however_often_it_is_moved_on(place: Any, step_s: float) -> None:
    fail(place, 60)
    begin(place, 20)
    moved = 0
    for _ in range(int(2 / step_s) if step_s > 0.01 else 200):
        moved += tick(place).count
        place.advance(step_s)
    seconds = (int(2 / step_s) if step_s > 0.01 else 200) * step_s
    assert abs(moved - 20 * seconds) <= 1 + 20 * step_s


def test_a_job_that_nobody_moved_on_does_not_catch_up_at_once(place: Any) -> None:
    fail(place, 50)
    begin(place, 10)
    place.advance(3600)
    assert tick(place).count == 11


def test_a_step_is_bounded_and_no_job_starves(place: Any) -> None:
    fail(place, 30)
    fail(place, 30, "mail")
    begin(place, 1000)
    begin(place, 1000, "mail")
    place.advance(1)
    assert tick(place, 20).count == 20
    seen = tick(place, 20).queued
    assert set(seen) == {"mail"}
    while tick(place, 20).next_ms is not None:
        place.advance(0.01)
    assert (depth(place, "jobs").waiting, depth(place, "mail").waiting) == (30, 30)


def test_a_job_is_stopped_and_the_rest_stays(place: Any) -> None:
    fail(place, 5)
    begin(place, 1)
    tick(place)
    assert place.ask(StopRedrive("jobs", "bob")) == Count(1)
    assert place.ask(StopRedrive("jobs", "bob")) == Count(0)
    place.advance(10)
    assert tick(place) == Redriven(0, {}, None)
    assert len(failures(place)) == 4


def test_what_fails_again_is_not_part_of_the_job_until_it_is_asked_again(place: Any) -> None:
    ids = fail(place, 3)
    begin(place, 1000)
    place.advance(1)
    tick(place)
    for found in claim(place, "jobs"):
        bury(place, found)
    assert tick(place) == Redriven(0, {}, None)
    assert [row.id for row in failures(place)] == ids[::-1]
    begin(place, 1000)
    assert tick(place).queued == {"jobs": place.now_ms + int(limits.REDRIVE_BASE_S * 1000)}
    assert claim(place, "jobs") == []
    place.advance(limits.REDRIVE_BASE_S)
    assert names(claim(place, "jobs")) == ids[:1]


def test_a_job_that_is_asked_for_again_takes_the_new_rate_and_the_new_failures(place: Any) -> None:
    fail(place, 3)
    begin(place, 1)
    tick(place)
    fail(place, 3, first=100)  # which takes what was given back along
    job = begin(place, 1000)
    assert (job.per_s, job.done, job.remaining) == (1000, 1, 6)
    place.advance(1)
    assert tick(place).count == 6


def test_what_is_discarded_meanwhile_is_left_out(place: Any) -> None:
    ids = fail(place, 3)
    begin(place, 1000)
    place.ask(Discard(ids[:2], None, "of no use", "bob"))
    assert jobs(place)[0].remaining == 1
    place.advance(1)
    assert tick(place).count == 1


def test_groups_are_kept_in_order_by_a_job_too(place: Any) -> None:
    place.commit(*(message("strict", id) for id in "abc"), function="")
    [head] = claim(place, "strict")
    bury(place, head)
    begin(place, 1000, "strict")
    assert tick(place).queued == {"strict": place.now_ms}
    assert names(claim(place, "strict")) == ["a"]


def test_a_job_of_nothing_is_none(place: Any) -> None:
    assert begin(place) == RedriveJob("jobs", 10, "ana", place.now_ms, 0, 0)
    assert jobs(place) == []


@pytest.mark.parametrize("per_s", [0, -1, limits.REDRIVE_RATE_MAX_PER_S + 1, float("nan")])
def test_a_rate_has_bounds(place: Any, per_s: float) -> None:
    fail(place, 1)
    assert isinstance(begin(place, per_s), Rejected)
    assert isinstance(begin(place, 1, "unknown"), Rejected)


def test_who_began_or_stopped_a_job_and_who_paused_what_is_kept(quick: Any) -> None:
    configure(quick)
    fail(quick, 3)
    begin(quick, 1)
    tick(quick)
    quick.ask(StopRedrive("jobs", "bob"))
    begin(quick, 1000)
    quick.advance(1)
    tick(quick)
    quick.ask(Pause("jobs", True, "cleo"))
    quick.ask(Pause("jobs", False, "dana"))
    assert [row[1:] for row in audit(quick)] == [
        ("ana", "redrive all", "jobs", "3 messages at 1 a second"),
        ("bob", "redrive stopped", "jobs", "1 messages, begun by ana"),
        ("ana", "redrive all", "jobs", "2 messages at 1000 a second"),
        ("wherry", "redrive done", "jobs", "2 messages, begun by ana"),
        ("cleo", "pause", "jobs", ""),
        ("dana", "resume", "jobs", ""),
    ]


def test_a_timeline_ends_where_a_message_was_edited_back_to_its_first_id(place: Any) -> None:
    fail(place, 1)
    correlation = failures(place)[0].correlation_id
    for old, new in (("jobs0000", "edited"), ("edited", "jobs0000")):
        assert place.ask(Redrive([old], None, "ana", b"{}", new)) == Count(1)
        (found,) = claim(place, "jobs")
        if new == "edited":
            bury(place, found)
    place.acknowledge(found)
    assert place.ask(GetTimeline(correlation)).waiting == []
