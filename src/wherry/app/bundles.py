"""A bundle: several routes that share an authorization boundary, as one function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from wherry.app.declared import (
    F,
    Function,
    Route,
    ThrottleLike,
    as_several,
    declared_or_bare,
)
from wherry.app.places import site
from wherry.blueprint.parts import AuthSpec


class BundleRoute:
    """`@catalog.get(path)`: one more route of the bundle."""

    __slots__ = ("_bundle", "_method")

    def __init__(self, bundle: Bundle, method: str) -> None:
        self._bundle = bundle
        self._method = method

    def __call__(
        self,
        path: str,
        *,
        roles: Iterable[str] | None = None,
        status: int = 200,
        throttle: ThrottleLike | None = None,
    ) -> Callable[[F], F]:
        """Declare a route. `roles` (any of them is enough) replaces that of the bundle."""
        bundle = self._bundle
        where = site(1)

        def declare(fn: F) -> F:
            bundle.add(
                Route(
                    fn,
                    self._method,
                    path,
                    auth=bundle.auth,
                    roles=bundle.roles if roles is None else roles,
                    status=status,
                    throttle=throttle,
                    site=where,
                )
            )
            return fn

        return declared_or_bare(path, declare)


class Bundle:
    """One function out of several routes. Made by `app.bundle(...)`."""

    __slots__ = ("_changing", "_function", "auth", "delete", "get", "patch", "post", "put", "roles")

    def __init__(
        self,
        function: Function,
        *,
        auth: AuthSpec | None,
        roles: Iterable[str],
        changing: Callable[[], None],
    ) -> None:
        self.auth = auth
        self.roles = as_several(roles)
        self._function = function
        self._changing = changing
        self.get = BundleRoute(self, "GET")
        self.post = BundleRoute(self, "POST")
        self.put = BundleRoute(self, "PUT")
        self.patch = BundleRoute(self, "PATCH")
        self.delete = BundleRoute(self, "DELETE")

    @property
    def name(self) -> str:
        """The function's name."""
        return self._function.name

    def add(self, route: Route) -> None:
        """Take one more route."""
        self._changing()
        if not self._function.endpoints:
            self._function.module = _module(route.fn)
        self._function.endpoints.append(route)

    def __repr__(self) -> str:
        return f"Bundle({self.name!r})"


def _module(fn: Any) -> str:
    return str(getattr(fn, "__module__", ""))
