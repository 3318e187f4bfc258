"""NaN and Infinity of a `Decimal`, which are written as text: JSON has no other word for them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from wherry.codec import NotFinite


def refuse_decimals(value: Any) -> None:
    """Raise `NotFinite` where this value, whose JSON has such a text, holds one as a `Decimal`."""
    nodes = [("$", msgspec.to_builtins(value, builtin_types=(Decimal,)))]
    while nodes:
        at, node = nodes.pop()
        if isinstance(node, Decimal) and not node.is_finite():
            raise NotFinite(f"{at} is {node}")
        if isinstance(node, dict):
            nodes += [(f"{at}.{key}", one) for key, one in node.items()][::-1]
        elif isinstance(node, list | tuple):
            nodes += [(f"{at}[{number}]", one) for number, one in enumerate(node)][::-1]
