"""CORS, answered by the gateway as AWS's HTTP API does: a preflight needs no OPTIONS route."""

from __future__ import annotations

from wherry.blueprint import Cors

Headers = list[tuple[str, str]]


def preflight(cors: Cors, headers: dict[str, str]) -> Headers | None:
    """Return the headers of a preflight's answer, or None if this is no preflight we allow."""
    asked = headers.get("access-control-request-method")
    allowed = on_reply(cors, headers)
    if asked is None or not allowed:
        return None
    methods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    if cors.methods != ("*",):
        methods = ", ".join(cors.methods)
    wanted = headers.get("access-control-request-headers", "")
    names = wanted if cors.headers == ("*",) else ", ".join(cors.headers)
    allowed.append(("access-control-allow-methods", methods))
    if names:
        allowed.append(("access-control-allow-headers", names))
    allowed.append(("access-control-max-age", str(cors.max_age_s)))
    return allowed


def on_reply(cors: Cors, headers: dict[str, str]) -> Headers:
    """Return the headers that let the asking origin read a reply; none if it may not."""
    origin = headers.get("origin")
    if origin is None:
        return []
    anyone = "*" in cors.origins
    if not anyone and origin not in cors.origins:
        return [("vary", "Origin")]
    if anyone and not cors.credentials:
        found: Headers = [("access-control-allow-origin", "*")]
    else:
        found = [("access-control-allow-origin", origin), ("vary", "Origin")]
    if cors.credentials:
        found.append(("access-control-allow-credentials", "true"))
    if cors.expose:
        found.append(("access-control-expose-headers", ", ".join(cors.expose)))
    return found
