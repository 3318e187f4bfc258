"""Landlock: what a function may open, reach and signal, enforced by the kernel.

Source of the numbers: Linux, include/uapi/linux/landlock.h and
Documentation/userspace-api/landlock.rst. Rights that a kernel does not know are left out,
so the rules hold as far as it goes: files (ABI 1, Linux 5.13), TCP (ABI 4, 6.7), devices
(ABI 5, 6.10), signals and abstract sockets (ABI 6, 6.12).

What it does not hold (tried with ABI 7): a function may connect to a Unix socket by its path,
wherever it lies. Whoever listens on one must ask for more than the right user, for example for
a token from a file that the function cannot read.
"""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Collection, Iterable

from wherry.runtime.process.kernel import Kernel

ABI_TCP = 4
ABI_SCOPES = 6

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_ALL_BY_ABI = (0, (1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract sockets, signals

_RULESET = struct.Struct("=QQQ")
_RULE = struct.Struct("=Qi")

# Read by the interpreter, the loader, name lookup, TLS and time zones. /proc is open for
# reading, yet the kernel refuses what belongs to processes outside the function's own tree
# (environ, mem, maps, fd). /dev/shm is closed, as on AWS Lambda.
_SYSTEM_READ = (
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/bin",
    "/sbin",
    "/etc",
    "/proc",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/run/systemd/resolve",
    "/run/resolvconf",
)
_DEVICES_READ = ("/dev/urandom", "/dev/random", "/dev/zero")
_DEVICES_WRITE = ("/dev/null", "/dev/full")


def system_paths() -> tuple[str, ...]:
    """Return what any Python needs to read: the system's files, the interpreter, `sys.path`."""
    wanted = [*_SYSTEM_READ, *_DEVICES_READ, sys.prefix, sys.base_prefix, sys.exec_prefix]
    wanted += [path for path in sys.path if path]
    return tuple(path for path in dict.fromkeys(map(os.path.realpath, wanted)) if path != "/")


def carve(paths: Iterable[str], hidden: Collection[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Take `hidden` files and folders out of `paths`, as Landlock itself has no "except".

    A folder that contains something hidden is replaced by its other entries, so what is
    created in it later cannot be read; its names can still be listed (Python's import
    does). Run it once, before forking.

    Returns:
        The paths to read, and the folders of which only the names may be listed.
    """
    secret = [os.path.realpath(path) for path in hidden]
    read: dict[str, None] = {}
    listed: dict[str, None] = {}
    waiting = [os.path.realpath(path) for path in paths]
    while waiting:
        path = waiting.pop()
        if path in listed or any(f"{path}/".startswith(f"{one}/") for one in secret):
            continue
        above = path.rstrip(os.sep) + os.sep
        if not any(one.startswith(above) for one in secret):
            read[path] = None
            continue
        listed[path] = None
        try:
            waiting += [os.path.realpath(above + name) for name in os.listdir(path)]
        except OSError:
            continue
    return _outermost(read), tuple(listed)


def _outermost(paths: Iterable[str]) -> tuple[str, ...]:
    """Leave out what is missing and what another path covers: each rule costs a child 10 us."""
    kept: list[str] = []
    for path in sorted(paths):
        if os.path.exists(path) and not any(path.startswith(one + os.sep) for one in kept):
            kept.append(path)
    return tuple(kept)


class Ruleset:
    """What this process may do once `restrict` is called. `PR_SET_NO_NEW_PRIVS` must be set then.

    Args:
        allow_network: Whether TCP stays as it is.

    Raises:
        OSError: The kernel refused the ruleset, here or later; nothing is confined, and this is
            of no more use.
    """

    def __init__(self, kernel: Kernel, abi: int, *, allow_network: bool) -> None:
        self.allow_network = allow_network
        self._kernel = kernel
        self._files = files = _ALL_BY_ABI[min(abi, len(_ALL_BY_ABI) - 1)]
        tcp = _TCP if abi >= ABI_TCP and not allow_network else 0
        scopes = _SCOPES if abi >= ABI_SCOPES else 0
        size = 24 if abi >= ABI_SCOPES else 16 if abi >= ABI_TCP else 8
        self._fd = kernel.landlock_ruleset(_RULESET.pack(files, tcp, scopes)[:size])
        self._add(_DEVICES_WRITE, files & (_READ_FILE | _WRITE_FILE | _TRUNCATE))

    def allow(
        self, *, read: Iterable[str] = (), listed: Iterable[str] = (), write: Iterable[str] = ()
    ) -> None:
        """Add paths. One that is missing is skipped."""
        files = self._files
        self._add(read, files & _READ)
        self._add(listed, files & _READ_DIR)
        self._add(write, files & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))

    def _add(self, paths: Iterable[str], rights: int) -> None:
        try:
            _allow(self._kernel, self._fd, paths, rights)
        except OSError:
            os.close(self._fd)
            raise

    def restrict(self) -> None:
        """Confine this process, for good."""
        try:
            self._kernel.landlock_restrict(self._fd)
        finally:
            os.close(self._fd)


def _allow(kernel: Kernel, ruleset: int, paths: Iterable[str], rights: int) -> None:
    for path in paths:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            folder = stat.S_ISDIR(os.fstat(fd).st_mode)
            allowed = rights if folder else rights & _OF_A_FILE
            if allowed:
                kernel.landlock_allow(ruleset, _RULE.pack(allowed, fd))
        finally:
            os.close(fd)
