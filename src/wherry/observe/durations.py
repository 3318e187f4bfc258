"""Durations and moments, as people read and write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from wherry.errors import Refused

_UNITS_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|m|h|d)")


def show_ms(duration_ms: float) -> str:
    """Show a duration with two or three digits: `0.3 ms`, `12 ms`, `1.25 s`, `3 min 5 s`."""
    if duration_ms < 0:
        return "-" + show_ms(-duration_ms)
    if duration_ms < 9.95:
        return f"{duration_ms:.1f} ms"
    if duration_ms < 999.5:
        return f"{duration_ms:.0f} ms"
    if duration_ms < 59_995:
        seconds = duration_ms / 1000
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole_s = round(duration_ms / 1000)
    for unit, size, next_unit, next_size in (
        ("d", 86_400, "h", 3600),
        ("h", 3600, "min", 60),
        ("min", 60, "s", 1),
    ):
        if whole_s >= size:
            rest = whole_s % size // next_size
            return f"{whole_s // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole_s} s"


def show_ago(now_ms: int, at_ms: int) -> str:
    """Show how long ago something was: `12 s ago`; `just now` below a second."""
    passed_s = (now_ms - at_ms) // 1000
    if passed_s < 1:
        return "just now"
    return f"{passed_s} s ago" if passed_s < 60 else f"{show_ms(passed_s * 1000)} ago"


def show_moment(at_ms: int) -> str:
    """Show a moment in UTC: `2026-11-21 12:42:26.123 UTC`."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S.") + f"{at_ms % 1000:03d} UTC"


def read_since(text: str, now_ms: int) -> int:
    """Read the beginning of a span, `10m`, `2h 30min` or `2026-11-21T12:00`; return epoch ms.

    A moment without a zone is in UTC, as all that is shown.

    Raises:
        Refused: It is neither.
    """
    parts = _DURATION.findall(text)
    if parts and not _DURATION.sub("", text).strip():
        return now_ms - int(sum(float(n) * _UNITS_S[unit] for n, unit in parts) * 1000)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(
            f"{text!r} is neither a duration nor a moment.",
            advice="Write 10m, 2h, 1d or 2026-11-21T12:00.",
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
