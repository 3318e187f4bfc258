"""Time zones by their names in the IANA database."""

from __future__ import annotations

import datetime
import os
from functools import cache
from importlib import import_module

_NO_PLACE = frozenset({"Factory", "localtime"})  # a machine's own setting, not the name of a zone


def zone_named(name: str) -> datetime.tzinfo | None:
    """Return the zone, or None if the database has none of this name.

    The rules are those of the machine where it has them, else of the package `tzdata`; the names
    are those of `tzdata` everywhere, so that an app is right or wrong on all machines alike.
    """
    if name not in _names():
        return None
    import zoneinfo

    return zoneinfo.ZoneInfo(name)


def zone_fault(name: str) -> str:
    """Return what is wrong with the name of a zone, or an empty text."""
    if name in _names():
        return ""
    import difflib

    by_lower = {known.lower(): known for known in sorted(_names())}
    near = difflib.get_close_matches(name.lower()[:80], by_lower, n=1)
    advice = f"did you mean {by_lower[near[0]]!r}?" if near else "write one as 'Europe/Berlin'."
    return f"time zone: {name[:80]!r} is not a name of the IANA database; {advice}"


@cache
def _names() -> frozenset[str]:
    # Not by importlib.resources, whose import takes longer than all the rest of a declaration.
    listed = os.path.join(import_module("tzdata").__path__[0], "zones")
    with open(listed, encoding="ascii") as lines:
        return frozenset(lines.read().split()) - _NO_PLACE
