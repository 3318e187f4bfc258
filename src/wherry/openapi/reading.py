"""Schemas as a person reads them: a type, its bounds, a table of its fields."""

from __future__ import annotations

import json
import re
from typing import Any

from wherry.openapi.components import Schema, name_of
from wherry.openapi.html import Html, Node, el

_CODE = re.compile(r"`([^`\n]+)`")
_DEPTH = 6  # types within a type that has no name
_RANGES = [
    ("minimum", "maximum", ""),
    ("minLength", "maxLength", " characters"),
    ("minItems", "maxItems", " items"),
    ("minProperties", "maxProperties", " entries"),
]
_BOUNDS = {
    "exclusiveMinimum": "above ",
    "exclusiveMaximum": "below ",
    "multipleOf": "a multiple of ",
    "pattern": "matches ",
}
_WORDS = {"object": "object", "array": "list", "string": "text", "integer": "whole number",
          "boolean": "true or false"}  # fmt: skip


def anchor(name: str) -> str:
    """Return the ID of a schema on the page. A name of a component is fit for one."""
    return f"schema-{name}"


def type_of(schema: Schema, depth: int = 0) -> Node:
    """Return the type of a schema in words, with links to the schemas it refers to."""
    if depth > _DEPTH or not isinstance(schema, dict):
        return "anything"
    if "$ref" in schema:
        name = name_of(str(schema["$ref"]))
        return el("a", name, href="#" + anchor(name))
    if "enum" in schema or "const" in schema:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        return _joined([el("code", _json(value)) for value in values])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            word = " and " if key == "allOf" else " or "
            return _joined([type_of(one, depth + 1) for one in schema[key]], word)
    return _plain(schema, depth)


def _plain(schema: Schema, depth: int) -> Node:
    kind = schema.get("type")
    if isinstance(kind, list):
        return _joined([_WORDS.get(str(one), str(one)) for one in kind])
    if kind == "array":
        if "prefixItems" in schema:
            return ["(", _joined([type_of(one, depth + 1) for one in schema["prefixItems"]], ", "),
                    ")"]  # fmt: skip
        items = schema.get("items")
        return ["list of ", type_of(items, depth + 1)] if isinstance(items, dict) else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        if schema.get("properties"):
            return [
                "object with ",
                _joined([el("code", one) for one in schema["properties"]], ", "),
            ]
        if isinstance(values, dict) and values:
            return ["map of text to ", type_of(values, depth + 1)]
        return "object"
    if kind == "string" and "contentEncoding" in schema:
        return f"text ({schema['contentEncoding']})"
    if kind == "string" and "format" in schema:
        return f"text ({schema['format']})"
    return "anything" if kind is None else _WORDS.get(str(kind), str(kind))


def bounds_of(schema: Schema) -> list[Node]:
    """Return what limits the values, besides the type, and the default."""
    found: list[Node] = []
    options = [one for one in schema.get("anyOf", []) if isinstance(one, dict)]
    for part in (schema, *options):
        for low, high, unit in _RANGES:
            found.extend(_range(part.get(low), part.get(high), unit))
        for key, text in _BOUNDS.items():
            if key in part:
                found.append([text, el("code", _shown(part[key]))])
    items = schema.get("items")
    if isinstance(items, dict):
        found.extend([["each ", one] for one in bounds_of(items)])
    if "default" in schema:
        found.append(["default ", el("code", _json(schema["default"]))])
    return found


def _range(low: object, high: object, unit: str) -> list[Node]:
    least, most = el("code", _shown(low)), el("code", _shown(high))
    if low is None:
        return [] if high is None else [["at most ", most, unit]]
    if high is None:
        return [["at least ", least, unit]]
    return [[least, unit]] if low == high else [[least, " to ", most, unit]]


def fields_table(schema: Schema, caption: str) -> Html:
    """Return the fields of an object as a table; the type of anything else as a line."""
    properties = schema.get("properties")
    if not properties:
        bounds = bounds_of(schema)
        return el("p", type_of(schema), [" (", _joined(bounds, ", "), ")"] if bounds else None)
    required = schema.get("required", [])
    rows: list[list[Node]] = [
        [
            el("code", name, class_="name"),
            type_of(one),
            "yes" if name in required else "no",
            notes_of(one),
        ]
        for name, one in properties.items()
        if isinstance(one, dict)
    ]
    return table(caption, ["Field", "Type", "Required", "Notes"], rows)


def prose(text: str) -> list[Node]:
    """Return a text with what is in backticks as code."""
    parts = _CODE.split(text)
    return [el("code", part) if number % 2 else part for number, part in enumerate(parts)]


def notes_of(schema: Schema, description: str = "") -> Node:
    """Return description and bounds, one after another."""
    said = description or str(schema.get("description", ""))
    bounds = bounds_of(schema)
    return [
        el("div", prose(said), class_="prose") if said else None,
        el("div", _joined(bounds, ", "), class_="bounds") if bounds else None,
    ]


def table(caption: str, heads: list[str], rows: list[list[Node]]) -> Html:
    """Return a table whose rows are headed by their first cell; it scrolls by itself."""
    body = [
        el("tr", el("th", row[0], scope="row"), [el("td", one) for one in row[1:]]) for row in rows
    ]
    return el(
        "div",
        el(
            "table",
            el("caption", caption),
            el("thead", el("tr", [el("th", head, scope="col") for head in heads])),
            el("tbody", body),
        ),
        class_="scroll",
        tabindex="0",
        role="region",
        aria_label=caption,
    )


def _joined(nodes: list[Any], word: str = " or ") -> Node:
    found: list[Node] = []
    for node in nodes:
        found += [word, node] if found else [node]
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) else _json(value)


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else text[:117] + "..."
