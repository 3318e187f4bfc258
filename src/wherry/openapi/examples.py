"""Examples of a schema, where a plain one follows from it."""

from __future__ import annotations

from math import ceil
from typing import Any

from wherry.openapi.components import Schema, name_of

_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "decimal": "12.50",
    "duration": "PT1H",
    "email": "ada@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "3f0e6f2a-6c1b-4f0e-9d6a-2b7c8d9e0f10",
}
_DEPTH = 12  # schemas within each other; a type that needs itself has no end
_LENGTH = 200  # characters or items beyond which an example explains nothing


class NoExample(ValueError):
    """None follows from the schema: a pattern, a type that needs itself, odd bounds."""


def example_of(schema: Schema, schemas: dict[str, Schema], depth: int = 0) -> Any:
    """Return a value that the schema allows: what is required, and what has a default.

    Args:
        schemas: Those of the document, by name.

    Raises:
        NoExample: See there.
    """
    if depth > _DEPTH:
        raise NoExample
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        if name not in schemas:
            raise NoExample
        return example_of(schemas[name], schemas, depth + 1)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _first(schema[key], schemas, depth)
    if "allOf" in schema:
        if len(schema["allOf"]) != 1:
            raise NoExample
        return example_of(schema["allOf"][0], schemas, depth + 1)
    return _of_type(schema, schemas, depth)


def _first(choices: list[Schema], schemas: dict[str, Schema], depth: int) -> Any:
    """Return an example of the first choice that has one, null last."""
    for choice in sorted(choices, key=lambda one: one.get("type") == "null"):
        try:
            return example_of(choice, schemas, depth + 1)
        except NoExample:
            continue
    raise NoExample


def _of_type(schema: Schema, schemas: dict[str, Schema], depth: int) -> Any:
    match schema.get("type"):
        case "object":
            return _object(schema, schemas, depth)
        case "array":
            return _array(schema, schemas, depth)
        case "string":
            return _text(schema)
        case "integer" | "number" as kind:
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case None if not schema.keys() - {"title", "description"}:
            return {}
    raise NoExample


def _object(schema: Schema, schemas: dict[str, Schema], depth: int) -> dict[str, Any]:
    if schema.get("minProperties", 0) > len(schema.get("required", [])):
        raise NoExample
    found = {}
    required = schema.get("required", [])
    for name, one in schema.get("properties", {}).items():
        if name in required:
            found[name] = example_of(one, schemas, depth + 1)
        elif one.get("default") not in (None, [], {}):
            found[name] = one["default"]
    return found


def _array(schema: Schema, schemas: dict[str, Schema], depth: int) -> list[Any]:
    found = [example_of(one, schemas, depth + 1) for one in schema.get("prefixItems", [])]
    least, items = schema.get("minItems", 0), schema.get("items")
    if (schema.get("uniqueItems") and least > 1) or least > _LENGTH:
        raise NoExample
    if isinstance(items, dict) and not found and schema.get("maxItems", 1) > 0:
        try:
            return [example_of(items, schemas, depth + 1)] * max(least, 1)
        except NoExample:
            if least:
                raise
    return found


def _text(schema: Schema) -> str:
    if "pattern" in schema:
        raise NoExample
    text = _FORMATS.get(schema.get("format", ""), "text")
    least, most = schema.get("minLength", 0), schema.get("maxLength", len(text))
    if "format" in schema or "contentEncoding" in schema:
        if "contentEncoding" in schema:
            text = "dGV4dA=="
        if not least <= len(text) <= max(most, len(text)):
            raise NoExample
        return text
    if least > _LENGTH:
        raise NoExample
    return text.ljust(least, "t")[: max(most, least)]


def _number(schema: Schema, *, whole: bool) -> float:
    step = schema.get("multipleOf", 1)
    value: float = schema.get("minimum", 0 if "maximum" in schema else 1)
    if "exclusiveMinimum" in schema:
        value = max(value, schema["exclusiveMinimum"] + step)
    value = max(value, schema.get("minimum", value))
    most = min(schema.get("maximum", value), schema.get("exclusiveMaximum", value + 1) - step)
    value = min(value, most)
    value = ceil(value / step) * step
    fits = (
        schema.get("minimum", value) <= value <= schema.get("maximum", value)
        and schema.get("exclusiveMinimum", value - 1) < value
        and value < schema.get("exclusiveMaximum", value + 1)
    )
    if not fits:
        raise NoExample
    return int(value) if whole else value
