"""Schedules where clocks change: spring's gap is skipped, autumn's repeated hour fires once."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.unit.schedules_kit import FAMOUS, Change, changes, ms, shown
from wherry.schedules import firings, next_after
from wherry.schedules.zones import zone_fault

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
UTC = datetime.UTC


def in_utc(moment_ms: int) -> str:
    return datetime.datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%m-%d %H:%M")


def fired(fields: str, zone: str, since: str, days: int) -> list[str]:
    """The firings of some days from a moment of UTC on, in UTC."""
    found = firings(f"cron({fields})", zone, ms(since) - 1, ms(since) + days * DAY_MS, 0)
    return [in_utc(moment) for moment in found]


@pytest.mark.parametrize(
    ("zone", "fields", "since", "days", "expected"),
    [
        # The user guide's example: 02:30 in Los Angeles, spring and autumn.
        ("America/Los_Angeles", "30 2 * * ? *", "2027-03-13", 3, ["03-13 10:30", "03-15 09:30"]),
        ("America/Los_Angeles", "30 1 * * ? *", "2026-10-31", 3,
         ["10-31 08:30", "11-01 08:30", "11-02 09:30"]),
        # 29 March 2026, 02:00 becomes 03:00; 25 October 2026, 03:00 becomes 02:00.
        ("Europe/Berlin", "30 2 * * ? *", "2026-03-28", 3, ["03-28 01:30", "03-30 00:30"]),
        ("Europe/Berlin", "0 3 * * ? *", "2026-03-28", 3,
         ["03-28 02:00", "03-29 01:00", "03-30 01:00"]),
        ("Europe/Berlin", "59 1 * * ? *", "2026-03-28", 3,
         ["03-28 00:59", "03-29 00:59", "03-29 23:59", "03-30 23:59"]),
        ("Europe/Berlin", "30 2 * * ? *", "2026-10-24", 3,
         ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        ("Europe/Berlin", "0 3 * * ? *", "2026-10-24", 3,
         ["10-24 01:00", "10-25 02:00", "10-26 02:00"]),
        # Each minute that repeats fires once: an hourly cron pauses for an hour of elapsed time.
        ("Europe/Berlin", "0 0-4 25 10 ? *", "2026-10-24", 3,
         ["10-24 22:00", "10-24 23:00", "10-25 00:00", "10-25 02:00", "10-25 03:00"]),
        ("Europe/Berlin", "0 0-4 29 3 ? *", "2026-03-28", 3,
         ["03-28 23:00", "03-29 00:00", "03-29 01:00", "03-29 02:00"]),
        ("Europe/Berlin", "0/30 2 ? 10 1L *", "2026-10-24", 3, ["10-25 00:00", "10-25 00:30"]),
        ("America/New_York", "30 2 * * ? *", "2026-03-07", 3, ["03-07 07:30", "03-09 06:30"]),
        ("America/New_York", "30 1 * * ? *", "2026-10-31", 3,
         ["10-31 05:30", "11-01 05:30", "11-02 06:30"]),
        # Lord Howe moves by half an hour: 02:00 to 02:30 on 4 October, 02:00 to 01:30 on 5 April.
        ("Australia/Lord_Howe", "15 2 * * ? *", "2026-10-02 12:00", 3,
         ["10-02 15:45", "10-04 15:15"]),
        ("Australia/Lord_Howe", "30 2 * * ? *", "2026-10-02 12:00", 3,
         ["10-02 16:00", "10-03 15:30", "10-04 15:30"]),
        ("Australia/Lord_Howe", "0/15 1 5 4 ? *", "2026-04-04", 1,
         ["04-04 14:00", "04-04 14:15", "04-04 14:30", "04-04 14:45"]),
        ("Australia/Lord_Howe", "0 2 5 4 ? *", "2026-04-04", 1, ["04-04 15:30"]),
        # Santiago changes at midnight: 6 September has no 00:30, 4 April has 23:30 twice.
        ("America/Santiago", "30 0 * * ? *", "2026-09-05", 3, ["09-05 04:30", "09-07 03:30"]),
        ("America/Santiago", "30 23 * * ? *", "2026-04-04", 3,
         ["04-04 02:30", "04-05 02:30", "04-06 03:30"]),
        # Casablanca leaves its summer time for Ramadan: 15 February to 22 March 2026.
        ("Africa/Casablanca", "30 2 * * ? *", "2026-02-14", 3,
         ["02-14 01:30", "02-15 01:30", "02-16 02:30"]),
        ("Africa/Casablanca", "30 2 * * ? *", "2026-03-21", 3, ["03-21 02:30", "03-23 01:30"]),
        # Dublin's winter is its daylight saving, with a negative shift.
        ("Europe/Dublin", "30 1 * * ? *", "2026-03-28", 3, ["03-28 01:30", "03-30 00:30"]),
        ("Europe/Dublin", "30 1 * * ? *", "2026-10-24", 3,
         ["10-24 00:30", "10-25 00:30", "10-26 01:30"]),
        # Troll moves by two hours.
        ("Antarctica/Troll", "30 1,2 * * ? *", "2026-03-28 12:00", 2,
         ["03-29 23:30", "03-30 00:30"]),
        ("Antarctica/Troll", "30 1,2 25 10 ? *", "2026-10-24", 3, ["10-24 23:30", "10-25 00:30"]),
        # Samoa had no 30 December 2011.
        ("Pacific/Apia", "0 12 * * ? *", "2011-12-28", 4,
         ["12-28 22:00", "12-29 22:00", "12-30 22:00", "12-31 22:00"]),
        ("Pacific/Apia", "0 12 L * ? 2011", "2011-12-28", 9, ["12-30 22:00"]),
        ("Pacific/Apia", "0 12 30 12 ? *", "2011-12-28", 9, []),
        # No changes at all.
        ("Asia/Kathmandu", "45 5 * * ? *", "2026-03-29", 2,
         ["03-29 00:00", "03-30 00:00", "03-31 00:00"]),
        ("UTC", "30 2 * * ? *", "2026-03-29", 2, ["03-29 02:30", "03-30 02:30"]),
        # Monrovia was 44:30 behind until 7 January 1972, when it left out as much.
        ("Africa/Monrovia", "44 0 * 1 ? 1972", "1972-01-06", 3, ["01-06 01:28", "01-08 00:44"]),
    ],
)  # fmt: skip
def test_a_cron_keeps_to_the_clock_on_the_wall(
    zone: str, fields: str, since: str, days: int, expected: list[str]
) -> None:
    assert fired(fields, zone, since, days) == expected


def test_a_rate_is_in_elapsed_time_across_changes() -> None:
    """Wherever the clock is changed, a day has 24 hours and an hour 60 minutes."""
    start = ms("2026-10-24 10:00")
    for zone in ("Europe/Berlin", "Australia/Lord_Howe", "UTC"):
        found = list(firings("rate(1 day)", zone, start - 1, start + 3 * DAY_MS, start))
        assert found == [start, start + DAY_MS, start + 2 * DAY_MS, start + 3 * DAY_MS]
        hours = list(firings("rate(1 hour)", zone, start, start + 48 * HOUR_MS, start))
        assert {later - one for one, later in pairwise(hours)} == {HOUR_MS}


@pytest.mark.parametrize(
    ("zone", "wall", "utc"),
    [
        ("Europe/Berlin", "2026-07-01T12:00:00", "2026-07-01 10:00:00"),
        ("America/Los_Angeles", "2022-11-20T13:00:00", "2022-11-20 21:00:00"),  # the guide's
        ("Europe/Berlin", "2026-10-25T02:30:30", "2026-10-25 00:30:30"),  # twice: the first
        ("America/New_York", "2026-11-01T01:59:59", "2026-11-01 05:59:59"),
        ("Australia/Lord_Howe", "2026-04-05T01:45:00", "2026-04-04 14:45:00"),
        ("Europe/Berlin", "2026-03-29T02:30:00", "2026-03-29 01:30:00"),  # left out: 03:30
        ("Pacific/Apia", "2011-12-30T12:00:00", "2011-12-30 22:00:00"),  # shown as the 31st
    ],
)
def test_an_at_is_the_first_moment_that_shows_it_or_as_long_after_midnight(
    zone: str, wall: str, utc: str
) -> None:
    assert next_after(f"at({wall})", zone, 0, 0) == ms(utc)


# --- every change of every zone -----------------------------------------------------------------


def fields_of(wall: datetime.datetime) -> str:
    return f"{wall.minute} {wall.hour} {wall.day} {wall.month} ? {wall.year}"


def check(zone: str, change: Change) -> None:
    """Hold the rule at one change: before it, in what it leaves out or repeats, after it."""
    second, before, after = change
    shift = after - before
    cases: list[tuple[int, int, list[int]]] = []  # second, offset to show it with, firings
    if shift > 0:
        for skipped in {60, shift // 2 // 60 * 60, shift - 60}:
            cases.append((second + skipped, before, []))
    else:
        for repeated in {0, -shift // 2 // 60 * 60, -shift - 60}:
            first = second + repeated + shift
            cases.append((first, before, [first]))
            cases.append((second + repeated, after, [first]))
    cases.append((second - abs(shift) - 60, before, [second - abs(shift) - 60]))
    cases.append((second + abs(shift), after, [second + abs(shift)]))
    for at, offset, expected in cases:
        fields = fields_of(shown(at, offset))
        span = (second - 3 * 86_400) * 1000, (second + 3 * 86_400) * 1000
        found = list(firings(f"cron({fields})", zone, *span, 0))
        assert found == [one * 1000 for one in expected], (zone, change, fields)


def whole_minutes(change: Change) -> bool:
    return all(number % 60 == 0 for number in change)


@pytest.mark.parametrize("zone", FAMOUS)
def test_the_rule_holds_at_every_change_from_1975_to_2060(zone: str) -> None:
    for change in changes(zone, 1975, 2060):
        assert whole_minutes(change)
        check(zone, change)


def all_changes() -> Iterator[tuple[str, Change]]:
    for zone in sorted(zoneinfo.available_timezones()):
        if zone_fault(zone):
            continue  # newer than the package, or a machine's own setting
        for change in changes(zone, 2020, 2031):
            yield zone, change


def test_the_rule_holds_in_every_zone_from_2020_to_2031() -> None:
    seen = set()
    for zone, change in all_changes():
        check(zone, change)
        seen.add(zone)
    assert len(seen) > 200


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"])
def test_far_years_follow_the_last_rule_of_a_zone(zone: str) -> None:
    found = changes(zone, 2150, 2199)
    assert len(found) == 100
    for change in found:
        check(zone, change)
