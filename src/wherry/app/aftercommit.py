"""`@app.after_commit(...)`: a function whose calls are messages of a queue of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from wherry import limits
from wherry.app.declared import Consumer, Function, handler_name
from wherry.app.places import site
from wherry.errors import Refused
from wherry.handles import Queue
from wherry.handles.aftercommit import AfterCommit

if TYPE_CHECKING:
    from typing import Unpack

    from wherry.app.app import App
    from wherry.handles.options import FunctionOptions
    from wherry.handles.shapes import Upgrades

PARENTHESES = "Write @app.after_commit()."
P = ParamSpec("P")
R = TypeVar("R")


class AppAfterCommit:
    """Declares what runs after a commit."""

    __slots__ = ("_app",)

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(
        self,
        without_parentheses: object = None,
        /,
        *,
        max_attempts: int = limits.MAX_ATTEMPTS,
        retry_base_s: float = limits.RETRY_BASE_S,
        retry_max_s: float = limits.RETRY_MAX_S,
        retention_s: int = limits.MESSAGE_RETENTION_S,
        upgrade: Upgrades = None,
        **options: Unpack[FunctionOptions],
    ) -> Callable[[Callable[P, R]], AfterCommit[P, R]]:
        """Declare a function that others call with `.send(...)`, to run after their commit.

        Its arguments travel as JSON. Who sends needs the grant `notify.send`. For the other
        arguments see `app.queue` and `app.consume`, which this is together; `upgrade` makes the
        arguments of today of those of a message that was sent before they changed, by name.
        """
        if without_parentheses is not None:
            raise Refused("@app.after_commit stands without parentheses.", advice=PARENTHESES)
        where = site(1)

        def declare(fn: Callable[P, R]) -> AfterCommit[P, R]:
            queue: Queue[dict[str, Any]] = Queue(
                dict,
                name=handler_name(fn),
                max_attempts=max_attempts,
                retry_base_s=retry_base_s,
                retry_max_s=retry_max_s,
                retention_s=retention_s,
                upgrade=upgrade,
                place=where.place,
            )
            after = AfterCommit(fn, queue)
            consumer = Consumer(fn, queue, where, after)
            self._app._declare(Function(fn.__name__, where, consumer, **options))
            self._app._queues.append(queue)
            return after

        return declare
