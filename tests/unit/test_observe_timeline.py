"""The timeline: from rows to a tree, from the tree to one page."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.observe.paint import Paint
from wherry.observe.threads import threads
from wherry.observe.timeline import BAR, MARKS, recent_text, timeline_text
from wherry.ports import FailedWork, TimelineRows, Waiting
from wherry.telemetry import InvocationRecord

NOW_MS = 1_795_265_000_000
M1, M2 = "message-1", "message-2"


def record(number: int, at_ms: int = 0, **fields: Any) -> InvocationRecord:
    values: dict[str, Any] = {
        "number": number,
        "correlation_id": "c-1",
        "function": "create_order",
        "trigger": "POST /orders",
        "request_id": "r-1",
        "traceparent": "",
        "parent": "",
        "release": "release-1",
        "attempt": 1,
        "at_ms": NOW_MS + at_ms,
        "waited_ms": 0.5,
        "ran_ms": 4.0,
        "cold": False,
        "ending": "ok",
        "status": 0,
        "error": "",
        "cause": "",
        "marks": [],
    }
    return InvocationRecord(**(values | fields))


def request(*marks: str, **fields: Any) -> InvocationRecord:
    values: dict[str, Any] = {"status": 201, "marks": list(marks)}
    return record(1, **(values | fields))


def job(number: int, at_ms: int, cause: str = M1, **fields: Any) -> InvocationRecord:
    values: dict[str, Any] = {
        "function": "export",
        "trigger": "queue exports",
        "request_id": f"r-{number}",
        "cause": cause,
    }
    return record(number, at_ms, **(values | fields))


def waiting(id: str, **fields: Any) -> Waiting:
    values: dict[str, Any] = {
        "queue": "exports",
        "attempt": 0,
        "sent_at_ms": NOW_MS + 5,
        "visible_at_ms": NOW_MS + 5,
        "leased": False,
        "error": "",
    }
    return Waiting(id, **(values | fields))


def failed(id: str = M1, **fields: Any) -> FailedWork:
    values: dict[str, Any] = {
        "queue": "exports",
        "function": "export",
        "body": b'{"order_id":"o-1"}',
        "code": "handler_failed",
        "error": "ValueError: no room",
        "attempts": 3,
        "sent_at_ms": NOW_MS + 5,
        "failed_at_ms": NOW_MS + 2_000,
        "correlation_id": "c-1",
        "traceparent": "",
        "redrives": 0,
        "note": "",
    }
    return FailedWork(id, **(values | fields))


def page(*records: InvocationRecord, now_ms: int = NOW_MS + 60_000, **rest: Any) -> str:
    rows = TimelineRows(list(records), rest.get("waiting", []), rest.get("failures", []))
    return timeline_text(rows, "c-1", now_ms)


# -- the tree --------------------------------------------------------------------------------------


def test_a_message_stands_below_what_sent_it() -> None:
    """The tree follows the messages: request, its job, what that job sent."""
    rows = TimelineRows(
        [request(f"send exports {M1}"), job(2, 10, marks=[f"send mails {M2}"]), job(3, 20, M2)],
        [],
        [],
    )
    (root,) = threads(rows)
    assert [thread.id for thread in root.walk()] == ["r-1", M1, M2]
    assert not root.open


def test_what_was_not_committed_sent_nothing() -> None:
    """A failed attempt's `send` is no message: only the attempt that committed has children."""
    first = job(2, 10, ending="failed", marks=[f"send mails {M2}"])
    second = job(3, 1_000, attempt=2, marks=[f"send mails {M2}"])
    (root,) = threads(TimelineRows([request(f"send exports {M1}"), first, second], [], []))
    export = root.children[0]
    assert export.attempts[0].sent() == []
    assert export.attempts[1].sent() == [("mails", M2)]


