"""`@app.get(path)` and its like: a route whose handler is a function of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from wherry.app.declared import F, Function, Route, ThrottleLike, declared_or_bare
from wherry.app.places import site
from wherry.blueprint.parts import AuthSpec

if TYPE_CHECKING:
    from typing import Unpack

    from wherry.app.app import App
    from wherry.handles.options import FunctionOptions


class AppRoute:
    """`@app.get(path)`: a route whose handler is a function of its own."""

    __slots__ = ("_app", "_method")

    def __init__(self, app: App, method: str) -> None:
        self._app = app
        self._method = method

    def __call__(
        self,
        path: str,
        *,
        auth: AuthSpec | None = None,
        roles: Iterable[str] = (),
        status: int = 200,
        throttle: ThrottleLike | None = None,
        **options: Unpack[FunctionOptions],
    ) -> Callable[[F], F]:
        """Declare a route.

        Args:
            path: `/orders/{order_id}`; a parameter is an argument of the same name.
            auth: Who may call; without it everybody.
            roles: The caller must have one of these.
            status: Of a successful answer, 200 to 299.
            throttle: Requests per second and burst, `(10, 20)`.
            options: `grants=[orders.read, exports.send]`, `timeout_s`, `memory_mb`,
                `concurrency`, `reserved`, `reads`, as `FunctionOptions` says.
        """
        where = site(1)

        def declare(fn: F) -> F:
            route = Route(
                fn,
                self._method,
                path,
                auth=auth,
                roles=roles,
                status=status,
                throttle=throttle,
                site=where,
            )
            self._app._declare(Function(fn.__name__, where, route, **options))
            return fn

        return declared_or_bare(path, declare)
