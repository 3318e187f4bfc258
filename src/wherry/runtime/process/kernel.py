"""The few Linux calls that the standard library lacks. `ctypes` is imported at the first call."""

from __future__ import annotations

import os
import signal
import struct
from functools import cache
from typing import Any

from wherry.errors import WherryError

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
CAP_DAC_OVERRIDE = 1 << 1
_CAPABILITY_VERSION_3 = 0x20080522
# Landlock's numbers are the same on every architecture (they are younger than the common table).
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_LANDLOCK_VERSION = 1
_LANDLOCK_PATH_BENEATH = 1


class Kernel:
    """libc, with errors raised as `OSError`. Make it with `kernel()`, before the first fork."""

    def __init__(self) -> None:
        import ctypes

        self._ctypes = ctypes
        self._lib: Any = ctypes.CDLL(None, use_errno=True)
        word, number, record = ctypes.c_ulong, ctypes.c_int, ctypes.c_char_p
        self._prctl = self._lib.prctl
        self._prctl.argtypes = [number, word, word, word, word]
        self._create = self._syscall(record, ctypes.c_size_t, word)
        self._add = self._syscall(number, number, record, word)
        self._restrict = self._syscall(number, word)

    def _syscall(self, *arguments: Any) -> Any:
        function = self._lib["syscall"]  # by index: a new object, with types of its own
        function.restype = self._ctypes.c_long
        function.argtypes = [self._ctypes.c_long, *arguments]
        return function

    def _checked(self, result: int) -> int:
        if result < 0:
            number = self._ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def prctl(self, option: int, value: int) -> None:
        """Set one attribute of this process (prctl(2))."""
        self._checked(self._prctl(option, value, 0, 0, 0))

    def keep_capabilities(self, mask: int) -> None:
        """Give up every capability that is not in `mask` (its low 32 bits), for good."""
        header = struct.pack("=II", _CAPABILITY_VERSION_3, 0)
        self._checked(self._lib.capset(header, struct.pack("=6I", mask, mask, 0, 0, 0, 0)))

    def landlock_abi(self) -> int:
        """Return the version of Landlock that the kernel speaks; 0 if none."""
        try:
            return self._checked(self._create(_LANDLOCK_CREATE, None, 0, _LANDLOCK_VERSION))
        except OSError:
            return 0

    def landlock_ruleset(self, attributes: bytes) -> int:
        """Return the file descriptor of a new, empty ruleset."""
        return self._checked(self._create(_LANDLOCK_CREATE, attributes, len(attributes), 0))

    def landlock_allow(self, ruleset: int, rule: bytes) -> None:
        """Add one packed `landlock_path_beneath_attr` to a ruleset."""
        self._checked(self._add(_LANDLOCK_ADD, ruleset, _LANDLOCK_PATH_BENEATH, rule, 0))

    def landlock_restrict(self, ruleset: int) -> None:
        """Confine this process, and all that it starts, to a ruleset. For good."""
        self._checked(self._restrict(_LANDLOCK_RESTRICT, ruleset, 0))


@cache
def kernel() -> Kernel:
    """Return the one `Kernel` of this process."""
    return Kernel()


def die_with_parent(parent_pid: int, sent: int = signal.SIGKILL) -> None:
    """Let the kernel send `sent` to this process when `parent_pid` ends. Linux only.

    The kernel watches the parent's *thread* that started this process: it must be the main
    thread. A parent that ended before the call is noticed here, and the signal raised at once.
    """
    kernel().prctl(PR_SET_PDEATHSIG, sent)
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), sent)
        raise WherryError(f"The parent process {parent_pid} has ended.")


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent ends. Linux only.

    A zygote does this so that what a dead environment leaves behind comes to it (and is
    killed there); the engine does it for the case that the zygote dies.
    """
    kernel().prctl(PR_SET_CHILD_SUBREAPER, 1)
