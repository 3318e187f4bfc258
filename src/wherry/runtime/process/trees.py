"""A process and all it started: finding, counting and killing a whole tree."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection


def children(pid: int) -> list[int]:
    """Return the child processes of all threads of `pid`; empty when it is gone.

    Linux with CONFIG_PROC_CHILDREN (every distribution's kernel); elsewhere empty.
    """
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        found += _children_of_thread(pid, int(thread))
    return found


def _children_of_thread(pid: int, thread: int) -> list[int]:
    found: list[int] = []
    try:
        fd = os.open(f"/proc/{pid}/task/{thread}/children", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return found
    try:
        while text := os.read(fd, 65_536):
            found += map(int, text.split())
    except OSError:
        return found
    finally:
        os.close(fd)
    return found


def descendants(pid: int, most: int = 1 << 22, single: bool = False) -> list[int]:
    """Return what descends from `pid`, without it, parents first; stops beyond `most`.

    Args:
        single: `pid` has one thread: a look at that one is enough.
    """
    found = _children_of_thread(pid, pid) if single else children(pid)
    waiting = list(found)
    while waiting and len(found) <= most:
        below = children(waiting.pop())
        found += below
        waiting += below
    return found


def kill_tree(pid: int, parent_pid: int) -> bool:
    """Send SIGKILL to environment `pid`, to its process group and to all that descends from it.

    Safe for a process ID that has been given away since: nothing is sent unless `pid` is a
    child of `parent_pid` (the zygote). What is started meanwhile becomes an orphan of the
    zygote, whose `kill_orphans` ends it.

    Returns:
        Whether there was such a process.
    """
    if not hasattr(os, "pidfd_open"):
        return _kill_group(pid)
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if _parent(pid) != parent_pid:
            return False
        below = descendants(pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        _kill_group(pid)
        for one in below:
            _kill(one)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def kill_orphans(known: Collection[int]) -> int:
    """Kill all children of this process that are not in `known`, and all below them.

    For a process that called `adopt_orphans`: what it did not start itself was left behind by
    a dead environment. Call it after each `reap`; every orphan that dies causes another
    SIGCHLD, so that what it left in turn is met there.

    Returns:
        How many processes were sent SIGKILL.
    """
    count = 0
    for orphan in children(os.getpid()):
        if orphan in known:
            continue
        for one in (orphan, *descendants(orphan)):
            count += _kill(one)
    return count


def end_orphans(known: Collection[int]) -> bool:
    """Do as `kill_orphans` does, and reap those that have ended; True: some have not yet.

    For a process that waits for the children in `known` by other means.
    """
    kill_orphans(known)
    left = False
    for orphan in children(os.getpid()):
        if orphan not in known:
            try:
                left |= os.waitpid(orphan, os.WNOHANG)[0] == 0
            except ChildProcessError:
                continue
    return left


def asleep(pid: int) -> bool:
    """Tell whether a process waits now, for anything but a processor; False when it is gone."""
    return _stat(pid)[:1] in ([b"S"], [b"D"])


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        return False
    return True


def _kill_group(pid: int) -> bool:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:  # it has not yet become the leader of a group, or is gone
        return False
    return True


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if len(fields) > 1 else 0


def _stat(pid: int) -> list[bytes]:
    """Return what the kernel tells of a process from its state on; empty when it is gone."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        # The name in parentheses may itself contain parentheses and spaces.
        return os.read(fd, 1024).rpartition(b") ")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)
