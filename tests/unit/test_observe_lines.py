"""Log lines, failures and durations as people read them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wherry.errors import Refused
from wherry.observe.columns import columns
from wherry.observe.durations import read_since, show_ago, show_moment, show_ms
from wherry.observe.failures import failure_text, failures_text
from wherry.observe.fields import as_fields
from wherry.observe.loglines import Wanted, readable
from wherry.observe.paint import Paint
from wherry.ports import FailedWork, Failures

NOW_MS = 1_795_265_000_000
LINE = {
    "level": "INFO",
    "timestamp": "2026-11-21T12:42:26.123Z",
    "message": "order created",
    "location": "create_order:12",
    "service": "shop",
    "function_name": "create_order",
    "correlation_id": "abcdef0123456789",
    "order_id": "o-1",
}


def line(**fields: Any) -> bytes:
    return msgspec.json.encode(LINE | fields) + b"\n"


# -- durations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("duration_ms", "shown"),
    [
        (0, "0.0 ms"),
        (0.26, "0.3 ms"),
        (9.94, "9.9 ms"),
        (9.97, "10 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (1_250, "1.25 s"),
        (9_996, "10.0 s"),
        (59_900, "59.9 s"),
        (60_000, "1 min"),
        (185_000, "3 min 5 s"),
        (7_500_000, "2 h 5 min"),
        (90_000_000, "1 d 1 h"),
        (-1_250, "-1.25 s"),
    ],
)
def test_durations_have_two_or_three_digits(duration_ms: float, shown: str) -> None:
    """A duration is shown in the unit that fits it."""
    assert show_ms(duration_ms) == shown


def test_moments_are_shown_in_utc() -> None:
    """A moment has its date, milliseconds and zone; what was now was just now."""
    assert show_moment(NOW_MS + 7) == "2026-11-21 12:43:20.007 UTC"
    assert show_ago(NOW_MS, NOW_MS - 999) == "just now"
    assert show_ago(NOW_MS, NOW_MS - 5_900) == "5 s ago"
    assert show_ago(NOW_MS, NOW_MS - 61_500) == "1 min 1 s ago"


@pytest.mark.parametrize(
    ("text", "before_ms"),
    [("10m", 600_000), ("1h 30min", 5_400_000), ("2d", 172_800_000), ("0.5s", 500),
     ("2026-11-21T12:43:10", 10_000), ("2026-11-21T13:43:10+01:00", 10_000)],
)  # fmt: skip
def test_spans_are_read(text: str, before_ms: int) -> None:
    """A span begins a duration ago, or at a moment (UTC where no zone is given)."""
    assert read_since(text, NOW_MS) == NOW_MS - before_ms


@pytest.mark.parametrize("text", ["", "soon", "10", "10x", "m", "10m later"])
def test_what_is_no_span_is_refused(text: str) -> None:
    """What cannot be read is refused with examples."""
    with pytest.raises(Refused, match="10m, 2h"):
        read_since(text, NOW_MS)


# -- log lines -------------------------------------------------------------------------------------


def test_a_line_is_readable() -> None:
    """Time, level, function, message, fields, correlation ID (whole); no machine's fields."""
    assert readable(line()) == (
        "12:42:26.123 INFO    create_order     order created order_id=o-1 [abcdef0123456789]"
    )


def test_fields_keep_their_values_apart() -> None:
    """Values with spaces are quoted, others are JSON."""
    shown = readable(line(note="a b", empty="", count=3, parts=[1, {"a": None}]))
    assert 'note="a b" empty="" count=3 parts=[1,{"a":null}]' in shown


def test_an_exception_follows_its_line() -> None:
    """A trace is shown as lines, not as one with backslashes."""
    shown = readable(line(level="ERROR", exception="Traceback:\n  File x\nValueError: no"))
    assert shown.splitlines()[1:] == ["    Traceback:", "      File x", "    ValueError: no"]


def test_the_engines_line_says_what_is_unusual() -> None:
    """First attempts, zero statuses and good endings are not worth a word."""
    fine = readable(line(status=0, ending="ok", attempt=1))
    assert "ending" not in fine
    assert "attempt" not in fine
    assert "status" not in fine
    assert "ending=died attempt=2" in readable(line(status=0, ending="died", attempt=2))


def test_what_is_no_log_line_is_shown() -> None:
    """Garbage in a log is shown as it is, without commanding the terminal."""
    assert readable(b"plain \x1b[2J\n") == r"plain \x1b[2J"
    assert readable(b"[1]\n") == "[1]"


def test_lines_are_coloured_by_level() -> None:
    """An error is red where a person looks."""
    assert "\x1b[31mERROR" in readable(line(level="ERROR"), Paint(on=True))


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Wanted(), True),
        (Wanted(function="create_order"), True),
        (Wanted(function="create"), False),
        (Wanted(correlation_id="abcdef01"), True),
        (Wanted(correlation_id="abcdeg"), False),
        (Wanted(level="INFO"), True),
        (Wanted(level="WARNING"), False),
        (Wanted(since_ms=1_795_264_946_123), True),
        (Wanted(since_ms=1_795_264_946_124), False),
    ],
)
def test_lines_are_chosen(wanted: Wanted, fits: bool) -> None:
    """By function, by the beginning of the correlation ID, by level and by time."""
    assert wanted.fits(LINE) is fits


# -- failures --------------------------------------------------------------------------------------


def failed(**fields: Any) -> FailedWork:
    values: dict[str, Any] = {
        "id": "m-1",
        "queue": "exports",
        "function": "export",
        "body": b'{"order_id":"o-1"}',
        "code": "handler_failed",
        "error": "ValueError: no room\nat x",
        "attempts": 3,
        "sent_at_ms": NOW_MS - 60_000,
        "failed_at_ms": NOW_MS - 30_000,
        "correlation_id": "c-1",
        "traceparent": "",
        "redrives": 0,
        "note": "",
    }
    return FailedWork(**(values | fields))


def test_failures_are_listed_with_what_can_be_done() -> None:
    """One line a failure, the error's first line, and the verbs that lead out."""
    text = failures_text(Failures([failed(), failed(id="m-2", redrives=1)], "7", 12), NOW_MS)
    lines = text.splitlines()
    assert " ".join(lines[1].split()) == ("m-1 exports export 30 s ago 3 times ValueError: no room")
    assert "redriven 1" in lines[2]
    assert "2 of 12 in the inbox, the next page with --after 7" in lines[-1]
    assert failures_text(Failures([], None, 0), NOW_MS) == "The failure inbox is empty."


def test_a_failure_is_shown_in_full() -> None:
    """All lines of the error, and the payload as JSON that can be read."""
    text = failure_text(failed(), NOW_MS)
    assert "  at x" in text
    assert '    "order_id": "o-1"' in text
    assert "c-1" in text
    assert "  not json" in failure_text(failed(body=b"not json"), NOW_MS)
    assert "group" not in text
    assert "waits until this is redriven" in failure_text(failed(blocks=True), NOW_MS)


def test_records_are_json_by_name() -> None:
    """For programs a record has the names of its fields, and a payload is its JSON."""
    fields = as_fields({"rows": [failed()]})["rows"][0]
    assert fields["id"] == "m-1"
    assert fields["body"] == {"order_id": "o-1"}
    assert as_fields(b"\xff") == "\N{REPLACEMENT CHARACTER}"


def test_columns_are_aligned() -> None:
    """Cells of a column begin, or end, at the same place, whatever their colours."""
    text = columns(["name", "count"], [["a", "1"], [("bad", "long name"), "200"]], right="count")
    assert text.splitlines() == ["name       count", "a              1", "long name    200"]
