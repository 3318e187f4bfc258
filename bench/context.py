"""What a measurement is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from bench.load import Load, Plan, Request, drive


class Bench(msgspec.Struct, frozen=True):
    """One round's surroundings: a fresh data folder, how long to load, with which generator."""

    folder: Path
    seconds: float
    quick: bool
    generator: str = ""

    def closed(self, request: Request, connections: int, seconds: float = 0) -> Load:
        """Load as fast as answers come, over `connections`."""
        return drive(Plan(request, connections, seconds or self.seconds), self.generator)


Step = Callable[[Bench], dict[str, float]]


class Measure(msgspec.Struct, frozen=True):
    """Figures that are measured together. `floor` gives the same names as `ours`, or fewer."""

    name: str
    about: str
    figures: tuple[str, ...]
    ours: Step
    floor: Step | None = None
