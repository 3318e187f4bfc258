"""The request target: one reading of it, or a refusal (RFC 9112 section 3.2, RFC 3986)."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from .refusals import malformed

# What is above 0x7e or below 0x21 never gets here. A dot after a slash needs the careful way.
_PLAIN = re.compile(r"/(?:[^%\\/.#?][^%\\/#?]*(?:/[^%\\/.#?][^%\\/#?]*)*)?")
_ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~-]+)(?::[0-9]{1,5})?")


@lru_cache(maxsize=256)
def is_host(value: str) -> bool:
    """Say whether this is a host with or without a port, as a Host header names it."""
    return _HOST.fullmatch(value) is not None


@lru_cache(maxsize=256)
def read_target(method: str, target: str, host: str) -> tuple[str, tuple[str, ...], str]:
    """Return path, segments and query of a target of visible ASCII.

    An absolute target must name the authority that the Host header names. For `OPTIONS *`
    the path is '*', without segments.

    Raises:
        Refusal: 400, when the target could mean two things or leaves the tree.
    """
    if target == "*" and method == "OPTIONS":
        return "*", (), ""
    if not target.startswith("/"):
        target = _origin_form(target, host)
    if "#" in target:
        raise malformed("The request target holds a fragment.")
    path, _, query = target.partition("?")
    if _PLAIN.fullmatch(path):
        return path, tuple(path[1:].split("/")), query
    if _BROKEN_ESCAPE.search(path):
        raise malformed("The path holds a '%' without two hexadecimal digits.")
    segments = tuple(map(_segment, path[1:].split("/")))
    path = "/" + "/".join(segments)
    if "//" in path:
        raise malformed("The path holds an empty segment ('//').")
    return path, segments, query


def _origin_form(target: str, host: str) -> str:
    found = _ABSOLUTE.fullmatch(target)
    if found is None:
        raise malformed("The request target must begin with '/'.")
    if found[1].lower() != host.lower():
        raise malformed("The request target and the Host header name different hosts.")
    rest = found[2]
    return rest if rest.startswith("/") else "/" + rest


def _segment(raw: str) -> str:
    try:
        text = unquote_to_bytes(raw).decode() if "%" in raw else raw
    except UnicodeDecodeError:
        raise malformed("The path is not UTF-8 once decoded.") from None
    if _CONTROL.search(text):
        raise malformed("The path holds a control character.")
    if "\\" in text:
        raise malformed("The path holds a backslash.")
    if any(part in (".", "..") for part in text.split("/")):
        raise malformed("The path holds a '.' or '..' segment.")
    return text
