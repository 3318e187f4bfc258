"""An answer as bytes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from .messages import Response
from .refusals import PHRASES

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODYLESS = frozenset({204, 304})

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_OURS = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "transfer-encoding",
        "trailer",
        "upgrade",
    }
)
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NAMES_KEPT = 512

_status_lines = {
    status: f"HTTP/1.1 {status} {phrase}\r\n" for status, phrase in PHRASES.items() if status >= 200
}
_prefixes: dict[str, str] = {}


def date_line(now_ms: int) -> str:
    """Return the Date header of this moment, with its line end (RFC 9110 section 5.6.7)."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return (
        f"date: {_DAYS[now.weekday()]}, {now.day:02} {_MONTHS[now.month - 1]} {now.year:04} "
        f"{now.hour:02}:{now.minute:02}:{now.second:02} GMT\r\n"
    )


def encode_head(response: Response, length: int, connection: str, date: str) -> bytes:
    """Return status line and headers.

    Args:
        length: Of the content in bytes, also when it is not sent (HEAD).
        connection: 'close', 'keep-alive', or '' where that goes without saying.
        date: What `date_line` returned.

    Raises:
        ValueError: A status, header name or value that would break the message.
    """
    status = response.status
    line = _status_lines.get(status)
    if line is None:
        if not 200 <= status <= 599:
            raise ValueError(f"an answer cannot have the status {status}")
        line = f"HTTP/1.1 {status} \r\n"
    fields = ""
    lines = 2
    for name, value in response.headers:
        prefix = _prefixes.get(name)
        if prefix is None:
            prefix = _prefix(name)
        if prefix:
            fields += prefix + value + "\r\n"
            lines += 1
    if status not in BODYLESS:
        fields += f"content-length: {length}\r\n"
        lines += 1
    if connection:
        fields += f"connection: {connection}\r\n"
        lines += 1
    text = f"{line}{date}{fields}\r\n"
    if text.count("\n") != lines + 1 or text.count("\r") != lines + 1 or "\0" in text:
        raise ValueError("a header of the answer holds a line break or NUL")
    return text.encode("latin-1")


def _prefix(name: str) -> str:
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{name!r} cannot be the name of a header")
    prefix = "" if name.lower() in _OURS else f"{name.lower()}: "
    if len(_prefixes) < _NAMES_KEPT:
        _prefixes[name] = prefix
    return prefix
