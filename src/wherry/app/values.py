"""Values of declarations, held against the types of the records that they are in."""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import structs

from wherry import limits
from wherry.app.kinds import members, shown
from wherry.blueprint.parts import Finding, Place, Record, Throttle
from wherry.blueprint.records import Blueprint, FunctionSpec

R = TypeVar("R", bound=Record)

_STAND_INS: dict[tuple[type[Record], str], Any] = {
    (FunctionSpec, "timeout_s"): limits.ROUTE_TIMEOUT_S,  # a route may not have the default
}

_WORDS: dict[Any, str] = {
    Throttle | None: "requests per second and how many at once, like (10, 20)",
    tuple[str, ...]: 'texts, like ["one", "two"]',
    str | None: "a text, or leave it out",
}


def check_values(blueprint: Blueprint) -> tuple[list[Finding], Blueprint | None]:
    """Return what is of a wrong type, and a blueprint that can be looked at further.

    That one has the default where a value is wrong; it is None where there is no default.
    """
    if _fits(blueprint, Blueprint):
        return [], blueprint
    reading = _Reading()
    mended = reading.record(blueprint, "The app", None)
    return reading.findings, mended if reading.mended else None


def check_indexes(table: Any, indexes: Any, place: Place) -> Finding | None:
    """Return what is wrong with the form of a table's indexes, before it is made."""
    if _fits(indexes, dict[str, str | tuple[str, ...]]):
        return None
    return Finding(
        code="value_type",
        message=f"The table {table!r} has indexes={indexes!r}.",
        fix='Give each its name and its fields: {"by_status": ("status", "created_at")}.',
        place=place,
    )


class _Reading:
    """Reads records field by field."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.mended = True

    def record(self, record: R, whose: str, place: Place | None) -> R:
        """Return the record with defaults for what is wrong. `whose`: that of a part of another."""
        for said in ("name", "endpoint", "queue"):
            if hasattr(record, said):
                whose = repr(getattr(record, said))
                break
        place = getattr(record, "place", place)
        right: dict[str, Any] = {}
        for field in structs.fields(record):
            value = getattr(record, field.name)
            if isinstance(value, Record):
                right[field.name] = self.record(value, whose, place)
            elif _are_records(value):
                right[field.name] = tuple(self.record(one, whose, place) for one in value)
            elif not _fits(value, field.type):
                self.findings.append(_finding(whose, field.name, value, field.type, place))
                right[field.name] = _STAND_INS.get((type(record), field.name), field.default)
                self.mended = self.mended and right[field.name] is not msgspec.NODEFAULT
        return structs.replace(record, **right)


def _are_records(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(one, Record) for one in value)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(msgspec.to_builtins(value, builtin_types=(bytes,)), kind)
    except (ValueError, TypeError):
        return False
    return True


def _finding(whose: str, name: str, value: Any, kind: Any, place: Place | None) -> Finding:
    wanted = _WORDS.get(kind) or f"a value of the type {' | '.join(map(shown, members(kind)))}"
    if get_origin(kind) is Literal:
        wanted = f"one of {', '.join(map(repr, get_args(kind)))}"
    return Finding(
        code="value_type",
        message=f"{whose} has {name}={value!r}.",
        fix=f"Give {name} {wanted}.",
        place=place,
    )
