"""The rules of JSONPath Choice states: every operator, and what it says of a missing path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from wherry.statemachine.context import StateScope
from wherry.statemachine.faults import runtime
from wherry.statemachine.paths import NoMatch, Path, parse
from wherry.statemachine.templates import root_of
from wherry.statemachine.text import parse_moment_us

Rule: TypeAlias = Callable[[StateScope, Any], bool]

_NUMBER = (int, float)


def _is_number(value: Any) -> bool:
    return isinstance(value, _NUMBER) and not isinstance(value, bool)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _numeric(value: Any) -> float | None:
    return value if _is_number(value) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _coerced(value: Any) -> float:
    """Return the number that AWS makes of what a Numeric...Path names."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return 0.0
    return value if isinstance(value, int | float) else 0.0


def _moment(value: Any) -> int | None:
    return parse_moment_us(value) if isinstance(value, str) else None


_KINDS: dict[str, Callable[[Any], Any]] = {
    "String": _string,
    "Numeric": _numeric,
    "Boolean": _boolean,
    "Timestamp": _moment,
}

_RELATIONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": lambda a, b: a == b,
    "LessThan": lambda a, b: a < b,
    "GreaterThan": lambda a, b: a > b,
    "LessThanEquals": lambda a, b: a <= b,
    "GreaterThanEquals": lambda a, b: a >= b,
}

COMPARISONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], bool]]] = {
    kind + relation: (_KINDS[kind], _RELATIONS[relation])
    for kind in _KINDS
    for relation in _RELATIONS
    if kind != "Boolean" or relation == "Equals"
}
"""The operators that compare, each with what it compares of a value, and how."""

TESTS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _is_number,
    "IsString": lambda value: isinstance(value, str),
    "IsBoolean": lambda value: isinstance(value, bool),
    "IsTimestamp": lambda value: _moment(value) is not None,
}

OPERATORS = (
    "StringEquals", "IsBoolean", "StringLessThan", "IsNumeric", "BooleanEquals",
    "StringLessThanEqualsPath", "NumericLessThan", "NumericGreaterThan", "NumericLessThanPath",
    "StringMatches", "TimestampLessThanEqualsPath", "NumericEquals", "TimestampGreaterThan",
    "StringGreaterThanEqualsPath", "TimestampGreaterThanEqualsPath", "TimestampLessThanEquals",
    "NumericLessThanEqualsPath", "TimestampEquals", "BooleanEqualsPath", "IsTimestamp",
    "StringLessThanEquals", "NumericLessThanEquals", "StringLessThanPath",
    "TimestampGreaterThanPath", "StringGreaterThan", "StringGreaterThanPath", "IsString",
    "StringEqualsPath", "TimestampEqualsPath", "TimestampLessThan", "StringGreaterThanEquals",
    "NumericGreaterThanPath", "NumericGreaterThanEquals", "NumericEqualsPath",
    "TimestampLessThanPath", "IsNull", "IsPresent", "TimestampGreaterThanEquals",
    "NumericGreaterThanEqualsPath",
)  # fmt: skip
"""All operators, in the order in which AWS's findings list them."""


def compile_rule(rule: dict[str, Any]) -> Rule:
    """Compile one rule, with those inside And, Or and Not."""
    if "And" in rule:
        rules = [compile_rule(one) for one in rule["And"]]
        return lambda scope, value: all(one(scope, value) for one in rules)
    if "Or" in rule:
        rules = [compile_rule(one) for one in rule["Or"]]
        return lambda scope, value: any(one(scope, value) for one in rules)
    if "Not" in rule:
        inner = compile_rule(rule["Not"])
        return lambda scope, value: not inner(scope, value)
    operator = next(name for name in OPERATORS if name in rule)
    return _comparison(parse(rule["Variable"]), operator, rule[operator])


def _comparison(variable: Path, operator: str, operand: Any) -> Rule:
    if operator == "IsPresent":
        return lambda scope, value: _present(variable, scope, value) is operand
    if operator in TESTS:
        test = TESTS[operator]
        return lambda scope, value: test(_read(variable, scope, value)) is operand
    if operator == "StringMatches":
        pattern = wildcard(operand)
        return lambda scope, value: (
            isinstance(found := _read(variable, scope, value), str) and pattern(found)
        )
    if operator.endswith("Path"):
        convert, relation = COMPARISONS[operator.removesuffix("Path")]
        other = parse(operand)

        def compare_paths(scope: StateScope, value: Any) -> bool:
            left = convert(_read(variable, scope, value))
            found = _read(other, scope, value)
            right = _coerced(found) if operator.startswith("Numeric") else convert(found)
            return left is not None and right is not None and relation(left, right)

        return compare_paths
    convert, relation = COMPARISONS[operator]
    constant = convert(operand)

    def compare(scope: StateScope, value: Any) -> bool:
        left = convert(_read(variable, scope, value))
        return left is not None and relation(left, constant)

    return compare


def _read(path: Path, scope: StateScope, value: Any) -> Any:
    try:
        return path.read(root_of(path, scope, value))
    except (NoMatch, KeyError):
        raise runtime(
            f"Invalid path '{path.text}': The choice state's condition path references an invalid"
            " value."
        ) from None


def _present(path: Path, scope: StateScope, value: Any) -> bool:
    try:
        found = path.read(root_of(path, scope, value))
    except (NoMatch, KeyError):
        return False
    return path.definite or bool(found)


def wildcard(pattern: str) -> Callable[[str], bool]:
    r"""Return the test of a StringMatches pattern: `*`, and `\\*` and `\\\\` for themselves."""
    parts, at = [""], 0
    while at < len(pattern):
        mark = pattern[at]
        if mark == "\\" and pattern[at + 1 : at + 2] in ("*", "\\"):
            parts[-1] += pattern[at + 1]
            at += 2
            continue
        if mark == "*":
            parts.append("")
        else:
            parts[-1] += mark
        at += 1
    first, *middle = parts
    if not middle:
        return lambda text: text == first
    last = middle.pop()

    def matches(text: str) -> bool:
        end = len(text) - len(last)
        if end < len(first) or not text.startswith(first) or not text.endswith(last):
            return False
        at = len(first)
        for part in middle:
            at = text.find(part, at, end)
            if at < 0:
                return False
            at += len(part)
        return True

    return matches