def test_steps_belong_to_their_attempt() -> None:
    """A named step's record is no attempt of its own, and what it sent counts at once."""
    final = request("step held", ran_ms=9.0)
    step = record(2, trigger="step held", marks=["put stock/oar", f"send exports {M1}"])
    (root,) = threads(TimelineRows([final, step], [waiting(M1)], []))
    assert len(root.attempts) == 1
    assert root.attempts[0].steps == [step]
    assert [child.id for child in root.children] == [M1]


def test_a_step_stays_where_its_attempt_failed() -> None:
    """What a step had committed is told although the attempt failed afterwards."""
    final = request(status=500, ending="failed", error="ValueError: no", marks=["step held"])
    step = record(2, trigger="step held", marks=["put stock/oar"])
    text = page(final, step)
    assert "put stock/oar" in text
    (root,) = threads(TimelineRows([final, step], [], []))
    assert [attempt.record.ending for attempt in root.attempts] == ["failed"]


def test_a_message_that_nobody_sent_is_a_root() -> None:
    """An edited message has a new ID: it stands by itself, with the same correlation ID."""
    roots = threads(TimelineRows([request(), job(2, 10, "edited")], [], []))
    assert [root.id for root in roots] == ["r-1", "edited"]


def test_messages_that_send_each_other_do_not_loop() -> None:
    """A tree is built from any rows, also from those that make no sense."""
    first = job(2, 10, M1, marks=[f"send exports {M2}"])
    second = job(3, 20, M2, marks=[f"send exports {M1}"])
    roots = threads(TimelineRows([request(f"send exports {M1}"), first, second], [], []))
    assert [thread.id for thread in roots[0].walk()] == ["r-1", M1, M2]


# -- the page --------------------------------------------------------------------------------------


def test_the_page_tells_the_whole_story() -> None:
    """One page: request, effects, queue wait, each attempt with its error, retry and end."""
    text = page(
        request("read prices/oar", "put orders/o-1", f"send exports {M1}"),
        job(2, 5, waited_ms=1.0, ran_ms=20.0, ending="failed", error="ValueError: no room"),
        job(3, 1_000, attempt=2, marks=["put exports/o-1.csv (9 bytes)"], cold=True),
    )
    bar_at_first, bar_at_last = "▕█" + " " * 23 + "▏", "▕" + " " * 23 + "█▏"
    assert text.splitlines() == [
        "POST /orders took 4.5 ms and was answered with 201; all was done after 1.00 s",
        "2026-11-21 12:43:20.000 UTC, correlation ID c-1",
        "",
        "   when  what                                 ended     waited       ran",
        f"+0.0 ms  POST /orders  create_order           201       0.5 ms    4.0 ms  {bar_at_first}",
        "              read prices/oar",
        "              put orders/o-1",
        f"              send exports {M1}",
        f"+5.0 ms  └─ queue exports  export, attempt 1  failed    1.0 ms     20 ms  {bar_at_first}",
        "                 ValueError: no room",
        f"+1.00 s     attempt 2                         ok        0.5 ms    4.0 ms  {bar_at_last}"
        " cold",
        "                 put exports/o-1.csv (9 bytes)",
    ]


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ({"waiting": [waiting(M1, visible_at_ms=NOW_MS + 80_000)]}, "attempt 1 is due in 20.0 s"),
        ({"waiting": [waiting(M1)]}, "attempt 1 is due"),
        ({"waiting": [waiting(M1, held="paused")]}, "attempt 1 waits: its function is paused"),
        ({"waiting": [waiting(M1, held="behind")]}, "attempt 1 waits: others of its group first"),
        ({"waiting": [waiting(M1, leased=True, attempt=2)]}, "attempt 2 is running"),
        (
            {"failures": [failed()]},
            f"failed for good 58 s ago after 3 attempts: wherry failures show {M1}",
        ),
        ({}, "it was cancelled, discarded, edited, a repeat, or its retention ended"),
    ],
)
def test_the_page_tells_what_has_become_of_a_message(rest: dict[str, Any], told: str) -> None:
    """What waits, runs, failed or went away is told below it."""
    text = page(request(f"send exports {M1}"), **rest)
    assert told in text
    assert ("not all is done yet" in text) == ("waiting" in rest)


