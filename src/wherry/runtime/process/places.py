"""On which processors a process of ours may run: all that we were given, or one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import Any

# Before anything is bound: what somebody has set for us (taskset, a container) holds for all.
GIVEN: frozenset[int] = (
    frozenset(os.sched_getaffinity(0)) if sys.platform == "linux" else frozenset()
)
_inherited = False  # whether what the engine's thread starts now is bound as it is


def bind(pid: int, processors: frozenset[int]) -> None:
    """Let a process run on these alone; 0 is the calling thread, whose children inherit it."""
    global _inherited
    _inherited |= pid == 0
    _set(pid, processors)


def let_go(pid: int) -> None:
    """Let a process that was bound run on all that we were given."""
    global _inherited
    _inherited &= pid != 0
    _set(pid, GIVEN)


def free(pid: int) -> None:
    """Take from a process or thread that was just started what it has inherited; 0 is itself."""
    if _inherited:  # else what others have set for it meanwhile is left alone
        _set(pid, GIVEN)


def started(command: list[str], fd: int, **more: Any) -> subprocess.Popen[bytes]:
    """Start a process of ours, bound to nothing, with one descriptor, in a session of its own.

    Args:
        more: For `subprocess.Popen`.
    """
    process = subprocess.Popen(
        command, pass_fds=[fd], stdin=subprocess.DEVNULL, start_new_session=True, **more
    )
    free(process.pid)
    return process


def siblings(processor: int) -> frozenset[int]:
    """Return the processors that share a core with this one, itself among them."""
    path = f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list"
    try:
        with open(path) as file:
            text = file.read()
    except OSError:
        return frozenset([processor])
    found = {processor}
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _set(pid: int, processors: frozenset[int]) -> None:
    if sys.platform == "linux":
        with suppress(OSError):  # a processor taken away meanwhile, a process that has ended
            os.sched_setaffinity(pid, processors)
