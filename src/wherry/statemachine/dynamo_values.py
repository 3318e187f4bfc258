"""DynamoDB's typed values, `{"S": "x"}`, and the JSON that a table of wherry holds."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from wherry import limits

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\Z")
_KINDS = ("S", "N", "BOOL", "NULL", "L", "M")
_NO_JSON = ("B", "BS", "NS", "SS")


class Invalid(ValueError):
    """DynamoDB would refuse the request: ValidationException."""


def plain(value: Any, depth: int = 0) -> Any:
    """Return the JSON of a typed value.

    Raises:
        Invalid: It is none, or (sets, bytes) nothing that JSON has.
    """
    if not isinstance(value, dict) or len(value) != 1:
        raise Invalid("Supplied AttributeValue is empty, must contain exactly one of the supported"
                      " datatypes")  # fmt: skip
    if depth > limits.STATE_ITEM_DEPTH:
        raise Invalid("Nesting Levels have exceeded supported limits")
    ((kind, inner),) = value.items()
    if kind in _NO_JSON:
        raise Invalid(f"A value of type {kind} is nothing that JSON has; use L, S or N")
    match kind, inner:
        case "S", str():
            return inner
        case "N", str():
            return number(inner)
        case "BOOL", bool():
            return inner
        case "NULL", True:
            return None
        case "L", list():
            return [plain(one, depth + 1) for one in inner]
        case "M", dict():
            return plain_item(inner, depth + 1)
    if kind in _KINDS:
        raise Invalid(f"The value of {kind} is not what DynamoDB takes: {_WANTED[kind]}")
    raise Invalid(f"{kind!r} is no type of a value; there are {', '.join(_KINDS)}")


_WANTED = {
    "S": "a text",
    "N": 'a text such as "12.5"',
    "BOOL": "true or false",
    "NULL": "true",
    "L": "an array of typed values",
    "M": "an object of typed values",
}


def plain_item(item: Any, depth: int = 0) -> dict[str, Any]:
    """Return the JSON of an object of typed values."""
    if not isinstance(item, dict):
        raise Invalid("An item is an object of typed values")
    return {name: plain(value, depth) for name, value in item.items()}


def typed(value: Any) -> dict[str, Any]:
    """Return a JSON value as DynamoDB tells it."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": number_text(value)}
        case str():
            return {"S": value}
        case list():
            return {"L": [typed(one) for one in value]}
        case _:
            return {"M": typed_item(value)}


def typed_item(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as DynamoDB tells it."""
    return {name: typed(value) for name, value in item.items()}


def number(text: str) -> int | float:
    """Return the number that a text says.

    Raises:
        Invalid: It says none, or one that a double does not hold.
    """
    if not _NUMBER.match(text):
        raise Invalid(
            f"The parameter cannot be converted to a numeric value: {text}"
            if text
            else "The parameter cannot be converted to a numeric value"
        )
    exact = Decimal(text)
    if exact and not -130 <= exact.adjusted() <= 125:
        raise Invalid("Number overflow. Attempting to store a number with magnitude larger than"
                      " supported range")  # fmt: skip
    if exact == exact.to_integral_value():
        return int(exact)
    return float(exact)


def number_text(value: float) -> str:
    """Return a number as DynamoDB writes it: no exponent, no zeros that say nothing."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):
        raise Invalid("The parameter cannot be converted to a numeric value")
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def kind_of(value: Any) -> str:
    """Return the name of a JSON value's type."""
    return next(iter(typed(value)))
