"""DynamoDB's UpdateExpression: SET, REMOVE and ADD, worked out on an item's JSON."""

from __future__ import annotations

import copy
from decimal import Context, Decimal
from typing import Any, TypeAlias

import msgspec

from wherry.statemachine.dynamo_syntax import Apply, Operand, Path, Reader, Value
from wherry.statemachine.dynamo_values import Invalid, is_number, number, number_text

Item: TypeAlias = dict[str, Any]

_DIGITS = Context(prec=38)  # of a number of DynamoDB
_CLAUSES = ("SET", "REMOVE", "ADD", "DELETE")
_NO_TARGET = "The document path provided in the update expression is invalid for update"
_NO_OPERAND = "The provided expression refers to an attribute that does not exist in the item"
_WRONG_TYPE = "An operand in the update expression has an incorrect data type"


class Sum(msgspec.Struct, frozen=True):
    """`a + :v`, `a - :v`."""

    left: Operand
    minus: bool
    right: Operand


class Update(msgspec.Struct, frozen=True):
    """What an UpdateExpression does, in its parts."""

    sets: list[tuple[Path, Any]] = []
    removes: list[Path] = []
    adds: list[tuple[Path, Any]] = []

    @property
    def targets(self) -> list[Path]:
        """Return every path that it writes."""
        return [*(one for one, _ in self.sets), *self.removes, *(one for one, _ in self.adds)]

    def apply(self, item: Item) -> Item:
        """Return the item after it; the one passed in stays.

        Raises:
            Invalid: It does not fit the item.
        """
        worked = [(path, _result(what, item)) for path, what in self.sets]
        for path, amount in self.adds:
            try:
                found = path.find(item)
            except KeyError:
                found = 0
            worked.append((path, _added(found, amount, False)))
        after = copy.deepcopy(item)
        for path, value in worked:
            _place(after, path, copy.deepcopy(value))
        for path in sorted(self.removes, key=_from_the_end, reverse=True):
            _remove(after, path)
        return after


def update(reader: Reader) -> Update:
    """Read a whole update.

    Raises:
        Invalid: It is none, or does what JSON does not have (DELETE of a set's elements).
    """
    found = Update([], [], [])
    seen: set[str] = set()
    while reader.peek():
        clause = reader.take().upper()
        if clause not in _CLAUSES:
            raise reader.wrong(clause)
        if clause in seen:
            raise Invalid(
                f'Invalid {reader.kind}: The "{clause}" section can only be used once in an update'
                " expression;"
            )
        if clause == "DELETE":
            raise Invalid(
                f"Invalid {reader.kind}: DELETE takes elements out of a set, and JSON has no sets"
            )
        seen.add(clause)
        _part(reader, clause, found)
        while reader.skip(","):
            _part(reader, clause, found)
    _no_overlap(reader, found.targets)
    return found


def _part(reader: Reader, clause: str, found: Update) -> None:
    path = reader.path()
    if clause == "REMOVE":
        found.removes.append(path)
    elif clause == "ADD":
        amount = reader.value()
        if not is_number(amount):
            raise Invalid(
                f"Invalid {reader.kind}: Incorrect operand type for operator or function; operator:"
                " ADD (a number is wanted; JSON has no sets)"
            )
        found.adds.append((path, amount))
    else:
        reader.expect("=")
        left = _operand(reader)
        if reader.skip("+"):
            found.sets.append((path, Sum(left, False, _operand(reader))))
        elif reader.skip("-"):
            found.sets.append((path, Sum(left, True, _operand(reader))))
        else:
            found.sets.append((path, left))


def _operand(reader: Reader) -> Operand:
    operand = reader.operand()
    if isinstance(operand, Apply):
        if operand.name not in ("if_not_exists", "list_append"):
            raise Invalid(f"Invalid {reader.kind}: Invalid function name; function: {operand.name}")
        if len(operand.operands) != 2:
            raise Invalid(
                f"Invalid {reader.kind}: Incorrect number of operands for operator or function;"
                f" operator or function: {operand.name}, number of operands:"
                f" {len(operand.operands)}"
            )
        if operand.name == "if_not_exists" and not isinstance(operand.operands[0], Path):
            raise Invalid(
                f"Invalid {reader.kind}: Operator or function requires a document path; operator"
                " or function: if_not_exists"
            )
    return operand


def _no_overlap(reader: Reader, paths: list[Path]) -> None:
    for at, one in enumerate(paths):
        for other in paths[:at]:
            short = min(len(one.steps), len(other.steps))
            if one.steps[:short] == other.steps[:short]:
                raise Invalid(
                    f"Invalid {reader.kind}: Two document paths overlap with each other; must"
                    f" remove or rewrite one of these paths; path one: [{other}], path two: [{one}]"
                )


# --- working it out -----------------------------------------------------------------------------


def _result(what: Any, item: Item) -> Any:
    match what:
        case Sum(left, minus, right):
            return _added(_result(left, item), _result(right, item), minus)
        case Value(value):
            return value
        case Path():
            try:
                return what.find(item)
            except KeyError:
                raise Invalid(_NO_OPERAND) from None
        case Apply(name="if_not_exists", operands=(path, other)):
            try:
                return path.find(item)
            except KeyError:
                return _result(other, item)
        case _:
            parts = [_result(one, item) for one in what.operands]
            if not all(isinstance(one, list) for one in parts):
                raise Invalid(_WRONG_TYPE)
            return [*parts[0], *parts[1]]


def _added(left: Any, right: Any, minus: bool) -> int | float:
    if not is_number(left) or not is_number(right):
        raise Invalid(_WRONG_TYPE)
    first, second = Decimal(number_text(left)), Decimal(number_text(right))
    return number(str(_DIGITS.subtract(first, second) if minus else _DIGITS.add(first, second)))


def _place(item: Item, path: Path, value: Any) -> None:
    holder = _holder(item, path)
    last = path.steps[-1]
    if isinstance(last, str) and isinstance(holder, dict):
        holder[last] = value
    elif isinstance(last, int) and isinstance(holder, list):
        if last < len(holder):
            holder[last] = value
        else:
            holder.append(value)
    else:
        raise Invalid(_NO_TARGET)


def _remove(item: Item, path: Path) -> None:
    holder = _holder(item, path)
    last = path.steps[-1]
    if isinstance(last, str) and isinstance(holder, dict):
        holder.pop(last, None)
    elif isinstance(last, int) and isinstance(holder, list):
        del holder[last : last + 1]
    else:
        raise Invalid(_NO_TARGET)


def _holder(item: Item, path: Path) -> Any:
    try:
        return Path(path.steps[:-1]).find(item)
    except KeyError:
        raise Invalid(_NO_TARGET) from None


def _from_the_end(path: Path) -> list[tuple[int, str]]:
    """Order so that of one list the last element goes first."""
    return [(one, "") if isinstance(one, int) else (0, one) for one in path.steps]
