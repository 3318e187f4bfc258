"""Schedules against slow judges that look at every minute and every day, and know no shortcuts."""

from __future__ import annotations

import calendar
import datetime
import zoneinfo
from collections.abc import Callable
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.schedules_kit import FAMOUS, changes, ms
from wherry.schedules import faults, firings, next_after

MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
WEEKDAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
HOUR_MS, DAY_MS = 3_600_000, 86_400_000


class Numbers(NamedTuple):
    """A field, and what it means."""

    text: str
    means: frozenset[int]


class Days(NamedTuple):
    """The two fields for days, and what they mean."""

    of_month: str
    of_week: str
    mean: Callable[[datetime.date], bool]


@st.composite
def parts(draw: st.DrawFn, low: int, high: int, names: list[str], steps: bool = True) -> Numbers:
    """One value, range or step."""
    one, other = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))

    def say(value: int) -> str:
        named = bool(names) and draw(st.sampled_from([True, False]))
        return names[value - low] if named else str(value)

    step = draw(st.integers(1, min(high, 229)))
    forms = [
        Numbers(say(one), frozenset({one})),
        Numbers(f"{say(one)}-{say(other)}", frozenset(range(one, other + 1))),
    ]
    if steps:
        forms += [
            Numbers(f"*/{step}", frozenset(range(low, high + 1, step))),
            Numbers(f"{say(one)}/{step}", frozenset(range(one, high + 1, step))),
            Numbers(f"{one}-{other}/{step}", frozenset(range(one, other + 1, step))),
        ]
    return draw(st.sampled_from(forms))


def numbers(
    low: int, high: int, names: list[str] | None = None, steps: bool = True
) -> st.SearchStrategy[Numbers]:
    """A whole field: everything, or a list of parts."""
    listed = st.lists(parts(low, high, names or [], steps), min_size=1, max_size=3).map(
        lambda some: Numbers(
            ",".join(one.text for one in some), frozenset().union(*(one.means for one in some))
        )
    )
    return st.just(Numbers("*", frozenset(range(low, high + 1)))) | listed


def weekday(date: datetime.date) -> int:
    return date.isoweekday() % 7 + 1


def length(date: datetime.date) -> int:
    return calendar.monthrange(date.year, date.month)[1]


def nearest_workday(date: datetime.date, day: int) -> int:
    """The nearest workday of the date's month; none if the month has no such day."""
    if day > length(date):
        return 0
    workdays = [
        other
        for other in range(1, length(date) + 1)
        if date.replace(day=other).weekday() < calendar.SATURDAY
    ]
    return min(workdays, key=lambda other: abs(other - day))


