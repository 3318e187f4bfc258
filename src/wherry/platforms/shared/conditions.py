"""Does a condition hold on an item? Types are never coerced: true is not 1, "1" is not 1."""

from __future__ import annotations

from typing import Any, assert_never

from wherry.effects import (
    Absent,
    AllOf,
    AnyOf,
    Compare,
    Condition,
    HasField,
    Negation,
    Present,
    Scalar,
)


def holds(condition: Condition, item: dict[str, Any] | None) -> bool:
    """Whether the condition holds on the item's JSON; None: no item is there."""
    match condition:
        case Absent():
            return item is None
        case Present():
            return item is not None
        case HasField(field=field):
            return item is not None and item.get(field) is not None
        case Compare():
            if item is None or condition.field not in item:
                return False
            return _stands(item[condition.field], condition.relation, condition.value)
        case AllOf(parts=parts):
            return all(holds(part, item) for part in parts)
        case AnyOf(parts=parts):
            return any(holds(part, item) for part in parts)
        case Negation(part=part):
            return not holds(part, item)
        case _:
            assert_never(condition)


def is_number(value: object) -> bool:
    """Whether a JSON value is a number; a bool is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(found: Any, value: Scalar) -> bool:
    if is_number(found) and is_number(value):
        return bool(found == value)
    return type(found) is type(value) and bool(found == value)


def _stands(found: Any, relation: str, value: Scalar) -> bool:
    match relation:
        case "==":
            return _same(found, value)
        case "!=":
            return not _same(found, value)
        case "begins_with":
            return isinstance(found, str) and isinstance(value, str) and found.startswith(value)
        case "contains":
            if isinstance(found, list):
                return any(_same(part, value) for part in found)
            return isinstance(found, str) and isinstance(value, str) and value in found
    if is_number(found) and is_number(value):
        left, right = found, value
    elif isinstance(found, str) and isinstance(value, str):
        # Code points order as UTF-8 bytes do, which is the order of keys.
        left, right = found, value
    else:
        return False
    match relation:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case ">=":
            return bool(left >= right)
    return False
