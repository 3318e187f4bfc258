"""Removing what nobody will ever read: blobs without a row, and parts whose writer is gone."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from errno import ELOOP
from itertools import islice

from wherry import limits
from wherry.names import check_blob

from .faults import disk
from .refs import PART, READ_FLAGS
from .writer import locked

Orphans = Callable[[list[str]], Collection[str]]
"""Returns those of some sealed blobs that no row names."""


class OrphanSweep:
    """What a sweep may take.

    Args:
        older_than_ms: Unix time in milliseconds by the machine's clock; files that were written
            later stay. It is to lie `limits.STAGING_S` back, so that what is sealed now and
            committed in a moment is not an orphan yet.
        orphans: Asked for the sealed blobs that are old enough, some hundred at a time.
        newer_than_ms: Files that were written before stay: an earlier sweep has seen them.
    """

    def __init__(self, older_than_ms: int, orphans: Orphans, newer_than_ms: int = 0) -> None:
        self._older_than_ms = older_than_ms
        self._newer_than_ms = newer_than_ms
        self._orphans = orphans

    def steps(self, folder: int, names: Iterable[str]) -> Iterator[int]:
        """Sweep an open folder; yield how many files each step removed."""
        left = iter(names)
        while batch := list(islice(left, limits.SWEEP_BATCH)):
            old = [name for name in batch if _is_ours(name) and self._is_due(folder, name)]
            sealed = [name for name in old if not name.endswith(PART)]
            gone = {name for name in old if name.endswith(PART)}
            if sealed:
                gone.update(self._orphans(sealed))
            yield sum(self._remove(folder, name) for name in old if name in gone)

    def among(self, sealed: Mapping[str, float]) -> list[str]:
        """Return those of some sealed blobs that may go, given when they were written (ms)."""
        old = [blob for blob, written_ms in sealed.items() if self._is_old(written_ms)]
        gone = set(self._orphans(old)) if old else set()
        return [blob for blob in old if blob in gone]

    def anew(self) -> OrphanSweep:
        """Return the same sweep of what earlier ones have seen too."""
        return OrphanSweep(self._older_than_ms, self._orphans)

    def is_left_over(self, begun_ms: float) -> bool:
        """Whether what nobody has finished since then is left over, seen before or not."""
        return begun_ms < self._older_than_ms

    def _is_old(self, written_ms: float) -> bool:
        return self._newer_than_ms <= written_ms < self._older_than_ms

    def _is_due(self, folder: int, name: str) -> bool:
        written_ms = _written_ms(folder, name)
        return written_ms is not None and self._is_old(written_ms)

    def _remove(self, folder: int, name: str) -> int:
        with disk("sweep", name), locked(folder):
            # Once more: it may have been sealed again since, by a repeat that is about to commit.
            if not self._is_due(folder, name):
                return 0
            if name.endswith(PART) and is_being_written(folder, name):
                return 0
            os.unlink(name, dir_fd=folder)
        return 1


def is_being_written(folder: int, name: str) -> bool:
    """Tell a part with a living writer from a left-over. The folder is locked."""
    from fcntl import LOCK_NB, LOCK_SH, flock

    try:
        part = os.open(name, READ_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == ELOOP:  # a link: nobody writes to that
            return False
        raise
    try:
        flock(part, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(part)
    return False


def _is_ours(name: str) -> bool:
    try:
        check_blob(name.removesuffix(PART))
    except ValueError:
        return False
    return True


def _written_ms(folder: int, name: str) -> float | None:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns / 1_000_000
    except FileNotFoundError:
        return None
