"""JSON text and timestamps as AWS writes them: Java's numbers, keys in their order, no spaces."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()
_number_to_rewrite = re.compile(rb"\d[.eE]\d|\de[-+]")
_escape = re.compile(rb"\\(?:u00[01][0-9a-f]|.)")
_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?:(Z)|([+-])(\d\d):?(\d\d))\Z"
)

_WITHOUT_SECONDS = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(Z|[+-]\d\d:?\d\d)\Z")


def to_text(value: Any) -> str:
    """Return a JSON value as compact text, as Jackson does.

    Numbers with a fraction or an exponent are Java's, the digits of an escape large: `\\u001B`.
    """
    try:
        raw = _encoder.encode(value)
    except (OverflowError, UnicodeEncodeError):
        return _slowly(value)
    if _number_to_rewrite.search(raw):
        return _slowly(value)
    return (_with_large_escapes(raw) if b"\\u00" in raw else raw).decode()


def size_bytes(text: str) -> int:
    """Return how many bytes a text takes in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _slowly(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return java_double(value)
        case str():
            return _encode_string(value)
        case dict():
            inner = ",".join(f"{_encode_string(k)}:{_slowly(v)}" for k, v in value.items())
            return f"{{{inner}}}"
        case list() | tuple():
            return f"[{','.join(map(_slowly, value))}]"
        case _:
            return _encoder.encode(value).decode()


def _encode_string(value: str) -> str:
    try:
        raw = _encoder.encode(value)
    except UnicodeEncodeError:
        raw = _encoder.encode(value.encode("utf-8", "replace").decode())
    return _with_large_escapes(raw).decode()


def _with_large_escapes(raw: bytes) -> bytes:
    return _escape.sub(lambda found: found[0][:2] + found[0][2:].upper(), raw)


def java_double(value: float) -> str:
    """Return a double as `Double.toString` writes it: 0.5, 1.0E7, 1.0E-5."""
    if value != value:
        return '"NaN"'
    if value in (float("inf"), float("-inf")):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        text = repr(value)
        if "e" not in text:
            return text
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign, mantissa = ("-", mantissa[1:]) if mantissa.startswith("-") else ("", mantissa)
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" else fraction
    power = int(exponent or 0) + len(whole) - 1
    digits = whole + fraction
    stripped = digits.lstrip("0")
    power -= len(digits) - len(stripped)
    stripped = stripped.rstrip("0") or "0"
    return f"{sign}{stripped[0]}.{stripped[1:] or '0'}E{power}"


def timestamp(at_ms: int) -> str:
    """Return a moment as AWS's context object shows it: 2026-01-01T00:00:00.000Z."""
    seconds, ms = divmod(at_ms, 1000)
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def moment_of(at_ms: int) -> datetime:
    """Return a moment as the history of an execution carries it."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)


def parse_moment_leniently_us(text: str) -> int | None:
    """Return the same of what a running Wait reads: seconds may be missing, t and z be small."""
    match = _WITHOUT_SECONDS.match(text.upper())
    return parse_moment_us(f"{match.group(1)}:00{match.group(2)}" if match else text.upper())


def parse_moment_us(text: str) -> int | None:
    """Return the microseconds since the epoch of an RFC 3339 timestamp in ASL's profile, or None.

    The profile: an upper-case T between date and time, an upper-case Z or an offset, seconds.
    """
    match = _RFC3339.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, _, sign, off_hours, off_minutes = (
        match.groups()
    )
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC
        )
    except ValueError:
        return None
    micros = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 1_000_000
    micros += int((fraction or "0").ljust(9, "0")) // 1000
    if sign:
        if int(off_hours) > 18 or int(off_minutes) > 59:
            return None
        offset = (int(off_hours) * 60 + int(off_minutes)) * 60_000_000
        micros += -offset if sign == "+" else offset
    return micros
