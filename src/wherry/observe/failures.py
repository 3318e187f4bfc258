"""The failure inbox as text: a list to look over, and one failure in full."""

from __future__ import annotations

import msgspec

from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ago, show_moment
from wherry.observe.fields import payload
from wherry.observe.paint import PLAIN, Paint, in_line, in_lines
from wherry.ports import FailedWork, Failures

ERROR_CHARS = 60


def failures_text(found: Failures, now_ms: int, paint: Paint = PLAIN) -> str:
    """List what waits in the inbox, newest first, and what can be done about it."""
    if not found.rows:
        return "The failure inbox is empty."
    rows: list[list[Cell]] = [
        [
            row.id,
            row.queue,
            row.function,
            show_ago(now_ms, row.failed_at_ms),
            _tried(row),
            ("bad", in_line(row.error.split("\n")[0], ERROR_CHARS)),
        ]
        for row in found.rows
    ]
    head = ["ID", "queue", "function", "failed", "tried", "error"]
    count = f"{len(found.rows)} of {found.total}" if found.total > len(rows) else str(len(rows))
    more = f", the next page with --after {found.after}" if found.after else ""
    advice = f"{count} in the inbox{more}. wherry failures show | redrive | discard ID"
    return f"{columns(head, rows, paint, right='tried')}\n\n{paint('dim', advice)}"


def failure_text(row: FailedWork, now_ms: int, paint: Paint = PLAIN) -> str:
    """Return one failure with all that is known of it but its timeline."""
    facts = {
        "queue": f"{row.queue}, consumed by {row.function}",
        "sent": show_moment(row.sent_at_ms),
        "failed": f"{show_moment(row.failed_at_ms)} ({show_ago(now_ms, row.failed_at_ms)})",
        "attempts": _tried(row),
        "correlation": row.correlation_id,
    }
    if row.blocks:
        facts["group"] = "waits until this is redriven or discarded"
    if row.note:
        facts["note"] = row.note
    lines = [paint("strong", in_line(row.id)), ""]
    lines += [f"{paint('dim', name.ljust(12))}{in_line(text)}" for name, text in facts.items()]
    lines += ["", paint("dim", f"error ({in_line(row.code)})")]
    lines += [paint("bad", f"  {line}") for line in in_lines(row.error)]
    lines += ["", paint("dim", f"payload ({len(row.body)} bytes)")]
    return "\n".join([*lines, *(f"  {line}" for line in in_lines(_pretty(row.body)))])


def _tried(row: FailedWork) -> str:
    times = f"{row.attempts} time{'s' if row.attempts != 1 else ''}"
    return f"{times}, redriven {row.redrives}" if row.redrives else times


def _pretty(body: bytes) -> str:
    found = payload(body)
    return found if isinstance(found, str) else msgspec.json.format(body, indent=2).decode()
