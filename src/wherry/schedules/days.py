"""Which days of a month a cron expression means. A month is its length and its first weekday."""

from __future__ import annotations

from functools import lru_cache
from typing import assert_never

from wherry.schedules import records

_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_SHAPES = 28  # four lengths, seven weekdays to begin with
_SUNDAY, _SATURDAY = 1, 7
_RULES = 256  # different fields for days that are held at once


def days_in(year: int, month: int) -> int:
    """Return the length of a month of the Gregorian calendar."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if leap else _LENGTHS[month - 1]


@lru_cache(maxsize=_SHAPES * _RULES)
def matching(rule: records.Days, length: int, first: int) -> int:
    """Return the days of a month that a rule means, as a mask.

    Args:
        rule: What the expression says.
        length: Days of the month, 28 to 31.
        first: The weekday of its first day, 1 (Sunday) to 7 (Saturday).
    """
    match rule:
        case records.OnDays(days=days):
            return days & ((2 << length) - 1)
        case records.OnWeekdays(weekdays=weekdays):
            return sum(
                1 << day for day in range(1, length + 1) if weekdays >> _weekday(first, day) & 1
            )
        case records.LastDay():
            return 1 << length
        case records.LastWorkday():
            return 1 << _near_workday(first, length, length)
        case records.NearWorkday(day=day):
            return 1 << _near_workday(first, length, day) if day <= length else 0
        case records.LastWeekday(weekday=weekday):
            return 1 << (length - (_weekday(first, length) - weekday) % 7)
        case records.NthWeekday(weekday=weekday, nth=nth):
            day = 1 + (weekday - first) % 7 + 7 * (nth - 1)
            return 1 << day if day <= length else 0
        case _:
            assert_never(rule)


def _weekday(first: int, day: int) -> int:
    return (first + day - 2) % 7 + 1


def _near_workday(first: int, length: int, day: int) -> int:
    """Saturday is nearest to Friday, Sunday to Monday, but the month is never left."""
    weekday = _weekday(first, day)
    if weekday == _SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == _SUNDAY:
        return day + 1 if day < length else day - 2
    return day
