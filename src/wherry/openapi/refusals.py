"""The problems (RFC 9457) that a route can answer with, and when."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wherry import errors, limits
from wherry.blueprint import Blueprint, FunctionSpec, HttpTrigger
from wherry.blueprint.paths import path_parameters
from wherry.openapi.components import Schema
from wherry.runtime.problems import MEDIA_TYPE

SAFE = frozenset(("GET", "HEAD", "OPTIONS"))  # Idempotency-Key says nothing there
BODIES = ("body", "form", "raw")
TEXTS = ("path", "query", "header")
_WRITES = frozenset(("write", "send", "create", "delete"))
_CONDITIONAL = (("table", "write"), ("bucket", "create"), ("bucket", "write"))

PROBLEM: Schema = {
    "title": "Problem",
    "type": "object",
    "description": "What is wrong (RFC 9457). Nothing of the request has been saved.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "description": "What to tell problems apart by; stable."},
        "detail": {"type": "string", "description": "One sentence for a person."},
        "correlation_id": {"type": "string", "description": "What to ask the operator with."},
        "faults": {
            "type": "array",
            "maxItems": limits.FAULTS,
            "description": "Everything that is wrong with the input.",
            "items": {
                "type": "object",
                "properties": {
                    "at": {"type": "string", "description": "Where: `$.lines[0].count`."},
                    "fault": {"type": "string"},
                },
                "required": ["at", "fault"],
            },
        },
    },
    "required": ["type", "title", "status", "code", "detail", "correlation_id"],
}

_Row = tuple[int, str, tuple[str, ...], str]
_ROWS: list[_Row] = [
    (400, "BadRequest", ("bad_request",), "The request cannot be read."),
    (401, "Unauthenticated", ("unauthenticated",), "There is no token, or none that is valid."),
    (403, "Forbidden", ("forbidden",), "The caller lacks the role, or a policy says no."),
    (404, "NotFound", ("not_found",), "There is no such thing."),
    (
        409,
        "Conflict",
        ("conflict", "condition_failed"),
        "It clashes with the present state; for `condition_failed` a condition of a write did "
        "not hold.",
    ),
    (413, "TooLarge", ("too_large",), "The body is larger than this takes."),
    (
        415,
        "UnsupportedMediaType",
        ("unsupported_media_type",),
        "The body is of another type than this takes.",
    ),
    (
        422,
        "Invalid",
        ("invalid",),
        "It can be read and breaks the contract: a missing or unknown field, a wrong type, a "
        "value out of bounds, an `Idempotency-Key` that was used with another request. "
        "`faults` lists everything.",
    ),
    (
        429,
        "TooManyRequests",
        ("too_many_requests",),
        "Over the rate; `Retry-After` says for how long.",
    ),
    (
        500,
        "HandlerFailed",
        ("handler_failed", "grant_missing", "bound_exceeded", "stored_item_unreadable"),
        "The function failed, used something that it has no grant for, passed a bound, or read a "
        "stored item that is not of its type any more.",
    ),
    (502, "EnvironmentDied", ("environment_died",), "The function's process ended."),
    (
        503,
        "Unavailable",
        ("unavailable",),
        "No capacity now, or too many writers on one key; `Retry-After` says when to try again.",
    ),
    (
        504,
        "DeadlineExceeded",
        ("deadline_exceeded",),
        "The function did not answer in its time.",
    ),
    (507, "StoreFull", ("store_full",), "The disk is full; what is there can still be read."),
]
_NAMES = {status: name for status, name, _, _ in _ROWS}
_MESSAGES = {
    one.code: (one.__doc__ or "").split("\n")[0]
    for one in (
        errors.BadRequest, errors.Unauthenticated, errors.Forbidden, errors.NotFound,
        errors.Conflict, errors.ConditionFailed, errors.TooLarge, errors.UnsupportedMediaType,
        errors.Invalid, errors.TooManyRequests, errors.HandlerFailed, errors.EnvironmentDied,
        errors.Unavailable, errors.DeadlineExceeded,
    )
}  # fmt: skip


def statuses(blueprint: Blueprint, function: FunctionSpec, route: HttpTrigger) -> Iterator[int]:
    """Yield the statuses of the problems that can occur on a route, in rising order."""
    sources = {one.source for one in route.parameters}
    keyed = route.method not in SAFE
    writes = any(grant.action in _WRITES for grant in function.grants)
    conditional = any((grant.kind, grant.action) in _CONDITIONAL for grant in function.grants)
    body = bool(sources & set(BODIES)) or (function.plain and keyed)
    in_path = bool(path_parameters(route.path))  # what they may not hold is 400, like a backslash
    can = {
        400: keyed or in_path or bool(sources & {"query", "body", "form"}),
        401: route.auth is not None,
        403: route.auth is not None,
        404: in_path,
        409: conditional,
        413: body,
        415: bool(sources & {"body", "form"}),
        422: keyed or bool(sources & {*TEXTS, "body", "form"}),
        429: route.throttle is not None or blueprint.throttle is not None,
        507: writes,
    }
    yield from (status for status, _, _, _ in _ROWS if can.get(status, True))


def reference(status: int) -> Schema:
    """Return the reference to the response of a problem."""
    return {"$ref": f"#/components/responses/{_NAMES[status]}"}


def responses(used: set[int], problem: str) -> dict[str, Schema]:
    """Return the shared responses of the statuses that are used.

    Args:
        problem: The name that the schema `PROBLEM` has in the document.
    """
    schema = {"$ref": f"#/components/schemas/{problem}"}
    return {
        name: _response(status, codes, text, schema)
        for status, name, codes, text in _ROWS
        if status in used
    }


def _response(status: int, codes: tuple[str, ...], text: str, schema: Schema) -> Schema:
    headers: Schema = {"X-Correlation-Id": {"$ref": "#/components/headers/CorrelationId"}}
    if status in (429, 503):
        headers["Retry-After"] = {"$ref": "#/components/headers/RetryAfter"}
    if status == 401:
        headers["WWW-Authenticate"] = {"$ref": "#/components/headers/Challenge"}
    shown = ", ".join(f"`{code}`" for code in codes)
    examples = {code: {"value": _example(status, code)} for code in codes}
    content: Schema = {MEDIA_TYPE: {"schema": schema, "examples": examples}}
    return {"description": f"{shown}: {text}", "headers": headers, "content": content}


def _example(status: int, code: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "type": "about:blank",
        "title": code.replace("_", " ").capitalize(),
        "status": status,
        "code": code,
        "detail": _MESSAGES.get(code, "Nothing was applied."),
        "correlation_id": "00000199c8f3a2b1",
    }
    if code == errors.Invalid.code:
        found["faults"] = [{"at": "$.count", "fault": "Expected `int` >= 1"}]
    return found
