"""On which processors a process of ours may run: all that we were given, or one of its own."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

# Before anything is bound: what somebody has set for us (taskset, a container) holds for all.
GIVEN: frozenset[int] = (
    frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset()
)


def bind(pid: int, processors: frozenset[int]) -> None:
    """Let a process run on these alone; 0 is the calling thread.

    Nothing happens where that cannot be: a processor taken away meanwhile, a process that ended.
    """
    if sys.platform == "linux" and processors:
        with suppress(OSError):
            os.sched_setaffinity(pid, processors)


def free(pid: int) -> None:
    """Let a process run on all that we were given: it inherits what its starter is bound to."""
    bind(pid, GIVEN)
