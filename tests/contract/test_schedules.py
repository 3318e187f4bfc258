"""Schedules fire once, whoever asks, and follow their policies; functions are paused and go on."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import json

from tests.contract.trigger_kit import (
    KINDS,
    bury,
    claim,
    configure,
    depth,
    failures,
    names,
    release,
    send,
)
from wherry import limits
from wherry.blueprint import QueueSpec, ScheduleSource
from wherry.ports import (
    Count,
    Done,
    Fire,
    Fired,
    GetTimeline,
    ListPaused,
    ListSchedules,
    Pause,
    PausedRow,
    Redrive,
    Rejected,
    Renew,
    ScheduleRow,
    Skipped,
    Sweep,
)

HOUR_S = 3_600


def schedule(name: str = "tick", **fields: Any) -> ScheduleSource:
    values = {"queue": "jobs", "expression": "cron(0 * * * ? *)"} | fields
    return ScheduleSource(name=name, **values)


def scheduled(place: Any, *sources: Any, **parts: Any) -> None:
    configure(place, f"{sources}", sources=sources, **parts)


def fire(place: Any, limit: int = 100) -> Fired:
    answer: Fired = place.ask(Fire(limit))
    return answer


def rows(place: Any) -> list[ScheduleRow]:
    found: list[ScheduleRow] = place.ask(ListSchedules(100)).rows
    return found


def moments(place: Any, queue: str = "jobs") -> list[int]:
    """Claim what was fired and finish it; return the hours since the tests' beginning."""
    found = []
    for message in claim(place, queue, 64):
        place.acknowledge(message)
        found.append((json.decode(message.body)["at_ms"] - place._start_ms) // (HOUR_S * 1000))
    return found


def test_a_schedule_fires_at_its_moment_once_and_says_when_the_next_is(place: Any) -> None:
    scheduled(place, schedule())  # the tests begin at a full hour
    start = place.now_ms
    next_ms = start + HOUR_S * 1000
    assert fire(place) == Fired({"jobs": start}, next_ms, 1, [])
    assert fire(place) == Fired({}, next_ms, 0, [])
    [message] = claim(place, "jobs")
    assert message.id == f"schedule.tick.{start}"
    assert json.decode(message.body) == {"schedule": "tick", "at_ms": start}
    place.advance(HOUR_S - 0.001)
    assert fire(place) == Fired({}, next_ms, 0, [])
    place.advance(0.001)
    assert fire(place).fired == 1
    assert rows(place) == [
        ScheduleRow(
            "tick", "jobs", "cron(0 * * * ? *)", "UTC", place.now_ms + HOUR_S * 1000,
            place.now_ms, 2, 0, False,
        )
    ]  # fmt: skip


def test_a_firing_is_found_by_its_correlation_before_it_runs(place: Any) -> None:
    scheduled(place, schedule())
    fire(place)
    [message] = claim(place, "jobs")
    assert message.correlation_id == message.id
    assert len(message.traceparent) == 55
    [waiting] = place.ask(GetTimeline(message.correlation_id)).waiting
    assert waiting.id == message.id


def test_a_time_zone_and_a_rate_are_followed(place: Any) -> None:
    scheduled(
        place,
        schedule("berlin", expression="cron(0 3 * * ? *)", timezone="Europe/Berlin"),
        schedule("often", expression="rate(90 minutes)", queue="mail"),
        schedule("once", expression="at(2026-01-01T05:00:00)", queue="plain"),
        schedule("over", expression="at(2020-01-01T05:00:00)", queue="plain"),
    )
    for _ in range(6 * 12):
        fire(place)
        place.advance(300)
    assert moments(place, "jobs") == [2]
    assert moments(place, "plain") == [5]
    assert moments(place, "mail") == [0, 1, 3, 4]
    assert [row.next_ms is None for row in rows(place)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("policy", "at", "skipped"),
    [
        ({"missed": "latest"}, [5], 5),
        ({"missed": "skip"}, [], 6),
        ({"missed": "all"}, [0, 1, 2, 3, 4, 5], 0),
        ({"missed": "all", "missed_max": 2}, [4, 5], 4),
        ({"missed": "all", "overlap": "skip"}, [5], 5),
    ],
)
def test_what_was_missed_is_made_up_for_by_the_policy(
    place: Any, policy: dict[str, Any], at: list[int], skipped: int
) -> None:
    scheduled(place, schedule(**policy))
    place.advance(5.5 * HOUR_S)
    done = fire(place)
    assert done.fired == len(at)
    assert sum(found.count for found in done.skipped) == skipped
    assert moments(place) == at
    assert fire(place).fired == 0
    [row] = rows(place)
    assert (row.fired, row.skipped) == (len(at), skipped)
    place.advance(0.5 * HOUR_S)
    assert fire(place).fired == 1
    assert moments(place) == [6]


@pytest.mark.parametrize("state", ["waits", "runs", "is tried again"])
def test_with_overlap_skip_nothing_fires_while_the_last_run_is_not_done(
    place: Any, state: str
) -> None:
    scheduled(place, schedule(overlap="skip"))
    fire(place)
    held = [] if state == "waits" else claim(place, "jobs")
    place.advance(HOUR_S)
    if state == "is tried again":
        held = claim(place, "jobs")
    done = fire(place)
    assert (done.fired, done.queued) == (0, {})
    assert done.skipped == [Skipped("tick", "jobs", 1, "overlap")]
    held = claim(place, "jobs") or held
    place.acknowledge(held[0])
    place.advance(HOUR_S)
    assert fire(place).fired == 1
    assert rows(place)[0].skipped == 1


def test_overlap_looks_at_the_schedule_itself_and_not_at_its_neighbours(place: Any) -> None:
    scheduled(place, schedule("tick", overlap="skip"), schedule("tick-two", overlap="skip"))
    fire(place)
    for message in claim(place, "jobs"):
        if message.id.startswith("schedule.tick."):
            place.acknowledge(message)
    place.advance(HOUR_S)
    done = fire(place)
    assert done.skipped == [Skipped("tick-two", "jobs", 1, "overlap")]


def test_a_run_that_died_is_no_overlap_and_one_that_is_redriven_is(place: Any) -> None:
    scheduled(place, schedule(overlap="skip"))
    fire(place)
    bury(place, claim(place, "jobs")[0])
    place.advance(HOUR_S)
    assert fire(place).fired == 1
    [second] = claim(place, "jobs")
    place.acknowledge(second)
    place.ask(Redrive([], "jobs", "ana"))
    place.advance(HOUR_S)
    assert [found.why for found in fire(place).skipped] == ["overlap"]


def test_with_overlap_queue_firings_wait_for_their_turn(place: Any) -> None:
    scheduled(place, schedule())
    fire(place)
    place.advance(HOUR_S)
    fire(place)
    assert moments(place) == [0, 1]


def test_a_window_spreads_schedules_and_each_stays_as_far_apart_as_its_firings(
    place: Any,
) -> None:
    scheduled(place, *(schedule(f"tick{n}", window_s=600) for n in range(20)))
    due = [row.next_ms or 0 for row in rows(place)]
    start = place.now_ms
    assert len(set(due)) > 10
    assert all(start <= at < start + 600_000 for at in due)
    seen: dict[str, list[int]] = {}
    for _ in range(125):
        fire(place)
        for message in claim(place, "jobs"):
            seen.setdefault(message.id.split(".")[1], []).append(place.now_ms)
            assert (json.decode(message.body)["at_ms"] - start) % (HOUR_S * 1000) == 0
            place.acknowledge(message)
        place.advance(60)
    assert all(len(found) >= 2 and found[1] - found[0] == HOUR_S * 1000 for found in seen.values())
    assert len(seen) == 20


def test_many_that_are_due_at_once_fire_in_a_few_steps(place: Any) -> None:
    scheduled(place, *(schedule(f"tick{n}") for n in range(1000)))
    fired, steps = 0, 0
    while True:
        done = fire(place, 10_000)
        fired += done.fired
        steps += 1
        if done.next_ms is None or done.next_ms > place.now_ms:
            break
        assert done.fired > 0
    assert fired == 1000
    assert depth(place, "jobs").waiting == 1000


# --- releases -----------------------------------------------------------------------------------


def test_a_release_keeps_adds_changes_and_removes_schedules(place: Any) -> None:
    scheduled(place, schedule("kept"), schedule("changed"), schedule("gone"))
    fire(place)
    place.advance(1.5 * HOUR_S)
    scheduled(
        place,
        schedule("kept", queue="mail", missed="all"),
        schedule("changed", expression="cron(30 * * * ? *)"),
        schedule("new", expression="rate(1 hour)"),
    )
    fire(place)
    found = {row.name: (row.queue, row.fired) for row in rows(place)}
    assert found == {"changed": ("jobs", 1), "kept": ("mail", 2), "new": ("jobs", 1)}
    waiting = names(claim(place, "jobs"))
    start = place._start_ms
    later = start + int(1.5 * HOUR_S * 1000)
    old = [f"schedule.{name}.{start}" for name in ("changed", "gone", "kept")]
    assert sorted(waiting) == sorted([*old, f"schedule.changed.{later}", f"schedule.new.{later}"])
    assert names(claim(place, "mail")) == [f"schedule.kept.{start + HOUR_S * 1000}"]


def test_configuring_without_activating_changes_no_schedule(place: Any) -> None:
    scheduled(place, schedule())
    place.configure("other", activate=False)
    assert [row.name for row in rows(place)] == ["tick"]
    scheduled(place)
    assert rows(place) == []
    assert fire(place) == Fired({}, None, 0, [])


def test_the_same_release_again_fires_nothing_twice(place: Any) -> None:
    for _ in range(3):
        scheduled(place, schedule(), schedule("often", expression="rate(1 hour)"))
        fire(place)
    assert len(claim(place, "jobs")) == 2


def test_schedules_are_listed_in_pages(place: Any) -> None:
    scheduled(place, *(schedule(f"tick{n}") for n in range(5)))
    first = place.ask(ListSchedules(3))
    assert ([row.name for row in first.rows], first.after) == (["tick0", "tick1", "tick2"], "tick2")
    rest = place.ask(ListSchedules(3, "tick2"))
    assert ([row.name for row in rest.rows], rest.after) == (["tick3", "tick4"], None)


def test_a_schedule_that_cannot_be_read_is_rejected_with_its_release(place: Any) -> None:
    with pytest.raises(AssertionError, match="every now and then"):
        scheduled(place, schedule(expression="every now and then"))
    with pytest.raises(AssertionError, match="nowhere"):
        scheduled(place, schedule(queue="nowhere"))


# --- pauses -------------------------------------------------------------------------------------


def pause(place: Any, function: str = "jobs", paused: bool = True) -> Any:
    return place.ask(Pause(function, paused, "ana"))


def test_messages_of_a_paused_function_wait_and_others_do_not(place: Any) -> None:
    configure(place)
    send(place, "jobs", "a")
    send(place, "mail", "m")
    since = place.now_ms
    assert pause(place) == Count(1)
    assert pause(place) == Count(0)
    assert place.ask(ListPaused()).rows == [PausedRow("jobs", since, "ana")]
    assert send(place, "jobs", "b", leases={"jobs": 5}).leased == []
    assert claim(place, "jobs") == []
    assert names(claim(place, "mail")) == ["m"]
    assert (depth(place, "jobs").paused, depth(place, "mail").paused) == (True, False)
    assert pause(place, paused=False) == Count(1)
    assert names(claim(place, "jobs")) == ["a", "b"]
    assert place.ask(ListPaused()).rows == []


def test_a_paused_app_stands_still_and_a_function_paused_by_itself_stays_so(place: Any) -> None:
    configure(place)
    send(place, "jobs", "a")
    send(place, "lane", "l")
    pause(place, "")
    pause(place, "jobs")
    assert claim(place, "jobs") == claim(place, "lane") == []
    pause(place, "", paused=False)
    assert claim(place, "jobs") == []
    assert names(claim(place, "lane")) == ["l"]


def test_what_runs_when_its_function_is_paused_goes_on(place: Any) -> None:
    configure(place)
    send(place, "lane", "a", "b")
    [running] = claim(place, "lane")
    pause(place, "lane")
    place.acknowledge(running)
    assert claim(place, "lane") == []
    pause(place, "lane", paused=False)
    assert names(claim(place, "lane")) == ["b"]


def test_schedules_of_a_paused_function_skip_and_it_is_counted(place: Any) -> None:
    scheduled(place, schedule(missed="all"))
    pause(place)
    place.advance(2 * HOUR_S)
    done = fire(place)
    assert (done.fired, done.skipped) == (0, [Skipped("tick", "jobs", 3, "paused")])
    [row] = rows(place)
    assert (row.skipped, row.paused) == (3, True)
    pause(place, paused=False)
    assert fire(place).fired == 0
    place.advance(HOUR_S)
    assert fire(place).fired == 1


def test_a_pause_outlives_a_new_release(place: Any) -> None:
    configure(place)
    pause(place)
    configure(place, "next", queues=KINDS[:3])
    send(place, "jobs", "a")
    assert claim(place, "jobs") == []
    configure(place, "without", queues=KINDS[2:])
    assert pause(place, paused=False) == Count(1)


def test_a_function_that_there_is_not_cannot_be_paused(place: Any) -> None:
    configure(place)
    assert isinstance(pause(place, "unknown"), Rejected)
    assert pause(place, "unknown", paused=False) == Count(0)


def test_messages_do_not_outlive_their_retention_by_a_pause(place: Any) -> None:
    configure(place)
    send(place, "jobs", "a", "b")
    pause(place)
    place.advance(10 * 86_400)
    place.ask(Sweep(100))
    assert depth(place, "jobs").waiting == 2
    pause(place, paused=False)
    place.ask(Sweep(100))
    [first] = claim(place, "jobs", 1)
    bury(place, first)
    place.advance(86_400 - 1)
    place.ask(Sweep(100))
    assert [row.id for row in failures(place)] == ["a"]
    place.advance(1)
    place.ask(Sweep(100))
    assert sorted(row.id for row in failures(place)) == ["a", "b"]


def test_what_is_given_back_during_a_pause_waits_with_the_others(place: Any) -> None:
    kept_s = limits.MESSAGE_RETENTION_MIN_S
    jobs = QueueSpec(name="jobs", payload="Job", schema={}, retention_s=kept_s)
    configure(place, queues=(jobs,))
    send(place, "jobs", "a")
    [running] = claim(place, "jobs")
    pause(place)
    for _ in range(kept_s // 11 + 1):
        place.advance(11)
        place.ask(Renew("engine-1", ["a"]))
    assert release(place, running) == Done()
    assert failures(place) == []
    pause(place, paused=False)
    assert names(claim(place, "jobs")) == ["a"]


def test_pauses_that_are_over_are_swept(place: Any) -> None:
    configure(place)
    pause(place)
    pause(place, paused=False)
    assert place.ask(Sweep(100)).count == 0
    place.advance(limits.MESSAGE_RETENTION_MAX_S)
    assert place.ask(Sweep(100)).count >= 1
    assert place.ask(Sweep(100)).count == 0
