"""A file on its way out: the kernel copies it from the page cache to the socket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from .messages import FileSlice

_STEP_BYTES = 512 * 1024  # at once; then others get their turn


class FilePump:
    """Sends the slice of a file on a socket that nobody else writes to.

    The transport keeps its descriptor; the pump waits on a duplicate, which an event loop
    allows beside a transport.

    Attributes:
        sent: Bytes that the socket took up to now.
    """

    def __init__(self, part: FileSlice) -> None:
        """Open the file.

        Raises:
            OSError: It cannot be opened.
            ValueError: It ends before the slice does.
        """
        self.sent = 0
        self._part = part
        self._socket = -1
        self._waiting = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._file = os.open(part.path, os.O_RDONLY | os.O_CLOEXEC)
        if os.fstat(self._file).st_size < part.offset + part.length:
            self.stop()
            raise ValueError(f"{part.path} is shorter than the slice of it that is to be sent")

    def start(
        self, loop: asyncio.AbstractEventLoop, socket: int, on_end: Callable[[bool], None]
    ) -> None:
        """Send on the descriptor `socket`; `on_end` says at the end whether all of it went."""
        self._loop = loop
        self._on_end = on_end
        self._socket = os.dup(socket)
        self._step()

    def _step(self) -> None:
        part = self._part
        assert self._loop is not None
        left = part.length - self.sent
        try:
            count = left and os.sendfile(
                self._socket, self._file, part.offset + self.sent, min(left, _STEP_BYTES)
            )
        except BlockingIOError:
            count = -1
        except OSError:
            count = 0
        self.sent += max(count, 0)
        if self.sent == part.length or count == 0:  # 0: the client is gone or the file was cut
            self.stop()
            self._on_end(self.sent == part.length)
        elif not self._waiting:
            self._waiting = True
            self._loop.add_writer(self._socket, self._step)

    def stop(self) -> None:
        """Close what is open. Harmless when called again."""
        if self._waiting and self._loop is not None:
            self._loop.remove_writer(self._socket)
            self._waiting = False
        for descriptor in (self._socket, self._file):
            if descriptor >= 0:
                os.close(descriptor)
        self._socket = self._file = -1
