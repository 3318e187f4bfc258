"""What a type is, as far as arguments and keys are concerned."""

from __future__ import annotations

import types
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

_DATES_OF_PYDANTIC: dict[str, type] = {
    "AwareDatetime": datetime, "PastDatetime": datetime, "FutureDatetime": datetime,
    "PastDate": date, "FutureDate": date,
}  # fmt: skip
SCALARS: tuple[Any, ...] = (str, int, float, bool, UUID, datetime, date, Decimal)


def unwrap(annotation: Any) -> Any:
    """Return the type without `Annotated[...]` and `NewType` around it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        else:
            return annotation


def marker(annotation: Any, kind: type) -> Any:
    """Return the marker of this kind in an `Annotated[...]`, or None."""
    if get_origin(annotation) is not Annotated:
        return None
    return next((one for one in get_args(annotation)[1:] if isinstance(one, kind)), None)


def members(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union; anything else is its own only member."""
    bare = unwrap(annotation)
    if get_origin(bare) in (Union, types.UnionType):
        return get_args(bare)
    return (annotation,)


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Return the type without None, and whether None was among its members."""
    parts = members(annotation)
    rest = tuple(part for part in parts if part is not type(None) and part is not None)
    if len(rest) == len(parts):
        return annotation, False
    if not rest:
        return type(None), True
    return (rest[0] if len(rest) == 1 else Union[rest]), True  # noqa: UP007 - built, not written


def scalar(annotation: Any) -> Any:
    """Return the scalar type (`str`, `int`, `UUID`, an Enum ..., `Literal`), or None."""
    bare = unwrap(annotation)
    if bare in SCALARS:
        return bare
    if isinstance(bare, type) and issubclass(bare, Enum):
        return bare
    return Literal if get_origin(bare) is Literal else None


def field_scalar(annotation: Any) -> Any:
    """Return `scalar` of a field; a Pydantic model holds its own types of dates to more."""
    bare = unwrap(annotation)
    if getattr(bare, "__module__", "") == "pydantic.types":
        return _DATES_OF_PYDANTIC.get(bare.__name__)
    return scalar(annotation)


def list_item(annotation: Any) -> Any:
    """Return the item type of `list[T]`, or None."""
    bare = unwrap(annotation)
    return get_args(bare)[0] if get_origin(bare) is list and get_args(bare) else None


def shown(annotation: Any) -> str:
    """Return a type as a person writes it."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation.__name__
    origin = get_origin(annotation)
    if isinstance(origin, type) and origin is not types.UnionType and get_args(annotation):
        return f"{origin.__name__}[{', '.join(map(shown, get_args(annotation)))}]"
    return str(annotation).replace("typing.", "")


def is_model(annotation: Any) -> bool:
    """Whether this is a Pydantic model, which can be written: a dataclass of Pydantic's cannot."""
    bare = unwrap(annotation)
    return has_pydantic(bare) and isinstance(bare, type) and hasattr(bare, "model_fields")


def dataclass_of_pydantic(annotation: Any) -> Any:
    """Return the dataclass of Pydantic's that is this type or a part of it, or None."""
    bare = unwrap(annotation)
    if isinstance(bare, type) and has_pydantic(bare):
        return None if is_model(bare) else bare
    parts = () if get_origin(bare) is Literal else get_args(bare)
    return next(filter(None, map(dataclass_of_pydantic, parts)), None)


def has_pydantic(annotation: Any) -> bool:
    """Whether a Pydantic model is this type or a part of it (`list[Model]`)."""
    bare = unwrap(annotation)
    if isinstance(bare, type) and hasattr(bare, "__pydantic_validator__"):
        return True
    return any(has_pydantic(part) for part in get_args(bare) if get_origin(bare) is not Literal)
