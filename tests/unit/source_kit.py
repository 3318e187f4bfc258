"""What tests of the code itself share."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.garbage_kit import kept

# What mypy knows of wherry from before, where it checks what a team would write.
APPS_CACHE = str(Path(__file__).parents[2] / ".mypy_cache" / "apps")


def parsed(paths: Iterable[Path]) -> Iterator[tuple[Path, ast.Module]]:
    """Parse files. Looking for garbage among what trees are made of costs more than parsing."""
    with kept():
        for path in paths:
            yield path, ast.parse(path.read_text())
