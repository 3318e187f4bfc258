"""A new version of the app, on one engine after the other, while both do what both have sent."""

from __future__ import annotations

import shutil

from ..engine.server_kit import Engine
from .faults import now_ns
from .shared_victim import Shared

BETWEEN = 20  # orders are accepted while old and new run side by side


def rollout(life: Shared) -> int | None:
    """Its items have another form (`upgrade=`), its messages one field more, and it has a queue
    that the old one does not know. The old one is killed in between, and comes back as it was."""
    at_ns = now_ns()
    first, *others = life.engines
    _renew(life, first)
    life.grows(BETWEEN)
    for engine in others:
        engine.kill()
        engine.start()
        life.grows(BETWEEN)
        _renew(life, engine)
    life.grows(BETWEEN)
    return at_ns


def _renew(life: Shared, engine: Engine) -> None:
    """Put the new code where the old is, and load it, as an operator does."""
    folder = life.code_of(engine)
    shutil.copy(folder / "next_shapes.py", folder / "shapes.py")
    engine.call("reload")
