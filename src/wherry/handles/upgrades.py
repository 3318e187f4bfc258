"""Reading data of an older form: `upgrade=` makes the new form of it.

It is tried where the type itself does not read what is stored, and only there: no row says which
form it has, and what is right costs nothing. So a form that passes for the new one is never
upgraded: a field that got another name must have no default under the new one, which
`wherry schemas check` sees to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from wherry.handles.shapes import Shape, Upgrade, to_json

Reader: TypeAlias = Callable[[bytes], Any]

_RAW = (Any, object, dict, Mapping)


class NotUpgraded(ValueError):
    """Neither the type nor any `upgrade=` reads it; the message says why each does not."""


def upgrading(read: Reader, kind: Any, upgrades: tuple[Upgrade, ...]) -> Reader:
    """Return a reader that tries these functions where `read` raises `ValueError`.

    A function with an annotated argument is given a value of that type, another one the JSON. It
    returns the new form as JSON, or a value of `kind`.
    """
    if not upgrades:
        return read
    steps: list[Callable[[bytes], Any]] = []

    def upgraded(data: bytes) -> Any:
        try:
            return read(data)
        except ValueError as error:
            first = error
        if not steps:
            steps.extend(map(_step, upgrades))
        said = [str(first)]
        for step, upgrade in zip(steps, upgrades, strict=True):
            try:
                value = step(data)
                is_new = isinstance(kind, type) and type(value) is kind
                return value if is_new else read(to_json(value))
            except Exception as error:  # the team's code; the next one may know this form
                name = getattr(upgrade, "__name__", "upgrade")
                said.append(f"{name}: {type(error).__name__}: {error}")
        raise NotUpgraded("; ".join(said)) from first

    return upgraded


def _step(upgrade: Upgrade) -> Callable[[bytes], Any]:
    kind = argument_of(upgrade)
    bare = getattr(kind, "__origin__", kind)
    read: Reader = msgspec.json.decode if bare in _RAW else Shape(kind).decode
    return lambda data: upgrade(read(data))


def argument_of(convert: Upgrade) -> Any:
    """Return the type that a conversion takes, or Any where it does not say.

    Raises:
        TypeError: It does not take one argument.
        NameError: Its annotation names what is not there.
    """
    from types import SimpleNamespace
    from typing import get_type_hints

    name = takes_one(convert)
    annotations = getattr(convert, "__annotations__", {})
    if name not in annotations:
        return Any
    alone = SimpleNamespace(__annotations__={name: annotations[name]})
    return get_type_hints(alone, getattr(convert, "__globals__", {}))[name]


def takes_one(convert: Upgrade) -> str:
    """Return the name of the one argument that a conversion takes; raises `TypeError`."""
    from inspect import signature

    parameters = list(signature(convert).parameters.values())
    required = [one for one in parameters if one.default is one.empty]
    if not parameters or len(required) > 1:
        raise TypeError(f"it takes {len(required)} arguments")
    return parameters[0].name
