"""What tests of the code itself share."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterable, Iterator
from pathlib import Path


def parsed(paths: Iterable[Path]) -> Iterator[tuple[Path, ast.Module]]:
    """Parse files. Looking for garbage among what trees are made of costs more than parsing.

    What there is at the end counts as kept for good: it is not looked at again.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        for path in paths:
            yield path, ast.parse(path.read_text())
    finally:
        gc.freeze()
        if looked:
            gc.enable()
