"""The fast part of strict JSON: no unknown field, no duplicate key, no bottomless nesting.

Where a text is, but for its spaces, what an encoder makes of the value decoded from it, all of
this holds; `depth_of` says for which types. Other texts are scanned. A key that is there twice is
found by counting: each key has a colon of its own in the text, so where the text has as many
colons as the decoded value has keys (and colons within its strings), no key was dropped. Only
where the numbers differ is the text read again by a slower parser.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Shape:
    """What objects may be where in a value of some type; None stands for: anything.

    Exactly one side is used: `names` for an object with known fields, `values` for a map,
    `items` for a list, `positions` for a tuple, `by_tag` for tagged objects. A union of an
    object and a list uses both sides.
    """

    __slots__ = ("by_tag", "items", "names", "positions", "tag_field", "values")

    def __init__(self) -> None:
        self.names: dict[str, Shape | None] | None = None
        self.values: Shape | None = None
        self.items: Shape | None = None
        self.positions: list[Shape | None] | None = None
        self.tag_field: str | None = None
        self.by_tag: dict[Any, Shape] = {}

    def object_shape(self, value: dict[str, Any]) -> Shape | None:
        """Return the shape of this object, chosen by its tag where there are several."""
        if self.tag_field is None:
            return self
        try:
            return self.by_tag.get(value.get(self.tag_field))
        except TypeError:
            return None  # a tag that cannot be one


class UnknownField(Exception):
    """An object has a field that its type lacks."""


class TooDeep(Exception):
    """Arrays and objects are nested deeper than allowed."""


def scan(value: Any, shape: Shape | None, strings: bool, depth: int) -> int:
    """Count the keys in a decoded value, and with `strings` the colons in its strings.

    Raises:
        UnknownField: An object has a field that `shape` does not know.
        TooDeep: `depth` containers are open.
    """
    if type(value) is dict:
        return _scan_object(value, shape, strings, depth)
    if type(value) is list:
        return _scan_list(value, shape, strings, depth)
    return value.count(":") if strings and type(value) is str else 0


def _scan_object(value: dict[str, Any], shape: Shape | None, strings: bool, depth: int) -> int:
    if depth <= 0:
        raise TooDeep
    names = below = None
    if shape is not None:
        shape = shape.object_shape(value)
    if shape is not None:
        names, below = shape.names, shape.values
        if names is not None and not value.keys() <= names.keys():
            raise UnknownField
    count = len(value)
    for name, part in value.items():
        kind = type(part)
        if kind is str:
            if strings:
                count += part.count(":")
        elif kind is dict:
            inner = below if names is None else names[name]
            count += _scan_object(part, inner, strings, depth - 1)
        elif kind is list:
            inner = below if names is None else names[name]
            count += _scan_list(part, inner, strings, depth - 1)
    return count


def _scan_list(value: list[Any], shape: Shape | None, strings: bool, depth: int) -> int:
    if depth <= 0:
        raise TooDeep
    items = None if shape is None else shape.items
    positions = None if shape is None else shape.positions
    count = 0
    for number, part in enumerate(value):
        if positions is not None:
            items = positions[number] if number < len(positions) else None
        kind = type(part)
        if kind is str:
            if strings:
                count += part.count(":")
        elif kind is dict:
            count += _scan_object(part, items, strings, depth - 1)
        elif kind is list:
            count += _scan_list(part, items, strings, depth - 1)
    return count


# --- from a type ----------------------------------------------------------------------------------


def shape_of(kind: Any) -> Shape | None:
    """Return the shape of a type that msgspec knows."""
    from msgspec import inspect

    return _shape(inspect.type_info(kind), {})


def depth_of(kind: Any) -> int | None:
    """Return how many arrays and objects are within each other at most in a value of this type.

    None: there is no such bound, or a value's encoding may have other keys than the value took
    from its text, or the same one twice (`Raw`; attributes that are no fields).
    """
    from msgspec import inspect

    return _depth(inspect.type_info(kind), frozenset())


def _depth(node: Any, outer: frozenset[Any]) -> int | None:
    """`outer` are the classes that the node is within."""
    from msgspec import inspect

    parts: Sequence[Any]
    match node:
        case inspect.Metadata():
            return _depth(node.type, outer)
        case inspect.UnionType():
            parts, own = node.types, 0
        case inspect.StructType() if node.cls not in outer:
            parts, own, outer = [field.type for field in node.fields], 1, outer | {node.cls}
        case inspect.ListType() | inspect.VarTupleType():
            parts, own = [node.item_type], 1
        case inspect.TupleType():
            parts, own = node.item_types, 1
        case inspect.DictType(key_type=inspect.StrType()):
            parts, own = [node.value_type], 1
        case _:
            return 0 if isinstance(node, _scalars()) else None
    depths = [_depth(part, outer) for part in parts]
    return None if None in depths else own + max((one or 0 for one in depths), default=0)


def _scalars() -> tuple[type, ...]:
    from msgspec import inspect

    return (
        inspect.NoneType,
        inspect.BoolType,
        inspect.IntType,
        inspect.FloatType,
        inspect.StrType,
        inspect.BytesType,
        inspect.DateTimeType,
        inspect.DateType,
        inspect.TimeType,
        inspect.TimeDeltaType,
        inspect.UUIDType,
        inspect.DecimalType,
        inspect.EnumType,
        inspect.LiteralType,
    )


def _shape(node: Any, known: dict[int, Shape]) -> Shape | None:
    from msgspec import inspect

    if id(node) in known:
        return known[id(node)]
    shape = Shape()
    match node:
        case inspect.StructType(array_like=True) | inspect.NamedTupleType():
            known[id(node)] = shape
            tag = [None] if getattr(node, "tag", None) is not None else []
            shape.positions = [*tag, *(_shape(field.type, known) for field in node.fields)]
        case inspect.StructType() | inspect.DataclassType() | inspect.TypedDictType():
            known[id(node)] = shape
            shape.names = {field.encode_name: _shape(field.type, known) for field in node.fields}
            tag_field = getattr(node, "tag_field", None)
            if tag_field is not None:
                shape.names.setdefault(tag_field, None)
        case inspect.DictType():
            shape.values = _shape(node.value_type, known)
            return shape if shape.values is not None else None
        case (
            inspect.ListType()
            | inspect.SetType()
            | inspect.FrozenSetType()
            | inspect.VarTupleType()
        ):
            shape.items = _shape(node.item_type, known)
            return shape if shape.items is not None else None
        case inspect.TupleType():
            shape.positions = [_shape(item, known) for item in node.item_types]
        case inspect.UnionType():
            return _union(node, shape, known)
        case inspect.Metadata():
            return _shape(node.type, known)
        case _:
            return None
    return shape


def _union(node: Any, shape: Shape, known: dict[int, Shape]) -> Shape | None:
    """Merge the object and the list side of a union; msgspec allows one of each, or tags."""
    from msgspec import inspect

    parts = [(part, _shape(part, known)) for part in node.types]
    parts = [(part, found) for part, found in parts if found is not None]
    if not parts:
        return None
    if len(parts) == 1 and parts[0][1] is not None:
        return parts[0][1]
    for part, found in parts:
        assert found is not None
        if isinstance(part, inspect.StructType) and part.tag is not None and not part.array_like:
            shape.tag_field = part.tag_field
            shape.by_tag[part.tag] = found
        elif found.names is not None or found.values is not None:
            shape.names, shape.values = found.names, found.values
        else:
            shape.items, shape.positions = found.items, found.positions
    return shape
