"""JSONPath as Step Functions reads it: `$`, `$$` and `$variable` roots.

A path is parsed once; `Path.read` walks a value. A definite path names at most one value; any
other one (wildcards, slices, filters, `..`) gives a list, which may be empty.

What AWS answers is what Jayway's JsonPath 2.0.0 does over Jackson's nodes, which nothing later
does: no functions (`length()` is the name of a field), no index from the end but
`[(@.length-1)]`, `['a','b']` an object, and an index past the end null where a path ends in it.
"""

from __future__ import annotations

import re
from typing import Any

from wherry.statemachine.faults import QUERY, StatesError
from wherry.statemachine.overtime import MEMORY, TIMEOUT, Overtime, allowance, exceeded
from wherry.statemachine.pathsteps import Step, descend, fits, select

_NAME = re.compile(r"[^\s.\[\]()$,'\"?*:]+")
_COMPARED_NAME = re.compile(r"[^\s.\[\]()$,'\"?*:<>=!~&|]+")  # in a filter: `@.price<10`
_VARIABLE = re.compile(r"\$([^\W\d]\w*)")
_INT = re.compile(r"-?\d+\Z")
_FROM_END = re.compile(r"\(\s*@\.(?:length|size)(?:\(\))?\s*-\s*(\d+)\s*\)\Z")
_REFERENCE = re.compile(
    r"\$\$?(?:[^\W\d]\w*)?"
    r"(?:\.[^\s.\[\]()$,'\"?*@:]+|\.?\['(?:[^'\\]|\\.)+'\]|\.?\[\"(?:[^\"\\]|\\.)+\"\]|\[\d+\])*\Z"
)


class PathSyntax(ValueError):
    """The text is not a JSONPath."""


