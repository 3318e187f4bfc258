"""Which expressions are schedules, and what is said of those that are not."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wherry import limits
from wherry.schedules import At, Cron, Rate, ScheduleInvalid, compiled, faults, next_after


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("rate(1 minute)", 60),
        ("rate(5 minutes)", 300),
        ("rate(1 hour)", 3_600),
        ("rate(12 hours)", 43_200),
        ("rate(1 day)", 86_400),
        ("rate(7 days)", 604_800),
        ("rate(3660 days)", 3_660 * 86_400),
        ("rate(1 days)", 86_400),  # as the user guide of EventBridge Scheduler writes it
        ("rate(5 minute)", 300),
        ("rate( 5   minutes )", 300),
    ],
)
def test_a_rate_is_a_value_and_a_unit(expression: str, seconds: int) -> None:
    assert faults(expression) == []
    schedule = compiled(expression)
    assert isinstance(schedule, Rate)
    assert schedule.period_ms == seconds * 1000


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("rate(1 days)", "rate(1 day)"),
        ("rate(05 minute)", "rate(5 minutes)"),
        ("cron(0 3 * * ?)", "cron(0 3 * * ? *)"),
        ("cron( 0  3 ? jan mon-fri 2030 )", "cron(0 3 ? JAN MON-FRI 2030)"),
        ("at( 2030-01-01T00:00:00 )", "at(2030-01-01T00:00:00)"),
    ],
)
def test_an_expression_is_kept_as_every_part_of_aws_takes_it(written: str, canonical: str) -> None:
    assert compiled(written).expression == canonical
    assert compiled(canonical).expression == canonical


@pytest.mark.parametrize(
    "fields",
    [
        "0 10 * * ? *", "15 12 * * ? *", "0 18 ? * MON-FRI *", "0 8 1 * ? *", "0/15 * * * ? *",
        "0/10 * ? * MON-FRI *", "0/5 8-17 ? * MON-FRI *", "15 10 ? * 6L 2022-2023",
        "0 9 ? * 2#1 *", "0 9 ? * MON#5 *", "0 18 ? * L *", "0 18 ? * FRIL *", "0 18 L * ? *",
        "0 18 LW * ? *", "0 18 3W * ? *", "0 18 31W * ? *", "* * * * ? *", "59 23 31 12 ? 2199",
        "0,30 6,18 1,15 JAN,JUL ? 2026,2028", "1/10 * * * ? *", "*/7 * * * ? *",
        "5-50/15 * * * ? *", "0 1-7/2,11-23/2,10 * * ? *", "30 0 1 JAN-APR,JUL-OCT/2,DEC ? *",
        "0 0 1 1-12/3 ? *", "0 0 29 FEB ? *", "07 08 01 02 ? *", "0 0 ? * 1-7 *", "0 0 ? * * *",
        "0 0 ? * sun,Tue,7 *", "0 0 1 1 ? 1970/10", "0 0 1 1 ? */4",
    ],
)  # fmt: skip
def test_these_crons_are_taken(fields: str) -> None:
    assert faults(f"cron({fields})") == []
    assert isinstance(compiled(f"cron({fields})"), Cron)


def test_an_at_is_a_second_of_a_clock() -> None:
    schedule = compiled("at(2026-12-24T18:30:15)", "Europe/Berlin")
    assert isinstance(schedule, At)
    assert next_after("at(2026-12-24T18:30:15)", "Europe/Berlin", 0, 0) == 1_798_133_415_000
    assert (
        datetime.datetime.fromtimestamp(1_798_133_415, datetime.UTC).isoformat()
        == "2026-12-24T17:30:15+00:00"
    )


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ("60 0 * * ? *", "minutes: '60' is out of range. Allowed: 0-59 and , - * /."),
        ("0 24 * * ? *", "hours: '24' is out of range. Allowed: 0-23"),
        ("0 0 0 * ? *", "day-of-month: '0' is out of range. Allowed: 1-31 and , - * ? / L W."),
        ("0 0 32 * ? *", "day-of-month: '32'"),
        ("0 0 1 0 ? *", "month: '0' is out of range. Allowed: 1-12 or JAN-DEC and , - * /."),
        ("0 0 1 13 ? *", "month: '13'"),
        ("0 0 ? * 0 *", "day-of-week: '0' is out of range: here 1 is SUN and 7 is SAT"),
        ("0 0 ? * 8 *", "day-of-week: '8' is out of range. Allowed: 1-7 or SUN-SAT"),
        ("0 0 1 1 ? 1969", "year: '1969' is out of range. Allowed: 1970-2199"),
        ("0 0 1 1 ? 2200", "year: '2200'"),
        ("x 0 * * ? *", "minutes: 'X' is not a value of this field"),
        ("0 MON * * ? *", "hours: 'MON' is not a value"),
        ("0 0 1 JANUARY ? *", "month: 'JANUARY' is not a value"),
        ("0 0 ? * MONDAY *", "day-of-week: 'MONDAY' is not a value"),
        ("0 0 ? JAN,FOO MON *", "month: 'FOO' is not a value"),
        ("1, 0 * * ? *", "minutes: '' is an empty place in a list"),
        ("*,5 0 * * ? *", "minutes: '*' names every value"),
        ("? 0 * * ? *", "minutes: '?' has a '?', which stands alone"),
        ("0 0 ?/2 * ? *", "day-of-month: '?/2' has a '?'"),
        ("5-1 0 * * ? *", "minutes: '5-1' goes down; write 5-59,0-1 if that is meant"),
        ("0 22-2 * * ? *", "hours: '22-2' goes down; write 22-23,0-2 if that is meant"),
        ("0 0 ? * SAT-MON *", "day-of-week: 'SAT-MON' goes down; write 7,1-2 if that is meant"),
        ("0 0 1 1 ? 2030-2026", "year: '2030-2026' goes down; write 2026-2030"),
        ("1-2-3 0 * * ? *", "minutes: '1-2-3' is not a value"),
        ("-1 0 * * ? *", "minutes: '-1' is not a value"),
        ("*-5 0 * * ? *", "minutes: '*-5' is not a value"),
        ("/5 0 * * ? *", "minutes: '/5' is not a value"),
        ("0/0 0 * * ? *", "minutes: '0/0' has a step that is not 1-59"),
        ("0/60 0 * * ? *", "minutes: '0/60' has a step that is not 1-59"),
        ("0/ 0 * * ? *", "minutes: '0/' has a step that is not 1-59"),
        ("0/5/5 0 * * ? *", "minutes: '0/5/5' has a step that is not 1-59"),
        ("0 0/24 * * ? *", "hours: '0/24' has a step that is not 1-23"),
        ("0 0 1 1 ? 1970/230", "year: '1970/230' has a step that is not 1-229"),
        ("0 0 ? * MON/2 *", "day-of-week: 'MON/2' has a step, which this field does not take"),
        ("0 0 L-3 * ? *", "day-of-month: 'L-3' has L or W in a list or a range"),
        ("0 0 1,L * ? *", "day-of-month: '1,L' has L or W in a list"),
        ("0 0 1W,15W * ? *", "day-of-month: '1W,15W' has L or W in a list"),
        ("0 0 5L * ? *", "day-of-month: '5L' is not L (the last day) or LW"),
        ("0 0 W * ? *", "day-of-month: 'W' is not a value"),
        ("0 0 W3 * ? *", "day-of-month: 'W3' is not a day and then W"),
        ("0 0 32W * ? *", "day-of-month: '32W' is out of range"),
        ("0 0 ? * L5 *", "day-of-week: 'L5' is not a day and then L, as in 6L"),
        ("0 0 ? * L-2 *", "day-of-week: 'L-2' has L in a list or a range"),
        ("0 0 ? * 8L *", "day-of-week: '8L' is out of range"),
        ("0 0 ? * 3#6 *", "day-of-week: '3#6' has no number 1-5 after the #"),
        ("0 0 ? * 3#0 *", "day-of-week: '3#0' has no number 1-5"),
        ("0 0 ? * 3# *", "day-of-week: '3#' has no number 1-5"),
        ("0 0 ? * #2 *", "day-of-week: '#2' is not a value"),
        ("0 0 ? * 3#1,6#3 *", "day-of-week: '3#1,6#3' has # in a list"),
        ("0 0 ? * 15W *", "day-of-week: '15W' is not a value"),
        ("0 0 3#2 * ? *", "day-of-month: '3#2' is not a value"),
        ("0 0 * * * *", "are '*' and '*'; one of them must be '?'"),
        ("0 0 1 * MON *", "are '1' and 'MON'; one of them must be '?'"),
        ("0 0 ? * ? *", "are both '?'; name the days in one of them"),
        ("0 0 * *", "has 4 field(s), not the six: minutes hours day-of-month month"),
        ("0 0 0 * * ? *", "has 7 field(s)"),
        ("", "has 0 field(s)"),
    ],
)  # fmt: skip
def test_a_bad_cron_is_refused_with_field_value_and_what_is_allowed(
    fields: str, fault: str
) -> None:
    found = faults(f"cron({fields})")
    assert len(found) == 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("rate(0 minutes)", "value: '0' is not a whole number from 1 on"),
        ("rate(-1 minutes)", "value: '-1'"),
        ("rate(1.5 hours)", "value: '1.5'"),
        ("rate(5 weeks)", "unit: 'weeks' is not minute(s), hour(s) or day(s)"),
        ("rate(5 seconds)", "unit: 'seconds'"),
        ("rate(5 minutess)", "unit: 'minutess'"),
        ("rate(5 Minutes)", "unit: 'Minutes'"),
        ("rate(5minutes)", "is not a value and a unit"),
        ("rate()", "is not a value and a unit"),
        ("rate(3661 days)", "value: 3661 days is more than 3660 days"),
        ("rate(" + "9" * 200 + " days)", "is more than 3660 days"),
        ("at(2026-02-29T00:00:00)", "not on the calendar or the clock: day is out of range"),
        ("at(2026-13-01T00:00:00)", "month must be in 1..12"),
        ("at(2026-01-01T24:00:00)", "hour must be in 0..23"),
        ("at(2026-01-01T00:00:60)", "second must be in 0..59"),
        ("at(2026-01-01T00:00)", "is not of the form yyyy-mm-ddThh:mm:ss"),
        ("at(2026-01-01 00:00:00)", "is not of the form"),
        ("at(2026-01-01T00:00:00Z)", "it has no offset"),
        ("at(2026-01-01T00:00:00.5)", "is not of the form"),
        ("at(1969-12-31T23:59:59)", "year: 1969 is not 1970-2199"),
        ("at(2200-01-01T00:00:00)", "year: 2200 is not 1970-2199"),
        ("", "is none of rate(value unit), cron(minutes hours"),
        ("0 3 * * ? *", "is none of rate"),
        ("@daily", "is none of rate"),
        ("CRON(0 3 * * ? *)", "is none of rate"),
        ("cron(0 3 * * ? *", "is none of rate"),
        ("cron(0 3 * * ? *) ", "is none of rate"),
        ("cron(0 3 ? * \u017fun *)", "is none of rate"),
        ("cron(\u0663 3 * * ? *)", "is none of rate"),
        ("cron(0 3 * * ? " + "2026," * 60 + "2027)", "at most 256 are allowed"),
    ],
)
def test_a_bad_expression_is_refused_with_its_reason(expression: str, fault: str) -> None:
    found = faults(expression)
    assert len(found) == 1
    assert fault in found[0]
    with pytest.raises(ScheduleInvalid) as refusal:
        compiled(expression)
    assert refusal.value.faults == found
    assert fault in str(refusal.value)


def test_all_reasons_come_at_once() -> None:
    found = faults("cron(75 24 0 13 8 1969)", "Europe/Berln")
    assert [fault.partition(":")[0] for fault in found] == [
        "time zone",
        "minutes",
        "hours",
        "day-of-month and day-of-week are '0' and '8'; one of them must be '?', "
        "the one that does not matter.",
        "day-of-month",
        "day-of-week",
        "month",
        "year",
    ]
    assert len(faults("rate(0 weeks)", "Mars")) == 3


@pytest.mark.parametrize(
    ("zone", "advice"),
    [
        ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("europe/berlin", "did you mean 'Europe/Berlin'?"),
        ("Berlin", "did you mean 'Europe/Berlin'?"),
        ("nowhere at all", "write one as 'Europe/Berlin'"),
        ("CEST", ""),
        ("+01:00", ""),
        ("UTC+1", ""),
        ("localtime", ""),
        ("Factory", ""),
        ("posix/Europe/Berlin", "did you mean 'Europe/Berlin'?"),
        ("Europe", ""),
        ("../../etc/passwd", ""),
        ("/usr/share/zoneinfo/UTC", ""),
        ("", ""),
        ("a\0b", ""),
        ("\ud800", ""),
    ],
)
def test_a_zone_is_a_name_of_the_iana_database(zone: str, advice: str) -> None:
    for expression in ("cron(0 3 * * ? *)", "rate(1 hour)", "at(2030-01-01T00:00:00)"):
        (fault,) = faults(expression, zone)
        assert "is not a name of the IANA database" in fault
        assert advice in fault


@pytest.mark.parametrize(
    ("fields", "zone"),
    [
        ("0 0 30 2 ? *", "UTC"),
        ("0 0 31 4,6,9,11 ? *", "UTC"),
        ("0 0 29 2 ? 2027", "UTC"),
        ("0 0 29 2 ? 2100", "UTC"),
        ("0 0 31W FEB ? *", "UTC"),
        ("0 0 ? 2 3#5 2026", "UTC"),
        ("30 2 29 3 ? 2026", "Europe/Berlin"),
        ("* * 30 12 ? 2011", "Pacific/Apia"),
    ],
)
def test_a_cron_that_never_fires_is_refused_and_has_no_next(fields: str, zone: str) -> None:
    (fault,) = faults(f"cron({fields})", zone)
    assert fault.startswith(f"cron({fields}) never fires in {zone}:")
    assert next_after(f"cron({fields})", zone, 0, 0) is None


def test_a_day_that_some_years_have_is_taken() -> None:
    assert faults("cron(0 0 29 2 ? *)") == []
    assert faults("cron(0 0 ? 2 3#5 *)") == []
    assert faults("cron(30 2 29 3 ? *)", "Europe/Berlin") == []


def test_an_at_that_the_clock_leaves_out_is_refused_with_the_time_it_shows_then() -> None:
    (fault,) = faults("at(2026-03-29T02:30:00)", "Europe/Berlin")
    assert "is no time of Europe/Berlin" in fault
    assert "Write at(2026-03-29T03:30:00)" in fault
    assert faults("at(2026-03-29T02:30:00)", "Europe/London") == []
    assert faults("at(2026-10-25T02:30:00)", "Europe/Berlin") == []


ALPHABET = "0123456789*?/,-LW# MONSATJUL\n"


@settings(deadline=None)
@given(st.text(ALPHABET, max_size=40) | st.text(max_size=20), st.sampled_from(["cron", "rate", ""]))
def test_any_text_is_taken_or_refused_with_sentences(text: str, form: str) -> None:
    expression = f"{form}({text})"
    found = faults(expression)
    assert all(fault.endswith((".", "?")) and len(fault) < 700 for fault in found)
    if found == []:
        assert len(expression) <= limits.SCHEDULE_EXPRESSION_LENGTH
        assert next_after(expression, "UTC", -(10**12), 0) is not None
