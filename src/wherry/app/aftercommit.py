"""`@app.after_commit(...)`: a function whose calls are messages of a queue of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from wherry import limits
from wherry.app.declared import Consumer, Function
from wherry.app.places import site
from wherry.handles import Queue
from wherry.handles.aftercommit import AfterCommit

if TYPE_CHECKING:
    from wherry.app.app import App

P = ParamSpec("P")
R = TypeVar("R")


class AppAfterCommit:
    """Declares what runs after a commit."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self,
        *,
        grants: Iterable[Any] = (),
        max_attempts: int = limits.MAX_ATTEMPTS,
        retry_base_s: float = limits.RETRY_BASE_S,
        retry_max_s: float = limits.RETRY_MAX_S,
        retention_s: int = limits.MESSAGE_RETENTION_S,
        timeout_s: float | None = None,
        memory_mb: int = limits.MEMORY_MB,
        concurrency: int = limits.CONCURRENCY,
        reads: Literal["versioned", "checked"] = "versioned",
    ) -> Callable[[Callable[P, R]], AfterCommit[P, R]]:
        """Declare a function that others call with `.send(...)`, to run after their commit.

        Its arguments travel as JSON. Who sends needs the grant `notify.send`. For the other
        arguments see `app.queue` and `app.consume`, which this is together.
        """
        where = site(1)

        def declare(fn: Callable[P, R]) -> AfterCommit[P, R]:
            queue: Queue[dict[str, Any]] = Queue(
                dict,
                name=fn.__name__,
                max_attempts=max_attempts,
                retry_base_s=retry_base_s,
                retry_max_s=retry_max_s,
                retention_s=retention_s,
                place=where.place,
            )
            after = AfterCommit(fn, queue)
            function = Function(
                fn.__name__,
                grants=grants,
                timeout_s=timeout_s,
                memory_mb=memory_mb,
                concurrency=concurrency,
                reads=reads,
                site=where,
                module=fn.__module__,
                description=fn.__doc__ or "",
            )
            function.endpoints.append(Consumer(fn, queue, where, after))
            self._app._changing()
            self._app._functions.append(function)
            self._app._queues.append(queue)
            return after

        return declare
