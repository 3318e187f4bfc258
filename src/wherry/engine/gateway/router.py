"""Routes: from method and path to a function.

Of those that fit both, a literal segment beats a parameter, as with AWS's HTTP API:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html
"""

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
        found = self._walk(self._root, method, segments, 0, values)
        if found is not None:
            target, names = found
            return Match(target, dict(zip(names, values, strict=True)))
        methods = self._methods(self._root, segments, 0)
        if "GET" in methods:
            methods.add("HEAD")
        return sorted(methods | {"OPTIONS"}) if methods else None

    def _walk(
        self, node: _Node[T], method: str, segments: tuple[str, ...], at: int, values: list[str]
    ) -> tuple[T, tuple[str, ...]] | None:
        if at == len(segments):
            found = node.targets.get(method)
            return node.targets.get("GET") if found is None and method == "HEAD" else found
        segment = segments[at]
        literal = node.literals.get(segment)
        if literal is not None:
            found = self._walk(literal, method, segments, at + 1, values)
            if found is not None:
                return found
        if node.parameter is not None and segment:
            values.append(segment)
            found = self._walk(node.parameter, method, segments, at + 1, values)
            if found is not None:
                return found
            values.pop()
        return None

    def _methods(self, node: _Node[T], segments: tuple[str, ...], at: int) -> set[str]:
        """Return what a path may be asked for with, by whichever of the routes that fit it."""
        if at == len(segments):
            return set(node.targets)
        segment = segments[at]
        below = [node.literals.get(segment), node.parameter if segment else None]
        found = (self._methods(one, segments, at + 1) for one in below if one is not None)
        return set().union(*found)
