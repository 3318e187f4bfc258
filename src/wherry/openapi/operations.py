"""One route as an operation of OpenAPI."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.blueprint import Blueprint, FunctionSpec, HttpTrigger, Parameter
from wherry.blueprint.paths import path_parameters
from wherry.openapi import refusals
from wherry.openapi.components import Components, Schema
from wherry.openapi.examples import NoExample, example_of

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
ANY = "*/*"
BYTES = "application/octet-stream"
BODILESS = (204, 205)
_ADDRESS: Schema = {"type": "string", "format": "uri-reference"}
_OURS = {"idempotency-key": "IdempotencyKey", "x-correlation-id": "CorrelationId"}
_REASONS = {
    200: "Done.",
    201: "It is made.",
    202: "It is accepted; the work follows.",
    204: "Done; there is nothing to say.",
}


def operation(
    blueprint: Blueprint,
    function: FunctionSpec,
    route: HttpTrigger,
    path: str,
    operation_id: str,
    components: Components,
) -> Schema:
    """Return the operation of a route, without its examples.

    Args:
        path: Where the document has it; its parameters may be named otherwise than the route's.
    """
    found: Schema = {"operationId": operation_id, "tags": [function.name]}
    if route.summary:
        found["summary"] = route.summary
    description = _description(route)
    if description:
        found["description"] = description
    found["parameters"] = _parameters(route, path, components)
    body = _request_body(function, route, components)
    if body is not None:
        found["requestBody"] = body
    found["responses"] = _responses(blueprint, function, route, components)
    found["security"] = [] if route.auth is None else [{route.auth: []}]
    if route.roles:
        found["x-roles"] = list(route.roles)
    return found


def _description(route: HttpTrigger) -> str:
    parts = [route.description] if route.description else []
    if route.roles:
        roles = ", ".join(f"`{role}`" for role in route.roles)
        word = "One of these roles is needed" if len(route.roles) > 1 else "This role is needed"
        parts.append(f"{word}: {roles}.")
    if route.throttle is not None:
        rate = f"{route.throttle.rate_per_s:g}"
        parts.append(f"At most {rate} requests per second, {route.throttle.burst} at once.")
    return "\n\n".join(parts)


# --- parameters ---------------------------------------------------------------------------------


def _parameters(route: HttpTrigger, path: str, components: Components) -> list[Schema]:
    by_name = {one.alias: one for one in route.parameters if one.source == "path"}
    found: list[Schema] = []
    for ours, theirs in zip(path_parameters(path), path_parameters(route.path), strict=True):
        known = by_name.get(theirs)
        schema = components.add(known.schema) if known else {"type": "string"}
        found.append({"name": ours, "in": "path", "required": True, "schema": schema})
    named: set[tuple[str, str]] = set()
    for one in route.parameters:
        if one.source in ("query", "header") and (one.source, one.alias) not in named:
            named.add((one.source, one.alias))
            found.append(_parameter(one, components))
    for name, shared in _OURS.items():
        if ("header", name) not in named and (shared == "CorrelationId" or _keyed(route)):
            found.append({"$ref": f"#/components/parameters/{shared}"})
    return found


def _parameter(one: Parameter, components: Components) -> Schema:
    schema = components.add(one.schema)
    found: Schema = {"name": one.alias, "in": one.source}
    if schema.get("description"):
        found["description"] = schema["description"]
    if one.required:
        found["required"] = True
    found["schema"] = schema
    return found


def _keyed(route: HttpTrigger) -> bool:
    return route.method not in refusals.SAFE


# --- bodies -------------------------------------------------------------------------------------


def _request_body(
    function: FunctionSpec, route: HttpTrigger, components: Components
) -> Schema | None:
    most = f"At most {_size(route.body_max_bytes)}."
    body = next((one for one in route.parameters if one.source in refusals.BODIES), None)
    if body is None:
        if function.plain and _keyed(route):
            return {"description": most, "content": {ANY: {}}}
        return None
    if body.source == "raw":
        content: Schema = {ANY: {"schema": {}}}
    else:
        media_type = JSON if body.source == "body" else FORM
        content = {media_type: {"schema": components.add(body.schema)}}
        most += " Unknown fields are refused, and names that are there twice."
    return {"description": most, "required": body.required, "content": content}


def _size(size_bytes: int) -> str:
    if size_bytes % limits.MIB == 0:
        return f"{size_bytes // limits.MIB} MiB"
    return f"{size_bytes:,} bytes"


def _responses(
    blueprint: Blueprint, function: FunctionSpec, route: HttpTrigger, components: Components
) -> Schema:
    headers: Schema = {"X-Correlation-Id": {"$ref": "#/components/headers/CorrelationId"}}
    if _keyed(route):
        headers["Idempotency-Replayed"] = {"$ref": "#/components/headers/IdempotencyReplayed"}
    found = _successes(route, headers, components)
    for status in refusals.statuses(blueprint, function, route):
        found[str(status)] = refusals.reference(status)
    if "reply" in route.replies:
        told = "The function chooses status, headers and body of its answer."
        found["default"] = {"description": told, "headers": headers, "content": {ANY: {}}}
    return found


def _successes(route: HttpTrigger, headers: Schema, components: Components) -> Schema:
    """Return what comes of each kind that the handler returns; where it does not say, of any."""
    kinds = set(route.replies)
    content: Schema = {}
    if route.reply is not None:
        content[JSON] = {"schema": components.add(route.reply)}
    if "bytes" in kinds:
        content[BYTES] = {}
    untold = not kinds and route.reply is None
    if untold or kinds == {"reply"}:
        content[ANY] = {}
    told = _REASONS.get(route.status, "Done.")
    found: Schema = {}
    nothing = "none" in kinds or untold
    if content or (nothing and route.status != 200):
        found[str(route.status)] = {"description": told, "headers": headers}
        if content and route.status not in BODILESS:
            found[str(route.status)]["content"] = content
            if nothing and route.status != 200:
                found[str(route.status)]["description"] = f"{told} There may be no body."
    if nothing and route.status == 200:
        found["204"] = {"description": _REASONS[204], "headers": headers}
    if "redirect" in kinds:
        location = {"description": "Where to go on.", "required": True, "schema": _ADDRESS}
        more = {**headers, "Location": location}
        found["3XX"] = {"description": "It goes on elsewhere.", "headers": more}
    return found


def add_examples(found: Schema, schemas: dict[str, Schema]) -> None:
    """Add to an operation the examples that follow from its schemas."""
    contents = [found.get("requestBody", {}), *found["responses"].values()]
    for content in contents:
        for media in content.get("content", {}).values():
            example: Any = media.get("schema")
            if not example:
                continue
            try:
                media["example"] = example_of(example, schemas)
            except NoExample:
                continue
