"""Default names: `ExportJob` is kept in `export_jobs`."""

from __future__ import annotations

import re

_BORDERS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_HISSING = ("s", "x", "z", "ch", "sh")


def snake_case(name: str) -> str:
    """`ExportJob` -> `export_job`, `HTTPLog` -> `http_log`."""
    return _BORDERS.sub("_", name).lower()


def plural(word: str) -> str:
    """`order` -> `orders`, `category` -> `categories`, `address` -> `addresses`."""
    if word.endswith("y") and word[-2:-1] not in tuple("aeiou") and len(word) > 1:
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(_HISSING) else "s")


def default_name(kind: type) -> str:
    """Return the name of a table or queue of this type."""
    return plural(snake_case(getattr(kind, "__name__", "item")))
