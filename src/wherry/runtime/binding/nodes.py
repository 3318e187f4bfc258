"""From msgspec's description of a type without parts back to an annotation."""

from __future__ import annotations

import datetime
import decimal
import uuid
from typing import Annotated, Any, Literal

import msgspec
from msgspec import inspect

_PLAIN: dict[type, Any] = {
    inspect.BoolType: bool,
    inspect.NoneType: None,
    inspect.AnyType: Any,
    inspect.RawType: msgspec.Raw,
    inspect.DateType: datetime.date,
    inspect.TimeDeltaType: datetime.timedelta,
    inspect.UUIDType: uuid.UUID,
    inspect.DecimalType: decimal.Decimal,
    inspect.BytesType: bytes,
    inspect.ByteArrayType: bytearray,
}
_BOUNDED: dict[type, Any] = {
    inspect.IntType: int,
    inspect.FloatType: float,
    inspect.StrType: str,
    inspect.BytesType: bytes,
    inspect.ByteArrayType: bytearray,
    inspect.DateTimeType: datetime.datetime,
    inspect.TimeType: datetime.time,
}
_BOUNDS = ("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length", "pattern", "tz")


def leaf_annotation(node: Any) -> Any:
    """Return the annotation of a type without parts; `Any` for one that is not known."""
    kind = type(node)
    if kind in _BOUNDED:
        bounds = {name: getattr(node, name, None) for name in _BOUNDS}
        given = {name: bound for name, bound in bounds.items() if bound is not None}
        base = _BOUNDED[kind]
        return Annotated[base, msgspec.Meta(**given)] if given else base
    if isinstance(node, inspect.EnumType):
        return node.cls
    if isinstance(node, inspect.LiteralType):
        return Literal[node.values]
    return _PLAIN.get(kind, Any)
