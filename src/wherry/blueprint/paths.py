"""Paths of routes: `/orders/{order_id}`. A parameter is one whole segment."""

from __future__ import annotations

import re

_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]+")
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

RESERVED = (
    "/_wherry",
    "/_issuer",
    "/_objects",
    "/healthz",
    "/readyz",
    "/openapi.json",
    "/docs",
)


def path_parameters(path: str) -> list[str]:
    """Return the names of the parameters, in order."""
    return _PARAMETER.findall(path)


def path_shape(path: str) -> str:
    """Return the path with its parameters unnamed: two paths of one shape match the same."""
    return _PARAMETER.sub("{}", path)


def is_reserved(path: str) -> bool:
    """Whether the engine answers at this path itself."""
    return any(path == prefix or path.startswith(prefix + "/") for prefix in RESERVED)


def path_fault(path: str) -> str:
    """Return what is wrong with the path of a route, or an empty text."""
    if not path.startswith("/"):
        return "does not begin with '/'"
    if path == "/":
        return ""
    if path.endswith("/"):
        return "ends with '/'"
    for segment in path[1:].split("/"):
        fault = _segment_fault(segment)
        if fault:
            return fault
    names = path_parameters(path)
    twice = next((name for name in names if names.count(name) > 1), None)
    return f"names the parameter {{{twice}}} twice" if twice else ""


def _segment_fault(segment: str) -> str:
    if not segment:
        return "has an empty segment ('//')"
    if segment in (".", ".."):
        return "has a segment '.' or '..', which clients rewrite"
    if "{" in segment or "}" in segment:
        found = _PARAMETER.fullmatch(segment)
        if found is None:
            return f"has a parameter that is not a whole segment: {segment!r}"
        if not _NAME.fullmatch(found[1]):
            return f"has a parameter whose name is not an identifier: {segment!r}"
        return ""
    return "" if _LITERAL.fullmatch(segment) else f"has a segment that no URL holds: {segment!r}"
