"""The fields of a team's type, whatever it is: Struct, dataclass, typed dict, Pydantic model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints

from msgspec import Struct

from wherry.app.kinds import is_model, unwrap


class Field(Struct, frozen=True):
    """A field: its name in Python, its name in JSON, its annotation."""

    name: str
    wire: str
    type: Any
    required: bool


def fields_of(kind: Any) -> dict[str, Field] | None:
    """Return the fields by their names in Python; None where the type has none.

    Raises:
        NameError: An annotation names what is not there.
        TypeError: An annotation is no type.
    """
    bare = unwrap(kind)
    origin = get_origin(bare) or bare
    if not isinstance(origin, type):
        return None
    if is_model(bare):
        return _pydantic_fields(origin)
    if issubclass(origin, Struct):
        return _struct_fields(origin)
    if hasattr(origin, "__dataclass_fields__"):
        return _dataclass_fields(origin)
    if issubclass(origin, dict) and hasattr(origin, "__required_keys__"):
        return _typed_dict_fields(origin)
    return None


def _struct_fields(kind: type[Struct]) -> dict[str, Field]:
    hints = get_type_hints(kind, include_extras=True)
    names, wires = kind.__struct_fields__, kind.__struct_encode_fields__
    first_default = len(names) - len(kind.__struct_defaults__)
    from msgspec import NODEFAULT

    found = {}
    for position, (name, wire) in enumerate(zip(names, wires, strict=True)):
        at = position - first_default
        required = at < 0 or kind.__struct_defaults__[at] is NODEFAULT
        found[name] = Field(name, wire, hints[name], required)
    return found


def _dataclass_fields(kind: Any) -> dict[str, Field]:
    from dataclasses import MISSING, fields

    hints = get_type_hints(kind, include_extras=True)
    return {
        one.name: Field(
            one.name,
            one.name,
            hints[one.name],
            one.default is MISSING and one.default_factory is MISSING,
        )
        for one in fields(kind)
        if one.init
    }


def _typed_dict_fields(kind: Any) -> dict[str, Field]:
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        bare = get_args(hint)[0] if get_origin(hint) in (Required, NotRequired) else hint
        found[name] = Field(name, name, bare, name in kind.__required_keys__)
    return found


def _pydantic_fields(kind: Any) -> dict[str, Field]:
    found = {}
    for name, one in kind.model_fields.items():
        annotation = one.annotation
        if one.metadata:
            annotation = Annotated[(annotation, *one.metadata)]
        wire = one.validation_alias if isinstance(one.validation_alias, str) else one.alias
        found[name] = Field(name, wire or name, annotation, one.is_required())
    return found


def not_read_back(kind: Any) -> list[str]:
    """Return the fields of a Pydantic model that it writes under names that it does not read."""
    found: list[str] = []
    models, seen = [kind], set[Any]()
    while models:
        model = models.pop()
        if not is_model(model):
            models += get_args(model)
        elif model not in seen:
            seen.add(model)
            found += [f"{model.__name__}.{name}" for name in _lost_names(model)]
            models += [one.annotation for one in model.model_fields.values()]
    return sorted(found)


def _lost_names(model: Any) -> Iterator[str]:
    for name, one in model.model_fields.items():
        alias = one.validation_alias
        read = {name, *(one for one in getattr(alias, "choices", [alias]) if isinstance(one, str))}
        if (one.serialization_alias or name) not in read:
            yield name
