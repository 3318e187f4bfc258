"""Everything that is wrong with a value: msgspec stops at the first fault, this goes on.

Only run when a value is known to be wrong, so it is written for completeness, not for speed.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import inspect

from wherry import limits
from wherry.runtime.binding.nodes import leaf_annotation

Fault = dict[str, str]

FINITE = "Expected a finite number"

_WHERE = re.compile(r"^(.*?)(?: - at `(key in )?\$(.*)`)?$", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def split_message(message: str, at: str = "$") -> Fault:
    """Turn msgspec's message into a fault below `at`."""
    found = _WHERE.match(message)
    assert found is not None
    return {"at": at + (found[3] or ""), "fault": found[1]}


def below(at: str, name: str) -> str:
    """Return the place of a field: `$.lines`, or `$["odd name"]`."""
    if _PLAIN_NAME.fullmatch(name):
        return f"{at}.{name}"
    shown = name[:80].encode("utf-8", "backslashreplace").decode()
    return f"{at}[{msgspec.json.encode(shown).decode()}]"


def faults_of(value: Any, kind: Any, message: str) -> list[Fault]:
    """Return all faults of a decoded JSON value that is not of this type.

    `message` is what msgspec said; it stands alone where nothing else is found.
    """
    collector = Collector()
    collector.look(value, inspect.type_info(kind), "$")
    if not collector.faults and message:
        return [split_message(message)]
    return collector.faults


def _is_endless(text: str) -> bool:
    """Whether a Decimal would take this for NaN or Infinity, which JSON cannot say."""
    from decimal import Decimal, InvalidOperation

    try:
        return not Decimal(text).is_finite()
    except InvalidOperation:
        return False


