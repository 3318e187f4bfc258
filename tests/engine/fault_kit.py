"""Faults that a machine can have: disks that are full or lose power, system calls that kill.

What the machine does not let us do is skipped (`pytest.skip`) with the reason.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .server_kit import until

EXT4_IOC_SHUTDOWN = 0x8004587D  # Linux, fs/ext4/ext4.h
NO_LOG_FLUSH = 2
_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def run(*command: str) -> bool:
    """Run a command; False where this machine does not let us."""
    try:
        return subprocess.run(command, capture_output=True, timeout=20).returncode == 0
    except OSError:
        return False


# -- disks -----------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *command: str) -> Iterator[Path]:
    """Mount something on `folder`, or skip."""
    folder.mkdir(exist_ok=True)
    if not _ROOT or sys.platform != "linux" or not run(*command, str(folder)):
        pytest.skip("mounting needs root on Linux")
    try:
        yield folder
    finally:
        until(lambda: run("umount", str(folder)), "the unmounting")


def disk_image(path: Path) -> Path:
    """Make a file that can be mounted as an ext4 file system, or skip."""
    with path.open("wb") as file:
        file.truncate(64 << 20)
    if shutil.which("mkfs.ext4") is None or not run("mkfs.ext4", "-q", "-F", str(path)):
        pytest.skip("mkfs.ext4 is not installed")
    return path


def cut_power(disk: Path) -> None:
    """Have an ext4 file system forget what it was not made to keep, and fail from now on."""
    fd = os.open(disk, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
    except OSError as error:
        pytest.skip(f"this file system cannot be shut down: {error}")
    finally:
        os.close(fd)


def fill(path: Path) -> None:
    """Write a file until there is no room."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while True:
            os.write(fd, b"x" * 65_536)
    with suppress(OSError):
        while True:
            os.write(fd, b"x" * 4_096)
    os.close(fd)


# -- system calls ----------------------------------------------------------------------------------


def killed_at(call: str, nth: int, log: Path) -> list[str]:
    """Return the `strace` command whose tracee is killed at its nth such system call."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    inject = f"inject={call}:signal=SIGKILL:when={nth}"
    return ["strace", "-o", str(log), "-e", f"trace={call}", "-e", inject]


@contextmanager
def killing(pid: int, call: str, nth: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process killed at its nth such system call from now on, or skip.

    The tracer, which is yielded, ends when it has killed.
    """
    log.unlink(missing_ok=True)
    command = [*killed_at(call, nth, log), "-f", "-p", str(pid)]
    tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert tracer.stderr is not None
    try:
        said = tracer.stderr.readline()
        if b"attached" not in said:
            pytest.skip(f"strace may not attach here: {said.decode()}")
        yield tracer
    finally:
        if tracer.poll() is None:
            tracer.terminate()  # it lets go of the process, which lives on
        tracer.wait()
        tracer.stderr.close()
