"""A wall clock that was ahead is put right: what waits does not wait for one hour twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Place
from tests.contract.test_schedules import fire, rows, schedule, scheduled
from tests.contract.trigger_kit import bury, claim, configure, depth, names, release, send, work_off
from wherry import limits
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Done,
    Platform,
    Redrive,
    Renew,
    Sweep,
    Swept,
)
from wherry.schedules import next_after
from wherry.world import ManualClock

HOUR_S = 3_600
DAY_S = 86_400


class WallClock:
    """A manual clock whose wall's side can be set."""

    def __init__(self) -> None:
        self.manual = ManualClock()
        self.ahead_s = 0.0

    def now_ms(self) -> int:
        return self.manual.now_ms() + int(self.ahead_s * 1000)

    def steady_s(self) -> float:
        return self.manual.steady_s()


class Wrong:
    """A place whose wall clock was set ahead by an hour, before anything was there."""

    def __init__(self, make_place: Callable[[Platform], Place], path: str = ":memory:") -> None:
        self._path = path
        self.clock = WallClock()
        self.store = SqlStore(path, self.clock)
        self.place = make_place(self.store)
        configure(self.place)
        self.ahead(HOUR_S)

    def open_again(self) -> None:
        self.store = SqlStore(self._path, self.clock)
        self.place.platform = self.store

    def ahead(self, seconds: float) -> None:
        self.clock.ahead_s = seconds
        self.place.ask(Renew("nobody", []))  # the store sees the time with every request

    def advance(self, seconds: float) -> None:
        self.clock.manual.advance(seconds)
        self.place.ask(Renew("nobody", []))


@pytest.fixture
def wrong(make_place: Callable[[Platform], Place]) -> Wrong:
    return Wrong(make_place)


@pytest.mark.parametrize("queue", ["plain", "lane", "fair"])
def test_what_was_due_is_due_still_and_in_its_order(wrong: Wrong, queue: str) -> None:
    for id in ("a", "b", "c"):
        send(wrong.place, queue, id)
        wrong.advance(1)
    wrong.ahead(0)
    send(wrong.place, queue, "d")
    assert depth(wrong.place, queue).oldest_ms == 3_000
    assert work_off(wrong.place, queue) == ["a", "b", "c", "d"]


def test_a_delay_that_began_while_it_was_ahead_takes_as_long_as_it_was_given(wrong: Wrong) -> None:
    send(wrong.place, "plain", "a", delay_ms=60_000)
    wrong.ahead(0)
    wrong.advance(59)
    assert claim(wrong.place, "plain") == []
    wrong.advance(1)
    assert names(claim(wrong.place, "plain")) == ["a"]


def test_a_delay_that_began_before_is_not_cut_short(make_place: Any) -> None:
    wrong = Wrong(make_place)
    wrong.ahead(0)
    send(wrong.place, "plain", "a", delay_ms=2 * HOUR_S * 1000)
    wrong.ahead(HOUR_S)
    wrong.ahead(0)
    wrong.advance(2 * HOUR_S - 1)
    assert claim(wrong.place, "plain") == []
    wrong.advance(1)
    assert names(claim(wrong.place, "plain")) == ["a"]


@pytest.mark.parametrize("queue", ["plain", "lane", "fair"])
def test_an_attempt_that_failed_is_tried_again_after_its_wait(wrong: Wrong, queue: str) -> None:
    wrong.ahead(0)
    send(wrong.place, queue, "a")
    wrong.ahead(HOUR_S)
    assert isinstance(release(wrong.place, claim(wrong.place, queue)[0], delay_s=30), Done)
    wrong.ahead(0)
    wrong.advance(29)
    assert claim(wrong.place, queue) == []
    wrong.advance(1)
    assert [one.attempt for one in claim(wrong.place, queue)] == [2]


def test_a_message_whose_lease_ends_later_comes_again_at_once(wrong: Wrong) -> None:
    send(wrong.place, "plain", "a")
    claim(wrong.place, "plain")
    wrong.ahead(0)
    wrong.advance(limits.LEASE_S)
    assert names(claim(wrong.place, "plain")) == ["a"]


def test_a_redrive_waits_no_longer(wrong: Wrong) -> None:
    wrong.ahead(0)
    send(wrong.place, "plain", "a")
    bury(wrong.place, claim(wrong.place, "plain")[0])
    wrong.place.ask(Redrive(["a"], None, "ana"))
    bury(wrong.place, claim(wrong.place, "plain")[0])
    wrong.ahead(HOUR_S)
    wrong.place.ask(Redrive(["a"], None, "ana"))  # what has failed again waits
    wrong.ahead(0)
    wrong.advance(limits.REDRIVE_BASE_S - 1)
    assert claim(wrong.place, "plain") == []
    wrong.advance(1)
    assert names(claim(wrong.place, "plain")) == ["a"]


