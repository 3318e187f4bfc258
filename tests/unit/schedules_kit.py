"""What tests of schedules share: moments, and where the clocks of the world change."""

from __future__ import annotations

import datetime
import zoneinfo
from functools import cache

UTC = datetime.UTC


def ms(utc: str) -> int:
    """`2026-03-01` or `2026-03-01 02:30` in UTC as milliseconds."""
    return int(datetime.datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp()) * 1000


Change = tuple[int, int, int]
"""The second of the change, the offset before it and after it, in seconds."""

STEP_S = 5 * 86_400  # no zone has changed its clock twice within so few days since 1970


@cache
def changes(zone: str, first_year: int, last_year: int) -> list[Change]:
    """Find the changes of a zone's clock by looking at it every few days, then more closely."""
    info = zoneinfo.ZoneInfo(zone)

    def offset(second: int) -> datetime.timedelta:
        shown = datetime.datetime.fromtimestamp(second, info)
        return shown.utcoffset() or datetime.timedelta()

    found = []
    second, end = ms(f"{first_year}-01-01") // 1000, ms(f"{last_year}-12-31") // 1000
    before = offset(second)
    while second < end:
        low, second = second, second + STEP_S
        if (after := offset(second)) == before:
            continue
        high = second
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if offset(middle) == before else (low, middle)
        found.append((high, int(before.total_seconds()), int(after.total_seconds())))
        before = after
    return found


def shown(second: int, offset: int) -> datetime.datetime:
    """What a clock with this offset shows."""
    return datetime.datetime.fromtimestamp(second + offset, UTC).replace(tzinfo=None)


FAMOUS = [
    "Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "America/Asuncion", "America/Caracas",
    "America/Godthab", "America/Havana", "America/New_York", "America/Santiago",
    "America/Sao_Paulo", "America/St_Johns", "America/Scoresbysund", "Antarctica/Troll",
    "Asia/Amman", "Asia/Beirut", "Asia/Gaza", "Asia/Kathmandu", "Asia/Pyongyang", "Asia/Tehran",
    "Asia/Kolkata", "Australia/Lord_Howe", "Australia/Sydney", "Europe/Berlin", "Europe/Dublin",
    "Europe/Istanbul", "Europe/London", "Europe/Lisbon", "Europe/Volgograd", "Pacific/Apia",
    "Pacific/Chatham", "Pacific/Easter", "Pacific/Kwajalein", "Pacific/Norfolk", "UTC",
]  # fmt: skip
