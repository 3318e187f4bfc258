"""Events: what has happened, told to every function that listens, with the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from wherry import limits
from wherry.blueprint.parts import Grant
from wherry.errors import BoundExceeded, Refused
from wherry.handles.ids import derived_id
from wherry.handles.late import Late
from wherry.handles.scope import scope_for
from wherry.handles.shapes import Shape, as_upgrades

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wherry import effects
    from wherry.blueprint.parts import Place
    from wherry.handles.scope import Scope
    from wherry.handles.shapes import Upgrades
else:
    effects = Late("wherry.effects", globals())

T = TypeVar("T")

_MARK = "__wherry_event__"


class EventType(Generic[T]):
    """A type of event as `@app.event(name, version=)` declared it."""

    __slots__ = ("downgrade", "kind", "name", "place", "shape", "upgrades", "version", "versions")

    def __init__(
        self,
        kind: type[T],
        name: str,
        version: int,
        place: Place | None,
        *,
        upgrade: Upgrades = None,
        downgrade: Callable[[T], Any] | None = None,
        versions: Sequence[EventType[Any]] = (),
    ) -> None:
        self.kind = kind
        self.name = name
        self.version = version
        self.place = place
        self.shape = Shape(kind)  # without the upgrades: what is published has the new form
        self.upgrades = as_upgrades(upgrade)
        self.downgrade = downgrade
        self.versions = versions  # of all events of its app, those that are declared later too

    def __repr__(self) -> str:
        return f"EventType({self.name!r}, version={self.version})"

    def mark(self) -> None:
        """Write on the class what event it is, so that `publish` finds it."""
        setattr(self.kind, _MARK, self)


def event_type(kind: Any) -> EventType[Any] | None:
    """Return the event that a class was declared as, or None. A class below it is another type."""
    found = getattr(kind, "__dict__", {}).get(_MARK)
    return found if isinstance(found, EventType) else None


class Publisher:
    """`publish(OrderPlaced(...))` tells of an event; `publish[OrderPlaced]` is the grant to.

    @app.post("/orders", grants=[orders.write, publish[OrderPlaced]])
    def place_order(...): ...
    """

    def __getitem__(self, kind: type[Any]) -> Grant:
        found = event_type(kind)
        name = found.name if found is not None else getattr(kind, "__name__", repr(kind))
        return Grant(kind="event", resource=name, action="publish")

    def __repr__(self) -> str:
        return "publish"

    def __call__(self, event: Any) -> str:
        """Tell of an event with the commit, and return its ID.

        Every function with `@app.on` of its type whose pattern it matches is called with it, each
        with retries of its own. It is checked against its type first. Those who listen to an older
        version get what `downgrade=` makes of it.

        Raises:
            Refused: Its class is no event type, or its values are not what the class says.
            GrantMissing: The function has no `publish[...]` of it among its grants.
            BoundExceeded: Its JSON has more than `limits.EVENT_BYTES`.
        """
        kind = type(event)
        found = event_type(kind)
        if found is None:
            raise Refused(
                f"{kind.__name__} is no type of event.",
                advice=f'Declare it: @app.event("{kind.__name__.lower()}", version=1).',
            )
        scope = scope_for(f"publish({kind.__name__})", (found.name, "publish"))
        purpose = f"event {found.name} {scope.next_use()}"
        event_id = _record(scope, purpose, found, event)
        while found.downgrade is not None:
            found, event = older(found, event)
            _record(scope, f"{purpose} as {found.version}", found, event)
        return event_id


def older(found: EventType[Any], event: Any) -> tuple[EventType[Any], Any]:
    """Return what `downgrade=` makes of an event: the older version and its value.

    Raises:
        Refused: It is no value of an older version's class.
    """
    value = found.downgrade(event) if found.downgrade is not None else event
    other = event_type(type(value))
    if other is None or other.name != found.name or other.version >= found.version:
        raise Refused(
            f"downgrade= of the event {found.name} version {found.version} gave a "
            f"{type(value).__name__}, which is no older version of it.",
            advice="Return a value of the class that @app.event declares as the version before.",
        )
    return other, value


def _record(scope: Scope, purpose: str, found: EventType[Any], event: Any) -> str:
    # Held against its type: who listens would fail on it for ever.
    body = found.shape.encode(event, f"The event {found.name!r}")
    if len(body) > limits.EVENT_BYTES:
        raise BoundExceeded(
            f"The event {found.name} has {len(body)} bytes; {limits.EVENT_BYTES} are allowed.",
            advice="Put the content into a bucket or a table and tell its key.",
        )
    scope.charge(len(body))
    event_id = derived_id(scope.invocation.key, purpose, scope.invocation.started_ms)
    scope.messages[event_id] = effects.PublishEvent(found.name, found.version, event_id, body)
    scope.marks.append(f"publish {found.name}@{found.version} {event_id}")
    return event_id


publish = Publisher()
