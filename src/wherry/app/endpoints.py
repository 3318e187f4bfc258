"""A handler, ready to be called: what its arguments are and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from wherry.blueprint.records import Source, Trigger

# "message" is the payload of a message whole, "sent" one field of it.
Origin: TypeAlias = Literal[
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
    source: Origin
    alias: str
    type: Any
    required: bool = True
    default: Any = None
    many: bool = False


class Signature(Struct, frozen=True):
    """What a handler takes and gives. `returns` is `UNSET` where it does not say."""

    arguments: tuple[Argument, ...] = ()
    returns: Any = UNSET


class Feed(Struct, frozen=True):
    """A source of a handler's messages, and what it is called with for one of them.

    `type` is the class of the event, of the table's items, else None; `keys` are the table's.
    `upgrades` make that of an older form.
    """

    source: Source
    type: Any = None
    keys: tuple[str, ...] = ()
    upgrades: tuple[Callable[[Any], Any], ...] = ()


class Endpoint:
    """A handler of a function. `bound` is where the runtime keeps what it compiled from it.

    `feeds`: its messages come from these sources; without any they are what was sent. `batch`: it
    takes several at once. `once_per`: from a payload, of the type `payload`, to the key under which
    it is done once. `claims`: its queue takes payloads that travel as objects. `upgrades`: of its
    queue.
    """

    __slots__ = (
        "batch",
        "bound",
        "claims",
        "feeds",
        "fn",
        "function",
        "is_async",
        "name",
        "once_per",
        "payload",
        "plain",
        "signature",
        "trigger",
        "upgrades",
    )

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
        feeds: tuple[Feed, ...] = (),
        batch: bool = False,
        once_per: Callable[[Any], Any] | None = None,
        payload: Any = None,
        claims: bool = False,
        upgrades: tuple[Callable[[Any], Any], ...] = (),
    ) -> None:
        self.name = name
        self.function = function
        self.fn = fn
        self.trigger = trigger
        self.signature = signature
        self.is_async = is_async
        self.plain = plain
        self.feeds = feeds
        self.batch = batch
        self.once_per = once_per
        self.payload = payload
        self.claims = claims
        self.upgrades = upgrades
        self.bound: Any = None

    def __repr__(self) -> str:
        return f"Endpoint({self.function}/{self.name})"
