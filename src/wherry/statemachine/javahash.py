"""The order of a Java HashSet: States.ArrayUnique gives its values in it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

_MASK = 0xFFFFFFFF


def unique_in_java_order(values: list[Any], same: Callable[[Any, Any], bool]) -> list[Any]:
    """Return each value once, as a HashSet that grew with them would list them."""
    chains: dict[int, list[Any]] = {}
    kept: list[tuple[int, Any]] = []
    for value in values:
        spread = _spread(hash_code(value))
        chain = chains.setdefault(spread, [])
        if not any(same(value, other) for other in chain):
            chain.append(value)
            kept.append((spread, value))
    size = 16
    while len(kept) > size * 3 // 4:
        size *= 2
    kept.sort(key=lambda one: one[0] & (size - 1))
    return [value for _, value in kept]


def _spread(code: int) -> int:
    return (code ^ (code >> 16)) & _MASK


def hash_code(value: Any) -> int:
    """Return Java's hashCode of a JSON value, as an unsigned number of 32 bits."""
    match value:
        case None:
            return 0
        case bool():
            return 1231 if value else 1237
        case int() if -(2**31) <= value < 2**31:
            return value & _MASK
        case int() if -(2**63) <= value < 2**63:
            bits = value & (2**64 - 1)
            return (bits ^ (bits >> 32)) & _MASK
        case int() | float():
            if isinstance(value, float) and value.is_integer() and abs(value) < 2**31:
                return int(value) & _MASK
            bits = int.from_bytes(struct.pack(">d", float(value)), "big")
            return (bits ^ (bits >> 32)) & _MASK
        case str():
            return _text(value)
        case dict():
            return sum(_text(key) ^ hash_code(one) for key, one in value.items()) & _MASK
        case _:
            code = 1
            for one in value:
                code = (31 * code + hash_code(one)) & _MASK
            return code


def _text(value: str) -> int:
    code = 0
    for unit in memoryview(value.encode("utf-16-le", "surrogatepass")).cast("H"):
        code = (31 * code + unit) & _MASK
    return code
