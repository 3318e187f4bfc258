"""SQL lies in `.sql` files: statements with names, and migrations in their order."""

from __future__ import annotations

import os
from functools import cache


@cache
def load_statements(room: str) -> dict[str, str]:
    """Return the named statements of a room's `.sql` files: `-- name: claim` begins one."""
    found: dict[str, str] = {}
    for text in texts(room, "statements"):
        for part in f"\n{text}".split("\n-- name: ")[1:]:
            name, _, statement = part.partition("\n")
            assert name not in found, f"two statements are called {name!r}"
            found[name] = statement.strip()
    return found


def texts(room: str, folder: str) -> list[str]:
    """Return the texts of the `.sql` files in a folder of a room, by name."""
    base = os.path.join(room, folder)
    found = []
    for name in sorted(os.listdir(base)):
        if name.endswith(".sql"):
            with open(os.path.join(base, name), encoding="utf-8") as file:
                found.append(file.read())
    return found
