"""NaN and Infinity of a `Decimal`, which are written as text: JSON has no other word for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from wherry.codec import NotFinite, not_finite


def refuse_decimals(value: Any) -> None:
    """Raise `NotFinite` where this value, whose JSON has such a text, holds one as a `Decimal`."""
    found = not_finite(msgspec.to_builtins(value, builtin_types=(Decimal,)), _is_endless)
    if found:
        at, number = found
        raise NotFinite(f"{at} is {number}")


def _is_endless(value: Any) -> bool:
    return isinstance(value, Decimal) and not value.is_finite()
