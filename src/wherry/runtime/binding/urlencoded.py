"""Queries and urlencoded forms, decoded strictly."""

from __future__ import annotations

import re

from wherry import limits
from wherry.errors import BadRequest

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_BROKEN = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def parse(text: str, where: str) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of `a=1&b=2`, in order.

    Raises:
        BadRequest: A broken escape, no UTF-8, or more than `limits.FORM_FIELDS` fields. `where`
            says in what, "query" or "form".
    """
    if not text:
        return []
    if text.count("&") >= limits.FORM_FIELDS:
        raise BadRequest(f"The {where} has more than {limits.FORM_FIELDS} fields.")
    found = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((_decode(name, where), _decode(value, where)))
    return found


def _decode(text: str, where: str) -> str:
    if text.isascii() and "%" not in text:
        return text.replace("+", " ")
    try:
        data = text.replace("+", " ").encode()
        if _BROKEN.search(data):
            raise BadRequest(f"The {where} has a '%' that begins no escape.")
        return _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), data).decode()
    except UnicodeError:
        raise BadRequest(f"The {where} is not UTF-8.") from None
