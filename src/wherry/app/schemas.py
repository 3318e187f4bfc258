"""JSON Schemas of the team's types."""

from __future__ import annotations

from enum import Flag
from operator import methodcaller
from typing import Any, Literal, TypeAlias, get_args

from wherry.app.http import Redirect, Reply
from wherry.app.kinds import dataclass_of_pydantic, has_pydantic, members, shown, unwrap
from wherry.blueprint.records import ReplyKind

Mode: TypeAlias = Literal["validation", "serialization"]


def schema_of(kind: Any, mode: Mode = "validation") -> dict[str, Any]:
    """Return the JSON Schema of a type; what it refers to is below its own `$defs`.

    Args:
        mode: What is read, or what is written: that is not the same where Pydantic is told so
            (serializers, other aliases, computed and excluded fields).

    Raises:
        TypeError: There is no JSON form of it; the message says why.
    """
    if has_pydantic(kind):
        return _pydantic_schema(kind, mode)
    from msgspec import json

    try:
        json.Decoder(kind)  # what can be described cannot always be read: untagged unions
        found = _msgspec_schema(kind)
    except (TypeError, NameError, RecursionError) as error:
        raise TypeError(f"{shown(kind)} has no JSON form: {_first_line(error)}") from error
    return found


def _msgspec_schema(kind: Any) -> dict[str, Any]:
    """Describe a type as msgspec does, with the format of every moment and of keys of mappings.

    msgspec leaves it out where a time zone may be missing, so that a moment would look like any
    text: nobody could see that a field which was text has become one.
    """
    from msgspec import _json_schema, inspect

    class Generator(_json_schema._SchemaGenerator):
        def to_schema(self, t: inspect.Type, check_ref: bool = True) -> dict[str, Any]:
            if isinstance(t, inspect.CustomType) and t.cls is object:  # read as `Any` is
                return {}
            if isinstance(t, inspect.EnumType) and issubclass(t.cls, Flag):  # any sum of them
                return {"title": t.cls.__name__, "type": "integer"}
            found = super().to_schema(t, check_ref)
            while isinstance(t, inspect.Metadata):
                t = t.type
            if isinstance(t, inspect.DateTimeType):
                found.setdefault("format", "date-time" if t.tz is not False else "date-time-local")
            elif isinstance(t, inspect.StructType | inspect.DataclassType):
                _order_defaults(t.fields, found.get("properties", {}))
            elif isinstance(t, inspect.TimeType):
                found.setdefault("format", "time")
            elif isinstance(t, inspect.DictType) and "propertyNames" not in found:
                names = _keys(self.to_schema(t.key_type, False))
                found.update({"propertyNames": names} if names else {})
            return found

    types = inspect.multi_type_info([kind])
    components = _json_schema._collect_component_types(types)
    names = _json_schema._build_name_map(components)
    generator = Generator(names)
    found = generator.to_schema(types[0])
    if components:
        found["$defs"] = {
            names[cls]: generator.to_schema(one, False) for cls, one in components.items()
        }
    return found


def _order_defaults(fields: Any, properties: dict[str, Any]) -> None:
    """Let a default that is a set stand in one order, whatever process describes it."""
    for one in fields:
        if isinstance(one.default, set | frozenset) and one.encode_name in properties:
            default = properties[one.encode_name].get("default")
            if isinstance(default, list):
                default.sort(key=repr)


def _keys(schema: dict[str, Any]) -> dict[str, Any]:
    """Return what the keys of a mapping are, which are texts in JSON; empty for any text."""
    if schema.get("type") == "integer":
        return {"pattern": "^-?[0-9]+$"}
    return {key: schema[key] for key in ("format", "enum") if key in schema}


_KINDS: dict[Any, ReplyKind] = {
    Reply: "reply", Redirect: "redirect", None: "none", type(None): "none",
    bytes: "bytes", bytearray: "bytes", memoryview: "bytes",
}  # fmt: skip


# What Pydantic calls a serializer that is a function, in the schemas of its core.
_BY_FUNCTION = ("function-plain", "function-wrap")
_BY_SETTING = methodcaller("startswith", "ser_json_")


def written_schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON Schema of a type that is written, as `schema_of` does.

    Raises:
        TypeError: Also for a dataclass of Pydantic's, which has no way to write itself.
    """
    _refuse_unwritable(kind)
    return schema_of(kind)


def _refuse_unwritable(kind: Any) -> None:
    found = dataclass_of_pydantic(kind)
    if found is not None:
        raise TypeError(
            f"{shown(found)} is a dataclass of Pydantic's, which can be read and not written: make "
            "it a model, or a dataclass of Python's"
        )


def reply_kinds(returns: Any) -> tuple[ReplyKind, ...]:
    """Return the kinds of what a handler returns; none where it may be anything."""
    parts = [unwrap(part) for part in members(returns)]
    if any(part in (Any, object) for part in parts):
        return ()
    return tuple(dict.fromkeys(_KINDS.get(part, "json") for part in parts))


def reply_schema(returns: Any) -> dict[str, Any] | None:
    """Return the schema of what a handler returns; None where it says nothing about JSON."""
    _refuse_unwritable(returns)
    parts = [part for part in members(returns) if unwrap(part) not in _KINDS]
    if not parts or not reply_kinds(returns):
        return None
    return schema_of(parts[0] if len(parts) == 1 else _union(parts), "serialization")


def _union(parts: list[Any]) -> Any:
    from typing import Union

    return Union[tuple(parts)]  # noqa: UP007 - built, not written


def _pydantic_schema(kind: Any, mode: Mode) -> dict[str, Any]:
    import pydantic
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def decimal_schema(self, schema: Any) -> dict[str, Any]:
            found = super().decimal_schema(schema)
            for one in found.get("anyOf", [found]):  # a number or text, and written as text
                if one.get("type") == "string":
                    one.setdefault("format", "decimal")
            return found

    try:
        found: dict[str, Any] = pydantic.TypeAdapter(kind).json_schema(
            ref_template="#/$defs/{model}", schema_generator=Generator, mode=mode
        )
    except (pydantic.errors.PydanticUserError, NameError) as error:
        arguments = ", ".join(shown(part) for part in get_args(kind))
        of = f" of {arguments}" if arguments else ""
        raise TypeError(f"{shown(kind)}{of} has no JSON form: {_first_line(error)}") from error
    return found


def has_serializers(kind: Any) -> bool:
    """Whether Pydantic writes parts of this type, which has a schema, in a form of their own.

    By a function, or as its configuration says: what is read again, but not what the schema says.
    """
    if not has_pydantic(kind):
        return False
    import pydantic

    nodes: list[Any] = [pydantic.TypeAdapter(kind).core_schema]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            written = node.get("serialization")
            if isinstance(written, dict) and written.get("type") in _BY_FUNCTION:
                return True
            settings = node.get("config")
            if isinstance(settings, dict) and any(map(_BY_SETTING, settings)):
                return True
            nodes += node.values()
        elif isinstance(node, list | tuple):
            nodes += node
    return False


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    if lines[0].endswith(":"):  # a lead-in to a list about msgspec's hooks, which are not ours
        return "it is a type that wherry does not know"
    return lines[0]
