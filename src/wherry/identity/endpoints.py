"""The development issuer over HTTP: strict JSON in, JSON or problem details (RFC 9457) out.

    POST /sign-up    {"username", "password", "roles"?}     201, tokens
    POST /log-in     {"username", "password", "device"?}    200, tokens
    POST /refresh    {"refresh_token"}                      200, tokens
    POST /log-out    {"refresh_token"}                      204
    GET  /.well-known/openid-configuration, /.well-known/jwks.json (and HEAD)

below the path of the issuer's URL (its mount, `/_issuer`). A body that is not said to be JSON is
415, one that cannot be read 400; one that breaks its contract is 422 and lists every fault.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

from wherry import limits
from wherry.codec import from_json, to_json
from wherry.errors import (
    BadRequest,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Passing,
    Problem,
    TooLarge,
    Unavailable,
    UnsupportedMediaType,
)
from wherry.identity.issuer import CONFIGURATION_PATH, JWKS_PATH, DevelopmentIssuer

Answer: TypeAlias = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""

_TEXT = "must be a text"
_TEXTS = "must be a list of texts"
_FIELDS: dict[str, dict[str, tuple[str, bool]]] = {
    "/sign-up": {"username": (_TEXT, True), "password": (_TEXT, True), "roles": (_TEXTS, False)},
    "/log-in": {"username": (_TEXT, True), "password": (_TEXT, True), "device": (_TEXT, False)},
    "/refresh": {"refresh_token": (_TEXT, True)},
    "/log-out": {"refresh_token": (_TEXT, True)},
}
"""For each path its fields: what each must be, and whether it must be there."""


def handle(
    issuer: DevelopmentIssuer,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: bytes,
    correlation_id: str,
) -> Answer:
    """Answer one request. Blocks (hashing, the state): call it in a thread.

    Args:
        path: The whole path, with the mount, decoded, without a query.
        headers: Names in lower case.
        correlation_id: What a caller may ask about: in every answer, and in errors a member too.
    """
    try:
        answer = _answer(issuer, method, path, headers, body)
    except Problem as problem:
        answer = _problem(problem, correlation_id)
    except Passing:
        answer = _problem(Unavailable(), correlation_id)
    answer[1]["X-Correlation-Id"] = correlation_id
    return answer


def _answer(
    issuer: DevelopmentIssuer, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    mount = "/" + issuer.url.partition("://")[2].partition("/")[2]
    place = path.removeprefix(mount.rstrip("/"))
    documents: dict[str, Callable[[], dict[str, Any]]] = {
        CONFIGURATION_PATH: issuer.configuration,
        JWKS_PATH: issuer.jwks,
    }
    if not path.startswith(mount) or not (place in documents or place in _FIELDS):
        raise NotFound("endpoint", path)
    allowed = ["GET", "HEAD"] if place in documents else ["POST"]
    if method not in allowed:
        raise MethodNotAllowed(allowed)
    if place in documents:
        return _json(200, documents[place](), "public, max-age=300")
    fields = _read(headers.get("content-type", ""), body, _FIELDS[place])
    match place:
        case "/sign-up":
            return _json(201, issuer.sign_up(**fields), "no-store")
        case "/log-in":
            return _json(200, issuer.log_in(**fields), "no-store")
        case "/refresh":
            return _json(200, issuer.refresh(**fields), "no-store")
        case _:
            issuer.log_out(**fields)
            return 204, {"Cache-Control": "no-store"}, b""


def _read(content_type: str, body: bytes, known: dict[str, tuple[str, bool]]) -> dict[str, Any]:
    # Only JSON: a form of a foreign page can send the other types without asking first.
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMediaType(
            "The body must be JSON; say so with Content-Type: application/json."
        )
    if len(body) > limits.TOKEN_BYTES:
        raise TooLarge(f"The body has more than {limits.TOKEN_BYTES} bytes.")
    try:
        found = from_json(body)  # strict: UTF-8, no NaN, no lone surrogates
        pairs = json.loads(body, object_pairs_hook=list)  # every name, also those there twice
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(found, dict):
        raise Invalid(faults=[{"at": "$", "fault": "must be an object"}])
    times = Counter(name for name, _ in pairs)
    faults = [(name, "is there twice") for name in found if times[name] > 1]
    faults += [(name, "is unknown") for name in found if name not in known]
    for name, (rule, needed) in known.items():
        if name not in found:
            faults += [(name, "is missing")] * needed
        elif not _follows(rule, found[name]):
            faults.append((name, rule))
    if faults:
        raise Invalid(faults=[{"at": f"$.{name}", "fault": fault} for name, fault in faults])
    return found


def _follows(rule: str, value: object) -> bool:
    if rule == _TEXT:
        return isinstance(value, str)
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _json(status: int, value: object, caching: str) -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": caching}
    return status, headers, to_json(value)


def _problem(problem: Problem, correlation_id: str) -> Answer:
    document: dict[str, Any] = dict(problem.extra)
    document |= {
        "type": "about:blank",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "detail": problem.message,
        "code": problem.code,
        "correlation_id": correlation_id,
    }
    if problem.faults:
        document["faults"] = problem.faults
    headers = {"Content-Type": "application/problem+json", "Cache-Control": "no-store"}
    return problem.status, headers | problem.headers, to_json(document)
