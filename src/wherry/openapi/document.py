"""The API of an app as an OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.blueprint import AuthSpec, Blueprint, FunctionSpec, HttpTrigger
from wherry.blueprint.form import canonical, digest, load
from wherry.blueprint.paths import path_shape
from wherry.openapi import refusals
from wherry.openapi.components import Components, Schema
from wherry.openapi.operations import add_examples, operation

_DISCOVERY = "/.well-known/openid-configuration"


def document(blueprint: Blueprint, public_url: str = "") -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of an app; the same app gives the same document.

    Args:
        public_url: Where the app is found (`https://api.example.com`). Without it the document
            speaks of the place that it is fetched from.
    """
    blueprint = load(canonical(blueprint))
    base = public_url.rstrip("/")
    components = Components()
    paths = _paths(blueprint, components)
    operations = [one for item in paths.values() for one in item.values()]
    for one in operations:
        add_examples(one, components.schemas)
    used = {int(status) for one in operations for status, reply in one["responses"].items()
            if "$ref" in reply}  # fmt: skip
    problem = components.put("Problem", refusals.PROBLEM) if used else ""
    return {
        "openapi": "3.1.0",
        "info": {"title": blueprint.app, "version": digest(blueprint)[:12]},
        "servers": [{"url": base or "/"}],
        "tags": [_tag(one) for one in blueprint.functions if _routes(one)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "responses": refusals.responses(used, problem),
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "securitySchemes": {one.name: _security_scheme(one, base) for one in blueprint.auths},
        },
    }


def _routes(function: FunctionSpec) -> list[HttpTrigger]:
    return [one for one in function.triggers if isinstance(one, HttpTrigger)]


def _tag(function: FunctionSpec) -> Schema:
    """Return the tag of a function, with its description where that is not its only route's."""
    routes = _routes(function)
    said = len(routes) == 1 and function.description.startswith(routes[0].summary)
    if said or not function.description:
        return {"name": function.name}
    return {"name": function.name, "description": function.description}


def _paths(blueprint: Blueprint, components: Components) -> dict[str, Schema]:
    paths: dict[str, Schema] = {}
    shapes: dict[str, str] = {}  # /orders/{id} and /orders/{order_id} are one path
    taken: set[str] = set()
    for function in blueprint.functions:
        for route in _routes(function):
            path = shapes.setdefault(path_shape(route.path), route.path)
            identity = _operation_id(function, route, taken)
            paths.setdefault(path, {})[route.method.lower()] = operation(
                blueprint, function, route, path, identity, components
            )
    return paths


def _operation_id(function: FunctionSpec, route: HttpTrigger, taken: set[str]) -> str:
    """Return `create_order`, or `catalog.list_products` for a route of a bundle."""
    alone = function.name.replace("-", "_") == route.endpoint
    name = route.endpoint if alone else f"{function.name}.{route.endpoint}"
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}_{number}"
    taken.add(found)
    return found


def issuer_path(auth: AuthSpec) -> str:
    """Return where the development issuer of an auth is."""
    return f"/_issuer/{auth.name}"


def _security_scheme(auth: AuthSpec, base: str) -> Schema:
    if auth.issuer is not None:
        return {
            "type": "openIdConnect",
            "openIdConnectUrl": auth.issuer.rstrip("/") + _DISCOVERY,
            "description": f"An access token of {auth.issuer}, as `Authorization: Bearer ...`.",
        }
    place = base + issuer_path(auth)
    return {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": (
            f"An access token of the development issuer {place}: POST {place}/sign-up or "
            f'{place}/log-in with {{"username": "...", "password": "..."}}.'
        ),
    }


_PARAMETERS: Schema = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "Makes a repeat harmless: the same key from the same caller gets the stored "
        f"answer, for {limits.IDEMPOTENCY_S // 3600} hours.",
        "schema": {
            "type": "string",
            "minLength": 1,
            "maxLength": limits.IDEMPOTENCY_KEY_LENGTH,
        },
    },
    "CorrelationId": {
        "name": "X-Correlation-Id",
        "in": "header",
        "description": "Follows the request through all that it causes. Made up where it is "
        "missing.",
        "schema": {"type": "string", "maxLength": limits.CORRELATION_ID_LENGTH},
    },
}
_HEADERS: Schema = {
    "CorrelationId": {
        "description": "The ID of this request and of all that it causes.",
        "schema": {"type": "string"},
    },
    "IdempotencyReplayed": {
        "description": "`true` where this is the stored answer of an earlier request.",
        "schema": {"const": "true"},
    },
    "RetryAfter": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 0}},
    "Challenge": {"description": "RFC 6750.", "schema": {"type": "string"}},
}
