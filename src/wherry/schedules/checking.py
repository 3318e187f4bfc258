"""What is wrong with a schedule where it is declared."""

from __future__ import annotations

import datetime

from wherry.schedules import fields, records
from wherry.schedules.firing import EARLIEST_MS, after
from wherry.schedules.reading import read


def faults(expression: str, zone: str = "UTC") -> list[str]:
    """Return everything that is wrong with a schedule, as sentences; an empty list if nothing is.

    Each names the field, the value and what is allowed. Refused besides bad grammar: a cron that
    never fires, from 1970 to 2199, as on 30 February; an `at` in the hour that a clock leaves out.
    """
    schedule, wrong = read(expression, zone)
    if wrong:
        return wrong
    match schedule:
        case records.Cron() if after(schedule, EARLIEST_MS, EARLIEST_MS) is None:
            return [
                f"{schedule.expression} never fires in {zone}: from {fields.FIRST_YEAR} to "
                f"{fields.LAST_YEAR} no such time is on the calendar and on the clock."
            ]
        case records.At(wall=wall):
            shown = wall.astimezone(datetime.UTC).astimezone(wall.tzinfo)
            if shown.replace(tzinfo=None) != wall.replace(tzinfo=None):
                return [
                    f"{schedule.expression} is no time of {zone}: clocks there leave it out. "
                    f"Write at({shown:%Y-%m-%dT%H:%M:%S}) for that moment."
                ]
    return []
