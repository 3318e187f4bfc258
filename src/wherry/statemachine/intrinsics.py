"""Calls of intrinsic functions: `States.Format('{} {}', $.first, States.ArrayGetItem($.l, 0))`.

Only JSONPath states have them. A call is parsed once; what it says of errors was recorded on AWS.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

from wherry import limits
from wherry.statemachine.faults import runtime
from wherry.statemachine.functions import ARITY, Draw, InvalidArguments, InvalidTemplate, apply
from wherry.statemachine.paths import NoMatch, Path, PathSyntax, parse_prefix
from wherry.statemachine.text import to_text

_FUNCTION = re.compile(r"States\.([A-Za-z0-9]+)\s*\(")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(r"(?:true|false|null)\b")


class Scope(Protocol):
    """What a path can be read from, beside the value at hand."""

    def context(self) -> Any:
        """Return the context object."""
        ...

    def variable(self, name: str) -> Any:
        """Return a variable's value; raise KeyError where there is none."""
        ...

    @property
    def draw(self) -> Draw:
        """Chance for UUID and MathRandom."""
        ...


class _Missing(Exception):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


class Quoted(str):
    """A literal with its escapes: `States.Format` reads the escaped braces itself."""

    __slots__ = ()


class Literal:
    """A number, a word or a quoted text."""

    __slots__ = ("raw", "value")

    def __init__(self, value: Any, raw: str | None = None) -> None:
        self.value = value
        self.raw = raw

    def read(self, scope: Scope, value: Any) -> Any:
        return self.value


class Reference:
    """A path as an argument."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, scope: Scope, value: Any) -> Any:
        path = self.path
        try:
            if path.root == "$":
                return path.read(value)
            if path.root == "$$":
                return path.read(scope.context())
            return path.read(scope.variable(path.root))
        except (NoMatch, KeyError):
            shown = path.text[1:] if path.root == "$$" else path.text
            raise _Missing(shown) from None


class Call:
    """One call with its arguments; `text` is how the definition writes it."""

    __slots__ = ("arguments", "name", "text")

    def __init__(
        self, name: str, arguments: tuple[Literal | Reference | Call, ...], text: str
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.text = text

    def read(self, scope: Scope, value: Any) -> Any:
        arguments = [argument.read(scope, value) for argument in self.arguments]
        if self.name == "Format" and arguments and isinstance(self.arguments[0], Literal):
            first = self.arguments[0]
            arguments[0] = Quoted(first.raw) if first.raw is not None else first.value
        try:
            return apply(self.name, arguments, scope.draw)
        except InvalidArguments as error:
            raise runtime(
                f"There was an error while evaluating the intrinsic function: {self.text}."
                f" Invalid arguments in States.{self.name}{error.detail}"
            ) from None
        except InvalidTemplate as error:
            raise runtime(
                f"There was an error while evaluating the intrinsic function: {self.text}."
                f" Invalid template in States.{self.name}: {error}"
            ) from None

    def evaluate(self, scope: Scope, value: Any) -> Any:
        """Evaluate the outermost call.

        Raises:
            StatesError: `States.Runtime`, with AWS's cause.
        """
        try:
            return self.read(scope, value)
        except _Missing as missing:
            raise runtime(
                f"The function '{self.text}' had the following error: The JsonPath argument for"
                f" the field '{missing.path}' could not be found in the input '{to_text(value)}'"
            ) from None


def is_call(text: object) -> bool:
    """Whether a text looks like the call of an intrinsic function."""
    return isinstance(text, str) and _FUNCTION.match(text) is not None


def parse_call(text: str) -> Call:
    """Parse a call.

    Raises:
        PathSyntax: It is none.
    """
    stripped = text.strip()
    call, end = _call(stripped, 0, 1)
    if end != len(stripped):
        raise PathSyntax(f"Nothing may follow the call in '{text}'")
    return call


def _call(text: str, at: int, depth: int) -> tuple[Call, int]:
    match = _FUNCTION.match(text, at)
    if match is None:
        raise PathSyntax(f"'{text[at:]}' is no intrinsic function")
    name = match.group(1)
    if name not in ARITY:
        raise PathSyntax(f"There is no intrinsic function States.{name}")
    if depth > limits.STATE_INTRINSIC_DEPTH:
        raise PathSyntax(f"More than {limits.STATE_INTRINSIC_DEPTH} functions in each other")
    arguments: list[Literal | Reference | Call] = []
    start, at = at, _space(text, match.end())
    if text.startswith(")", at):
        return Call(name, (), text[start : at + 1]), at + 1
    while True:
        argument, at = _argument(text, at, depth)
        arguments.append(argument)
        at = _space(text, at)
        if text.startswith(",", at):
            at = _space(text, at + 1)
            continue
        if text.startswith(")", at):
            return Call(name, tuple(arguments), text[start : at + 1]), at + 1
        raise PathSyntax(f"A ) is missing at position {at} of '{text}'")


def _space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _argument(text: str, at: int, depth: int) -> tuple[Literal | Reference | Call, int]:
    if text.startswith("States.", at):
        return _call(text, at, depth + 1)
    if text.startswith("$", at):
        path, end = parse_prefix(text, at)
        return Reference(path), end
    if text.startswith("'", at):
        end = at + 1
        while end < len(text) and text[end] != "'":
            end += 2 if text[end] == "\\" else 1
        if end >= len(text):
            raise PathSyntax(f"A closing ' is missing in '{text}'")
        raw = text[at + 1 : end]
        return Literal(unescape(raw), raw), end + 1
    if match := _NUMBER.match(text, at):
        number = match.group()
        whole = re.fullmatch(r"-?\d+", number)
        return Literal(int(number) if whole else float(number)), match.end()
    if match := _WORD.match(text, at):
        return Literal({"true": True, "false": False, "null": None}[match.group()]), match.end()
    raise PathSyntax(f"No argument at position {at} of '{text}'")


def unescape(raw: str) -> str:
    """Return a quoted text without the escapes of quotes, braces and backslashes."""
    if "\\" not in raw:
        return raw
    return re.sub(r"\\(['{}\\])", r"\1", raw)