def test_a_repeat_of_a_fifo_message_is_dropped_for_five_minutes_and_no_hour(wrong: Wrong) -> None:
    send(wrong.place, "lane", "a", dedup="once")
    assert work_off(wrong.place, "lane") == ["a"]
    wrong.ahead(0)
    send(wrong.place, "lane", "b", dedup="once")
    wrong.advance(limits.DEDUP_S)
    send(wrong.place, "lane", "c", dedup="once")
    assert work_off(wrong.place, "lane") == ["c"]


def test_a_clock_that_is_kept_is_not_one_that_was_set(wrong: Wrong) -> None:
    send(wrong.place, "plain", "a")
    wrong.ahead(HOUR_S - limits.CLOCK_BACK_MS / 1000)
    assert claim(wrong.place, "plain") == []
    wrong.advance(1)
    assert names(claim(wrong.place, "plain")) == ["a"]


def test_it_is_noticed_by_a_store_that_starts_after_it(make_place: Any, tmp_path: Path) -> None:
    wrong = Wrong(make_place, str(tmp_path / "store.sqlite"))
    wrong.advance(limits.CLOCK_NOTED_MS / 1000)
    send(wrong.place, "plain", "a")
    send(wrong.place, "plain", "b", delay_ms=60_000)
    wrong.store.close()
    wrong.clock.ahead_s = 0
    wrong.open_again()
    assert work_off(wrong.place, "plain") == ["a"]
    wrong.advance(60)
    assert work_off(wrong.place, "plain") == ["b"]
    send(wrong.place, "plain", "c", delay_ms=1_800_000)
    wrong.store.close()
    wrong.open_again()
    assert claim(wrong.place, "plain") == []  # once is enough


def test_a_batch_that_fails_does_not_forget_it(wrong: Wrong, monkeypatch: Any) -> None:
    send(wrong.place, "plain", "a")
    session = wrong.store._session
    commit = session.commit
    failures = [OSError("no"), OSError("no")]

    def failing() -> None:
        if failures:
            raise failures.pop()
        commit()

    monkeypatch.setattr(session, "commit", failing)
    wrong.clock.ahead_s = 0
    wrong.place.ask(Renew("nobody", []))
    assert isinstance(wrong.place.ask(Sweep(10)), Swept) or not failures
    assert names(claim(wrong.place, "plain")) == ["a"]


# --- schedules ----------------------------------------------------------------------------------


def test_a_rate_goes_on_at_its_pace(wrong: Wrong) -> None:
    scheduled(wrong.place, schedule(expression="rate(10 minutes)"))
    assert fire(wrong.place).fired == 1
    wrong.advance(300)
    wrong.ahead(0)
    assert fire(wrong.place).fired == 0
    wrong.advance(301)
    assert fire(wrong.place).fired == 1
    ids = {one.id for one in claim(wrong.place, "jobs")}
    assert len(ids) == 2


def test_a_moment_of_a_cron_fires_once_although_the_clock_shows_it_twice(wrong: Wrong) -> None:
    scheduled(wrong.place, schedule())
    assert fire(wrong.place).fired == 1  # one o'clock, says the clock at midnight
    wrong.ahead(0)
    wrong.advance(HOUR_S)
    assert fire(wrong.place).fired == 0
    wrong.advance(HOUR_S)
    assert fire(wrong.place).fired == 1


@pytest.mark.parametrize("window_s", [0, 600])
def test_after_more_than_three_hours_a_cron_goes_on_with_the_clock(
    wrong: Wrong, window_s: int
) -> None:
    wrong.ahead(300 * DAY_S)
    scheduled(wrong.place, schedule(window_s=window_s))
    wrong.advance(HOUR_S + window_s)
    assert fire(wrong.place).fired
    wrong.ahead(0)
    assert fire(wrong.place).fired == 0
    now_ms = wrong.clock.now_ms()
    [row] = rows(wrong.place)
    expected = next_after("cron(0 * * * ? *)", "UTC", now_ms, 0)
    assert expected is not None
    assert row.next_ms is not None
    assert expected <= row.next_ms <= expected + window_s * 1000
    wrong.advance(HOUR_S + window_s)
    assert fire(wrong.place).fired == 1


def test_a_schedule_that_was_declared_while_it_was_ahead_begins_now(wrong: Wrong) -> None:
    wrong.ahead(2 * HOUR_S + 1)
    scheduled(wrong.place, schedule())
    wrong.ahead(0)
    fire(wrong.place)
    wrong.advance(HOUR_S)
    assert fire(wrong.place).fired == 1


def test_an_at_that_has_fired_does_not_fire_again(wrong: Wrong) -> None:
    wrong.ahead(300 * DAY_S)
    scheduled(wrong.place, schedule(expression="at(2027-01-01T00:00:00)"))
    wrong.ahead(400 * DAY_S)
    assert fire(wrong.place).fired == 1
    wrong.ahead(0)
    assert fire(wrong.place).fired == 0
    assert rows(wrong.place)[0].next_ms is None
