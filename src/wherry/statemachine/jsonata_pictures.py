"""`$formatNumber` as XPath's fn:format-number and JSONata's reference implementation have it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import reduce
from typing import Any

from jsonata.jexception import JException  # type: ignore[import-untyped]

_EXACT = Context(prec=400)


class _Marks:
    """The characters that mean something in a picture."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.decimal: str = options.get("decimal-separator", ".")
        self.grouping: str = options.get("grouping-separator", ",")
        self.exponent: str = options.get("exponent-separator", "e")
        self.percent: str = options.get("percent", "%")
        self.per_mille: str = options.get("per-mille", "\u2030")
        self.minus: str = options.get("minus-sign", "-")
        self.optional: str = options.get("digit", "#")
        self.pattern: str = options.get("pattern-separator", ";")
        zero = ord(options.get("zero-digit", "0"))
        self.digits = "".join(chr(zero + one) for one in range(10))


def format_number(value: float, picture: str, options: Mapping[str, Any]) -> str:
    """Return a number as a picture shows it.

    Raises:
        JException: The picture breaks a rule.
    """
    marks = _Marks(options)
    parts = picture.split(marks.pattern)
    if len(parts) > 2:
        raise JException("D3080", -1)
    for part in parts:
        code = _fault(part, marks)
        if code is not None:
            raise JException(code, -1)
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    sign = marks.minus if value < 0 and len(parts) == 1 else ""
    return sign + _shown(abs(value), parts[0] if value >= 0 else parts[-1], marks)


def _shown(value: float, part: str, marks: _Marks) -> str:
    active = marks.digits + marks.decimal + marks.grouping + marks.optional
    places = [at for at, mark in enumerate(part) if mark in active]
    middle = part[places[0] : places[-1] + 1]
    mantissa, _, exponent_part = middle.partition(marks.exponent)
    whole, _, fraction = mantissa.partition(marks.decimal)
    least_whole, least, most = _sizes(whole, fraction, bool(exponent_part), marks)
    scaled = value * (100 if marks.percent in part else 1000 if marks.per_mille in part else 1)
    exponent = 0
    if exponent_part and scaled:
        size = _count(whole, marks.digits)
        while scaled < 10 ** (size - 1):
            scaled, exponent = scaled * 10, exponent - 1
        while scaled > 10**size:
            scaled, exponent = scaled / 10, exponent + 1
    exact = Decimal(repr(scaled)).quantize(Decimal(1).scaleb(-most), ROUND_HALF_EVEN, _EXACT)
    digits, _, rest = f"{exact:f}".partition(".")
    digits = _grouped(digits.lstrip("0").rjust(least_whole, "0"), whole, marks)
    rest = rest.rstrip("0").ljust(least, "0")
    for at in _places(fraction, marks):
        rest = rest[:at] + marks.grouping + rest[at:] if at < len(rest) else rest
    text = digits + (marks.decimal + rest if rest else "")
    if exponent_part:
        minus = marks.minus if exponent < 0 else ""
        text += f"{marks.exponent}{minus}{str(abs(exponent)).rjust(len(exponent_part), '0')}"
    text = text.translate({48 + at: digit for at, digit in enumerate(marks.digits)})
    return part[: places[0]] + text + part[places[-1] + 1 :]


def _sizes(whole: str, fraction: str, scientific: bool, marks: _Marks) -> tuple[int, int, int]:
    """Return how many digits there are at least before, and at least and most behind the mark."""
    least_whole, least = _count(whole, marks.digits), _count(fraction, marks.digits)
    most = _count(fraction, marks.digits + marks.optional)
    if least_whole == most == 0:
        if scientific:
            least = most = 1
        else:
            least_whole = 1
    if scientific and least_whole == 0 and marks.optional in whole:
        least_whole = 1
    if least_whole == least == 0:
        least = 1
    return least_whole, least, most


def _grouped(digits: str, whole: str, marks: _Marks) -> str:
    """Return digits with separators: at regular distances throughout, at others as they stand."""
    shown = _count(whole, marks.digits + marks.optional)
    places = [shown - at for at in _places(whole, marks)]
    if not places:
        return digits
    step = reduce(math.gcd, places)
    if sorted(places) == [step * one for one in range(1, len(places) + 1)]:
        places = list(range(step, len(digits), step))
    parts, before = [], 0
    for at in sorted((at for at in places if 0 < at < len(digits)), reverse=True):
        parts.append(digits[before : len(digits) - at])
        before = len(digits) - at
    return marks.grouping.join([*parts, digits[before:]])


def _places(text: str, marks: _Marks) -> list[int]:
    """Return how many digits stand before each separator."""
    return [
        _count(text[:at], marks.digits + marks.optional)
        for at, mark in enumerate(text)
        if mark == marks.grouping
    ]


def _count(text: str, wanted: str) -> int:
    return sum(mark in wanted for mark in text)


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
