"""Schemas that are described once and referred to: `#/components/schemas/Order`.

Each schema of a blueprint brings what it refers to below its own `$defs`. The same type is there
many times; two types may share a name. Here the same becomes one, and the second of a name gets a
number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

from wherry.codec import canonical_json

Schema: TypeAlias = dict[str, Any]

PREFIX = "#/components/schemas/"
_LOCAL = "#/$defs/"
_UNFIT = re.compile(r"[^A-Za-z0-9._-]")  # OpenAPI 3.1, section 4.8.7: what a component's key may be
_VALUES = frozenset(("const", "default", "enum", "example", "examples"))  # data, not schemas
_MAPS = frozenset(("$defs", "dependentSchemas", "patternProperties", "properties"))


class Components:
    """Collects the schemas of a document. `schemas` holds them by the names they got."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}
        self._known: dict[bytes, str] = {}

    def add(self, schema: Schema) -> Schema:
        """Return the schema as it is written in the document; what it refers to is collected."""
        defs = schema.get("$defs", {})
        names: dict[str, str] = {}
        rest = {key: value for key, value in schema.items() if key != "$defs"}
        for name in _reachable(rest, defs):
            self._name(name, defs, names)
        return self._rewritten(rest, defs, names)

    def put(self, name: str, schema: Schema) -> str:
        """Take a schema of our own, under this name or the next one that is free."""
        free = self._free(name)
        self.schemas[free] = schema
        return free

    def _name(self, name: str, defs: dict[str, Schema], names: dict[str, str]) -> str:
        """Return the name that a definition has in the document."""
        if name in names:
            return names[name]
        reached = sorted(_reachable({"$ref": _LOCAL + name}, defs))
        identity = canonical_json([name, {one: defs[one] for one in reached}])
        if identity in self._known:
            names[name] = self._known[identity]
            return names[name]
        given = names[name] = self._known[identity] = self._free(name)
        self.schemas[given] = {}  # its place is taken, also for what refers back to it
        self.schemas[given] = self._rewritten(defs[name], defs, names)
        return given

    def _free(self, name: str) -> str:
        clean = _UNFIT.sub("_", name) or "_"
        number, free = 1, clean
        while free in self.schemas:
            number += 1
            free = f"{clean}_{number}"
        return free

    def _rewritten(self, schema: Schema, defs: dict[str, Schema], names: dict[str, str]) -> Schema:
        def replaced(ref: str) -> str:
            name = _target(ref)
            return ref if name not in defs else PREFIX + self._name(name, defs, names)

        found: Schema = _with_refs(schema, replaced)
        return found


def name_of(ref: str) -> str:
    """Return the name of the schema that a `$ref` of the document points to."""
    return ref.removeprefix(PREFIX)


def _target(ref: str) -> str:
    """`#/$defs/a~1b` -> `a/b` (RFC 6901); an empty text for any other reference."""
    if not ref.startswith(_LOCAL):
        return ""
    return ref.removeprefix(_LOCAL).replace("~1", "/").replace("~0", "~")


def _reachable(schema: Schema, defs: dict[str, Schema]) -> list[str]:
    """Return the names of the definitions that a schema needs, in the order they are met."""
    found: list[str] = []
    waiting = [schema]
    while waiting:
        for ref in _refs(waiting.pop(0)):
            name = _target(ref)
            if name in defs and name not in found:
                found.append(name)
                waiting.append(defs[name])
    return found


def _refs(schema: Schema) -> Iterator[str]:
    refs: list[str] = []

    def note(ref: str) -> str:
        refs.append(ref)
        return ref

    _with_refs(schema, note)
    yield from refs


def _in_order(names: Iterable[str], required: list[str]) -> list[str]:
    """Put what is required first, in its own order: a blueprint's canonical form sorts the rest."""
    rank = {name: number for number, name in enumerate(required)}
    return sorted(names, key=lambda name: rank.get(name, len(rank)))


def _with_refs(node: Any, replace: Callable[[str], str]) -> Any:
    """Return a schema with its references replaced, and the data in it untouched."""
    if isinstance(node, list):
        return [_with_refs(one, replace) for one in node]
    if not isinstance(node, dict):
        return node
    found: Schema = {}
    for key, value in node.items():
        if key == "$ref" and isinstance(value, str):
            found[key] = replace(value)
        elif key == "discriminator" and isinstance(value, dict):
            mapping = value.get("mapping", {})
            found[key] = value | {"mapping": {tag: replace(ref) for tag, ref in mapping.items()}}
        elif key in _MAPS and isinstance(value, dict):
            names = _in_order(value, node.get("required", []))
            found[key] = {name: _with_refs(value[name], replace) for name in names}
        else:
            found[key] = value if key in _VALUES else _with_refs(value, replace)
    return found
