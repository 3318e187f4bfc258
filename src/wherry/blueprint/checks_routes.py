"""What can be wrong with routes: paths, methods, arguments, who may call."""

from __future__ import annotations

from collections.abc import Iterator
from keyword import iskeyword

from wherry import limits
from wherry.blueprint.parts import AuthSpec, Finding, Place, Throttle
from wherry.blueprint.paths import (
    RESERVED,
    is_reserved,
    path_fault,
    path_parameters,
    path_shape,
)
from wherry.blueprint.records import Blueprint, FunctionSpec, HttpTrigger

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODILESS = ("GET", "DELETE")  # a body has no meaning there, and proxies drop it


def check_routes(blueprint: Blueprint) -> Iterator[Finding]:
    """Yield the faults of every route, and of routes with each other."""
    routes = [
        (function, trigger)
        for function in blueprint.functions
        for trigger in function.triggers
        if isinstance(trigger, HttpTrigger)
    ]
    if len(routes) > limits.ROUTES:
        yield Finding(
            code="routes_many",
            message=f"The app has {len(routes)} routes; {limits.ROUTES} are allowed.",
            fix="Split it into two apps.",
            place=routes[limits.ROUTES][1].place,
        )
    auths = {auth.name: auth for auth in blueprint.auths}
    taken: dict[tuple[str, str], HttpTrigger] = {}
    for function, route in routes:
        yield from _path(function, route)
        yield from _arguments(route)
        yield from _status(route)
        yield from _who(route, auths)
        if route.throttle is not None:
            yield from throttle_faults(route.throttle, repr(route.endpoint), route.place)
        key = (route.method, path_shape(route.path))
        if key in taken:
            other = taken[key]
            yield Finding(
                code="route_twice",
                message=f"{route.method} {route.path} of {route.endpoint!r} is already the route "
                f"{other.path} of {other.endpoint!r}"
                + (f" at {other.place}." if other.place else "."),
                fix="Change the path or the method of one of them.",
                place=route.place,
            )
        else:
            taken[key] = route


def _path(function: FunctionSpec, route: HttpTrigger) -> Iterator[Finding]:
    fault = path_fault(route.path)
    if fault:
        yield Finding(
            code="path_invalid",
            message=f"The path {route.path!r} of {route.endpoint!r} {fault}.",
            fix="Write it like '/orders/{order_id}'.",
            place=route.place,
        )
        return
    if is_reserved(route.path):
        yield Finding(
            code="path_reserved",
            message=f"The path {route.path!r} of {route.endpoint!r} is one that the engine "
            "answers itself.",
            fix=f"Choose another; reserved are {', '.join(RESERVED)}.",
            place=route.place,
        )
    if function.plain:
        return
    arguments = {one.name for one in route.parameters if one.source == "path"}
    for name in path_parameters(route.path):
        if name not in arguments:
            fix = f"Add `{name}: str` to its arguments."
            if iskeyword(name):
                fix = f"Name it otherwise in the path: no argument of Python is called {name!r}."
            yield Finding(
                code="path_parameter_unused",
                message=f"{route.endpoint!r} has no argument for {{{name}}} of its path "
                f"{route.path!r}.",
                fix=fix,
                place=route.place,
            )


def _arguments(route: HttpTrigger) -> Iterator[Finding]:
    bodies = [one for one in route.parameters if one.source in ("body", "form", "raw")]
    if bodies and route.method in BODILESS:
        yield Finding(
            code="body_on_" + route.method.lower(),
            message=f"{route.endpoint!r} takes the body {bodies[0].name!r}, and a {route.method} "
            "has none.",
            fix="Take it from the query, or use POST, PUT or PATCH.",
            place=route.place,
        )
    for extra in bodies[1:]:
        yield Finding(
            code="body_twice",
            message=f"{route.endpoint!r} takes a second body {extra.name!r} beside "
            f"{bodies[0].name!r}.",
            fix="Put both into one type.",
            place=route.place,
        )


def _status(route: HttpTrigger) -> Iterator[Finding]:
    if not 200 <= route.status <= 299:
        yield Finding(
            code="status_invalid",
            message=f"{route.endpoint!r} answers status={route.status}.",
            fix="Declare the status of success, 200 to 299; raise a Problem or return a Reply "
            "for others.",
            place=route.place,
        )
    elif route.status in (204, 205) and (route.reply is not None or "bytes" in route.replies):
        yield Finding(
            code="status_without_body",
            message=f"{route.endpoint!r} returns a body with status {route.status}, which has "
            "none.",
            fix="Return None, or use status=200.",
            place=route.place,
        )


def _who(route: HttpTrigger, auths: dict[str, AuthSpec]) -> Iterator[Finding]:
    caller = next((one for one in route.parameters if one.source == "caller"), None)
    if route.auth is None:
        if caller is not None:
            yield Finding(
                code="caller_without_auth",
                message=f"{route.endpoint!r} takes {caller.name!r}, the caller, and has no auth.",
                fix="Add auth= to the route, or drop the argument.",
                place=route.place,
            )
        if route.roles:
            yield Finding(
                code="roles_without_auth",
                message=f"{route.endpoint!r} asks for roles and has no auth.",
                fix="Add auth= to the route.",
                place=route.place,
            )
        return
    auth = auths.get(route.auth)
    if auth is None:
        yield Finding(
            code="auth_unknown",
            message=f"{route.endpoint!r} names {route.auth!r}, which is no auth of this app.",
            fix=f"Declare it: app.auth({route.auth!r}).",
            place=route.place,
        )
        return
    for role in route.roles:
        if role not in auth.roles:
            yield Finding(
                code="role_unknown",
                message=f"{route.endpoint!r} asks for the role {role!r}, which {auth.name!r} does "
                "not know.",
                fix=f"Add it to the roles of {auth.name!r}"
                + (f" (it has {', '.join(auth.roles)})." if auth.roles else "."),
                place=route.place,
            )


def throttle_faults(throttle: Throttle, whose: str, place: Place | None) -> Iterator[Finding]:
    """Yield what is wrong with a throttle."""
    in_range = (
        0 < throttle.rate_per_s <= limits.THROTTLE_RATE_PER_S
        and 1 <= throttle.burst <= limits.THROTTLE_BURST
    )
    if not in_range:
        yield Finding(
            code="throttle_bounds",
            message=f"The throttle of {whose} ({throttle.rate_per_s} per second, burst "
            f"{throttle.burst}) is out of bounds.",
            fix=f"Use a rate up to {limits.THROTTLE_RATE_PER_S} and a burst of 1 to "
            f"{limits.THROTTLE_BURST}.",
            place=place,
        )
