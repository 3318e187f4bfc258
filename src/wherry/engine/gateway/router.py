"""Routes: from method and path to a function. A literal segment beats a parameter."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Node(Generic[T]):
    __slots__ = ("literals", "parameter", "targets")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.targets: dict[str, tuple[T, tuple[str, ...]]] = {}


class Match(Generic[T]):
    """What a path leads to, with its parameters by name."""

    __slots__ = ("parameters", "target")

    def __init__(self, target: T, parameters: dict[str, str]) -> None:
        self.target, self.parameters = target, parameters


class Router(Generic[T]):
    """A tree of path segments.

    `find` returns a `Match`, the methods that the path has instead, or None where there is none.
    """

    def __init__(self, routes: Iterable[tuple[str, str, T]]) -> None:
        self._root: _Node[T] = _Node()
        self._literal: dict[tuple[str, ...], dict[str, Match[T]]] = {}  # without parameters
        for method, path, target in routes:
            self._add(method, path, target)

    def _add(self, method: str, path: str, target: T) -> None:
        node = self._root
        names = []
        for segment in path.strip("/").split("/"):
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        node.targets[method] = (target, tuple(names))
        if not names:
            segments = tuple(path.strip("/").split("/"))
            self._literal.setdefault(segments, {})[method] = Match(target, {})

    def find(self, method: str, segments: tuple[str, ...]) -> Match[T] | list[str] | None:
        """Look up a request: HEAD is answered by GET's route."""
        literal = self._literal.get(segments)
        if literal is not None and method in literal:
            return literal[method]
        if len(segments) > 1 and segments[-1] == "":
            segments = segments[:-1]
        values: list[str] = []
        node = self._walk(self._root, segments, 0, values)
        if node is None:
            return None
        found = node.targets.get(method)
        if found is None and method == "HEAD":
            found = node.targets.get("GET")
        if found is None:
            methods = set(node.targets)
            if "GET" in methods:
                methods.add("HEAD")
            return sorted(methods | {"OPTIONS"})
        target, names = found
        return Match(target, dict(zip(names, values, strict=True)))

    def _walk(
        self, node: _Node[T], segments: tuple[str, ...], at: int, values: list[str]
    ) -> _Node[T] | None:
        if at == len(segments):
            return node if node.targets else None
        segment = segments[at]
        literal = node.literals.get(segment)
        if literal is not None:
            found = self._walk(literal, segments, at + 1, values)
            if found is not None:
                return found
        if node.parameter is not None and segment:
            values.append(segment)
            found = self._walk(node.parameter, segments, at + 1, values)
            if found is not None:
                return found
            values.pop()
        return None
