"""A text that a regular expression matches: short, plain, always the same one."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

_LETTERS = "a0A_- .:/@"
_CATEGORIES = {
    "CATEGORY_DIGIT": "0", "CATEGORY_NOT_DIGIT": "a", "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_SPACE": "a", "CATEGORY_WORD": "a", "CATEGORY_NOT_WORD": "-",
}  # fmt: skip


def text_matching(pattern: str, least: int = 0, most: int | None = None) -> str | None:
    """Return a text of `least` to `most` characters that the pattern is found in.

    None where none is found: look-arounds, back references, bounds that it leaves no room for.
    """
    parser: Any = import_module("re._parser")
    try:
        parts = parser.parse(pattern)
    except re.error:
        return None
    for more in (0, 1, max(0, least)):
        text = _text(parts, more)
        if text is None:
            return None
        if len(text) < least and not pattern.endswith("$"):
            text += "a" * (least - len(text))
        fits = least <= len(text) and (most is None or len(text) <= most)
        if fits and re.search(pattern, text) is not None:
            return text
    return None


def _text(parts: Any, more: int) -> str | None:
    """Return a text for parts of an expression; `more`: repeat what may be repeated so often."""
    found = []
    for kind, value in parts:
        one = _one(str(kind), value, more)
        if one is None:
            return None
        found.append(one)
    return "".join(found)


def _one(kind: str, value: Any, more: int) -> str | None:
    match kind:
        case "LITERAL":
            return chr(value)
        case "NOT_LITERAL":
            return next(letter for letter in _LETTERS if ord(letter) != value)
        case "ANY":
            return "a"
        case "AT":
            return ""
        case "IN":
            return _of_set(value)
        case "BRANCH":
            return _text(value[1][0], more)
        case "SUBPATTERN":
            return _text(value[-1], more)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            low, high, inner = value
            once = _text(inner, more)
            return None if once is None else once * max(low, min(int(high), more))
        case "ATOMIC_GROUP":
            return _text(value, more)
        case _:
            return None


def _of_set(members: Any) -> str | None:
    wanted = [(str(kind), value) for kind, value in members]
    if wanted and wanted[0][0] == "NEGATE":
        return next((one for one in _LETTERS if not any(_holds(m, one) for m in wanted[1:])), None)
    kind, value = wanted[0]
    match kind:
        case "LITERAL":
            return chr(value)
        case "RANGE":
            return chr(value[0])
        case _:
            return _CATEGORIES.get(str(value))


def _holds(member: tuple[str, Any], letter: str) -> bool:
    kind, value = member
    match kind:
        case "LITERAL":
            return bool(ord(letter) == value)
        case "RANGE":
            return bool(value[0] <= ord(letter) <= value[1])
        case _:
            name = str(value).removeprefix("CATEGORY_")
            kinds = {"D": letter.isdigit(), "S": letter.isspace(), "W": letter.isalnum()}
            wanted: bool = not name.startswith("NOT_")
            return kinds[name.removeprefix("NOT_")[0]] == wanted
