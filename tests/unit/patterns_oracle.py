"""A slow and plain matcher for event patterns: what the documentation says, word by word.

It shares no code with wherry: it writes an event out as all its fields, a pattern as all its
rules, and tries every choice of fields for the paths of a rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, TypeAlias

Where: TypeAlias = dict[int, int]
"""Which element of which array (by their numbers) a field is in."""


class Fields:
    """All leaves of an event, each with its path and the elements it is in."""

    def __init__(self, event: dict[str, Any]) -> None:
        self.found: list[tuple[str, Any, Where]] = []
        self._arrays = 0
        self._object(event, [], {})

    def _object(self, value: dict[str, Any], path: list[str], where: Where) -> None:
        for name, inner in value.items():
            if isinstance(inner, dict):
                self._object(inner, [*path, name], where)
            elif isinstance(inner, list):
                self._array(inner, [*path, name], where)
            else:
                self.found.append((".".join([*path, name]), inner, where))

    def _array(self, elements: list[Any], path: list[str], where: Where) -> None:
        array = self._arrays
        self._arrays += 1
        for place, element in enumerate(elements):
            if isinstance(element, dict):
                self._object(element, path, {**where, array: place})
            elif isinstance(element, list):
                self._array(element, path, {**where, array: place})
            else:
                self.found.append((".".join(path), element, where))


def rules_of(pattern: dict[str, Any]) -> list[dict[str, list[Any]]]:
    """Return the rules of a valid pattern in which `$or` is the operator."""

    def continued(
        rules: list[dict[str, list[Any]]], inner: dict[str, Any], path: str
    ) -> list[dict[str, list[Any]]]:
        for name, value in inner.items():
            if name == "$or":
                rules = [one for branch in value for one in continued(rules, branch, path)]
            elif isinstance(value, dict):
                rules = continued(rules, value, f"{path}{name}.")
            else:
                rules = [rule | {path + name: value} for rule in rules]
        return rules

    return continued([{}], pattern, "")


def oracle(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Return whether an event matches a valid pattern."""
    fields = Fields(event).found

    def agree(one: Where, other: Where) -> bool:
        return all(other.get(array, place) == place for array, place in one.items())

    def rest(paths: list[str], rule: dict[str, list[Any]], chosen: Where) -> bool:
        if not paths:
            return True
        path, *others = paths
        here = [(value, where) for name, value, where in fields if name == path]
        possible = [(value, where) for value, where in here if agree(where, chosen)]
        if {"exists": False} in rule[path] and not possible and rest(others, rule, chosen):
            return True
        return any(
            any(holds(one, value) for one in rule[path]) and rest(others, rule, chosen | where)
            for value, where in possible
        )

    return any(rest(sorted(rule), rule, {}) for rule in rules_of(pattern))


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: no number is a truth value."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return Fraction(one) == Fraction(other)
    return type(one) is type(other) and bool(one == other)


def glob(form: str, text: str) -> bool:
    """Match a wildcard, character by character."""
    if not form:
        return not text
    if form[0] == "*":
        return any(glob(form[1:], text[cut:]) for cut in range(len(text) + 1))
    if form[0] == "\\":
        return text[:1] == form[1] and glob(form[2:], text[1:])
    return text[:1] == form[0] and glob(form[1:], text[1:])


def folded(form: str, text: str) -> Iterator[str]:
    """Yield what remains of a text that begins with a form, ignoring case."""
    if not form:
        yield text
        return
    for letter in {form[0].lower(), form[0].upper()}:
        if text.startswith(letter):
            yield from folded(form[1:], text[len(letter) :])


def holds(one: Any, value: Any) -> bool:
    """Return whether one value of a pattern's list holds for one leaf."""
    if not isinstance(one, dict):
        return same(one, value)
    ((operator, operand),) = one.items()
    if operator == "exists":
        return bool(operand)
    if operator == "anything-but":
        if isinstance(operand, dict):
            ((inner, named),) = operand.items()
            named = named if isinstance(named, list) else [named]
            return not any(holds({inner: each}, value) for each in named)
        named = operand if isinstance(operand, list) else [operand]
        return not any(same(each, value) for each in named)
    if operator == "numeric":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        number = Fraction(value)
        told = {"<": -1, "<=": -1, "=": 0, ">=": 1, ">": 1}
        return all(
            (number == bound and "=" in sign)
            or (number != bound and told[sign] == (1 if number > bound else -1))
            for sign, bound in zip(operand[::2], map(Fraction, operand[1::2]), strict=True)
        )
    if not isinstance(value, str):
        return False
    if isinstance(operand, dict):
        operand = operand["equals-ignore-case"]
        cuts = range(len(value) + 1)
        if operator == "prefix":
            return any(True for _ in folded(operand, value))
        return any("" in folded(operand, value[cut:]) for cut in cuts)
    if operator == "equals-ignore-case":
        return "" in folded(operand, value)
    if operator == "wildcard":
        return glob(operand, value)
    return value.startswith(operand) if operator == "prefix" else value.endswith(operand)
