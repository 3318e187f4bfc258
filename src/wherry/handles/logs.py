"""Log lines: one JSON object a line, with the keys of Powertools for AWS Lambda.

A line is written at once, so that it survives a handler that hangs or is killed.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.codec import to_json
from wherry.handles.scope import maybe_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.handles.scope import Scope

_hidden: set[str] = set()
_in_text: tuple[bytes, ...] = ()  # forms that a hidden value takes, the longest first
_in_lines: tuple[bytes, ...] = ()
_service = "wherry"
_second = 0, "1970-01-01T00:00:00"


def _to_stdout(line: bytes) -> None:
    os.write(1, line)


_write: Callable[[bytes], Any] = _to_stdout
lines_written = 0


def send_lines_to(
    write: Callable[[bytes], Any] | None, service: str
) -> tuple[Callable[[bytes], Any], str]:
    """Say where lines go (None: standard output) and which app they are of; return the old way."""
    global _write, _service
    before = _write, _service
    _write, _service = write or _to_stdout, service
    return before


def mask(value: str) -> None:
    """Replace `value` by *** in all lines from now on. Text below 4 characters is not masked."""
    if len(value) >= 4 and value not in _hidden:
        mask_only(masked() | {value})


def masked() -> frozenset[str]:
    """What is masked now."""
    return frozenset(_hidden)


def mask_only(values: frozenset[str]) -> None:
    """Mask what `masked` has returned, and nothing else: a test's secrets end with it."""
    import json

    global _in_text, _in_lines
    _hidden.clear()
    _hidden.update(values)
    texts = set(values)
    for value in values:
        texts |= {_escaped(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
    _in_text = _ordered(texts)
    _in_lines = _ordered({_escaped(text) for text in texts})


def _escaped(text: str) -> str:
    return to_json(text).decode()[1:-1]


def _ordered(texts: set[str]) -> tuple[bytes, ...]:
    return tuple(sorted((text.encode() for text in texts), key=len, reverse=True))


def hide(text: bytes, *, encoded: bool = False) -> bytes:
    """Return text with *** for what is masked; `encoded`: it is JSON, where that is escaped."""
    for secret in _in_lines if encoded else _in_text:
        text = text.replace(secret, b"***")
    return text


def whole(text: bytes, more: bool) -> int:
    """Return how much of what was read of an output can be told before the rest is read.

    What is masked lies within that, or behind it: it may have begun at the end of the text.

    Args:
        more: Who prints is not done: its last line may be only begun.
    """
    forms, end = {*_in_text, *_in_lines}, len(text)
    for form in forms:
        start = text.find(form[:1], max(len(text) - len(form) + 1, 0))
        while 0 <= start < end:
            if form.startswith(text[start:]):
                end = start
            start = text.find(form[:1], start + 1)
    if more or end < len(text):
        line = text.rfind(b"\n", 0, end) + 1
        end = line if end - line <= limits.LOG_LINE_BYTES else end
    at = -1
    while at != end:  # one that is whole may end as another one begins
        at = end
        for form in forms:
            start = text.find(form, max(end - len(form) + 1, 0), end + len(form) - 1)
            end = start if start >= 0 else end
    return end


def render(
    scope: Scope | None,
    level: str,
    message: str,
    fields: dict[str, Any],
    now_ms: int,
    location: str,
) -> bytes:
    """Return one line, ended by a newline, at most `limits.LOG_LINE_BYTES` long."""
    record: dict[str, Any] = {
        "level": level,
        "timestamp": _moment(now_ms),
        "message": message,
        "location": location,
        "service": _service,
    }
    if scope is not None:
        invocation = scope.invocation
        record |= {
            "function_name": invocation.function,
            "function_request_id": invocation.request_id,
            "correlation_id": invocation.correlation_id,
            "xray_trace_id": invocation.traceparent[3:35],
            "cold_start": scope.cold,
        }
        if invocation.attempt > 1:
            record["attempt"] = invocation.attempt
    for name, value in fields.items():
        record[name if name not in record else f"{name}_"] = value
    return finish(record)


def _moment(now_ms: int) -> str:
    """Return a moment by ISO 8601. The text of a second is kept: it costs more than the line."""
    global _second
    second, millis = divmod(now_ms, 1000)
    known, text = _second
    if known != second:
        text = datetime.fromtimestamp(second, UTC).isoformat()[:19]
        _second = second, text
    return f"{text}.{str(millis + 1000)[1:]}Z"


def finish(record: dict[str, Any]) -> bytes:
    """Encode a record: what has no JSON form is shown as text, secrets masked, length bounded."""
    try:
        line = to_json(record)
    except (TypeError, ValueError, RecursionError):
        line = to_json({name: _plain(value) for name, value in record.items()})
    line = hide(line, encoded=True)
    if len(line) > limits.LOG_LINE_BYTES:
        short = {name: _plain(value)[:512] for name, value in record.items()}
        short["truncated_bytes"] = str(len(line))
        line = hide(to_json(short), encoded=True)[: limits.LOG_LINE_BYTES]
    return line + b"\n"


def _plain(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return hide(text.encode("utf-8", "replace")).decode()


class Log:
    """The logger of a handler: `log.info("order created", order_id=order.order_id)`."""

    def debug(self, message: str, **fields: Any) -> None:
        """Write a line of level DEBUG."""
        _emit("DEBUG", message, fields)

    def info(self, message: str, **fields: Any) -> None:
        """Write a line of level INFO."""
        _emit("INFO", message, fields)

    def warning(self, message: str, **fields: Any) -> None:
        """Write a line of level WARNING."""
        _emit("WARNING", message, fields)

    def error(self, message: str, **fields: Any) -> None:
        """Write a line of level ERROR."""
        _emit("ERROR", message, fields)

    def exception(self, message: str, **fields: Any) -> None:
        """Write a line of level ERROR with the exception that is being handled."""
        import traceback

        _emit("ERROR", message, {**fields, "exception": traceback.format_exc()})


def _emit(level: str, message: str, fields: dict[str, Any]) -> None:
    scope = maybe_scope()
    if scope is None:
        from wherry.world import SystemClock

        now_ms = SystemClock().now_ms()
    else:
        now_ms = scope.clock.now_ms()
    frame = sys._getframe(2)
    location = f"{frame.f_code.co_name}:{frame.f_lineno}"
    global lines_written
    lines_written += 1
    _write(render(scope, level, str(message), fields, now_ms, location))


log = Log()
