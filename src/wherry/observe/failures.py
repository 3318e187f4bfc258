"""The failure inbox as text: a list to look over, and one failure in full."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ago, show_moment
from wherry.observe.fields import as_fields, payload
from wherry.observe.paint import PLAIN, Paint, in_line, in_lines
from wherry.ports import ExecutionRow, FailedWork, Failures
from wherry.tickets import ticket_of

ERROR_CHARS = 60


def failures_text(
    found: Failures,
    now_ms: int,
    paint: Paint = PLAIN,
    runs: Mapping[str, ExecutionRow] | None = None,
) -> str:
    """List what waits in the inbox, newest first, and what can be done about it.

    Args:
        runs: Of failures of a workflow's runs, by ID: the run.
    """
    runs = runs or {}
    if not found.rows:
        return "The failure inbox is empty."
    rows: list[list[Cell]] = [
        [
            row.id,
            row.queue,
            in_line(f"run {runs[row.id].name}" if row.id in runs else row.function),
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


def failure_fields(row: FailedWork, run: ExecutionRow | None = None) -> dict[str, Any]:
    """Return a failure as JSON; `run`: of a workflow's run its workflow, name and input."""
    told = None
    if run is not None:
        told = {"workflow": run.workflow, "name": run.name, "input": payload(run.input or b"null")}
    return {**as_fields(row), "run": told}


def failure_text(
    row: FailedWork, now_ms: int, paint: Paint = PLAIN, run: ExecutionRow | None = None
) -> str:
    """Return one failure with all that is known of it but its timeline.

    Args:
        run: Of the failure of a workflow's run: the run, whose input is shown as the payload.
    """
    of = {"queue": f"{row.queue}, consumed by {row.function}"}
    if run is not None:
        of = {"workflow": run.workflow, "run": run.name}
    facts = {
        **of,
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
    what, body = ("payload", row.body) if run is None else ("input", run.input or b"null")
    ticket = ticket_of(body)
    if ticket is not None:
        told = f"{what} ({ticket.size_bytes} bytes, as an object)"
        lines += ["", paint("dim", told), f"  wherry failures show {row.id} --payload"]
    else:
        lines += ["", paint("dim", f"{what} ({len(body)} bytes)")]
        lines += [f"  {line}" for line in in_lines(_pretty(body))]
    if run is not None:
        advice = f"wherry workflow describe {shlex.quote(run.name)} shows the run."
        lines += ["", paint("dim", in_line(advice))]
    return "\n".join(lines)


def _tried(row: FailedWork) -> str:
    times = f"{row.attempts} time{'s' if row.attempts != 1 else ''}"
    return f"{times}, redriven {row.redrives}" if row.redrives else times


def _pretty(body: bytes) -> str:
    found = payload(body)
    return found if isinstance(found, str) else msgspec.json.format(body, indent=2).decode()
