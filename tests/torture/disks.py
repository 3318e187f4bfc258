"""Where a life's data lies: a folder, a small tmpfs, or an ext4 whose power we can cut."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from ..engine.fault_kit import cut_power, disk_image, killing, mounted

TMPFS = ("mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs")
OFFERS = {"folder": (), "tmpfs": ("small",), "ext4": ("small", "power")}


class Disk:
    """One life's disk. `root` is outside of it: what faults must not touch lies there."""

    def __init__(self, root: Path, what: str) -> None:
        self.what = what
        self.offers = OFFERS[what]
        self.folder = root / "disk"
        self.strace = root / "strace"
        self._image = root / "image"
        self._mounts = ExitStack()

    def mount(self, *, made: bool = False) -> None:
        """Mount it; skip (`pytest.skip`) where the machine does not let us."""
        if self.what == "folder":
            self.folder.mkdir()
        elif self.what == "tmpfs":
            self._mounts.enter_context(mounted(self.folder, *TMPFS))
        else:
            image = self._image if made else disk_image(self._image)
            self._mounts.enter_context(mounted(self.folder, "mount", "-o", "loop", str(image)))

    def mount_again(self) -> None:
        """Mount it as it was kept when its power was cut."""
        self.unmount()
        self.mount(made=True)

    def unmount(self) -> None:
        """Unmount it; a life that went wrong keeps a copy of what was on it."""
        self._mounts.close()

    def keep(self) -> None:
        """Copy what is on it beside it, before it is unmounted."""
        if self.what != "folder" and self.folder.exists():
            passed = shutil.ignore_patterns("filler", "*.sock", "lost+found")
            with suppress(shutil.Error, OSError):  # what a dead disk does not give
                shutil.copytree(self.folder, self.folder.with_name("kept"), ignore=passed)


def offered(root: Path) -> tuple[list[str], dict[str, str]]:
    """Return the disks that this machine lets us have, the best first; and what it lacks, why."""
    disks = ["folder"]
    lacking: dict[str, str] = {}
    for what, needs in (("tmpfs", "small"), ("ext4", "power")):
        trial = root / f"trial-{what}"
        trial.mkdir()
        disk = Disk(trial, what)
        try:
            disk.mount()
            disks.insert(0, what)
            lacking.pop(needs, None)
            if what == "ext4":
                cut_power(disk.folder)
                lacking.pop("small", None)
        except pytest.skip.Exception as why:
            lacking[needs] = str(why)
        finally:
            disk.unmount()
    try:
        sleeper = subprocess.Popen(["sleep", "60"])
        try:
            with killing(sleeper.pid, "fdatasync", 1, root / "trial-strace"):
                pass
        finally:
            sleeper.kill()
            sleeper.wait()
    except pytest.skip.Exception as why:
        lacking["strace"] = str(why)
    return disks, lacking
