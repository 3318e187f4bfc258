"""The memory that the machine has left, and whether functions have reserved more than that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.releases import ActiveRelease


def available_mb() -> int:
    """Return what can be had without swapping; very much where the system does not tell."""
    try:
        with open("/proc/meminfo", "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    return int(line.split()[1]) // 1024
    except OSError:
        pass
    return 1 << 30


def tell_reserved(release: ActiveRelease, say: Callable[[str, str], None]) -> None:
    """Warn where there is not the memory that functions have reserved: all others have the rest."""
    kept_mb, free_mb = release.kept_mb(""), available_mb() - limits.FREE_MEMORY_MB
    if kept_mb > max(free_mb, 0):
        say(
            "warning",
            f"reserved= of its functions keeps {kept_mb:,} MB free, and this machine has "
            f"{max(free_mb, 0):,}: each of the other functions has one environment at a time. "
            "Lower reserved= or memory_mb=, or take a larger machine.",
        )
