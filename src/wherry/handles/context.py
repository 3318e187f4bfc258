"""What a handler may know of its own run, and what it takes instead of clock and dice.

`now()` and `new_id()` are the same on every attempt, so that a repeated run sends the same bytes
to the outside world.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from wherry import limits
from wherry.codec import digest
from wherry.errors import BoundExceeded, Refused
from wherry.handles.scope import Scope, scope_for
from wherry.handles.shapes import Shape, result_type, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.handles.logs import Log

T = TypeVar("T")


class Room:
    """What one commit still takes: effects on further keys, or guards of them, and bytes."""

    __slots__ = ("bytes", "effects")

    def __init__(self, effects: int, size_bytes: int) -> None:
        self.effects, self.bytes = effects, size_bytes


class Current:
    """The present run."""

    __slots__ = ("_scope",)

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    @property
    def function(self) -> str:
        """The function's name."""
        return self._scope.function

    @property
    def request_id(self) -> str:
        """The ID of this request or message delivery; new on every attempt of a message."""
        return self._scope.invocation.request_id

    @property
    def correlation_id(self) -> str:
        """The ID that joins a request with everything that followed it."""
        return self._scope.invocation.correlation_id

    @property
    def traceparent(self) -> str:
        """The W3C trace context to pass on to outside services."""
        return self._scope.invocation.traceparent

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._scope.invocation.attempt

    @property
    def deadline(self) -> datetime:
        """When this run is killed, UTC."""
        return datetime.fromtimestamp(self._scope.invocation.deadline_ms / 1000, UTC)

    @property
    def log(self) -> Log:
        """The logger, whose lines carry the correlation ID."""
        from wherry.handles.logs import log

        return log

    def remaining_s(self) -> float:
        """Seconds until this run is killed."""
        scope = self._scope
        return max(0.0, (scope.invocation.deadline_ms - scope.clock.now_ms()) / 1000)

    def key(self, name: str) -> str:
        """Return a key for one outside call: the same on every attempt, here and on AWS.

        Pass it as the idempotency key of the outside service: `current().key("charge")`.
        """
        return digest("outside", self._scope.invocation.key, name)

    def room(self) -> Room:
        """Return what this run's commit still takes."""
        scope = self._scope
        left = limits.COMMIT_EFFECTS - scope.keys_taken()
        return Room(left, limits.COMMIT_BYTES - scope.bytes_written)


def current() -> Current:
    """Return the present run. Raises `Refused` outside of a handler."""
    return Current(scope_for("current()"))


def new_id() -> str:
    """Return a new ID (UUID version 7 form), the same when the run is repeated."""
    return scope_for("new_id()").next_id("id")


def now() -> datetime:
    """Return the moment at which the first attempt of this run started, UTC."""
    return datetime.fromtimestamp(scope_for("now()").invocation.started_ms / 1000, UTC)


def outside(name: str, call: Callable[[str], T]) -> T:
    """Call an outside service with a key that is the same on every attempt; return its result.

    A run that is repeated because it lost a version conflict gets the kept result: the service is
    called once for that attempt. So the result travels as JSON: it is of a JSON type, or of the
    type that `call` says it returns. Each call in a run is another one, with a key of its own: the
    second of a name has not that of the first, which is `current().key(name)`.

    Raises:
        Refused: The result would not come back as it is. The service has been called.
        BoundExceeded: The results of this attempt have more than `limits.OUTSIDE_BYTES`.
    """
    scope = scope_for("outside()")
    use = scope.outside_uses.get(name, 0) + 1
    scope.outside_uses[name] = use
    parts = (name,) if use == 1 else (name, str(use))
    key = digest("outside", scope.invocation.key, *parts)
    shape: Shape[T] = Shape(result_type(call))
    body = scope.kept.get(key)
    if body is None:
        result = call(key)
        body = _kept_form(name, result, shape)
        size = sum(map(len, scope.kept.values())) + len(body)
        if size > limits.OUTSIDE_BYTES:
            raise BoundExceeded(
                f"What this attempt keeps of the outside has {size} bytes with outside({name!r}); "
                f"{limits.OUTSIDE_BYTES} are allowed.",
                advice="Return only what the handler goes on with.",
            )
        scope.kept[key] = body
    return shape.decode(body)


def _kept_form(name: str, result: Any, shape: Shape[Any]) -> bytes:
    """Return the result as it travels, if it comes back as what it is."""
    try:
        body = to_json(result)
        same = shape.decode(body)
        if shape.kind is Any and (type(same) is not type(result) or same != result):
            raise TypeError("it is of no JSON type")
    except (TypeError, ValueError) as error:
        raise Refused(
            f"outside({name!r}) gave a {type(result).__name__}, which a repeated run would not get "
            f"back: {error}.",
            advice="Return plain JSON, or annotate the type: `def call(key: str) -> Receipt`.",
        ) from None
    return body
