"""DynamoDB's ConditionExpression: whether it holds on an item's JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from wherry.statemachine.dynamo_syntax import Apply, Operand, Path, Reader, Value
from wherry.statemachine.dynamo_values import Invalid, is_number, kind_of

Item: TypeAlias = dict[str, Any]
Holds: TypeAlias = Callable[[Item], bool]

_MISSING: Any = object()
_RELATIONS = ("=", "<>", "<", "<=", ">", ">=")
_TESTS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2,
          "contains": 2}  # fmt: skip


def condition(reader: Reader) -> Holds:
    """Read a whole condition; it sees an item that is not there as an empty one.

    Raises:
        Invalid: It is none.
    """
    found = _either(reader)
    reader.end()
    return found


def _either(reader: Reader) -> Holds:
    parts = [_both(reader)]
    while reader.skip("OR"):
        parts.append(_both(reader))
    return parts[0] if len(parts) == 1 else lambda item: any(part(item) for part in parts)


def _both(reader: Reader) -> Holds:
    parts = [_one(reader)]
    while reader.skip("AND"):
        parts.append(_one(reader))
    return parts[0] if len(parts) == 1 else lambda item: all(part(item) for part in parts)


def _one(reader: Reader) -> Holds:
    reader.deeper()
    try:
        if reader.skip("NOT"):
            part = _one(reader)
            return lambda item: not part(item)
        if reader.skip("("):
            inner = _either(reader)
            reader.expect(")")
            return inner
        return _comparison(reader)
    finally:
        reader.deeper(-1)


def _comparison(reader: Reader) -> Holds:
    left = reader.operand()
    if isinstance(left, Apply) and left.name in _TESTS:
        return _test(reader, left)
    _checked(reader, left)
    if reader.skip("BETWEEN"):
        low = _checked(reader, reader.operand())
        reader.expect("AND")
        high = _checked(reader, reader.operand())
        return lambda item: (
            _stands(_value(left, item), ">=", _value(low, item))
            and _stands(_value(left, item), "<=", _value(high, item))
        )
    if reader.skip("IN"):
        reader.expect("(")
        several = [_checked(reader, reader.operand())]
        while reader.skip(","):
            several.append(_checked(reader, reader.operand()))
        reader.expect(")")
        return lambda item: any(_stands(_value(left, item), "=", _value(o, item)) for o in several)
    relation = reader.take()
    if relation not in _RELATIONS:
        raise reader.wrong(relation)
    right = _checked(reader, reader.operand())
    return lambda item: _stands(_value(left, item), relation, _value(right, item))


def _checked(reader: Reader, operand: Operand) -> Operand:
    if isinstance(operand, Apply):
        if operand.name in _TESTS or operand.name != "size":
            raise Invalid(
                f"Invalid {reader.kind}: Invalid function name; function: {operand.name}"
                if operand.name not in _TESTS
                else f"Invalid {reader.kind}: The function is not allowed to be used this way in an"
                f" expression; function: {operand.name}"
            )
        _count(reader, operand, 1)
    return operand


def _count(reader: Reader, call: Apply, wanted: int) -> None:
    if len(call.operands) != wanted:
        raise Invalid(
            f"Invalid {reader.kind}: Incorrect number of operands for operator or function;"
            f" operator or function: {call.name}, number of operands: {len(call.operands)}"
        )


def _test(reader: Reader, call: Apply) -> Holds:
    _count(reader, call, _TESTS[call.name])
    subject = call.operands[0]
    if call.name.startswith("attribute_") and not isinstance(subject, Path):
        raise Invalid(
            f"Invalid {reader.kind}: Operator or function requires a document path; operator or"
            f" function: {call.name}"
        )
    match call.name:
        case "attribute_exists":
            return lambda item: _value(subject, item) is not _MISSING
        case "attribute_not_exists":
            return lambda item: _value(subject, item) is _MISSING
    other = call.operands[1]
    match call.name:
        case "attribute_type":
            return lambda item: _is_type(_value(subject, item), _value(other, item))
        case "begins_with":
            return lambda item: _begins(_value(subject, item), _value(other, item))
        case _:
            return lambda item: _contains(_value(subject, item), _value(other, item))


def _is_type(found: Any, kind: Any) -> bool:
    return found is not _MISSING and kind_of(found) == kind


def _begins(found: Any, start: Any) -> bool:
    return isinstance(found, str) and isinstance(start, str) and found.startswith(start)


def _contains(found: Any, part: Any) -> bool:
    if isinstance(found, str):
        return isinstance(part, str) and part in found
    return isinstance(found, list) and any(_stands(one, "=", part) for one in found)


def _value(operand: Operand, item: Item) -> Any:
    match operand:
        case Value():
            return operand.value
        case Path():
            try:
                return operand.find(item)
            except KeyError:
                return _MISSING
        case Apply():
            found = _value(operand.operands[0], item)
            if isinstance(found, str):
                return len(found.encode("utf-8", "surrogatepass"))
            return len(found) if isinstance(found, list | dict) else _MISSING


def _stands(left: Any, relation: str, right: Any) -> bool:
    """Compare as DynamoDB does: only what has one type, and what is missing is unlike all."""
    if left is _MISSING or right is _MISSING:
        return relation == "<>"
    if relation == "=":
        return same(left, right)
    if relation == "<>":
        return not same(left, right)
    texts = isinstance(left, str) and isinstance(right, str)
    if not texts and not (is_number(left) and is_number(right)):
        return False
    if texts:
        left, right = (one.encode("utf-8", "surrogatepass") for one in (left, right))
    match relation:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal and of one type, all the way down."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
