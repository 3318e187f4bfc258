"""A pattern as it was given, JSON text or a dict, as a tree that keeps order and duplicate keys.

A key that is there twice counts by its last place (AWS's documentation), and which of two equal
paths is the last can depend on the order of keys where `$or` is involved. A dict can hold the
first no more and canonical JSON would change the second, so the tree holds both.
"""

from __future__ import annotations

from math import isfinite
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.codec import to_json
from wherry.patterns.faults import Fault, member
from wherry.patterns.numbers import Digits, Number, number, number_of_text


class Members(msgspec.Struct, frozen=True):
    """The members of an object, in order, with duplicates."""

    pairs: list[tuple[str, Tree]]


Tree: TypeAlias = "Members | list[Tree] | str | bool | Number | None"


class NotRead(ValueError):
    """The pattern is no JSON of an object; `faults` says why."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


def read(pattern: Any) -> Members:
    """Return the tree of a pattern.

    Args:
        pattern: A dict as JSON would parse to, or JSON text (str, UTF-8 bytes).

    Raises:
        NotRead: It is neither, it is nested deeper than `limits.JSON_DEPTH`, or longer than
            `limits.PATTERN_LENGTH` characters (a dict: as compact JSON).
    """
    if isinstance(pattern, bytes | bytearray):
        try:
            pattern = pattern.decode()
        except UnicodeDecodeError:
            raise NotRead([Fault("$", "is not UTF-8")]) from None
    reader = _Reader()
    if isinstance(pattern, str):
        _check_length(len(pattern))
        tree = reader.tree(_parsed(pattern), "$", 0)
    else:
        tree = reader.tree(pattern, "$", 0)
    if reader.faults:
        raise NotRead(reader.faults)
    if not isinstance(tree, Members):
        raise NotRead([Fault("$", 'is not an object; a pattern is one: {"source": ["shop"]}')])
    if not isinstance(pattern, str):
        _check_length(len(written(tree)))
    return tree


def _check_length(length: int) -> None:
    if length > limits.PATTERN_LENGTH:
        raise NotRead([_too_long(str(length))])


def _too_long(length: str) -> Fault:
    return Fault("$", f"has {length} characters; EventBridge takes {limits.PATTERN_LENGTH}")


def _too_deep() -> Fault:
    return Fault("$", f"is nested deeper than {limits.JSON_DEPTH} levels")


class _Pairs(list[tuple[str, Any]]):
    """An object as the parser found it."""


def _parsed(text: str) -> Any:
    import json

    def no_number(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(
            text,
            object_pairs_hook=_Pairs,
            parse_float=number_of_text,
            parse_constant=no_number,
        )
    except RecursionError:
        raise NotRead([_too_deep()]) from None
    except ValueError as error:
        raise NotRead([Fault("$", f"is not JSON: {error}")]) from None


class _Reader:
    """Builds the tree and collects what is no JSON; looks at so many values and no more."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._values = 0

    def tree(self, value: Any, at: str, depth: int) -> Tree:
        self._values += 1
        if self._values > limits.PATTERN_LENGTH:  # each is a character or more
            raise NotRead([_too_long(f"more than {limits.PATTERN_LENGTH}")])
        if depth > limits.JSON_DEPTH:
            raise NotRead([_too_deep()])
        if isinstance(value, dict | _Pairs):
            pairs = value.items() if isinstance(value, dict) else value
            return Members(
                [
                    (name, self.tree(inner, member(at, name), depth + 1))
                    for name, inner in pairs
                    if self._is_text(name, at)
                ]
            )
        if isinstance(value, list | tuple):
            return [
                self.tree(inner, f"{at}[{place}]", depth + 1) for place, inner in enumerate(value)
            ]
        return self._scalar(value, at)

    def _scalar(self, value: Any, at: str) -> Tree:
        if isinstance(value, str):
            return value if self._is_text(value, at) else ""
        if value is None or isinstance(value, bool | Digits):
            return value
        if isinstance(value, int):
            if value.bit_length() > 4 * limits.PATTERN_LENGTH:
                raise NotRead([_too_long(f"more than {limits.PATTERN_LENGTH}")])
            return number(value)
        if isinstance(value, float):
            if not isfinite(value):
                self.faults.append(Fault(at, f"is {value}, which is no JSON number"))
            return number(value)
        self.faults.append(Fault(at, f"is a {type(value).__name__}, which is no JSON"))
        return None

    def _is_text(self, value: Any, at: str) -> bool:
        if not isinstance(value, str):
            self.faults.append(Fault(at, f"has the key {value!r}; keys are strings"))
            return False
        try:
            value.encode()
        except UnicodeEncodeError:
            reason = f"holds a lone surrogate, which UTF-8 cannot say: {value[:80]!a}"
            self.faults.append(Fault(at, reason))
            return False
        return True


def written(tree: Tree) -> str:
    """Write a tree as compact JSON, in its own order; equal numbers are written alike."""
    if isinstance(tree, Members):
        return "{" + ",".join(f"{_json(name)}:{written(inner)}" for name, inner in tree.pairs) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(written, tree)) + "]"
    if isinstance(tree, Digits):
        return tree.text
    if isinstance(tree, int) and not isinstance(tree, bool):
        return str(tree)  # msgspec writes 64 bits
    if isinstance(tree, float) and tree.is_integer() and abs(tree) < 1e16:
        return str(int(tree))
    return _json(tree)


def _json(value: Any) -> str:
    return to_json(value).decode()


def repeats_a_key(tree: Tree) -> bool:
    """Return whether an object within the tree has a key twice."""
    if isinstance(tree, Members):
        once = len({name for name, _ in tree.pairs}) == len(tree.pairs)
        return not once or any(repeats_a_key(inner) for _, inner in tree.pairs)
    return isinstance(tree, list) and any(map(repeats_a_key, tree))


def in_order(tree: Tree) -> Tree:
    """Return a tree with the keys of every object sorted."""
    if isinstance(tree, Members):
        pairs = ((name, in_order(inner)) for name, inner in tree.pairs)
        return Members(sorted(pairs, key=lambda pair: pair[0]))
    return [in_order(inner) for inner in tree] if isinstance(tree, list) else tree


def event_of_text(text: str | bytes | bytearray) -> Any:
    """Parse JSON text of an event, numbers kept exactly; raises ValueError if it is none."""
    try:
        return _EVENT.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from None


_EVENT = msgspec.json.Decoder(float_hook=number_of_text)
