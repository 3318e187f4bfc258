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
    status: f"HTTP/1.1 {status} {phrase}" for status, phrase in PHRASES.items() if status >= 200
}


class _Prefixes(dict[str, str]):
    """By the name of a header how its line begins; empty for what the server itself writes."""

    def __missing__(self, name: str) -> str:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header")
        prefix = "" if name.lower() in _OURS else f"{name.lower()}: "
        if len(self) < _NAMES_KEPT:
            self[name] = prefix
        return prefix


_prefixes = _Prefixes()


def date_line(now_ms: int) -> str:
    """Return the Date header of this moment (RFC 9110 section 5.6.7)."""
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    return (
        f"date: {_DAYS[now.weekday()]}, {now.day:02} {_MONTHS[now.month - 1]} {now.year:04} "
        f"{now.hour:02}:{now.minute:02}:{now.second:02} GMT"
    )


def can_send(name: str, value: str) -> bool:
    """Whether a header of an answer can be this one."""
    try:
        value.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return _TOKEN.fullmatch(name) is not None and value.isprintable()


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
        line = f"HTTP/1.1 {status} "
    lines = [line, date]
    for name, value in response.headers:
        prefix = _prefixes[name]
        if prefix:
            lines.append(prefix + value)
    if status not in BODYLESS:
        lines.append(f"content-length: {length}")
    if connection:
        lines.append(f"connection: {connection}")
    text = "\r\n".join(lines)
    breaks = len(lines) - 1
    if text.count("\n") != breaks or text.count("\r") != breaks or "\0" in text:
        raise ValueError("a header of the answer holds a line break or NUL")
    return (text + "\r\n\r\n").encode("latin-1")
