"""Executions of workflows as text: a list to look over, one of them, and its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from wherry.observe.columns import Cell, columns
from wherry.observe.durations import show_ago, show_moment, show_ms
from wherry.observe.fields import payload
from wherry.observe.paint import PLAIN, Paint, Style, in_line, in_lines
from wherry.ports import ExecutionRow, ExecutionRows
from wherry.statemachine.records import HistoryEvent

DATA_CHARS = 100  # of an event's data
WHERE_CHARS = 60

_STYLES: dict[str, Style] = {
    "RUNNING": "warn",
    "SUCCEEDED": "good",
    "FAILED": "bad",
    "TIMED_OUT": "bad",
    "ABORTED": "bad",
}
_UNSAID = frozenset({"name", "inputDetails", "outputDetails", "roleArn", "resourceType", "region"})
_ERRORS = ("Failed", "TimedOut", "Aborted")


def executions_text(found: ExecutionRows, now_ms: int, paint: Paint = PLAIN) -> str:
    """List executions, newest first."""
    if not found.rows:
        return "There are no such runs."
    rows: list[list[Cell]] = [
        [
            row.workflow,
            row.name,
            (_STYLES[row.status], row.status),
            show_ago(now_ms, row.started_ms),
            show_ms((row.ended_ms or now_ms) - row.started_ms),
            str(row.events),
            in_line(_where(row), WHERE_CHARS),
        ]
        for row in found.rows
    ]
    head = ["workflow", "run", "status", "started", "for", "events", "where"]
    more = f" The next page: --after {found.after}" if found.after is not None else ""
    advice = f"wherry workflow describe | history RUN shows one of them.{more}"
    return f"{columns(head, rows, paint, right='for events')}\n\n{paint('dim', advice)}"


def _where(row: ExecutionRow) -> str:
    if row.status == "RUNNING":
        return ", ".join(row.states)
    return ": ".join(filter(None, (row.error, *_cause(row.cause)[:1])))


def execution_text(
    row: ExecutionRow, now_ms: int, paint: Paint = PLAIN, waiting: Mapping[str, str] | None = None
) -> str:
    """Return one execution with its input, and its output or its error.

    Args:
        waiting: Tokens that tasks wait for, each with its state.
    """
    facts = {
        "workflow": row.workflow,
        "status": row.status,
        "started": f"{show_moment(row.started_ms)} ({show_ago(now_ms, row.started_ms)})",
    }
    if row.ended_ms is not None:
        took = show_ms(row.ended_ms - row.started_ms)
        facts["ended"] = f"{show_moment(row.ended_ms)}, after {took}"
    if row.status == "RUNNING" and row.states:
        facts["in state"] = ", ".join(row.states)
    facts["events"] = str(row.events)
    if row.redrives:
        facts["redriven"] = f"{row.redrives} time{'s' if row.redrives != 1 else ''}"
    facts["correlation"] = row.correlation_id
    lines = [paint("strong", in_line(row.name)), ""]
    for name, text in facts.items():
        style: Style = _STYLES[row.status] if name == "status" else "plain"
        lines.append(f"{paint('dim', name.ljust(12))}{paint(style, in_line(text))}")
    if row.error or row.cause:
        lines += ["", paint("dim", f"error ({in_line(row.error or 'without a name')})")]
        told = [line for text in _cause(row.cause) for line in in_lines(text)]
        lines += [paint("bad", f"  {line}") for line in told]
    if waiting:
        lines += ["", paint("dim", "waits for a decision: token, state")]
        lines += [f"  {in_line(token)}  {in_line(state)}" for token, state in waiting.items()]
        lines.append(paint("dim", "End it: wherry workflow succeed TOKEN, or fail TOKEN"))
    for name, body in (("input", row.input), ("output", row.output)):
        if body is not None:
            lines += ["", paint("dim", f"{name} ({len(body)} bytes)")]
            lines += [f"  {line}" for line in in_lines(_pretty(body))]
    return "\n".join(lines)


def _cause(cause: str | None) -> list[str]:
    """Return a cause in lines: of a function's failure its message, then where it was raised."""
    found = payload((cause or "").encode())
    if not isinstance(found, dict) or "errorMessage" not in found:
        return [cause] if cause else []
    trace = found.get("stackTrace")
    lines = "".join(map(str, trace)).rstrip().split("\n") if isinstance(trace, list) else []
    return [str(found["errorMessage"]), *filter(None, lines)]


def history_text(events: Sequence[HistoryEvent], paint: Paint = PLAIN) -> str:
    """Return a history, an event a line: its number, when after the first, what, and its data."""
    if not events:
        return "Nothing has happened yet."
    begin_ms = events[0].at_ms
    rows: list[list[Cell]] = []
    for event in events:
        name = (event.details or {}).get("name", "")
        of_a_state = event.type.endswith(("StateEntered", "StateExited"))
        told = f"{event.type} {name}" if of_a_state else event.type
        style: Style = "bad" if event.type.endswith(_ERRORS) else "plain"
        if event.type in ("ExecutionSucceeded", "ExecutionStarted"):
            style = "good"
        rows.append(
            [
                ("dim", str(event.id)),
                "" if event.at_ms == begin_ms else f"+{show_ms(event.at_ms - begin_ms)}",
                (style, told if of_a_state or event.type.startswith("Execution") else f"  {told}"),
                ("dim", in_line(_data(event), DATA_CHARS)),
            ]
        )
    table = columns(["", "after", "event", "data"], rows, paint, right="after")
    return f"{paint('dim', f'began {show_moment(begin_ms)}')}\n\n{table}"


def _data(event: HistoryEvent) -> str:
    """Return what an event says beside its type, without what is the same for all."""
    details = {key: value for key, value in (event.details or {}).items() if key not in _UNSAID}
    if len(details) == 1 and ("input" in details or "output" in details):
        return str(next(iter(details.values())))
    return ", ".join(f"{key}={_shown(value)}" for key, value in details.items())


def _shown(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _pretty(body: bytes) -> str:
    found = payload(body)
    return found if isinstance(found, str) else msgspec.json.format(body, indent=2).decode()
