"""One form of a JSON Schema for one form of the data: what only explains is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from wherry.codec import canonical_json

Schema: TypeAlias = dict[str, Any]
Node: TypeAlias = Any  # a schema, or True for anything and False for nothing

_EXPLAINS = {
    "title", "description", "examples", "deprecated", "readOnly", "writeOnly", "discriminator",
    "$comment",
}  # fmt: skip
_NAMED = ("properties", "patternProperties", "$defs")
_LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
_INNER = ("items", "additionalProperties", "propertyNames")
_PREFIX = "#/$defs/"


def normal(schema: Schema) -> Schema:
    """Return a schema without titles and descriptions, in one order, the whole on top.

    A class that is renamed or told about in other words is no change of the data.
    """
    found: Schema = _normal(schema)
    whole = found.get("$ref")
    if isinstance(whole, str) and not found.keys() - {"$ref", "$defs"}:
        name = whole.removeprefix(_PREFIX)
        defs = dict(found.get("$defs", {}))
        inner = defs.get(name)
        if inner is not None and whole not in set(_references({"$defs": defs})):
            del defs[name]
            found = {**inner, **({"$defs": defs} if defs else {})}
    return found


def definitions(schema: Node) -> dict[str, Node]:
    """Return what the parts of a schema refer to, by name."""
    found: dict[str, Node] = schema.get("$defs", {}) if isinstance(schema, dict) else {}
    return found


def referred(node: Schema) -> str | None:
    """Return the name that a schema refers to, or None."""
    found = node.get("$ref")
    return found.removeprefix(_PREFIX) if isinstance(found, str) else None


def _normal(node: Node) -> Node:
    if not isinstance(node, dict):
        return node
    found: Schema = {}
    for key in sorted(node.keys() - _EXPLAINS):
        value = node[key]
        if key in _NAMED and isinstance(value, dict):
            value = {name: _normal(value[name]) for name in sorted(value)}
        elif key in _LISTED and isinstance(value, list):
            value = [_normal(one) for one in value]
            value = _decimals(value) if key == "anyOf" else value
        elif key in _INNER:
            value = _normal(value)
        elif key in ("required", "enum") and isinstance(value, list):
            value = sorted(value, key=canonical_json)
        if value != [] or key != "required":
            found[key] = value
    return found


def _decimals(parts: list[Node]) -> list[Node]:
    """Return alternatives with a decimal as what it is written as: text, within its bounds."""
    text = {"type": "string", "format": "decimal"}
    numbers = [one for one in parts if isinstance(one, dict) and one.get("type") == "number"]
    if not numbers or not any(
        isinstance(one, dict) and text.items() <= one.items() for one in parts
    ):
        return parts
    rest = [
        one
        for one in parts
        if not (isinstance(one, dict) and (one in numbers or text.items() <= one.items()))
    ]
    return [{**numbers[0], **text}, *rest]


def _references(node: Any) -> Iterator[str]:
    match node:
        case dict():
            for key, value in node.items():
                if key == "$ref" and isinstance(value, str):
                    yield value
                else:
                    yield from _references(value)
        case list():
            for one in node:
                yield from _references(one)
