"""The steps of a JSONPath, and what each of them names in a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Filter: TypeAlias = Callable[[Any, Any], bool]
"""A predicate of one element and the root of the document."""


class Step:
    """One part of a path: `find` yields what it selects of a value."""

    __slots__ = ("argument", "kind")

    def __init__(self, kind: str, argument: Any = None) -> None:
        self.kind = kind  # key keys index last indexes slice all deep filter
        self.argument = argument

    @property
    def definite(self) -> bool:
        return self.kind in ("key", "keys", "index", "last")

    def shown(self) -> str:
        """Return the step as Jayway prints a path."""
        argument = self.argument
        match self.kind:
            case "key":
                return f"['{argument}']"
            case "keys":
                return "[" + ", ".join(f"'{name}'" for name in argument) + "]"
            case "index":
                return f"[{argument}]"
            case "last":
                return f"[@.size()-{argument}]"
            case "indexes":
                return "[" + ",".join(map(str, argument)) + "]"
            case "slice":
                return "[" + ":".join("" if n is None else str(n) for n in argument) + "]"
            case "all":
                return "[*]"
            case "deep":
                return ".."
            case _:
                return "[?]"


def select(step: Step, value: Any, root: Any) -> list[Any]:
    """Return what a step names in a value, in a document that begins at `root`."""
    argument = step.argument
    match step.kind:
        case "key":
            return [value[argument]] if isinstance(value, dict) and argument in value else []
        case "keys":
            if not isinstance(value, dict):
                return []
            return [{name: value[name] for name in argument if name in value}]
        case "index" | "last":
            if not isinstance(value, list):
                return []
            at = len(value) - argument if step.kind == "last" else argument
            return [value[at]] if 0 <= at < len(value) else []
        case "indexes":
            return [_at(value, n) for n in argument] if isinstance(value, list) else []
        case "slice":
            return _sliced(value, *argument) if isinstance(value, list) else []
        case "all":
            if isinstance(value, dict):
                return list(value.values())
            return value if isinstance(value, list) else []
        case _:
            if isinstance(value, dict):
                return [value] if argument(value, root) else []
            # a filter matches no scalars (AWS's page on paths says so)
            return [one for one in value if isinstance(one, dict | list) and argument(one, root)]


def _at(values: list[Any], number: int) -> Any:
    return values[number] if 0 <= number < len(values) else None


def _sliced(values: list[Any], first: int | None, end: int | None) -> list[Any]:
    """Return a slice; one with both ends does not count them from the end."""
    if first is None:
        return values[:end]
    if end is None:
        return values[first:]
    return [
        _at(values, number) for number in range(max(first, -len(values)), min(len(values), end))
    ]


def fits(step: Step, value: Any) -> bool:
    """Whether a descent stops at a value: only there the step after it is applied."""
    match step.kind:
        case "key":
            return isinstance(value, dict) and step.argument in value
        case "keys":
            return isinstance(value, dict) and all(name in value for name in step.argument)
        case "index" | "last" | "indexes" | "slice":
            return isinstance(value, list)
        case "filter":
            return isinstance(value, dict)
        case _:
            return True


def descend(value: Any) -> list[Any]:
    """Return a value and all inside it that hold others, from the outside in."""
    found = [value] if isinstance(value, dict | list) else []
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        if isinstance(one, dict | list):
            found += descend(one)
    return found
