"""What of a payload that is written down in a definition does not fit the type that it is for.

Expressions are let pass: what they give is known when they run. A schema is one of `app.schemas`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "an object",
}
_TAKES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


class Misfit(Struct, frozen=True):
    """One thing that does not fit: what is said of it, and whether the type refuses it."""

    said: str
    refused: bool = True


def misfits(schema: dict[str, Any], payload: Any, jsonata: bool) -> list[Misfit]:
    """Return what of a payload does not fit.

    Args:
        payload: As it is written: texts may be JSONata, or keys that end in ".$" are JSONPath.
    """
    return list(_Payload(schema.get("$defs", {}), jsonata).misfits(schema, payload, ""))


class _Payload:
    def __init__(self, defs: dict[str, Any], jsonata: bool) -> None:
        self._defs = defs
        self._jsonata = jsonata

    def misfits(self, schema: dict[str, Any], value: Any, at: str) -> Iterator[Misfit]:
        schema = self._resolved(schema)
        if self._computed(value):
            return
        ways = schema.get("anyOf") or schema.get("oneOf")
        if ways:
            yield from self._one_of(ways, value, at)
            return
        kind = schema.get("type")
        if isinstance(kind, str) and not _is(kind, value, schema.get("format")):
            yield Misfit(f"{at or 'it'} is {_shown(value)}; it takes {_WORDS.get(kind, kind)}")
        elif "enum" in schema and value not in schema["enum"]:
            takes = ", ".join(map(repr, schema["enum"]))
            yield Misfit(f"{at or 'it'} is {value!r}; it takes one of {takes}")
        elif isinstance(value, list) and isinstance(schema.get("items"), dict):
            for number, one in enumerate(value):
                yield from self.misfits(schema["items"], one, f"{at}[{number}]")
        elif isinstance(value, dict) and "properties" in schema:
            yield from self._fields(schema, value, at)

    def _one_of(self, ways: list[dict[str, Any]], value: Any, at: str) -> Iterator[Misfit]:
        found = [list(self.misfits(way, value, at)) for way in ways]
        if any(all(not one.refused for one in way) for way in found):
            return
        kinds = [self._resolved(way).get("type") for way in ways]
        alike = [way for way, kind in zip(found, kinds, strict=True) if kind and _is(kind, value)]
        if len(alike) == 1:
            yield from alike[0]
        else:
            yield Misfit(f"{at or 'it'} is {_shown(value)}, which fits none of its types")

    def _fields(self, schema: dict[str, Any], value: dict[str, Any], at: str) -> Iterator[Misfit]:
        prefix = f"{at}." if at else ""
        given = {
            name if self._jsonata else name.removesuffix(".$"): one for name, one in value.items()
        }
        known: dict[str, Any] = schema["properties"]
        for name in schema.get("required", ()):
            if name not in given:
                yield Misfit(f"{prefix}{name} is missing")
        for name, one in given.items():
            if name in known:
                if self._jsonata or name in value:
                    yield from self.misfits(known[name], one, f"{prefix}{name}")
            elif not schema.get("additionalProperties"):
                refused = schema.get("additionalProperties") is False
                takes = ", ".join(known) or "nothing"
                yield Misfit(
                    f"{prefix}{name} is {'refused' if refused else 'not read'}; it takes {takes}",
                    refused,
                )

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        for _ in range(10):
            name = schema.get("$ref")
            if not isinstance(name, str):
                break
            schema = self._defs.get(name.removeprefix("#/$defs/"), {})
        return schema

    def _computed(self, value: Any) -> bool:
        return self._jsonata and isinstance(value, str) and value.startswith("{%")


def _is(kind: Any, value: Any, form: Any = None) -> bool:
    if not isinstance(kind, str):
        return True
    if isinstance(value, bool):
        return kind == "boolean"
    if form == "decimal" and isinstance(value, int | float):
        return True
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TAKES.get(kind, (object,)))


def _shown(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "an object"
        case list():
            return "a list"
        case _:
            return repr(value)[:80]