def test_a_redrive_is_seen() -> None:
    """Attempts that begin again after a failure were redriven by somebody."""
    text = page(
        request(f"send exports {M1}"),
        job(2, 5, ending="failed", error="ValueError: no room"),
        job(3, 30_000),
    )
    assert "redriven" in text
    assert text.index("no room") < text.index("redriven") < text.index("attempt 1 again")


def test_a_lost_conflict_is_no_redrive() -> None:
    """A run that lost a conflict is run again under the same attempt."""
    text = page(request(ending="conflict", status=0, error="orders/o-1: x was first"), record(2))
    assert "lost a conflict" in text
    assert "redriven" not in text


def test_nothing_of_a_failed_attempt_was_applied() -> None:
    """Effects that were dropped are shown with the word that they were."""
    assert "nothing of it was applied" in page(request("put orders/o-1", ending="failed"))
    assert "nothing of it" not in page(request("read orders/o-1", ending="failed"))


def test_many_effects_are_cut_short() -> None:
    """The page stays a page: beyond ten marks they are counted."""
    text = page(request(*(f"put orders/o-{number}" for number in range(90))))
    assert f"... and {90 - MARKS} more" in text
    assert text.count("put orders") == MARKS


def test_bars_stay_in_their_frame() -> None:
    """Whatever the durations, every bar has the same width and shows something."""
    text = page(
        request(f"send exports {M1}", waited_ms=0.0, ran_ms=0.0),
        job(2, 3_600_000, ran_ms=0.0),
        job(3, -5, "odd", waited_ms=-3.0, ran_ms=-1.0),
    )
    bars = [line.partition("▕")[2].partition("▏")[0] for line in text.splitlines() if "▕" in line]
    assert [len(bar) for bar in bars] == [BAR] * 3
    assert all("█" in bar for bar in bars)


def test_records_cannot_command_a_terminal() -> None:
    """Control characters of an error or a mark are shown, not sent."""
    text = page(request("put orders/\x1b[2J", ending="failed", error="a\x1b]0;x\x07\nb\x9b1m"))
    assert "\x1b" not in text
    assert "\x9b" not in text
    assert r"a\x1b]0;x\x07\nb\x9b1m" in text


def test_colours_change_nothing_else() -> None:
    """Without its colours a painted page is the plain page."""
    import re

    rows = TimelineRows([request(f"send exports {M1}"), job(2, 5, ending="died")], [], [failed()])
    painted = timeline_text(rows, "c-1", NOW_MS, Paint(on=True))
    assert "\x1b[31m" in painted
    assert re.sub("\x1b\\[\\d+m", "", painted) == timeline_text(rows, "c-1", NOW_MS)


def test_nothing_known_is_said() -> None:
    """An ID without records is told as such."""
    assert page() == "Nothing is known of c-1."


# -- the list --------------------------------------------------------------------------------------


def test_recent_requests_are_one_line_each() -> None:
    """The newest first, with how the request ended and what its background came to."""
    records = [
        request(f"send exports {M1}"),
        job(2, 5, ending="failed", error="no"),
        record(3, 500, correlation_id="c-2", request_id="r-3", trigger="GET /orders", status=404,
               ending="refused"),
    ]  # fmt: skip
    lines = recent_text(records, NOW_MS + 2_000, 10).splitlines()
    assert [line.split("  ")[0] for line in lines[1:3]] == ["c-2", "c-1"]
    assert "404" in lines[1]
    assert "1 job, failed" in lines[2]
    assert len(recent_text(records, NOW_MS, 1).splitlines()) == 4


def test_a_job_that_was_redriven_to_success_is_fine() -> None:
    """The list tells how a job ended, not how it went meanwhile."""
    records = [request(f"send exports {M1}"), job(2, 5, ending="failed"), job(3, 9_000)]
    assert "1 job\n" in recent_text(records, NOW_MS, 10)


def test_an_empty_list_says_so() -> None:
    """A store without records has nothing to choose from."""
    assert recent_text([], NOW_MS, 10) == "No request is remembered yet."
