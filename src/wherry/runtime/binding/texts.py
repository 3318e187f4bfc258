"""Scalars that come as text: from the path, the query, a header or a form."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag
from typing import Any, Literal, get_args
from uuid import UUID

import msgspec

from wherry.app.kinds import scalar, unwrap

_INT = re.compile(r"-?(0|[1-9][0-9]{0,18})")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_LONGEST_NUMBER = 400  # digits; a double has at most 309 before the point


class BadText(ValueError):
    """A text is not of the type; the message says what was expected."""


def text_reader(annotation: Any) -> Callable[[str], Any]:
    """Return a function from text to a value of a scalar type. It raises `BadText`."""
    raw = raw_reader(annotation)
    if unwrap(annotation) is annotation and annotation in (str, int, float, bool):
        return raw

    def read(text: str) -> Any:
        try:
            return msgspec.convert(raw(text), annotation)
        except msgspec.ValidationError as error:
            raise BadText(str(error)) from None

    return read


def raw_reader(annotation: Any) -> Callable[[str], Any]:
    """Return a function from text to the scalar that JSON would hold for this type."""
    found = scalar(annotation)
    if found is int:
        return _int
    if found is float:
        return _float
    if found is bool:
        return _bool
    if found is Decimal:
        return _decimal
    if found in (str, UUID, date, datetime):
        return _text
    if isinstance(found, type) and issubclass(found, Flag):
        return _int  # any sum of its members
    values: tuple[Any, ...] = ()
    if found is Literal:
        values = get_args(unwrap(annotation))
    elif isinstance(found, type) and issubclass(found, Enum):
        values = tuple(member.value for member in found)
    known = {_as_text(value): value for value in values}

    def choose(text: str) -> Any:
        if text not in known:
            raise BadText(f"Expected one of {', '.join(map(repr, known))}")
        return known[text]

    return choose


def field_reader(annotation: Any) -> Callable[[str], Any]:
    """As `raw_reader`, for a field of a form: browsers send `on` for a box that is checked."""
    raw = raw_reader(annotation)
    if scalar(annotation) is not bool:
        return raw
    return lambda text: text == "on" or raw(text)


def _as_text(value: Any) -> str:
    """Write a value as JSON does, text without its quotes."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(text: str) -> str:
    if "\0" in text:
        raise BadText("Expected text without NUL")
    return text


def _int(text: str) -> int:
    if not _INT.fullmatch(text):
        raise BadText("Expected a whole number of up to 19 digits")
    return int(text)


def _float(text: str) -> float:
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise BadText("Expected a number")
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise BadText("Number out of range")
    return number


def _decimal(text: str) -> str:
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        raise BadText("Expected a number")
    return text


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadText("Expected true or false")
    return text == "true"
