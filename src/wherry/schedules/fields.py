"""The fields of a cron expression, in the grammar of EventBridge Scheduler.

From the AWS user guide, "Schedule types on EventBridge Scheduler". What that page does not define
is refused, for nobody can say when AWS would fire it: ranges that go down, lists with L, W or #,
`L-3`. Two forms it does not spell out are taken, as they follow from its words and AWS's console
takes them: `LW`, and names of days before L and #.
"""

from __future__ import annotations

import msgspec

from wherry.schedules import records

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
SATURDAY = 7
FIRST_YEAR = 1970
LAST_YEAR = 2199


class Field(msgspec.Struct, frozen=True):
    """One place of a cron expression, and what may stand there."""

    name: str
    low: int
    high: int
    wildcards: str
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """Return what may stand here, for a message."""
        names = f" or {self.names[0]}-{self.names[-1]}" if self.names else ""
        return f"{self.low}-{self.high}{names} and {self.wildcards}"


MINUTES = Field("minutes", 0, 59, ", - * /")
HOURS = Field("hours", 0, 23, ", - * /")
DAY_OF_MONTH = Field("day-of-month", 1, 31, ", - * ? / L W")
MONTH = Field("month", 1, 12, ", - * /", _MONTHS)
DAY_OF_WEEK = Field("day-of-week", 1, 7, ", - * ? L #", _WEEKDAYS)
YEAR = Field("year", FIRST_YEAR, LAST_YEAR, ", - * /")
FIELDS = (MINUTES, HOURS, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR)


class Misread(Exception):
    """A part of a field is not in the grammar; the text is the end of a sentence about it."""


def read_set(field: Field, text: str, faults: list[str]) -> int:
    """Return the numbers that a list of values, ranges and steps names; faults are appended."""
    found = 0
    parts = text.split(",")
    for part in parts:
        try:
            if part == "*" and len(parts) > 1:
                raise Misread("names every value, in a list with others; write it alone")
            found |= _read_part(field, part)
        except Misread as fault:
            faults.append(f"{field.name}: {part!r} {fault}. Allowed: {field.allowed}.")
    return found


def _read_part(field: Field, part: str) -> int:
    if not part:
        raise Misread("is an empty place in a list")
    if "?" in part:
        raise Misread("has a '?', which stands alone, in day-of-month or day-of-week only")
    base, slash, step_text = part.partition("/")
    first, dash, last = base.partition("-")
    low = field.low if base == "*" else _read_value(field, first)
    high = low
    if dash:
        high = _read_value(field, last)
        if high < low:
            raise Misread(f"goes down; write {_upward(field, low, high)}")
    elif slash or base == "*":
        high = field.high
    step = _read_step(field, step_text) if slash else 1
    return sum(1 << (value - _origin(field)) for value in range(low, high + 1, step))


def _origin(field: Field) -> int:
    return FIRST_YEAR if field is YEAR else 0


def _upward(field: Field, low: int, high: int) -> str:
    if field is YEAR:
        return f"{high}-{low}"

    def span(one: int, other: int) -> str:
        return str(one) if one == other else f"{one}-{other}"

    return f"{span(low, field.high)},{span(field.low, high)} if that is meant"


def _read_value(field: Field, text: str) -> int:
    if text in field.names:
        return field.names.index(text) + field.low
    if not _is_number(text):
        raise Misread("is not a value of this field")
    value = int(text)
    if field is DAY_OF_WEEK and value == 0:
        raise Misread("is out of range: here 1 is SUN and 7 is SAT")
    if not field.low <= value <= field.high:
        raise Misread("is out of range")
    return value


def _read_step(field: Field, text: str) -> int:
    if "/" not in field.wildcards:
        raise Misread("has a step, which this field does not take; name the days")
    widest = field.high - _origin(field) if field is YEAR else field.high
    if not _is_number(text) or not 1 <= int(text) <= widest:
        raise Misread(f"has a step that is not 1-{widest}")
    return int(text)


def read_days(of_month: str, of_week: str, faults: list[str]) -> records.Days:
    """Return the days that the two fields for days name together: one of them is `?`."""
    if (of_month == "?") == (of_week == "?"):
        say = (
            "are both '?'; name the days in one of them"
            if of_month == "?"
            else f"are {of_month!r} and {of_week!r}; one of them must be '?', "
            "the one that does not matter"
        )
        faults.append(f"day-of-month and day-of-week {say}.")
    month = None if of_month == "?" else _read_field(DAY_OF_MONTH, of_month, faults)
    week = None if of_week == "?" else _read_field(DAY_OF_WEEK, of_week, faults)
    return month or week or records.OnDays(0)


def _read_field(field: Field, text: str, faults: list[str]) -> records.Days:
    try:
        special = _of_month(text) if field is DAY_OF_MONTH else _of_week(text)
    except Misread as fault:
        faults.append(f"{field.name}: {text!r} {fault}. Allowed: {field.allowed}.")
        return records.OnDays(0)
    if special is not None:
        return special
    found = read_set(field, text, faults)
    return records.OnDays(found) if field is DAY_OF_MONTH else records.OnWeekdays(found)


def _of_month(text: str) -> records.Days | None:
    if text == "L":
        return records.LastDay()
    if text == "LW":
        return records.LastWorkday()
    if "L" not in text and "W" not in text:
        return None
    if _is_list(text):
        raise Misread("has L or W in a list or a range; a schedule has one such day, declare two")
    if "L" in text:
        raise Misread("is not L (the last day) or LW (the last Monday to Friday)")
    if not text.endswith("W"):
        raise Misread("is not a day and then W, as in 15W")
    return records.NearWorkday(_read_value(DAY_OF_MONTH, text[:-1]))


def _of_week(text: str) -> records.Days | None:
    if text == "L":
        return records.OnWeekdays(1 << SATURDAY)
    if "#" in text:
        if _is_list(text):
            raise Misread("has # in a list or a range; a schedule has one such day, declare two")
        day, _, nth = text.partition("#")
        weekday = _read_value(DAY_OF_WEEK, day)
        if not _is_number(nth) or not 1 <= int(nth) <= 5:
            raise Misread("has no number 1-5 after the #")
        return records.NthWeekday(weekday, int(nth))
    if "L" not in text:
        return None
    if _is_list(text):
        raise Misread("has L in a list or a range; a schedule has one such day, declare two")
    if not text.endswith("L"):
        raise Misread("is not a day and then L, as in 6L")
    return records.LastWeekday(_read_value(DAY_OF_WEEK, text[:-1]))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 4


def _is_list(text: str) -> bool:
    return "," in text or "-" in text
