"""What an expression says, read once. Sets of numbers are bit masks: bit 5 is the number 5."""

from __future__ import annotations

import datetime

import msgspec


class Rate(msgspec.Struct, frozen=True, tag="rate"):
    """`rate(5 minutes)`: in elapsed time, whatever clocks on walls do."""

    expression: str
    """As AWS takes it everywhere: one space, the unit in the number of the value."""
    period_ms: int


class OnDays(msgspec.Struct, frozen=True, tag="days"):
    """Days of the month by number: `1,15`, `1-7`, `*`."""

    days: int


class OnWeekdays(msgspec.Struct, frozen=True, tag="weekdays"):
    """Days of the week, 1 (Sunday) to 7 (Saturday): `MON-FRI`."""

    weekdays: int


class LastDay(msgspec.Struct, frozen=True, tag="last_day"):
    """The last day of the month: `L`."""


class LastWorkday(msgspec.Struct, frozen=True, tag="last_workday"):
    """The last Monday to Friday of the month: `LW`."""


class NearWorkday(msgspec.Struct, frozen=True, tag="near_workday"):
    """The Monday to Friday nearest to a day, within its month: `15W`."""

    day: int


class LastWeekday(msgspec.Struct, frozen=True, tag="last_weekday"):
    """The last such day of the month: `6L` is its last Friday."""

    weekday: int


class NthWeekday(msgspec.Struct, frozen=True, tag="nth_weekday"):
    """The n-th such day of the month: `3#2` is its second Tuesday."""

    weekday: int
    nth: int


Days = OnDays | OnWeekdays | LastDay | LastWorkday | NearWorkday | LastWeekday | NthWeekday


class Cron(msgspec.Struct, frozen=True, tag="cron"):
    """`cron(0 3 * * ? *)`: minutes of a wall clock."""

    expression: str
    """As AWS takes it everywhere: six fields, one space between them, capitals."""
    zone: datetime.tzinfo
    minutes: int
    hours: int
    days: Days
    months: int
    years: int
    """Bit 0 is 1970."""


class At(msgspec.Struct, frozen=True, tag="at"):
    """`at(2026-12-24T18:00:00)`: once, at a second of a wall clock."""

    expression: str
    wall: datetime.datetime
    """With its zone. Of a time that the clock shows twice it is the first."""


Schedule = Rate | Cron | At
