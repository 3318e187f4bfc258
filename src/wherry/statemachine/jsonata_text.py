"""Texts of JSONata as AWS writes and reads them; measured there, and unlike other engines'."""

from __future__ import annotations

import math
import re
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

from jsonata.jexception import JException  # type: ignore[import-untyped]
from jsonata.utils import Utils  # type: ignore[import-untyped]

_DIGITS = Context(prec=15, rounding=ROUND_FLOOR)
_ESCAPES = str.maketrans(
    {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
     "\t": "\\t"}
)  # fmt: skip
_SINGLE = re.compile(r'"(?:[^"\\]|\\.)*"|\'((?:[^\'\\]|\\.)*)\'', re.DOTALL)


def to_string(value: Any, prettify: Any = None) -> str:
    """Return a value as `$string` does: fractions with fifteen digits, functions as nothing."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and getattr(value, "outer_wrapper", False):
        value = value[0]
    if not _is_json(value):
        return ""
    return _written(value, "\n" if prettify is True else "")


def _is_json(value: Any) -> bool:
    return (
        value is None or value is Utils.NULL_VALUE or isinstance(value, int | float | dict | list)
    )


def _written(value: Any, indent: str) -> str:
    """Write JSON; `indent` is what begins a line, or nothing."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'"{value.translate(_ESCAPES)}"'
        case int() | float():
            return number_text(value)
        case dict():
            colon = ": " if indent else ":"
            fields = [
                f"{_written(key, '')}{colon}{_written(one, indent and indent + '  ')}"
                for key, one in value.items()
            ]
            return _enclosed("{", fields, "}", indent)
        case list():
            return _enclosed(
                "[", [_written(one, indent and indent + "  ") for one in value], "]", indent
            )
        case _ if value is None or value is Utils.NULL_VALUE:
            return "null"
        case _:
            return '""'


def _enclosed(opening: str, parts: list[str], closing: str, indent: str) -> str:
    if not parts or not indent:
        return f"{opening}{','.join(parts)}{closing}"
    inner = f",{indent}  ".join(parts)
    return f"{opening}{indent}  {inner}{indent}{closing}"


def number_text(value: float) -> str:
    """Return a number: whole ones in full below 1e21, others cut to fifteen digits."""
    if isinstance(value, float) and not math.isfinite(value):
        raise JException("D3001", -1)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    exact = Decimal(value) if isinstance(value, int) else Decimal(repr(value))
    if exact == exact.to_integral_value():
        if abs(exact) < Decimal("1e21"):
            return str(int(exact))
        return _java(exact.normalize())
    return _java(_DIGITS.plus(exact).normalize(Context(prec=15)))


def _java(exact: Decimal) -> str:
    """Return what BigDecimal.toString gives, with a small e."""
    sign, digits, exponent = exact.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    adjusted = exponent + len(text) - 1
    minus = "-" if sign else ""
    if exponent <= 0 and adjusted >= -6:
        if exponent == 0:
            return minus + text
        whole, fraction = text[:exponent] or "0", text[exponent:].rjust(-exponent, "0")
        return f"{minus}{whole}.{fraction}"
    mantissa = text[0] + (f".{text[1:]}" if len(text) > 1 else "")
    return f"{minus}{mantissa}e{'+' if adjusted > 0 else '-'}{abs(adjusted)}"


def decode_base64(text: str) -> str:
    """Return the text of Base64, whose padding may be missing."""
    import binascii

    try:
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        return binascii.a2b_base64(padded, strict_mode=True).decode("utf-8", "replace")
    except binascii.Error as error:
        raise ValueError(f"Illegal base64: {error}") from None


def decode_component(text: str) -> str:
    """Return a part of a URL decoded as Java does: a plus is a space."""
    from urllib.parse import unquote_plus

    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        raise JException("D3140", -1, "decodeUrlComponent", text)
    return unquote_plus(text, errors="replace")


def parse_leniently(text: str) -> Any:
    """Read JSON as `$parse` does: single quotes will do, a name twice will not.

    Raises:
        ValueError: It is none.
    """
    import json

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a name twice")
        return found

    def refused(constant: str) -> Any:
        raise ValueError(constant)

    def number(shown: str) -> float:
        found = float(shown)
        if not math.isfinite(found):
            raise ValueError(shown)
        return found

    return json.loads(
        _SINGLE.sub(_double_quoted, text),
        object_pairs_hook=unique,
        parse_constant=refused,
        parse_float=number,
    )


def _double_quoted(match: re.Match[str]) -> str:
    inner = match.group(1)
    if inner is None:
        return match.group(0)
    return '"' + inner.replace("\\'", "'").replace('"', '\\"') + '"'
