"""A thread that syncs the log while its process goes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from wherry.world import Clock

SUPPORTED = sys.platform == "linux"  # elsewhere a sync may ask for more than a system call
sync_data: Callable[[int], None] = os.fdatasync if sys.platform == "linux" else os.fsync


class LogSync:
    """Syncs a file whenever it is asked to, one time after the other.

    Args:
        path: The file, which is there.
        sync: Does it, by a descriptor of the file (tests make it slow, or fail).
        told: An eventfd that can be read from when a sync has ended.

    Raises:
        OSError: The file cannot be opened, or there can be no thread.
    """

    def __init__(self, path: str, clock: Clock, sync: Callable[[int], None], told: int) -> None:
        self._clock = clock
        self._sync = sync
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Of the write-ahead log nothing is locked: closing this lets go of nobody's lock.
        self._told = told
        self._wanted: SimpleQueue[bool] = SimpleQueue()
        self._ended: SimpleQueue[tuple[float, OSError | None]] = SimpleQueue()
        self._thread = Thread(target=self._run, name="log sync", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the machine gives no thread more
            os.close(self._fd)
            raise OSError(str(error)) from None

    def begin(self) -> None:
        """Begin to sync what was written up to now."""
        self._wanted.put(True)

    def end(self) -> float:
        """Wait for the end of what was begun; return how long it took, in seconds.

        Raises:
            OSError: It failed: what was written may be on the disk, or not.
        """
        took_s, fault = self._ended.get()
        os.eventfd_read(self._told)
        if fault is not None:
            raise fault
        return took_s

    def close(self) -> None:
        """End the thread. Nothing may be under way."""
        self._wanted.put(False)
        self._thread.join()
        os.close(self._fd)

    def _run(self) -> None:
        while self._wanted.get():
            fault: OSError | None = None
            began_s = self._clock.steady_s()
            try:
                self._sync(self._fd)
            except OSError as error:
                fault = error
            os.eventfd_write(self._told, 1)
            self._ended.put((self._clock.steady_s() - began_s, fault))
