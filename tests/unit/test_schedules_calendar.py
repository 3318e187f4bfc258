"""Which days and times an expression names, on a plain calendar in UTC."""

from __future__ import annotations

import datetime

import pytest

from tests.unit.schedules_kit import ms
from wherry.schedules import firings, last_within, next_after
from wherry.schedules.reading import compiled

FAR_MS = 10**15


def said(moment_ms: int, form: str) -> str:
    return datetime.datetime.fromtimestamp(moment_ms / 1000, datetime.UTC).strftime(form)


def days(fields: str, since: str, count: int) -> list[str]:
    """The first days, from midnight of one on, on which a cron at 00:00 fires."""
    found: list[str] = []
    moment: int | None = ms(since) - 1
    while len(found) < count and moment is not None:
        moment = next_after(f"cron(0 0 {fields})", "UTC", moment, 0)
        if moment is not None:
            found.append(said(moment, "%Y-%m-%d"))
    return found


@pytest.mark.parametrize(
    ("fields", "since", "expected"),
    [
        ("* * ? *", "2026-02-27", ["2026-02-27", "2026-02-28", "2026-03-01"]),
        ("31 * ? *", "2026-01-01", ["2026-01-31", "2026-03-31", "2026-05-31", "2026-07-31"]),
        ("1/10 * ? *", "2026-02-01", ["2026-02-01", "2026-02-11", "2026-02-21", "2026-03-01"]),
        ("29 2 ? *", "2026-01-01", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("29 2 ? *", "2096-03-01", ["2104-02-29"]),
        ("29 2 ? *", "1999-01-01", ["2000-02-29"]),
        ("L * ? *", "2027-12-01", ["2027-12-31", "2028-01-31", "2028-02-29", "2028-03-31"]),
        ("L 2 ? *", "2026-01-01", ["2026-02-28", "2027-02-28", "2028-02-29"]),
        # 2026-01-31 is a Saturday, 2026-05-31 a Sunday, 2026-02-28 a Saturday.
        ("LW * ? *", "2026-01-01", ["2026-01-30", "2026-02-27", "2026-03-31", "2026-04-30",
                                    "2026-05-29"]),
        # 15 February 2026 is a Sunday, 15 August a Saturday.
        ("15W 2,8,9 ? *", "2026-01-01", ["2026-02-16", "2026-08-14", "2026-09-15"]),
        # The 1st is a Saturday in August 2026, a Sunday in November; it never leaves its month.
        ("1W 8,11 ? *", "2026-01-01", ["2026-08-03", "2026-11-02"]),
        # 31 May 2026 is a Sunday, 31 October a Saturday; April has no 31st, so no day near it.
        ("31W 4,5,10 ? *", "2026-01-01", ["2026-05-29", "2026-10-30"]),
        ("28W 2 ? *", "2026-01-01", ["2026-02-27", "2027-02-26", "2028-02-28"]),
        ("? * MON-FRI *", "2026-11-20", ["2026-11-20", "2026-11-23"]),
        ("? * 1,7 *", "2026-11-20", ["2026-11-21", "2026-11-22", "2026-11-28"]),
        ("? * L *", "2026-11-20", ["2026-11-21", "2026-11-28"]),
        ("? * 6L *", "2022-01-01", ["2022-01-28", "2022-02-25", "2022-03-25"]),
        ("? * 3#2 *", "2026-01-01", ["2026-01-13", "2026-02-10", "2026-03-10"]),
        ("? * MON#1 *", "2026-06-01", ["2026-06-01", "2026-07-06"]),
        ("? * 7#5 *", "2026-01-01", ["2026-01-31", "2026-05-30", "2026-08-29", "2026-10-31"]),
        ("1 1 ? 2030/50", "2026-01-01", ["2030-01-01", "2080-01-01", "2130-01-01", "2180-01-01"]),
        ("31 12 ? 2199", "2026-01-01", ["2199-12-31"]),
        ("1 JAN,JUL ? 2026-2027", "2026-01-02", ["2026-07-01", "2027-01-01", "2027-07-01"]),
    ],
)  # fmt: skip
def test_a_cron_fires_on_the_days_its_fields_name(
    fields: str, since: str, expected: list[str]
) -> None:
    assert days(fields, since, len(expected)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("0 10 * * ? *", ["10:00"]),
        ("1/10 7 * * ? *", ["07:01", "07:11", "07:21", "07:31", "07:41", "07:51"]),
        ("0/25 8-9 * * ? *", ["08:00", "08:25", "08:50", "09:00", "09:25", "09:50"]),
        ("0 */8 * * ? *", ["00:00", "08:00", "16:00"]),
        ("0 5/8 * * ? *", ["05:00", "13:00", "21:00"]),
        ("59 23,0 * * ? *", ["00:59", "23:59"]),
        ("10-30/10 3 * * ? *", ["03:10", "03:20", "03:30"]),
        ("5,3,4 12 * * ? *", ["12:03", "12:04", "12:05"]),
    ],
)
def test_a_cron_fires_at_the_times_its_fields_name(fields: str, expected: list[str]) -> None:
    first, last = ms("2026-11-21"), ms("2026-11-22") - 1
    found = firings(f"cron({fields})", "UTC", first - 1, last, 0)
    assert [said(one, "%H:%M") for one in found] == expected


