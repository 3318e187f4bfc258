"""JSONPath as Step Functions reads it (Jayway's dialect): `$`, `$$` and `$variable` roots.

A path is parsed once; `Path.read` walks a value. A definite path names at most one value; any
other one (wildcards, slices, filters, `..`) gives a list, which may be empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from wherry.statemachine.faults import QUERY, StatesError
from wherry.statemachine.overtime import MEMORY, TIMEOUT, Overtime, allowance, exceeded

_NAME = re.compile(r"[^\s.\[\]()$,'\"?*:]+")
_VARIABLE = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_INT = re.compile(r"-?\d+\Z")
_REFERENCE = re.compile(
    r"\$\$?(?:[A-Za-z_][A-Za-z0-9_]*)?"
    r"(?:\.[^\s.\[\]()$,'\"?*@:]+|\.?\['(?:[^'\\]|\\.)+'\]|\.?\[\"(?:[^\"\\]|\\.)+\"\]|\[\d+\])*\Z"
)

Filter: TypeAlias = Callable[[Any, Any], bool]
"""A predicate of one element and the root of the document."""


class PathSyntax(ValueError):
    """The text is not a JSONPath."""


class NoMatch(Exception):
    """A definite path names nothing. `beyond`: an index past the end of an array is at fault."""

    def __init__(self, reason: str, *, beyond: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.beyond = beyond


class Step:
    """One part of a path: `find` yields what it selects of a value."""

    __slots__ = ("argument", "kind")

    def __init__(self, kind: str, argument: Any = None) -> None:
        self.kind = kind  # key keys index indexes slice all deep filter call
        self.argument = argument

    @property
    def definite(self) -> bool:
        return self.kind in ("key", "index", "call")

    def shown(self) -> str:
        """Return the step as Jayway prints a path."""
        match self.kind:
            case "key":
                return f"['{self.argument}']"
            case "keys":
                return "[" + ",".join(f"'{name}'" for name in self.argument) + "]"
            case "index":
                return f"[{self.argument}]"
            case "all":
                return "[*]"
            case "deep":
                return ".."
            case "call":
                return f".{self.argument}()"
            case _:
                return "[?]"


class Path:
    """A parsed path.

    `root` is "$" (the value at hand), "$$" (the context object) or the name of a variable.
    """

    __slots__ = ("definite", "keys", "root", "steps", "text")

    def __init__(self, text: str, root: str, steps: tuple[Step, ...]) -> None:
        self.text = text
        self.root = root
        self.steps = steps
        self.definite = all(step.definite for step in steps)
        self.keys = (
            tuple(step.argument for step in steps)
            if all(step.kind == "key" for step in steps)
            else None
        )

    def read(self, root: Any) -> Any:
        """Return what the path names in `root`.

        Raises:
            NoMatch: A definite path names nothing.
            StatesError: There was no time left to look for all that it names.
        """
        if self.keys is not None:
            value = root
            for key in self.keys:
                if type(value) is dict and key in value:
                    value = value[key]
                else:
                    raise self._nothing(root)
            return value
        if self.definite:
            return self._read_definite(root)
        return self._read_all(root)

    def _read_all(self, root: Any) -> list[Any]:
        if allowance.over:
            raise StatesError(QUERY, TIMEOUT)
        outer, allowance.evaluating = allowance.evaluating, True
        try:
            found = [root]
            for step in self.steps:
                found = [value for one in found for value in _select(step, one, root)]
            return found
        except Overtime:
            raise StatesError(QUERY, TIMEOUT) from None
        except MemoryError:
            raise StatesError(QUERY, exceeded(MEMORY)) from None
        finally:
            allowance.evaluating = outer

    def _read_definite(self, root: Any) -> Any:
        value = root
        for step in self.steps:
            found = _select(step, value, root)
            if not found:
                raise self._nothing(root)
            value = found[0]
        return value

    def _nothing(self, root: Any) -> NoMatch:
        value, shown = root, "$"
        for number, step in enumerate(self.steps):
            shown += step.shown()
            found = _select(step, value, root)
            if found:
                value = found[0]
                continue
            if step.kind == "index" and not isinstance(value, list):
                from wherry.statemachine.text import to_text

                return NoMatch(
                    f"Filter: {step.shown()} can only be applied to arrays. Current context is:"
                    f" {to_text(value)}"
                )
            beyond = step.kind == "index"
            if number == len(self.steps) - 1 or beyond:
                return NoMatch(f"No results for path: {self.shown()}", beyond=beyond)
            return NoMatch(f"Missing property in path {shown}")
        return NoMatch(f"No results for path: {self.shown()}")

    def shown(self) -> str:
        """Return the path as Jayway prints it: `$['a']['b'][0]`."""
        return "$" + "".join(step.shown() for step in self.steps)


def _select(step: Step, value: Any, root: Any) -> list[Any]:
    argument = step.argument
    match step.kind:
        case "key":
            return [value[argument]] if isinstance(value, dict) and argument in value else []
        case "keys":
            if not isinstance(value, dict):
                return []
            return [value[name] for name in argument if name in value]
        case "index" | "indexes":
            wanted = (argument,) if step.kind == "index" else argument
            if not isinstance(value, list):
                return []
            return [value[n] for n in wanted if -len(value) <= n < len(value)]
        case "slice":
            return value[argument] if isinstance(value, list) else []
        case "all":
            if isinstance(value, dict):
                return list(value.values())
            return value if isinstance(value, list) else []
        case "deep":
            return list(_descend(value, 0))
        case "filter":
            if isinstance(value, dict):
                return [value] if argument(value, root) else []
            return [one for one in value if argument(one, root)] if isinstance(value, list) else []
        case _:
            return _call(argument, value)


def _descend(value: Any, depth: int) -> list[Any]:
    found = [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        if isinstance(one, dict | list):
            found += _descend(one, depth + 1)
    return found


def _call(name: str, value: Any) -> list[Any]:
    if name in ("length", "size"):
        return [len(value)] if isinstance(value, list | dict | str) else []
    if name == "keys":
        return [list(value)] if isinstance(value, dict) else []
    if not isinstance(value, list) or not value:
        return []
    if name in ("first", "last"):
        return [value[0 if name == "first" else -1]]
    numbers = [float(n) for n in value if isinstance(n, int | float) and not isinstance(n, bool)]
    if not numbers:
        return []
    mean = sum(numbers) / len(numbers)
    match name:
        case "min":
            return [min(numbers)]
        case "max":
            return [max(numbers)]
        case "sum":
            return [sum(numbers)]
        case "avg":
            return [mean]
        case _:
            return [(sum((n - mean) ** 2 for n in numbers) / len(numbers)) ** 0.5]


CALLS = ("length", "size", "keys", "first", "last", "min", "max", "sum", "avg", "stddev")


def is_reference(text: object) -> bool:
    """Whether a text is a Reference Path: it can only name one node."""
    return isinstance(text, str) and _REFERENCE.match(text) is not None


def parse(text: str) -> Path:
    """Parse a path.

    Raises:
        PathSyntax: It is not one; the message says what is wrong.
    """
    path, end = parse_prefix(text, 0)
    if end != len(text):
        raise PathSyntax(f"Could not parse '{text}' from position {end}")
    return path


def parse_prefix(text: str, start: int) -> tuple[Path, int]:
    """Parse the longest path that begins at `start`; return it and where it ends."""
    if not text.startswith("$", start):
        raise PathSyntax(f"The path '{text[start:]}' does not begin with $")
    at = start + 1
    root = "$"
    if text.startswith("$", at):
        root, at = "$$", at + 1
    elif match := _VARIABLE.match(text, start):
        root, at = match.group(1), match.end()
    steps: list[Step] = []
    while at < len(text):
        if text[at] == ".":
            at = _dotted(text, at, steps)
        elif text[at] == "[":
            at = _bracketed(text, at, steps)
        else:
            break
    return Path(text[start:at], root, tuple(steps)), at


def _dotted(text: str, at: int, steps: list[Step]) -> int:
    if text.startswith("..", at):
        steps.append(Step("deep"))
        at += 2
        if text.startswith("[", at):
            return at
    else:
        at += 1
        if text.startswith("[", at):
            return at
    if text.startswith("*", at):
        steps.append(Step("all"))
        return at + 1
    match = _NAME.match(text, at)
    if match is None:
        raise PathSyntax(f"A name is missing at position {at} of '{text}'")
    if text.startswith("()", match.end()) and match.group() in CALLS:
        steps.append(Step("call", match.group()))
        return match.end() + 2
    steps.append(Step("key", match.group()))
    return match.end()


def _bracketed(text: str, at: int, steps: list[Step]) -> int:
    at += 1
    if text.startswith("?", at):
        from wherry.statemachine.filters import parse_filter

        predicate, end = parse_filter(text, at + 1)
        steps.append(Step("filter", predicate))
        return _closed(text, end)
    if text[at : at + 1] in ("'", '"'):
        names: list[str] = []
        while True:
            name, at = quoted(text, at)
            names.append(name)
            if not text.startswith(",", at):
                break
            at += 1 + len(text[at + 1 :]) - len(text[at + 1 :].lstrip())
        steps.append(Step("key", names[0]) if len(names) == 1 else Step("keys", tuple(names)))
        return _closed(text, at)
    end = text.find("]", at)
    if end < 0:
        raise PathSyntax(f"A ] is missing in '{text}'")
    steps.append(_numbers(text[at:end].strip(), text))
    return end + 1


def _numbers(inner: str, text: str) -> Step:
    if inner == "*":
        return Step("all")
    if _INT.match(inner):
        return Step("index", int(inner))
    if ":" in inner:
        parts = [part.strip() for part in inner.split(":")]
        if len(parts) <= 3 and all(not part or _INT.match(part) for part in parts):
            numbers = [int(part) if part else None for part in parts]
            if len(numbers) < 3 or numbers[2] != 0:
                return Step("slice", slice(*numbers))
    parts = [part.strip() for part in inner.split(",")]
    if len(parts) > 1 and all(_INT.match(part) for part in parts):
        return Step("indexes", tuple(map(int, parts)))
    raise PathSyntax(f"'[{inner}]' in '{text}' is no index, slice or name")


def quoted(text: str, at: int) -> tuple[str, int]:
    """Read a quoted text at `at`; return it without quotes and escapes, and where it ends."""
    quote, out = text[at], []
    at += 1
    while at < len(text):
        if text[at] == "\\" and at + 1 < len(text):
            out.append(text[at + 1])
            at += 2
            continue
        if text[at] == quote:
            return "".join(out), at + 1
        out.append(text[at])
        at += 1
    raise PathSyntax(f"A closing {quote} is missing in '{text}'")


def _closed(text: str, at: int) -> int:
    while text[at : at + 1] == " ":
        at += 1
    if not text.startswith("]", at):
        raise PathSyntax(f"A ] is missing at position {at} of '{text}'")
    return at + 1
