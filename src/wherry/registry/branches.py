"""The alternatives of a schema, each of one kind, and how a person says what one takes."""

from __future__ import annotations

from itertools import product
from typing import Any

from wherry.codec import canonical_json
from wherry.registry.forms import Node, Schema, referred

_MERGED = ("properties", "$defs")
_KINDS = {
    "integer": "a whole number", "number": "a number", "string": "text", "object": "an object",
    "array": "a list", "boolean": "true or false", "null": "None",
}  # fmt: skip


def branches(node: Node, defs: dict[str, Node], within: tuple[str, ...] = ()) -> list[Schema]:
    """Return the alternatives of a schema: without references, unions or lists of types.

    `{}` among them takes anything. A reference that leads back to itself gives nothing.
    """
    if not isinstance(node, dict):
        return [] if node is False else [{}]
    name = referred(node)
    if name is not None:
        if name in within or name not in defs:
            return []
        return branches(defs[name], defs, (*within, name))
    for key in ("anyOf", "oneOf"):
        if key in node:
            rest = {one: node[one] for one in node if one not in (key, "default")}
            found = [one for part in node[key] for one in branches(part, defs, within)]
            return [{**rest, **one} for one in found]
    if "allOf" in node:
        rest = {one: node[one] for one in node if one != "allOf"}
        parts = [branches(part, defs, within) for part in node["allOf"]]
        return [_merged([*chosen, rest]) for chosen in product(*parts)]
    if "const" in node:
        return [{"enum": [node["const"]]}]
    if "enum" in node:
        return [{"enum": node["enum"]}]
    kind = node.get("type")
    if isinstance(kind, list):
        return [{**node, "type": one} for one in kind]
    if kind is None and "properties" in node:
        return [{**node, "type": "object"}]
    return [{key: node[key] for key in node if key not in ("default", "$defs")}]


def _merged(parts: list[Schema]) -> Schema:
    found: Schema = {}
    for part in parts:
        for key, value in part.items():
            if key in _MERGED and key in found:
                found[key] = {**found[key], **value}
            elif key == "required" and key in found:
                found[key] = sorted({*found[key], *value})
            else:
                found[key] = value
    return found


def values_of(branch: Schema) -> list[Any] | None:
    """Return the values of an alternative that has few, or None."""
    if "enum" in branch:
        return list(branch["enum"])
    few: dict[Any, list[Any]] = {"boolean": [False, True], "null": [None]}
    return few.get(branch.get("type"))


def tags_of(branch: Schema) -> dict[str, Any]:
    """Return the fields of an object that have one value alone: what it is told by."""
    found = {}
    required = branch.get("required", ())
    for name, one in branch.get("properties", {}).items():
        if isinstance(one, dict) and (name in required or "default" in one):
            values = [one["const"]] if "const" in one else one.get("enum", ())
            if len(values) == 1:
                found[name] = values[0]
    return found


def fits(value: Any, branch: Schema) -> bool:
    """Whether a plain value is one of an alternative's."""
    if "enum" in branch:
        return any(canonical_json(value) == canonical_json(one) for one in branch["enum"])
    kind = branch.get("type")
    match value:
        case None:
            return kind in (None, "null")
        case bool():
            return kind in (None, "boolean")
        case int() | float():
            whole = isinstance(value, int) or value.is_integer()
            if kind not in (None, "number", *(["integer"] if whole else [])):
                return False
            return bool(
                branch.get("minimum", value) <= value <= branch.get("maximum", value)
                and branch.get("exclusiveMinimum", value - 1) < value
                and value < branch.get("exclusiveMaximum", value + 1)
                and value % branch.get("multipleOf", value or 1) == 0
            )
        case str():
            import re

            length = len(value)
            return (
                kind in (None, "string")
                and "format" not in branch
                and branch.get("minLength", 0) <= length <= branch.get("maxLength", length)
                and re.search(branch.get("pattern", ""), value) is not None
            )
        case list():
            return kind in (None, "array")
        case _:
            return kind in (None, "object")


def words(alternatives: list[Schema]) -> str:
    """Say what alternatives take: `text or None`, `'paid' or 'packed'`."""
    said = dict.fromkeys(word for one in alternatives for word in _words(one))
    return " or ".join(said) or "nothing"


def _words(branch: Schema) -> list[str]:
    if "enum" in branch:
        return [shown(value) for value in branch["enum"]]
    if not branch:
        return ["anything"]
    tags = tags_of(branch)
    if tags:
        return [" ".join(shown(value) for value in tags.values())]
    text: str = branch.get("format") or ("Base64" if "contentEncoding" in branch else "")
    return [text or _KINDS.get(branch.get("type", ""), "anything")]


def shown(value: Any) -> str:
    """Return a JSON value as a person who writes Python says it."""
    return repr(value)
