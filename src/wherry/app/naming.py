"""Default names: `ExportJob` is kept in `export_jobs`."""

from __future__ import annotations

from typing import Any

from wherry.errors import Refused

_HISSING = ("s", "x", "z", "ch", "sh")


def snake_case(name: str) -> str:
    """`ExportJob` -> `export_job`, `HTTPLog` -> `http_log`."""
    found = ""
    for at, char in enumerate(name):
        after = name[at + 1 : at + 2]
        before = name[at - 1] if at else "_"
        begins = char.isupper() and (not before.isupper() or after.islower())
        found += "_" + char if begins and before != "_" else char
    return found.lower()


def plural(word: str) -> str:
    """`order` -> `orders`, `category` -> `categories`, `address` -> `addresses`."""
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou") and len(word) > 1:
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(_HISSING) else "s")


def name_of(given: Any, kind: type) -> str:
    """Return the name of a table or queue: the one that is given, or that of its type.

    Raises:
        Refused: The one that is given is no text.
    """
    if isinstance(given, str) and given:
        return given
    if given:
        raise Refused(f"name={given!r} is no name.", advice='Give it a text: name="orders".')
    return default_name(kind)


def default_name(kind: type) -> str:
    """Return the name of a table or queue of this type."""
    return plural(snake_case(getattr(kind, "__name__", "item")))
