"""Filters of JSONPath: `[?(@.price < 10 && @.kind == 'new')]`, as Jayway 2.0.0 evaluates them.

A path alone asks whether it is there and not null; false, 0 and "" are there. What is compared
with a path that is not there, or with a value of another kind, does not hold, `!=` no more than
`==`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from wherry.statemachine.paths import NoMatch, PathSyntax, parse_prefix, quoted
from wherry.statemachine.pathsteps import Filter
from wherry.statemachine.regexes import compile_regex

_ABSENT = object()
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"(?:true|false|null)(?![\w-])")
_LITERAL = re.compile(r"['\"\[/]|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w.:-])")
_BARE = re.compile(r"[^\s()\[\]&|'\",]+")  # a text without quotes: [?(@.status==done)]
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\Z")
_OPERATOR = re.compile(
    r"===|==|!==|!=|=~|<=|>=|<|>|(?:in|nin|subsetof|anyof|noneof|size|empty|contains|type)\b",
    re.IGNORECASE,
)

Operand = Callable[[Any, Any], Any]


class _Parser:
    def __init__(self, text: str, at: int) -> None:
        self.text = text
        self.at = at

    def skip(self) -> None:
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1

    def take(self, token: str) -> bool:
        self.skip()
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def either(self) -> Filter:
        parts = [self.both()]
        while self.take("||"):
            parts.append(self.both())
        if len(parts) == 1:
            return parts[0]
        return lambda one, root: any(part(one, root) for part in parts)

    def both(self) -> Filter:
        parts = [self.single()]
        while self.take("&&"):
            parts.append(self.single())
        if len(parts) == 1:
            return parts[0]
        return lambda one, root: all(part(one, root) for part in parts)

    def single(self) -> Filter:
        self.skip()
        if self.text.startswith("!", self.at) and not self.text.startswith("!=", self.at):
            self.at += 1
            inner = self.single()
            return lambda one, root: not inner(one, root)
        if self.take("("):
            inner = self.either()
            if not self.take(")"):
                raise PathSyntax(f"A ) is missing in the filter of '{self.text}'")
            return inner
        left = self.operand()
        self.skip()
        match = _OPERATOR.match(self.text, self.at)
        if match is None:
            return lambda one, root: left(one, root) not in (_ABSENT, None)
        self.at = match.end()
        operator = match.group().lower()
        return _comparison(operator, left, self.operand(right=True))

    def operand(self, right: bool = False) -> Operand:
        self.skip()
        text, at = self.text, self.at
        head = text[at : at + 1]
        if head in ("@", "$"):
            swapped = f"{text[:at]}${text[at + 1 :]}" if head == "@" else text
            path, self.at = parse_prefix(swapped, at, compared=True)
            if path.root != "$":
                raise PathSyntax(f"A filter of '{text}' cannot use {path.root}")
            read = path.read

            def find(one: Any, root: Any) -> Any:
                try:
                    return read(one if head == "@" else root)
                except NoMatch:
                    return _ABSENT

            return find
        word = _WORD.match(text, at)
        if word is not None:  # compared as a text, so that 'true' is true as well
            self.at = word.end()
            return lambda _one, _root: word.group()
        if right and not _LITERAL.match(text, at) and (bare := _BARE.match(text, at)):
            self.at = bare.end()
            return lambda _one, _root: bare.group()
        value = self.literal()
        return lambda _one, _root: value

    def literal(self) -> Any:
        self.skip()
        text, at = self.text, self.at
        if text[at : at + 1] in ("'", '"'):
            value, self.at = quoted(text, at)
            return value
        if match := _NUMBER.match(text, at):
            self.at = match.end()
            number = match.group()
            return int(number) if re.fullmatch(r"-?\d+", number) else float(number)
        if match := _WORD.match(text, at):
            self.at = match.end()
            return {"true": True, "false": False, "null": None}[match.group()]
        if self.take("["):
            values: list[Any] = []
            while not self.take("]"):
                values.append(self.literal())
                self.take(",")
            return values
        if self.take("/"):
            end = self.at
            while end < len(text) and text[end] != "/":
                end += 2 if text[end] == "\\" else 1
            body, self.at = text[self.at : end], end + 1
            ignore_case = self.take("i")
            return compile_regex(body, ignore_case=ignore_case)
        raise PathSyntax(f"Nothing to compare at position {at} of '{text}'")


def parse_filter(text: str, at: int) -> tuple[Filter, int]:
    """Parse `( ... )` at `at`; return the predicate and where it ends."""
    parser = _Parser(text, at)
    if not parser.take("("):
        raise PathSyntax(f"A ( is missing in the filter of '{text}'")
    predicate = parser.either()
    if not parser.take(")"):
        raise PathSyntax(f"A ) is missing in the filter of '{text}'")
    return predicate, parser.at


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else type(value).__name__


def same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: true is not 1, 1 is 1.0."""
    if _kind(left) != _kind(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return bool(left == right)


def _compared(model: Any, expected: Any) -> int | None:
    """Return -1, 0 or 1: how what is expected stands to what is there; None: not to be compared."""
    if _is_null(expected) or _is_null(model):
        return _is_null(model) - _is_null(expected)
    kinds = _kind(expected), _kind(model)
    match kinds:
        case ("str", "str") | ("number", "number") | ("bool", "bool"):
            return int(expected > model) - int(expected < model)
        case ("str", "number"):
            if not _DECIMAL.match(expected):
                return None
            number = float(expected)
            return int(number > model) - int(number < model)
        case ("str", "bool"):
            wanted = expected.lower() == "true"
            return int(wanted) - int(model)
        case ("list", _) | ("dict", _):
            return 0 if same(model, expected) else -1
        case _:
            return None


def _is_null(value: Any) -> bool:
    return value is None or value == "null"


def _relation(holds: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    def test(model: Any, expected: Any) -> bool:
        order = _compared(model, expected)
        return order is not None and holds(order)

    return test


def _ordered(holds: Callable[[int], bool]) -> Callable[[Any, Any], bool]:
    related = _relation(holds)
    return lambda model, expected: model is not None and related(model, expected)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _has(values: list[Any], wanted: Any) -> bool:
    return any(same(one, wanted) for one in values)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "==": _relation(lambda order: order == 0),
    "===": same,
    "!=": _relation(lambda order: order != 0),
    "!==": lambda a, b: not same(a, b),
    "<": _ordered(lambda order: order > 0),
    "<=": _ordered(lambda order: order >= 0),
    ">": _ordered(lambda order: order < 0),
    ">=": _ordered(lambda order: order <= 0),
    "=~": lambda a, b: isinstance(a, str) and hasattr(b, "matches") and b.matches(a),
    "in": lambda a, b: _has(_as_list(b), a),
    "nin": lambda a, b: not _has(_as_list(b), a),
    "subsetof": lambda a, b: all(_has(_as_list(b), one) for one in _as_list(a)),
    "anyof": lambda a, b: any(_has(_as_list(b), one) for one in _as_list(a)),
    "noneof": lambda a, b: not any(_has(_as_list(b), one) for one in _as_list(a)),
    "size": lambda a, b: isinstance(a, list | str) and len(a) == b,
    "empty": lambda a, b: isinstance(a, list | str | dict) and (not a) == bool(b),
    "contains": lambda a, b: (
        b in a if isinstance(a, str) and isinstance(b, str) else _has(_as_list(a), b)
    ),
    "type": lambda a, b: _kind(a) == b,
}


def _comparison(operator: str, left: Operand, right: Operand) -> Filter:
    test = _TESTS[operator]

    def compare(one: Any, root: Any) -> bool:
        a, b = left(one, root), right(one, root)
        return a is not _ABSENT and b is not _ABSENT and test(a, b)

    return compare
