"""Log lines: JSON for machines, shown to people as one readable line each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from wherry.observe.paint import PLAIN, Paint, Style, in_line, in_lines

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_STYLES: dict[str, Style] = {"DEBUG": "dim", "INFO": "good", "WARNING": "warn", "ERROR": "bad"}
_OF_THE_LAYOUT = {"level", "timestamp", "message", "function_name", "correlation_id", "exception"}
_FOR_MACHINES = {"service", "location", "function_request_id", "xray_trace_id", "cold_start"}
_SHOWN = {*_OF_THE_LAYOUT, *_FOR_MACHINES, "printed"}


class Wanted(msgspec.Struct, frozen=True):
    """Which lines are wanted: of a function, a correlation ID (or its beginning), from a level on.

    `since_ms` is in milliseconds since the epoch.
    """

    function: str = ""
    correlation_id: str = ""
    level: str = "DEBUG"
    since_ms: int = 0

    def fits(self, record: dict[str, Any]) -> bool:
        """Whether a line is wanted."""
        if self.function and record.get("function_name") != self.function:
            return False
        if not str(record.get("correlation_id", "")).startswith(self.correlation_id):
            return False
        level = record.get("level")
        if level in LEVELS and LEVELS.index(level) < LEVELS.index(self.level):
            return False
        return self.since_ms == 0 or _moment_ms(record) >= self.since_ms


def read_line(line: bytes) -> dict[str, Any] | None:
    """Return a line's record; None where it is no JSON object."""
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        return None
    return record if isinstance(record, dict) else None


def readable(line: bytes, paint: Paint = PLAIN) -> str:
    """Return a line for people: time, level, function, message, fields, correlation ID.

    The ID is whole: those that wherry makes begin with the time, so that the first eight characters
    of all that came within four seconds are the same. An exception follows on lines of its own.
    What is no JSON is shown as it is.
    """
    record = read_line(line)
    if record is None:
        return in_line(line.decode("utf-8", "replace").rstrip("\n"))
    level = str(record.get("level", ""))
    parts = [
        paint("dim", _time(record)),
        paint(_STYLES.get(level, "plain"), level.ljust(7)),
        paint("strong", in_line(str(record.get("function_name", "-"))).ljust(16)),
        in_line(str(record.get("message", ""))),
        *_fields(record, paint),
    ]
    correlation_id = in_line(str(record.get("correlation_id", "")))
    if correlation_id:
        parts.append(paint("dim", f"[{correlation_id}]"))
    lines = [" ".join(parts)]
    exception = record.get("exception")
    if exception:
        lines += [paint("dim", f"    {one}") for one in in_lines(str(exception).rstrip("\n"))]
    return "\n".join(lines)


def _fields(record: dict[str, Any], paint: Paint) -> list[str]:
    """Show the fields; of the engine's own line on an attempt only what says something."""
    shown = []
    for name, value in record.items():
        if name in _SHOWN or (name == "attempt" and value == 1) or (name == "status" and not value):
            continue
        if name == "ending" and (value == "ok" or record.get("status")):
            continue
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if not text or " " in text:
            text = msgspec.json.encode(text).decode()
        shown.append(paint("dim", f"{in_line(name)}=") + in_line(text))
    return shown


def _time(record: dict[str, Any]) -> str:
    """The time of day; the date is in the JSON."""
    stamp = str(record.get("timestamp", ""))
    return in_line(stamp[11:23] if len(stamp) == 24 else stamp)


def _moment_ms(record: dict[str, Any]) -> int:
    try:
        return int(datetime.fromisoformat(str(record.get("timestamp"))).timestamp() * 1000)
    except ValueError:
        return 0
