"""The fields of an item's type, as far as changing them in place has to know them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

import msgspec

_NUMBERS = (int, float, int | None, float | None)  # what msgspec reads as Pydantic does


class Field(msgspec.Struct, frozen=True):
    """A field of an item's type: its name in JSON, its type, that without any bounds, and these."""

    name: str
    type: Any
    plain: Any
    bounds: dict[str, float] = {}


def fields_of(kind: Any) -> dict[str, Field]:
    """Return the fields of a type by their names in Python; none where it does not say them."""
    from typing import get_type_hints

    if hasattr(kind, "model_fields"):  # a Pydantic model
        return {
            name: Field(
                one.serialization_alias or name,
                Any,
                _plain_of(kind, name, one.annotation),
                _bounds(one.metadata),
            )
            for name, one in kind.model_fields.items()
        }
    try:
        types, plain = get_type_hints(kind, include_extras=True), get_type_hints(kind)
    except (NameError, TypeError):  # a name that only the place of its declaration knows
        return {}
    names = getattr(kind, "__struct_fields__", tuple(types))
    shown = getattr(kind, "__struct_encode_fields__", names)
    return {
        name: Field(encoded, types[name], plain[name], _bounds(_said_of(types[name])))
        for name, encoded in zip(names, shown, strict=True)
    }


def _plain_of(kind: Any, name: str, annotation: Any) -> Any:
    """Return the type of a model's field, where it says whether the field is stored as a number.

    What is none in Python may be written as one, by a serializer: an example is.
    """
    if annotation in _NUMBERS:
        return annotation
    from decimal import Decimal

    examples = {Decimal: Decimal(1), bool: True, str: "1"}
    for part in get_args(annotation) or (annotation,):
        if part is type(None):
            continue
        if part not in examples:
            return Any
        blank = kind.model_construct()
        blank.__dict__[name] = examples[part]
        try:
            (written,) = blank.model_dump(mode="json", include={name}, warnings=False).values()
        except Exception:  # a serializer of the whole model, which is not whole
            return Any
        if isinstance(written, int | float) and not isinstance(written, bool):
            return Any
    return annotation


def holds_numbers(kind: Any) -> bool:
    """Whether a field of this type may hold a number of JSON, as far as its type says."""
    if parts := get_args(kind):
        return any(map(holds_numbers, parts))
    if kind in (Any, object) or not isinstance(kind, type):
        return True
    return issubclass(kind, int | float) and kind is not bool


def _said_of(kind: Any) -> Iterable[Any]:
    """Yield what is annotated of a type, or of what it is besides None."""
    for part in get_args(kind):
        if hasattr(kind, "__metadata__"):
            yield part
        else:
            yield from _said_of(part)


def _bounds(said: Iterable[Any]) -> dict[str, float]:
    """Return the bounds among what is annotated: by msgspec's Meta, or as Pydantic has them."""
    found = {}
    for one in said:
        for name in ("ge", "gt", "le", "lt", "multiple_of"):
            bound = getattr(one, name, None)
            if isinstance(bound, int | float):
                found[name] = bound
    return found