class Collector:
    """Walks a value along its type."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(self, at: str, fault: str) -> None:
        """Note a fault, up to `limits.FAULTS` of them."""
        if len(self.faults) < limits.FAULTS:
            self.faults.append({"at": at, "fault": fault})

    def look(self, value: Any, node: Any, at: str) -> None:
        """Note what is wrong with the value and all that is in it."""
        if len(self.faults) >= limits.FAULTS:
            return
        match node:
            case inspect.StructType(array_like=True) | inspect.NamedTupleType():
                self._whole(value, node.cls, at)
            case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
                self._object(value, node, at)
            case inspect.DictType():
                self._map(value, node, at)
            case (
                inspect.ListType()
                | inspect.SetType()
                | inspect.FrozenSetType()
                | inspect.VarTupleType()
            ):
                self._list(value, node, at)
            case inspect.TupleType():
                self._tuple(value, node, at)
            case inspect.UnionType():
                self._union(value, node, at)
            case inspect.Metadata():
                self.look(value, node.type, at)
            case inspect.DecimalType() if isinstance(value, str) and _is_endless(value):
                self.add(at, FINITE)
            case _:
                self._whole(value, leaf_annotation(node), at)

    def _whole(self, value: Any, annotation: Any, at: str) -> None:
        """Let msgspec judge the value as a whole."""
        try:
            msgspec.json.decode(msgspec.json.encode(value), type=annotation)
        except msgspec.ValidationError as error:
            fault = split_message(str(error), at)
            self.add(fault["at"], fault["fault"])
        except (TypeError, RecursionError):
            return  # not a type by itself (generic); msgspec's own message is used

    def _object(self, value: Any, node: Any, at: str) -> None:
        if not isinstance(value, dict):
            self.add(at, f"Expected `object`, got `{_kind(value)}`")
            return
        before = len(self.faults)
        tag_field = getattr(node, "tag_field", None)
        fields = {field.encode_name: field for field in node.fields}
        for name in value:
            if name not in fields and name != tag_field:
                self.add(below(at, name), "Unknown field")
        for name, field in fields.items():
            if name in value:
                self.look(value[name], field.type, below(at, name))
            elif field.required:
                self.add(below(at, name), "Missing field")
        if len(self.faults) == before and not getattr(node.cls, "__parameters__", ()):
            self._whole(value, node.cls, at)

    def _map(self, value: Any, node: Any, at: str) -> None:
        if not isinstance(value, dict):
            self.add(at, f"Expected `object`, got `{_kind(value)}`")
            return
        self._length(value, node, at)
        for name, part in value.items():
            if not isinstance(node.key_type, inspect.StrType | inspect.AnyType):
                self._key(name, node.key_type, below(at, name))
            self.look(part, node.value_type, below(at, name))

    def _key(self, name: str, node: Any, at: str) -> None:
        try:
            msgspec.json.decode(
                msgspec.json.encode({name: None}),
                type=dict[leaf_annotation(node), None],  # type: ignore[misc]
            )
        except msgspec.ValidationError as error:
            self.add(at, "Key: " + split_message(str(error))["fault"])

    def _list(self, value: Any, node: Any, at: str) -> None:
        if not isinstance(value, list):
            self.add(at, f"Expected `array`, got `{_kind(value)}`")
            return
        self._length(value, node, at)
        for number, part in enumerate(value):
            self.look(part, node.item_type, f"{at}[{number}]")

    def _tuple(self, value: Any, node: Any, at: str) -> None:
        if not isinstance(value, list) or len(value) != len(node.item_types):
            self.add(at, f"Expected `array` of length {len(node.item_types)}")
            return
        for number, (part, item) in enumerate(zip(value, node.item_types, strict=True)):
            self.look(part, item, f"{at}[{number}]")

    def _union(self, value: Any, node: Any, at: str) -> None:
        chosen = _choose(value, node.types)
        if chosen is not None:
            self.look(value, chosen, at)
            return
        tags = [one.tag for one in node.types if getattr(one, "tag", None) is not None]
        if isinstance(value, dict) and tags:
            field = next(one.tag_field for one in node.types if getattr(one, "tag", None))
            self.add(below(at, field), f"Expected one of {', '.join(map(repr, tags))}")
            return
        if _container(value) is None:
            leaves = [one for one in node.types if not isinstance(one, _CONTAINERS)]
            try:
                annotation = _union_of([leaf_annotation(one) for one in leaves])
                msgspec.json.decode(msgspec.json.encode(value), type=annotation)
                return
            except (msgspec.ValidationError, TypeError):
                pass
        names = ", ".join(dict.fromkeys(_name(one) for one in node.types))
        self.add(at, f"Expected one of {names}, got `{_kind(value)}`")

    def _length(self, value: Any, node: Any, at: str) -> None:
        least, most = node.min_length, node.max_length
        if least is not None and len(value) < least:
            self.add(at, f"Expected at least {least} elements, got {len(value)}")
        if most is not None and len(value) > most:
            self.add(at, f"Expected at most {most} elements, got {len(value)}")


_OBJECTS = (
    inspect.StructType,
    inspect.DataclassType,
    inspect.TypedDictType,
    inspect.DictType,
)
_ARRAYS = (
    inspect.ListType,
    inspect.SetType,
    inspect.FrozenSetType,
    inspect.VarTupleType,
    inspect.TupleType,
    inspect.NamedTupleType,
)
_CONTAINERS = _OBJECTS + _ARRAYS
_KINDS: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "str",
    bool: "bool",
    int: "int",
    float: "float",
    type(None): "null",
}


def _kind(value: Any) -> str:
    return _KINDS.get(type(value), type(value).__name__)


def _name(node: Any) -> str:
    if isinstance(node, _OBJECTS):
        return "`object`"
    if isinstance(node, _ARRAYS):
        return "`array`"
    if isinstance(node, inspect.NoneType):
        return "`null`"
    return f"`{type(node).__name__.removesuffix('Type').lower()}`"


def _container(value: Any) -> type | None:
    return type(value) if isinstance(value, dict | list) else None


def _choose(value: Any, nodes: Any) -> Any:
    """Return the member of a union that a container is meant to be; None where it is not clear."""
    if isinstance(value, dict):
        for node in nodes:
            if isinstance(node, inspect.StructType) and node.tag is not None:
                if value.get(node.tag_field) == node.tag:
                    return node
            elif isinstance(node, _OBJECTS) and not getattr(node, "array_like", False):
                return node
    if isinstance(value, list):
        return next((node for node in nodes if isinstance(node, _ARRAYS)), None)
    others = [node for node in nodes if not isinstance(node, inspect.NoneType)]
    if len(others) == 1 and value is not None:
        return others[0]
    return None


def _union_of(annotations: list[Any]) -> Any:
    from typing import Union

    return Union[tuple(annotations)] if annotations else None  # noqa: UP007 - built, not written
