"""What calls a function besides a request or a sent message: events, schedules, objects, changes.

Each such function has a queue of its own, of its name, with retries and a failure inbox like any
other. Decorators may be stacked: several triggers of a function share it and its queue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from wherry import limits
from wherry.app.declared import (
    F,
    Function,
    Triggered,
    as_several,
    declared_or_bare,
    handler_name,
)
from wherry.app.places import Site, site
from wherry.blueprint.parts import Finding
from wherry.handles import Queue
from wherry.handles.events import event_type
from wherry.handles.late import Late

if TYPE_CHECKING:
    from typing import Unpack

    from wherry.app.app import App
    from wherry.blueprint import records
    from wherry.blueprint.records import Source
    from wherry.handles.options import BatchOptions, TriggerOptions
else:
    records = Late("wherry.blueprint.records", globals())

_OF_FUNCTION = ("timeout_s", "memory_mb", "concurrency", "reserved", "reads")
_OF_QUEUE = ("max_attempts", "retry_base_s", "retry_max_s", "retention_s", "on_failure", "fifo")
_OF_TRIGGER = ("batch", "window_s")


class AppOn:
    """`@app.on(OrderPlaced)`: a function that listens to a type of event."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self,
        event: type[Any],
        *,
        where: Mapping[str, Any] | None = None,
        **options: Unpack[BatchOptions],
    ) -> Callable[[F], F]:
        """Declare a function that is called with each event of a type.

        Args:
            event: The class that `@app.event` declared.
            where: A pattern of EventBridge's language that the event must match
                (`wherry.patterns`): `{"total": [{"numeric": [">", 100]}]}`.
            options: What the function may do and use (`wherry.handles.options`).
        """
        at = site(1)
        found = event_type(event)
        name = found.name if found is not None else getattr(event, "__name__", str(event))
        version = found.version if found is not None else 0

        def source(triggered: Triggered) -> Source:
            if found is not None:
                triggered.events[name, version] = event
            if where is not None:
                triggered.wheres[len(triggered.sources)] = where
            return records.EventSource(
                queue=triggered.queue.name, event=name, version=version, place=at.place
            )

        bare = None if isinstance(event, type) else event
        return declared_or_bare(bare, _declaring(self._app, source, options, at))


class AppSchedule:
    """`@app.schedule("rate(5 minutes)")`: a function that runs at moments of an expression."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self,
        expression: str,
        *,
        name: str = "",
        timezone: str = "UTC",
        window_s: int = 0,
        overlap: Literal["queue", "skip"] = "queue",
        missed: Literal["latest", "skip", "all"] = "latest",
        missed_max: int = limits.SCHEDULE_MISSED_MAX,
        **options: Unpack[TriggerOptions],
    ) -> Callable[[F], F]:
        """Declare a function that runs by itself; it takes a `Firing`, or nothing.

        Args:
            expression: `rate(5 minutes)`, `cron(0 3 * * ? *)` or `at(2027-01-01T00:00:00)`, in the
                grammar of EventBridge Scheduler (`wherry.schedules`).
            name: The schedule's; without one the function's, numbered where it has several.
            timezone: IANA name, `Europe/Berlin`.
            window_s: Spreads each firing over so long, 0 to 86,400.
            overlap: While the run of an earlier firing is not done: "queue" or "skip".
            missed: What was missed while nothing ran: the "latest" of it, "skip" or "all".
            missed_max: Of all that was missed, at most so many.
            options: What the function may do and use (`wherry.handles.options`).
        """
        where = site(1)

        def source(triggered: Triggered) -> Source:
            return records.ScheduleSource(
                queue=triggered.queue.name,
                name=name,
                expression=expression,
                timezone=timezone,
                window_s=window_s,
                overlap=overlap,
                missed=missed,
                missed_max=missed_max,
                place=where.place,
            )

        return declared_or_bare(expression, _declaring(self._app, source, options, where))


class Declaring:
    """What a handle declares functions with: `assets.on_created(...)`, `orders.on_change(...)`."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self, kind: str, source: Mapping[str, Any], options: Mapping[str, Any]
    ) -> Callable[[F], F]:
        """Return the decorator. `kind` is the source's tag; `source` says what it is of."""
        where = site(2 if kind == "change" else 3)  # the handle's caller
        own = dict(source)
        if kind == "change":
            options = {**options, "fifo": True, "on_failure": own.pop("on_failure")}

        def make(triggered: Triggered) -> Source:
            if kind == "change":
                return records.ChangeSource(queue=triggered.queue.name, place=where.place, **own)
            return records.ObjectSource(queue=triggered.queue.name, place=where.place, **own)

        return _declaring(self._app, make, options, where)


def _declaring(
    app: App, source: Callable[[Triggered], Source], options: Mapping[str, Any], where: Site
) -> Callable[[F], F]:
    unknown = [
        name for name in options if name not in (*_OF_FUNCTION, *_OF_QUEUE, *_OF_TRIGGER, "grants")
    ]
    if unknown:
        raise TypeError(f"got an unexpected keyword argument {unknown[0]!r}")

    def declare(fn: F) -> F:
        function, triggered = _found(app, fn) or _made(app, fn, where)
        triggered.sources.append(source(triggered))
        _take(app, function, triggered, options, where)
        return fn

    return declare


def _found(app: App, fn: Callable[..., Any]) -> tuple[Function, Triggered] | None:
    """Return the function that decorators below this one have made."""
    app._changing()
    return app._triggered.get(id(fn))


def _made(app: App, fn: Callable[..., Any], where: Site) -> tuple[Function, Triggered]:
    queue: Queue[Any] = Queue(dict, name=handler_name(fn), place=where.place)
    triggered = Triggered(fn, queue, where)
    function = Function(fn.__name__, where, triggered)
    app._declare(function)
    app._queues.append(queue)
    app._triggered[id(fn)] = found = (function, triggered)
    return found


def _take(
    app: App, function: Function, triggered: Triggered, options: Mapping[str, Any], where: Site
) -> None:
    """Add what one decorator says of the function to what those below it have said."""
    for name, value in options.items():
        if name == "grants":
            new = tuple(one for one in as_several(value) if one not in function.grants)
            function.grants = (*function.grants, *new)
            continue
        if triggered.given.setdefault(name, value) != value:
            app._early.append(
                Finding(
                    code="options_differ",
                    message=f"{function.name!r} has {name}={triggered.given[name]!r} in one "
                    f"decorator and {name}={value!r} in another.",
                    fix="Give it once: the triggers of a function share it.",
                    place=where.place,
                )
            )
        elif name in _OF_FUNCTION:
            setattr(function, name, value)
        else:
            setattr(triggered if name in _OF_TRIGGER else triggered.queue, name, value)
