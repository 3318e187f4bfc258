"""Numbers as EventBridge compares them: by value, as IEEE 754 doubles.

A number is comparable if a double says exactly what its digits say (the shortest digits of that
double are the number's own). 300, 300.0 and 3.0e2 are one number; 9007199254740993 is none that
a double has. EventBridge's page on patterns says that 300 and 300.0 are not equal; the service
and event-ruler hold them equal. Other pages of AWS give a range of plus and minus 5.0e9 with six
decimals: event-ruler had it until it went over to doubles, and the service with it.

A number that is not comparable equals the same digits only, and no `numeric` holds for it.
"""

from __future__ import annotations

from decimal import Decimal
from math import isfinite
from typing import TypeAlias

import msgspec

EXACT = 2**53
"""Whole numbers below this are all doubles."""


class Digits(msgspec.Struct, frozen=True):
    """A number that no double says, as it was written."""

    text: str


Number: TypeAlias = int | float | Digits
"""A float is finite and comparable; an int is comparable if it is below EXACT."""


def number(value: int | float) -> Number:
    """Return the one form of a number that was parsed already."""
    if isinstance(value, float):
        return value if isfinite(value) else Digits(repr(value))
    if -EXACT < value < EXACT:
        return value
    try:
        double = float(value)
    except OverflowError:
        return value
    return double if Decimal(repr(double)) == value else value


def number_of_text(text: str) -> Number:
    """Return the one form of a JSON number that has a fraction or an exponent."""
    double = float(text)
    try:
        same = isfinite(double) and Decimal(repr(double)) == Decimal(text)
    except ArithmeticError:  # an exponent that Decimal does not take either
        same = False
    return double if same else Digits(text)


def comparable(value: Number) -> int | float | None:
    """Return a number that can be compared with others, else None."""
    if isinstance(value, Digits) or (isinstance(value, int) and not -EXACT < value < EXACT):
        return None
    return value
