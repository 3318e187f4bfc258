"""Where a declaration stands in the team's code."""

from __future__ import annotations

import os
import sys
from typing import Any

from wherry.blueprint.parts import Place


class Site:
    """A place, and the names that are known there."""

    __slots__ = ("names", "package", "place")

    def __init__(self, place: Place, names: dict[str, Any] | None, package: str) -> None:
        self.place = place
        self.names = names
        self.package = package


def site(depth: int) -> Site:
    """Return the site of the call `depth` frames above the caller of this."""
    frame = sys._getframe(depth + 1)
    inside = frame.f_locals is not frame.f_globals
    return Site(
        Place(file=shown_path(frame.f_code.co_filename), line=frame.f_lineno),
        dict(frame.f_locals) if inside else None,
        frame.f_globals.get("__package__") or "",
    )


def shown_path(path: str) -> str:
    """Paths below the current folder are shown from there, so that they mean the same elsewhere."""
    root = os.getcwd() + os.sep
    return path[len(root) :] if path.startswith(root) else path