class NoMatch(Exception):
    """A path names nothing.

    Attributes:
        beyond: It ends in an index past the end of an array.
        unfit: A step cannot be applied to what is there, which no wildcard passes over.
    """

    def __init__(self, reason: str, *, beyond: bool = False, unfit: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.beyond = beyond
        self.unfit = unfit


class Path:
    """A parsed path.

    `root` is "$" (the value at hand), "$$" (the context object) or the name of a variable.
    """

    __slots__ = ("definite", "keys", "last_open", "root", "steps", "text")

    def __init__(self, text: str, root: str, steps: tuple[Step, ...]) -> None:
        self.text = text
        self.root = root
        self.steps = steps
        self.definite = all(step.definite for step in steps)
        self.last_open = max((at for at, one in enumerate(steps) if not one.definite), default=-1)
        self.keys = (
            tuple(step.argument for step in steps)
            if all(step.kind == "key" for step in steps)
            else None
        )

    def read(self, root: Any) -> Any:
        """Return what the path names in `root`.

        Raises:
            NoMatch: It names nothing, or cannot be followed through what is there.
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
            found: list[Any] = []
            self._collect(0, root, root, found)
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
            found = select(step, value, root)
            if not found or (step.kind == "keys" and step is not self.steps[-1]):
                raise self._nothing(root)
            value = found[0]
        return value

    def _nothing(self, root: Any) -> NoMatch:
        value, last = root, len(self.steps) - 1
        for at, step in enumerate(self.steps):
            unfit = self._unfit(at, value)
            if unfit is not None:
                return unfit
            found = select(step, value, root)
            beyond = step.kind in ("index", "last")
            if not found and at == last:
                return NoMatch(f"No results for path: {self.shown()}", beyond=beyond)
            if not found and not beyond:
                return NoMatch(f"Missing property in path {self._shown_to(at + 1)}")
            value = found[0] if found else None  # past the end is null, and goes on
        return NoMatch(f"No results for path: {self.shown()}")

    def _unfit(self, at: int, value: Any) -> NoMatch | None:
        """Return why a step cannot be applied at all."""
        step = self.steps[at]
        match step.kind:
            case "key" | "keys":
                if not isinstance(value, dict):
                    where = self._shown_to(at)
                    return NoMatch(f"Property {step.shown()} not found in path {where}")
                if step.kind == "keys" and at < len(self.steps) - 1:
                    reason = "Multi properties can only be used as path leafs"
                    return NoMatch(f"{reason}: {self._shown_to(at + 1)}", unfit=True)
            case "index" | "last" | "indexes" | "slice":
                if value is None:
                    return NoMatch(f"The path {self._shown_to(at)} is null")
                if not isinstance(value, list):
                    return self._misapplied(at, "only be applied to arrays", value)
            case "filter" if not isinstance(value, dict | list):
                return self._misapplied(at, "not be applied to primitives", value)
        return None

    def _misapplied(self, at: int, how: str, value: Any) -> NoMatch:
        from wherry.statemachine.text import to_text

        rest = "".join(step.shown() for step in self.steps[at:])
        reason = f"Filter: {rest} can {how}. Current context is: {to_text(value)}"
        return NoMatch(reason, unfit=True)

    def _collect(self, at: int, value: Any, root: Any, found: list[Any]) -> None:
        """Add all that the steps from `at` on name in a value."""
        if at == len(self.steps):
            found.append(value)
            return
        step = self.steps[at]
        unfit = self._unfit(at, value)
        if unfit is not None:
            raise unfit
        if step.kind == "deep":
            following = self.steps[at + 1]
            for one in descend(value):
                if fits(following, one):
                    self._collect(at + 1, one, root, found)
            return
        chosen = select(step, value, root)
        inner = at < len(self.steps) - 1
        if inner and step.kind == "key" and not chosen and self.last_open < at - 1:
            raise NoMatch(f"Missing property in path {self._shown_to(at + 1)}")
        if not chosen and step.kind in ("index", "last"):
            chosen = [None]
        for one in chosen:
            try:
                self._collect(at + 1, one, root, found)
            except NoMatch as nothing:
                if nothing.unfit or step.kind != "all":
                    raise

    def stops_at(self, root: Any) -> str:
        """Return the name or the number of the first step that names nothing."""
        value = root
        for step in self.steps:
            found = select(step, value, root)
            if not found:
                return str(step.argument)
            value = found[0]
        return self.text

    def shown(self) -> str:
        """Return the path as Jayway prints it: `$['a']['b'][0]`."""
        return self._shown_to(len(self.steps))

    def _shown_to(self, at: int) -> str:
        return "$" + "".join(step.shown() for step in self.steps[:at])


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


def parse_prefix(text: str, start: int, *, compared: bool = False) -> tuple[Path, int]:
    """Parse the longest path that begins at `start`; return it and where it ends.

    Args:
        text: What holds it.
        start: Where it begins.
        compared: It stands in a filter: an operator may follow it without a space.
    """
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
            at = _dotted(text, at, steps, _COMPARED_NAME if compared else _NAME)
        elif text[at] == "[":
            at = _bracketed(text, at, steps)
        else:
            break
    if steps and steps[-1].kind == "deep":
        raise PathSyntax(f"'{text}' ends with a descent")
    return Path(text[start:at], root, tuple(steps)), at


def _dotted(text: str, at: int, steps: list[Step], names: re.Pattern[str]) -> int:
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
    match = names.match(text, at)
    if match is None:
        raise PathSyntax(f"A name is missing at position {at} of '{text}'")
    end = match.end() + 2 * text.startswith("()", match.end())
    steps.append(Step("key", text[at:end]))
    return end


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
    if match := _FROM_END.match(inner):
        return Step("last", int(match.group(1)))
    if ":" in inner:
        parts = [part.strip() for part in inner.split(":")]
        if len(parts) <= 3 and all(not part or _INT.match(part) for part in parts):
            ends = [int(part) if part else None for part in parts[:2]]  # a step is read past
            if ends != [None, None]:
                return Step("slice", tuple(ends))
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
