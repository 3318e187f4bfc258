"""Where Python looks for garbage, and where that is not worth it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """No garbage is looked for meanwhile, and nothing runs that waits for that."""
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.enable()


@contextmanager
def kept() -> Iterator[None]:
    """What is made meanwhile, and all there was before, stays: no garbage is looked for in it."""
    with paused():
        try:
            yield
        finally:
            gc.freeze()
