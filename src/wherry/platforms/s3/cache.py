"""The bound of the files that stand for objects in S3: the oldest go when there are too many."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from wherry import limits
from wherry.names import check_blob, check_bucket

if TYPE_CHECKING:
    from wherry.world import Clock

ROOM = 0.9  # of the bound is kept when it was passed, so that not every file asks again


class Cache:
    """Keeps count of the files below a folder, and removes the oldest ones.

    Args:
        delete: Removes a file: (bucket, blob id).
    """

    def __init__(
        self, root: str, bound_bytes: int, clock: Clock, delete: Callable[[str, str], None]
    ) -> None:
        self._root = root
        self._bound_bytes = bound_bytes
        self._clock = clock
        self._delete = delete
        self._held_bytes: int | None = None  # None: not looked yet
        self._count = Lock()
        self._evicting = Lock()

    def came(self, size_bytes: int) -> None:
        """Count a file that has come; make room where there are too many."""
        with self._count:
            if self._held_bytes is not None:
                self._held_bytes += size_bytes
            enough = self._held_bytes is not None and self._held_bytes <= self._bound_bytes
        if not enough and self._evicting.acquire(blocking=False):
            try:
                self._evict()
            finally:
                self._evicting.release()

    def _evict(self) -> None:
        found = sorted(self._files())
        held_bytes = sum(size_bytes for _, size_bytes, _, _ in found)
        fresh_ms = self._clock.now_ms() - limits.OBJECT_CACHE_FRESH_S * 1000
        if held_bytes > self._bound_bytes:
            for used_ms, size_bytes, bucket, blob in found:
                if held_bytes <= self._bound_bytes * ROOM or used_ms > fresh_ms:
                    break
                self._delete(bucket, blob)
                held_bytes -= size_bytes
        with self._count:
            self._held_bytes = held_bytes

    def _files(self) -> Iterator[tuple[float, int, str, str]]:
        """Yield of each sealed file when it came or was last read (ms), its size and its names."""
        for bucket in _entries(self._root):
            with suppress(ValueError):
                check_bucket(bucket.name)
                for shard in _entries(bucket.path):
                    for file in _entries(shard.path):
                        with suppress(ValueError, OSError):
                            check_blob(file.name)
                            status = file.stat(follow_symlinks=False)
                            used_ms = status.st_mtime_ns / 1_000_000
                            yield used_ms, status.st_size, bucket.name, file.name


def _entries(path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:  # gone, or no folder
        return []
