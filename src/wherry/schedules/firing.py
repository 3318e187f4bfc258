"""When a schedule fires.

Daylight saving, from the AWS user guide ("Daylight savings time on EventBridge Scheduler"):

- cron: a time that the wall clock leaves out in spring is skipped; one that it shows twice in
  autumn fires at the first ("before the shift occurs"), not again. That holds for every such
  minute, so that an hourly cron pauses for an hour: what must run evenly is a rate.
- rate: elapsed time; a day is 24 hours.
- at: the guide is silent. Of two such times it is the first, as for cron; one that is left out is
  refused when it is declared. Should a zone's rules change after that, it fires as long after
  midnight as it would have, so that nothing is lost.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import assert_never

from wherry.schedules import records
from wherry.schedules.days import days_in, matching
from wherry.schedules.fields import FIRST_YEAR
from wherry.schedules.reading import compiled

EARLIEST_MS = -2 * 86_400_000  # before 1970 began anywhere
_LATEST_MS = 7_258_118_400_000 + 2 * 86_400_000  # after 2199 ended everywhere
_MINUTE_MS = 60_000

Wall = tuple[int, int, int, int, int]
"""Year, month, day, hour, minute."""


def next_after(expression: str, zone: str, moment_ms: int, start_ms: int) -> int | None:
    """Return the first firing after a moment, or None if there is none.

    Args:
        expression: `rate(...)`, `cron(...)` or `at(...)`.
        zone: IANA name.
        moment_ms: What fires at this very moment is not after it.
        start_ms: When the schedule begins: a rate counts from here and fires here first, a cron
            fires from here on, an at does not care (AWS: StartDate).

    Raises:
        ScheduleInvalid: The expression or the zone.
    """
    return after(compiled(expression, zone), moment_ms, start_ms)


def firings(
    expression: str, zone: str, after_ms: int, until_ms: int, start_ms: int
) -> Iterator[int]:
    """Yield the firings of a span in order: after its beginning, up to and with its end."""
    schedule = compiled(expression, zone)
    found = after(schedule, after_ms, start_ms)
    while found is not None and found <= until_ms:
        yield found
        found = after(schedule, found, start_ms)


def last_within(schedule: records.Schedule, after_ms: int, until_ms: int, start_ms: int) -> int:
    """Return the last firing of a span (after its beginning, up to its end), or its beginning.

    It costs some dozens of steps, however long the span is.
    """

    def within(moment_ms: int) -> int | None:
        found = after(schedule, moment_ms, start_ms)
        return found if found is not None and found <= until_ms else None

    low = within(after_ms)
    if low is None:
        return after_ms
    width_ms = _MINUTE_MS
    while until_ms - width_ms > low:
        near = within(until_ms - width_ms)
        if near is not None:
            low = near
            break
        width_ms *= 2
    high = until_ms
    while (found := within(low)) is not None:
        # No firing lies between high and the end; halve what is between low and high.
        middle = (found + high) // 2
        later = within(middle)
        low, high = (found, middle) if later is None else (later, high)
    return low


def after(schedule: records.Schedule, moment_ms: int, start_ms: int) -> int | None:
    """Return the first firing after a moment, as `next_after` does, of a schedule that was read."""
    match schedule:
        case records.Rate(period_ms=period_ms):
            if moment_ms < start_ms:
                return start_ms
            return start_ms + ((moment_ms - start_ms) // period_ms + 1) * period_ms
        case records.Cron():
            return _cron_after(schedule, max(moment_ms, start_ms - 1, EARLIEST_MS))
        case records.At(wall=wall):
            at_ms = int(wall.timestamp()) * 1000
            return at_ms if at_ms > moment_ms else None
        case _:
            assert_never(schedule)


def _cron_after(cron: records.Cron, moment_ms: int) -> int | None:
    if moment_ms > _LATEST_MS:
        return None
    zone = cron.zone
    from_timestamp = datetime.datetime.fromtimestamp
    now = from_timestamp(moment_ms // 1000, zone)
    wall = _first_from(cron, now.year, now.month, now.day, now.hour, now.minute)
    while wall is not None:
        year, month, day, hour, minute = wall
        # fold=0: of two moments that show this time it is the first.
        second = int(datetime.datetime(year, month, day, hour, minute, tzinfo=zone).timestamp())
        if second * 1000 > moment_ms:
            shown = from_timestamp(second, zone)
            if shown.minute == minute and shown.hour == hour and shown.day == day:
                return second * 1000
            # The clock never shows it: it leaves it out.
        # At most as many of these as a change of the clock has minutes.
        wall = _first_from(cron, year, month, day, hour, minute + 1)
    return None


def _first_from(
    cron: records.Cron, year: int, month: int, day: int, hour: int, minute: int
) -> Wall | None:
    """Return the first time from a given one on (its minute may be 60) that the fields name."""
    in_year = year >= FIRST_YEAR and cron.years >> (year - FIRST_YEAR) & 1
    if in_year and cron.months >> month & 1:
        days = _days(cron, year, month)
        if days >> day & 1:
            if cron.hours >> hour & 1 and (bits := cron.minutes >> minute):
                return year, month, day, hour, minute + _lowest(bits)
            if bits := cron.hours >> (hour + 1):
                return year, month, day, hour + 1 + _lowest(bits), _lowest(cron.minutes)
        if bits := days >> (day + 1):
            return _at_first(cron, year, month, day + 1 + _lowest(bits))
    months = cron.months >> (month + 1) << (month + 1) if in_year else 0
    while True:
        while months:
            month = _lowest(months)
            if days := _days(cron, year, month):
                return _at_first(cron, year, month, _lowest(days))
            months &= months - 1
        ahead = max(year + 1 - FIRST_YEAR, 0)
        years = cron.years >> ahead
        if not years:
            return None
        year = FIRST_YEAR + ahead + _lowest(years)
        months = cron.months


def _at_first(cron: records.Cron, year: int, month: int, day: int) -> Wall:
    return year, month, day, _lowest(cron.hours), _lowest(cron.minutes)


def _days(cron: records.Cron, year: int, month: int) -> int:
    first = datetime.date(year, month, 1).isoweekday() % 7 + 1
    return matching(cron.days, days_in(year, month), first)


def _lowest(bits: int) -> int:
    return (bits & -bits).bit_length() - 1
