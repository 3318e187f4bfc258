"""Which picture strings `$formatNumber` refuses, and with which of JSONata's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonata.jexception import JException  # type: ignore[import-untyped]


class _Marks:
    """The characters that mean something in a picture."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.decimal: str = options.get("decimal-separator", ".")
        self.grouping: str = options.get("grouping-separator", ",")
        self.exponent: str = options.get("exponent-separator", "e")
        self.percent: str = options.get("percent", "%")
        self.per_mille: str = options.get("per-mille", "\u2030")
        self.optional: str = options.get("digit", "#")
        self.pattern: str = options.get("pattern-separator", ";")
        zero = ord(options.get("zero-digit", "0"))
        self.digits = "".join(chr(zero + one) for one in range(10))


def check_picture(picture: str, options: Mapping[str, Any]) -> None:
    """Raise JException where a picture string breaks a rule of XPath's fn:format-number."""
    marks = _Marks(options)
    parts = picture.split(marks.pattern)
    if len(parts) > 2:
        raise JException("D3080", -1)
    for part in parts:
        code = _fault(part, marks)
        if code is not None:
            raise JException(code, -1)


def _fault(part: str, marks: _Marks) -> str | None:
    """Return the last rule that is broken: that is the one of which JSONata tells."""
    active = marks.digits + marks.decimal + marks.grouping + marks.optional + marks.pattern
    places = [at for at, mark in enumerate(part) if mark in active]
    middle = part[places[0] : places[-1] + 1] if places else part
    mantissa, exponent_mark, exponent = middle.partition(marks.exponent)
    whole, decimal_mark, fraction = mantissa.partition(marks.decimal)
    scaled = marks.percent in part or marks.per_mille in part
    rules = (
        ("D3081", part.count(marks.decimal) > 1),
        ("D3082", part.count(marks.percent) > 1),
        ("D3083", part.count(marks.per_mille) > 1),
        ("D3084", marks.percent in part and marks.per_mille in part),
        ("D3085", not any(mark in marks.digits + marks.optional for mark in mantissa)),
        ("D3086", any(mark not in active + marks.exponent for mark in middle)),
        ("D3087", _beside(part, marks.decimal, marks.grouping)),
        ("D3088", not decimal_mark and whole.endswith(marks.grouping)),
        ("D3089", marks.grouping * 2 in part),
        ("D3090", _follows(marks.optional, marks.digits, whole)),
        ("D3091", _follows(marks.digits, marks.optional, fraction)),
        ("D3092", bool(exponent) and scaled),
        ("D3093", bool(exponent_mark) and not _all_in(exponent, marks.digits)),
    )
    return next((code for code, broken in reversed(rules) if broken), None)


def _beside(part: str, one: str, other: str) -> bool:
    return one + other in part or other + one in part


def _follows(later: str, earlier: str, text: str) -> bool:
    """Whether one of some characters stands somewhere after one of others."""
    first = next((at for at, mark in enumerate(text) if mark in earlier), None)
    return first is not None and any(mark in later for mark in text[first:])


def _all_in(text: str, allowed: str) -> bool:
    return bool(text) and all(mark in allowed for mark in text)
