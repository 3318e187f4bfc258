"""A function that runs after the commit: its calls are messages of a queue of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

import msgspec

from wherry.errors import Refused
from wherry.handles.shapes import Shape, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.handles.queues import Queue

P = ParamSpec("P")
R = TypeVar("R")


class AfterCommit(Generic[P, R]):
    """What `@app.after_commit(...)` makes of a function.

        @app.after_commit(grants=[mail_key.read])
        def notify(order: Order, text: str) -> None: ...

    `notify.send(order, "shipped")` is recorded with the other effects of a run; once they are
    committed, `notify` is called as a function of its own, with its own retries, and what fails
    for good waits in the failure inbox. `notify(...)` itself calls it here and now, as in a test.
    `queue` is the queue of its calls, of the function's name; a payload is a JSON object of the
    arguments.
    """

    def __init__(self, fn: Callable[P, R], queue: Queue[dict[str, Any]]) -> None:
        self.fn = fn
        self.queue = queue
        self.name = queue.name
        self.send = _Caller(self)
        self._shapes: dict[str, Shape[Any]] = {}
        self._required: list[str] = []
        self.__name__ = self.name
        self.__doc__ = fn.__doc__
        self.__module__ = fn.__module__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        return f"AfterCommit({self.name!r})"

    def accept(self, kinds: dict[str, Any], required: list[str]) -> None:
        """Learn the types of the arguments, in their order (the app does, when it is frozen)."""
        self._shapes = {name: Shape(kind) for name, kind in kinds.items()}
        self._required = required

    def payload(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments by name, each as JSON.

        Raises:
            Refused: They are not what the function takes.
        """
        names = list(self._shapes)
        given = dict(zip(names, args, strict=False))
        twice = [name for name in kwargs if name in given]
        given.update(kwargs)
        unknown = [name for name in kwargs if name not in self._shapes]
        missing = [name for name in self._required if name not in given]
        if len(args) > len(names) or twice or unknown or missing:
            raise self._unfit(f"{len(args)} value(s) and ({', '.join(kwargs)}) do not fit")
        return {name: self._encoded(name, value) for name, value in given.items()}

    def _encoded(self, name: str, value: Any) -> msgspec.Raw:
        try:
            body = to_json(value)
            self._shapes[name].decode(body)  # or each of its attempts would fail on it
        except (TypeError, ValueError) as error:
            raise self._unfit(f"{name!r} does not fit: {error}") from None
        return msgspec.Raw(body)

    def _unfit(self, what: str) -> Refused:
        return Refused(
            f"{self.name}.send: {what}.",
            advice=f"{self.name!r} takes ({', '.join(self._shapes)}).",
        )


class _Caller(Generic[P, R]):
    """`notify.send`: called, it sends; among `grants=[...]`, it is the grant to send."""

    def __init__(self, after: AfterCommit[P, R]) -> None:
        self._after = after
        self.grant = after.queue.send_grant

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """Have the function called once this run has committed; return the message's ID.

        Raises:
            Refused: These are not its arguments.
        """
        return self._after.queue.send(self._after.payload(args, kwargs))