def test_every_minute_is_every_minute() -> None:
    found = list(firings("cron(* * * * ? *)", "UTC", ms("2026-11-21"), ms("2026-11-22"), 0))
    assert found == list(range(ms("2026-11-21") + 60_000, ms("2026-11-22") + 1, 60_000))


def test_the_next_firing_is_after_the_moment_and_not_at_it() -> None:
    at = ms("2026-11-21 03:00")
    assert next_after("cron(0 3 * * ? *)", "UTC", at - 1, 0) == at
    assert next_after("cron(0 3 * * ? *)", "UTC", at, 0) == at + 86_400_000
    assert next_after("cron(0 3 * * ? *)", "UTC", at + 59_999, 0) == at + 86_400_000
    assert next_after("at(2026-11-21T03:00:00)", "UTC", at - 1, 0) == at
    assert next_after("at(2026-11-21T03:00:00)", "UTC", at, 0) is None


def test_a_rate_counts_from_its_start_and_fires_there_first() -> None:
    start = ms("2026-11-21") + 123
    assert next_after("rate(5 minutes)", "UTC", start - 1, start) == start
    assert next_after("rate(5 minutes)", "UTC", 0, start) == start
    assert next_after("rate(5 minutes)", "UTC", start, start) == start + 300_000
    assert next_after("rate(5 minutes)", "UTC", start + 299_999, start) == start + 300_000
    assert next_after("rate(5 minutes)", "UTC", start + 300_000, start) == start + 600_000


def test_a_cron_does_not_fire_before_its_start_and_an_at_does_not_care() -> None:
    start = ms("2026-11-21 03:00")
    assert next_after("cron(0 3 * * ? *)", "UTC", 0, start) == start
    assert next_after("cron(0 3 * * ? *)", "UTC", 0, start + 1) == start + 86_400_000
    assert next_after("at(2026-11-20T03:00:00)", "UTC", 0, start) == start - 86_400_000


def test_outside_of_all_years_nothing_goes_wrong() -> None:
    assert next_after("cron(0 0 1 1 ? 1970)", "UTC", -FAR_MS, -FAR_MS) == 0
    tokyo = "cron(0 0 1 1 ? 1970)", "Asia/Tokyo"
    assert next_after(*tokyo, -FAR_MS, -FAR_MS) == -9 * 3_600_000
    assert next_after(*tokyo, -FAR_MS, 0) is None
    assert next_after("cron(59 23 31 12 ? *)", "Etc/GMT+12", FAR_MS, 0) is None
    last = ms("2199-12-31 23:59") + 12 * 3_600_000
    assert next_after("cron(59 23 31 12 ? *)", "Etc/GMT+12", last - 1, 0) == last
    assert next_after("cron(59 23 31 12 ? *)", "Etc/GMT+12", last, 0) is None
    assert next_after("rate(1 day)", "UTC", FAR_MS, 0) == (FAR_MS // 86_400_000 + 1) * 86_400_000


def test_a_span_has_its_end_and_not_its_beginning() -> None:
    at = ms("2026-11-21 03:00")
    day = 86_400_000
    assert list(firings("cron(0 3 * * ? *)", "UTC", at, at + 2 * day, 0)) == [
        at + day,
        at + 2 * day,
    ]
    assert list(firings("cron(0 3 * * ? *)", "UTC", at - 1, at, 0)) == [at]
    assert list(firings("at(2026-11-21T03:00:00)", "UTC", 0, FAR_MS, 0)) == [at]


@pytest.mark.parametrize(
    "expression",
    [
        "rate(7 minutes)", "cron(0/5 * * * ? *)", "cron(* 3 1 1 ? *)", "cron(0 0 29 2 ? *)",
        "cron(0 9-17 ? * MON-FRI *)", "cron(30 2 ? * 1 2026)", "at(2026-03-03T03:03:03)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_the_last_of_a_span_is_the_last_of_its_firings(expression: str, zone: str) -> None:
    schedule = compiled(expression, zone)
    since = ms("2026-01-01")
    for until in (ms("2026-01-01 00:30"), ms("2026-01-09 12:17"), ms("2026-10-25 01:30")):
        found = [since, *firings(expression, zone, since, until, since)]
        assert last_within(schedule, since, until, since) == found[-1]
        for end in found[-3:]:
            assert last_within(schedule, since, end, since) == end
