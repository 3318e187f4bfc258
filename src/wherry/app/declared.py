"""What decorators collect before it is looked at: cheap, because a cold start pays for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from wherry import limits
from wherry.app.places import Site
from wherry.blueprint.parts import AuthSpec, Throttle
from wherry.errors import Refused

if TYPE_CHECKING:
    from wherry.blueprint.records import Source
    from wherry.handles.aftercommit import AfterCommit

F = TypeVar("F", bound=Callable[..., Any])
Reads = Literal["versioned", "checked"]
ThrottleLike = Throttle | tuple[float, int]


def handler_name(fn: Callable[..., Any]) -> str:
    """Return the name by which a handler is known.

    Raises:
        Refused: It has none, as what `functools.partial` makes, or an object that can be called.
    """
    name = getattr(fn, "__name__", None)
    if not isinstance(name, str):
        raise Refused(
            f"{fn!r} has no name, by which a handler is known.",
            advice="Write a function that calls it, and decorate that one.",
        )
    return name


class Route:
    """A handler for a method and a path."""

    __slots__ = ("auth", "fn", "method", "path", "roles", "site", "status", "throttle")

    def __init__(
        self,
        fn: Callable[..., Any],
        method: str,
        path: str,
        *,
        auth: AuthSpec | None,
        roles: Iterable[str],
        status: int,
        throttle: ThrottleLike | None,
        site: Site,
    ) -> None:
        handler_name(fn)
        self.fn = fn
        self.method = method
        self.path = path
        self.auth = auth
        self.roles = as_several(roles)
        self.status = status
        self.throttle = as_throttle(throttle)
        self.site = site


class Consumer:
    """A handler for the messages of a queue. `after`: each is a call of it, after a commit."""

    __slots__ = ("after", "batch", "fn", "once_per", "once_s", "queue", "site", "window_s")

    def __init__(
        self,
        fn: Callable[..., Any],
        queue: Any,
        site: Site,
        after: AfterCommit[..., Any] | None = None,
    ) -> None:
        handler_name(fn)
        self.fn = fn
        self.queue = queue
        self.site = site
        self.after = after
        self.batch = 1
        self.window_s: float = 0
        self.once_per: Callable[[Any], Any] | None = None
        self.once_s: int | None = None

    @property
    def batched(self) -> bool:
        """Whether it is called with a `Batch`."""
        return isinstance(self.batch, int) and self.batch > 1


class Triggered:
    """A handler for what sources put into a queue of its own.

    `events`: the classes of the events, by name and version; `wheres`: the pattern of a source, by
    its place among `sources`; `given`: the options so far.
    """

    __slots__ = ("batch", "events", "fn", "given", "queue", "site", "sources", "wheres", "window_s")

    def __init__(self, fn: Callable[..., Any], queue: Any, site: Site) -> None:
        self.fn = fn
        self.queue = queue
        self.site = site
        self.sources: list[Source] = []
        self.events: dict[tuple[str, int], type[Any]] = {}
        self.wheres: dict[int, Any] = {}
        self.batch = 1
        self.window_s: float = 0
        self.given: dict[str, Any] = {}

    @property
    def batched(self) -> bool:
        """Whether it is called with a `Batch`."""
        return isinstance(self.batch, int) and self.batch > 1


class Task:
    """A handler that states of workflows call; a call is a message of a queue of its own."""

    __slots__ = ("fn", "queue", "site")

    def __init__(self, fn: Callable[..., Any], queue: Any, site: Site) -> None:
        self.fn = fn
        self.queue = queue
        self.site = site


Declared: TypeAlias = Route | Consumer | Triggered | Task


class Function:
    """A function with what it may do and how much of everything it may use."""

    __slots__ = (
        "concurrency",
        "description",
        "endpoints",
        "grants",
        "is_bundle",
        "memory_mb",
        "module",
        "name",
        "reads",
        "reserved",
        "site",
        "timeout_s",
    )

    def __init__(
        self,
        name: str,
        site: Site,
        endpoint: Declared | None = None,
        *,
        grants: Iterable[Any] = (),
        timeout_s: float | None = None,
        memory_mb: int = limits.MEMORY_MB,
        concurrency: int = limits.CONCURRENCY,
        reserved: int = 0,
        reads: Reads = "versioned",
        **unknown: Any,
    ) -> None:
        """Take a function of one endpoint; without it of those that are added, a bundle.

        Raises:
            TypeError: An option that no function has.
        """
        if unknown:
            raise TypeError(_unknown(name, next(iter(unknown))))
        self.name = name
        self.module = str(endpoint.fn.__module__) if endpoint else ""
        self.endpoints: list[Declared] = [endpoint] if endpoint else []
        self.grants = as_several(grants)
        self.timeout_s = timeout_s
        self.memory_mb = memory_mb
        self.concurrency = concurrency
        self.reserved = reserved
        self.reads = reads
        self.site = site
        self.description = (endpoint.fn.__doc__ or "") if endpoint else ""
        self.is_bundle = endpoint is None


def _unknown(function: str, option: str) -> str:
    import difflib

    known = ("grants", "timeout_s", "memory_mb", "concurrency", "reserved", "reads")
    near = difflib.get_close_matches(option, known, n=1)
    meant = f"did you mean {near[0]}=?" if near else f"there are: {', '.join(known)}"
    return f"the function {function!r} has no option {option!r}; {meant}"


def as_several(given: Any) -> tuple[Any, ...]:
    """Accept one where several may stand; whether each is right is seen when the app is frozen."""
    if isinstance(given, set | frozenset):  # in an order that is the same in every process
        return tuple(sorted(given, key=str))
    several = isinstance(given, Iterable) and not isinstance(given, str)
    return tuple(given) if several else (given,)


def declared_or_bare(path: Any, declare: Callable[[F], F]) -> Callable[[F], F]:
    """Return the decorator; one without parentheses, which has the handler for a path, declares it.

    It would be forgotten otherwise: so its path is found to be none.
    """
    return declare(path) if callable(path) else declare


def as_throttle(throttle: ThrottleLike | None) -> Throttle | None:
    """Accept `(10, 20)` for 10 requests per second with a burst of 20."""
    if isinstance(throttle, tuple) and len(throttle) == 2:
        rate_per_s, burst = throttle
        return Throttle(rate_per_s=rate_per_s, burst=burst)
    return throttle
