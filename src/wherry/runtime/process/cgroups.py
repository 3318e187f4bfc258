"""Control groups: one below `wherry-PID` for each environment, where the system lends them.

Version 2 (memory and processes) wants a delegated group: `systemd-run --user --scope
-p Delegate=yes wherry run`, `Delegate=yes` in a unit, or a container whose cgroup is
writable. Of version 1 only the hierarchy `pids` is used.

Moving a process costs 7 ms at the median and up to 20 (measured on Linux 6.18: the kernel
waits until no processor is in a fork), so it is never done in the path of a cold start: a
thread of the guard does it, and an environment is bounded some milliseconds after its birth.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Iterable, Sequence
from typing import Self

from wherry import limits
from wherry.errors import WherryError
from wherry.runtime.process import trees

_PREFIX = "wherry-"
_ENGINE = "engine"


class NoGroups(WherryError):
    """The system lends no control groups to this process."""

    code = "no_control_groups"


class Groups:
    """The control groups of one engine. Blocks for milliseconds: not for an event loop.

    Args:
        base: The engine's own group: the folder in which `wherry-PID` is made.
        version: 1 or 2.
        controllers: What to bound, of `memory` and `pids`.

    Raises:
        NoGroups: with the reason.
    """

    def __init__(self, base: str, version: int, controllers: Sequence[str]) -> None:
        self.base, self.version, self.controllers = base, version, tuple(controllers)
        self.folder = os.path.join(base, f"{_PREFIX}{os.getpid()}")
        self._busy: list[str] = []
        self._switches = " ".join(f"+{name}" for name in controllers)
        try:
            _sweep(base)
            os.makedirs(self.folder, exist_ok=True)
            if version == 2:
                self._delegate()
        except OSError as error:
            self.close()
            raise NoGroups(f"{base}: {error.strerror}") from error

    @classmethod
    def find(cls) -> Self:
        """Return groups of version 2 if they bound memory, else of version 1 for processes."""
        own = _own_groups()
        reasons = []
        if (base := own.get("")) is not None:
            try:
                offered = _read(f"{base}/cgroup.controllers").split()
                wanted = [name for name in ("memory", "pids") if name in offered]
                if "memory" in wanted:
                    return cls(base, 2, wanted)
                reasons.append(f"{base}: no memory controller")
            except (NoGroups, OSError) as error:
                reasons.append(str(error))
        if (base := own.get("pids")) is not None:
            try:
                return cls(base, 1, ("pids",))
            except NoGroups as error:
                reasons.append(str(error))
        raise NoGroups("; ".join(reasons) or "no control groups are mounted")

    def put(self, pid: int, memory_mb: int, processes: int) -> None:
        """Bound a process and what it started: to `memory_mb` MiB and `processes` tasks.

        A process that has ended meanwhile is no error.
        """
        group = self._group(pid)
        os.makedirs(group, exist_ok=True)
        if "memory" in self.controllers:
            _write(f"{group}/memory.max", str(memory_mb * limits.MIB))
            _write(f"{group}/memory.oom.group", "1")  # the whole tree or nothing
            with contextlib.suppress(OSError):  # a kernel without swap accounting
                _write(f"{group}/memory.swap.max", "0")
        if "pids" in self.controllers:
            _write(f"{group}/pids.max", str(processes))
        for one in (pid, *trees.descendants(pid)):
            with contextlib.suppress(ProcessLookupError):
                _write(f"{group}/cgroup.procs", str(one))

    def oom_kills(self, pid: int) -> int:
        """Return how often the kernel killed in this group for lack of memory."""
        if "memory" not in self.controllers:
            return 0
        try:
            events = dict(
                line.split() for line in _read(f"{self._group(pid)}/memory.events").splitlines()
            )
        except OSError:
            return 0
        return int(events.get("oom_kill", 0))

    def kill(self, pid: int) -> None:
        """Kill all that is in this environment's group; nothing in it can fork any more."""
        for handle in _kill_all(self._group(pid)):
            os.close(handle)

    def remove(self, pid: int) -> None:
        """Kill what is left in this environment's group, and remove it."""
        for group in (*self._busy, self._group(pid)):
            self._busy = [one for one in self._busy if one != group]
            if not _remove(group):
                self._busy.append(group)

    def close(self) -> None:
        """Kill all that is left, and give the groups back."""
        if self.version == 2 and os.path.isdir(f"{self.folder}/{_ENGINE}"):
            off = self._switches.replace("+", "-")
            for folder in (self.folder, self.base):
                with contextlib.suppress(OSError):
                    _write(f"{folder}/cgroup.subtree_control", off)
            for line in _processes(f"{self.folder}/{_ENGINE}"):
                with contextlib.suppress(OSError):
                    _write(f"{self.base}/cgroup.procs", str(line))
        _remove(self.folder)

    def _group(self, pid: int) -> str:
        return f"{self.folder}/e{pid}"

    def _delegate(self) -> None:
        """Move this process into a leaf: in version 2 only leaves hold processes."""
        os.makedirs(f"{self.folder}/{_ENGINE}", exist_ok=True)
        _write(f"{self.folder}/{_ENGINE}/cgroup.procs", str(os.getpid()))
        if self._switches:
            _write(f"{self.base}/cgroup.subtree_control", self._switches)
            _write(f"{self.folder}/cgroup.subtree_control", self._switches)


def _own_groups() -> dict[str, str]:
    """Return this process's group in each hierarchy: "" is version 2, else a controller."""
    try:
        mounts, groups = _read("/proc/self/mountinfo"), _read("/proc/self/cgroup")
    except OSError:
        return {}
    found: dict[str, str] = {}
    paths = dict(line.split(":", 2)[1:] for line in groups.splitlines())
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        root, point = left.split()[3:5]
        kind, _, options = right.split()[:3]
        for names, path in paths.items():
            if kind == ("cgroup" if names else "cgroup2") and path.startswith(root):
                below = os.path.normpath(f"{point}/{path.removeprefix(root)}")
                for name in names.split(","):
                    if not name or name in options.split(","):
                        found[name] = below
    return found


def _sweep(base: str) -> None:
    """Remove the groups of engines that were killed, and kill what is left in them."""
    with os.scandir(base) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(_PREFIX)]
    for name in names:
        owner = name.removeprefix(_PREFIX)
        if owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            _remove(os.path.join(base, name))


def _remove(group: str) -> bool:
    """Kill what is in a group and below it, and remove it. False: something does not die."""
    try:
        with os.scandir(group) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return True
    for one in below:
        _remove(one)
    _wait_for(_kill_all(group))
    try:
        os.rmdir(group)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _kill_all(group: str) -> list[int]:
    """Kill the processes of a group, and return their pidfds, to be waited for and closed."""
    handles = []
    with contextlib.suppress(OSError):
        _write(f"{group}/pids.max", "0")
    for pid in _processes(group):
        if pid == os.getpid():
            continue
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(pid)
            handles.append(handle)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    return handles


def _wait_for(handles: Iterable[int]) -> None:
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(limits.GROUP_SWEEP_S * 1000)
        os.close(handle)


def _processes(group: str) -> list[int]:
    try:
        return [int(line) for line in _read(f"{group}/cgroup.procs").split()]
    except OSError:
        return []


def _read(path: str) -> str:
    with open(path) as file:
        return file.read()


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
