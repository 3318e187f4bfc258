"""Reading an expression: all that is wrong with it, or what it says."""

from __future__ import annotations

import datetime
import re
from functools import lru_cache

from wherry import limits
from wherry.errors import Refused
from wherry.schedules import fields, records
from wherry.schedules.zones import zone_fault, zone_named

_FORMS = ("rate", "cron", "at")
_AT = r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
_UNITS_MS = {"minute": 60_000, "hour": 3_600_000, "day": 86_400_000}
_UNIT_NAMES = "minute(s), hour(s) or day(s)"


class ScheduleInvalid(Refused):
    """An expression or its time zone is not one of EventBridge Scheduler; `faults` says why."""

    code = "schedule_invalid"

    def __init__(self, expression: str, faults: list[str]) -> None:
        super().__init__(f"The schedule {expression[:80]!r} is refused: {' '.join(faults)}")
        self.faults = faults


@lru_cache(maxsize=limits.SCHEDULES_COMPILED)
def compiled(expression: str, zone: str = "UTC") -> records.Schedule:
    """Return what an expression says in a time zone. The last few thousand are remembered.

    It does not ask whether the calendar and the zone's rules have such a time (`faults` does): a
    schedule that was declared keeps a meaning when these rules are updated.

    Raises:
        ScheduleInvalid: With every fault of the grammar and of the zone's name.
    """
    schedule, wrong = read(expression, zone)
    if schedule is None or wrong:
        raise ScheduleInvalid(expression, wrong)
    return schedule


def read(expression: str, zone: str) -> tuple[records.Schedule | None, list[str]]:
    """Return what an expression says, or None, and everything that is wrong with it."""
    wrong = [fault] if (fault := zone_fault(zone)) else []
    if len(expression) > limits.SCHEDULE_EXPRESSION_LENGTH:
        wrong.append(
            f"expression: it has {len(expression)} characters; "
            f"at most {limits.SCHEDULE_EXPRESSION_LENGTH} are allowed."
        )
        return None, wrong
    form, _, inner = expression.partition("(")
    if form not in _FORMS or not inner.endswith(")") or not inner.isascii():
        wrong.append(
            f"expression: {expression!r} is none of rate(value unit), cron(minutes hours "
            "day-of-month month day-of-week year) and at(yyyy-mm-ddThh:mm:ss)."
        )
        return None, wrong
    tz = zone_named(zone) or datetime.UTC
    inner = inner[:-1]
    match form:
        case "rate":
            return _read_rate(inner, wrong), wrong
        case "cron":
            return _read_cron(inner, tz, wrong), wrong
        case _:
            return _read_at(inner, tz, wrong), wrong


def _read_rate(text: str, wrong: list[str]) -> records.Rate | None:
    """Singular and plural are both taken: Scheduler's user guide itself writes `rate(1 days)`.

    (The rules of an EventBridge bus are stricter: 1 and singular, else plural.)
    """
    words = text.split()
    if len(words) != 2:
        wrong.append(f"rate: {text!r} is not a value and a unit, as in rate(5 minutes).")
        return None
    value, unit = words
    if not value.isdigit() or int(value) == 0:
        wrong.append(f"value: {value!r} is not a whole number from 1 on.")
    unit_ms = _UNITS_MS.get(unit.removesuffix("s"), 0)
    if not unit_ms:
        wrong.append(f"unit: {unit!r} is not {_UNIT_NAMES}.")
    if wrong:
        return None
    period_ms = int(value) * unit_ms
    if period_ms > limits.SCHEDULE_RATE_MAX_S * 1000:
        wrong.append(
            f"value: {value} {unit} is more than {limits.SCHEDULE_RATE_MAX_S // 86_400} days."
        )
    plural = "" if int(value) == 1 else "s"
    return records.Rate(f"rate({int(value)} {unit.removesuffix('s')}{plural})", period_ms)


def _read_cron(text: str, tz: datetime.tzinfo, wrong: list[str]) -> records.Cron | None:
    words = text.upper().split()
    if len(words) == len(fields.FIELDS) - 1:
        words.append("*")  # the user guide: the year is optional
    if len(words) != len(fields.FIELDS):
        names = " ".join(field.name for field in fields.FIELDS)
        wrong.append(f"cron: {text!r} has {len(words)} field(s), not the six: {names}.")
        return None
    minutes, hours, of_month, months, of_week, years = words
    cron = records.Cron(
        expression=f"cron({' '.join(words)})",
        zone=tz,
        minutes=fields.read_set(fields.MINUTES, minutes, wrong),
        hours=fields.read_set(fields.HOURS, hours, wrong),
        days=fields.read_days(of_month, of_week, wrong),
        months=fields.read_set(fields.MONTH, months, wrong),
        years=fields.read_set(fields.YEAR, years, wrong),
    )
    return None if wrong else cron


def _read_at(text: str, tz: datetime.tzinfo, wrong: list[str]) -> records.At | None:
    found = re.fullmatch(_AT, text.strip())
    if found is None:
        wrong.append(f"at: {text!r} is not of the form yyyy-mm-ddThh:mm:ss; it has no offset.")
        return None
    year, month, day, hour, minute, second = map(int, found.groups())
    if not fields.FIRST_YEAR <= year <= fields.LAST_YEAR:
        wrong.append(f"year: {year} is not {fields.FIRST_YEAR}-{fields.LAST_YEAR}.")
        return None
    try:
        wall = datetime.datetime(year, month, day, hour, minute, second, tzinfo=tz)
    except ValueError as error:
        wrong.append(f"at: {text!r} is not on the calendar or the clock: {error}.")
        return None
    return None if wrong else records.At(f"at({text.strip()})", wall)
