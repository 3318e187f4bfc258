"""A handler, ready to be called: what its arguments are and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from wherry.blueprint.records import Trigger

# "message" is the payload of a message whole, "sent" one field of it.
Source: TypeAlias = Literal[
    "path", "query", "header", "body", "caller", "form", "raw", "message", "sent"
]


class Unset:
    """Says that there is no default, or no annotation."""


UNSET = Unset()


class Argument(Struct, frozen=True):
    """One argument of a handler.

    `type` is the annotation without None around it, and for `many` that of one item.
    """

    name: str
    source: Source
    alias: str
    type: Any
    required: bool = True
    default: Any = None
    many: bool = False


class Signature(Struct, frozen=True):
    """What a handler takes and gives. `returns` is `UNSET` where it does not say."""

    arguments: tuple[Argument, ...] = ()
    returns: Any = UNSET


class Endpoint:
    """A handler of a function. `bound` is where the runtime keeps what it compiled from it."""

    __slots__ = ("bound", "fn", "function", "is_async", "name", "plain", "signature", "trigger")

    def __init__(
        self,
        *,
        name: str,
        function: str,
        fn: Callable[..., Any],
        trigger: Trigger,
        signature: Signature,
        is_async: bool,
        plain: bool,
    ) -> None:
        self.name = name
        self.function = function
        self.fn = fn
        self.trigger = trigger
        self.signature = signature
        self.is_async = is_async
        self.plain = plain
        self.bound: Any = None

    def __repr__(self) -> str:
        return f"Endpoint({self.function}/{self.name})"