@st.composite
def special_days(draw: st.DrawFn) -> Days:
    """L, W and #."""
    day, of_week, nth = draw(st.integers(1, 31)), draw(st.integers(1, 7)), draw(st.integers(1, 5))
    named = draw(st.sampled_from([str(of_week), WEEKDAYS[of_week - 1]]))
    return draw(
        st.sampled_from(
            [
                Days("L", "?", lambda date: date.day == length(date)),
                Days("LW", "?", lambda date: date.day == nearest_workday(date, length(date))),
                Days(f"{day}W", "?", lambda date: date.day == nearest_workday(date, day)),
                Days("?", "L", lambda date: weekday(date) == 7),
                Days("?", f"{named}L", lambda date: weekday(date) == of_week
                     and date.day + 7 > length(date)),
                Days("?", f"{named}#{nth}", lambda date: weekday(date) == of_week
                     and (date.day + 6) // 7 == nth),
            ]
        )
    )  # fmt: skip


DAYS = (
    st.just(Days("*", "?", lambda date: True))
    | numbers(1, 31).map(lambda one: Days(one.text, "?", lambda date: date.day in one.means))
    | numbers(1, 7, WEEKDAYS, steps=False).map(
        lambda one: Days("?", one.text, lambda date: weekday(date) in one.means)
    )
    | special_days()
)


def moments() -> st.SearchStrategy[tuple[str, int]]:
    """A zone and a second around which to look: a change of its clock, or none."""
    found = [(zone, second) for zone in FAMOUS for second, _, _ in changes(zone, 1975, 2060)]
    found = [(zone, second) for zone, second in found if second < ms("2040-12-31") // 1000]
    still = [("UTC", ms("2026-03-01") // 1000), ("Asia/Kathmandu", ms("1999-12-31") // 1000)]
    return st.sampled_from(found + still)


@settings(deadline=None, max_examples=200)
@given(
    minutes=numbers(0, 59),
    hours=numbers(0, 23),
    days=DAYS,
    change=st.deferred(moments),  # looked for in the worker that runs this, not in each
    before_ms=st.integers(-2 * HOUR_MS, 30 * HOUR_MS),
    start_ms=st.integers(-30 * HOUR_MS, 12 * HOUR_MS),
)
def test_a_cron_fires_when_a_clock_first_shows_a_time_that_its_fields_name(
    minutes: Numbers,
    hours: Numbers,
    days: Days,
    change: tuple[str, int],
    before_ms: int,
    start_ms: int,
) -> None:
    """The judge watches the clock for every minute, and remembers what it has shown before."""
    zone, second = change
    expression = f"cron({minutes.text} {hours.text} {days.of_month} * {days.of_week} *)"
    after_ms = second * 1000 - before_ms
    start_ms += second * 1000
    until_ms = after_ms + 32 * HOUR_MS
    info = zoneinfo.ZoneInfo(zone)
    shown: set[datetime.datetime] = set()
    expected = []
    watched_from = (after_ms - 26 * HOUR_MS) // 60_000 * 60
    for moment in range(watched_from, until_ms // 1000 + 1, 60):
        wall = datetime.datetime.fromtimestamp(moment, info)
        named = wall.minute in minutes.means and wall.hour in hours.means
        if not (named and days.mean(wall.date())):
            continue
        wall = wall.replace(tzinfo=None, fold=0)
        new = wall not in shown
        shown.add(wall)
        if new and moment * 1000 > after_ms and moment * 1000 >= start_ms:
            expected.append(moment * 1000)
    assert list(firings(expression, zone, after_ms, until_ms, start_ms)) == expected
    following = next_after(expression, zone, until_ms, start_ms)
    assert following is None or following > until_ms


@settings(deadline=None, max_examples=150)
@given(
    days=DAYS,
    months=numbers(1, 12, MONTHS),
    years=numbers(1970, 2199),
    since=st.dates(datetime.date(1969, 12, 1), datetime.date(2199, 12, 31)),
)
def test_a_cron_fires_on_each_day_that_its_fields_name_and_no_other(
    days: Days, months: Numbers, years: Numbers, since: datetime.date
) -> None:
    """The judge looks at every day of four years, and of all years for the first one after."""
    expression = f"cron(0 0 {days.of_month} {months.text} {days.of_week} {years.text})"

    def named(date: datetime.date) -> bool:
        return date.month in months.means and date.year in years.means and days.mean(date)

    def at(date: datetime.date) -> int:
        return (date - datetime.date(1970, 1, 1)).days * DAY_MS

    one_day = datetime.timedelta(days=1)
    dates = [since + n * one_day for n in range(4 * 366)]
    expected = [at(date) for date in dates if named(date)]
    assert list(firings(expression, "UTC", at(since) - 1, at(dates[-1]), -(10**15))) == expected
    date = dates[-1] + one_day
    while date.year < 2200 and not (date.year in years.means and named(date)):
        in_vain = date.year not in years.means or date.month not in months.means
        date = (date.replace(day=1) + 31 * one_day).replace(day=1) if in_vain else date + one_day
    following = at(date) if date.year < 2200 else None
    assert next_after(expression, "UTC", at(dates[-1]), -(10**15)) == following
    if expected or following:
        assert faults(expression) == []
