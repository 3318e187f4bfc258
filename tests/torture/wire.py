"""A network between one engine and the database, that can stop carrying anything."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path


class Wire:
    """TCP on this side, the server's Unix socket on the other.

    While it is cut, it takes what it is given and says nothing: what it swallowed is gone, and a
    connection that lost something carries nothing more, as after a path that has changed. With
    `late` it holds back instead, and delivers all when it is mended: the worst of networks.
    """

    def __init__(self, server: Path) -> None:
        self._server = str(server)
        self._open = threading.Event()
        self._open.set()
        self._late = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, *, late: bool) -> None:
        """Carry nothing, and say so to nobody."""
        self._late = late
        self._open.clear()

    def mend(self) -> None:
        """Carry on."""
        self._open.set()

    def close(self) -> None:
        """Let nobody connect any more."""
        self.mend()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(ours,), daemon=True).start()

    def _connect(self, ours: socket.socket) -> None:
        with ours, socket.socket(socket.AF_UNIX) as theirs, suppress(OSError):
            self._open.wait()
            theirs.connect(self._server)
            lost = threading.Event()
            back = threading.Thread(target=self._carry, args=(theirs, ours, lost), daemon=True)
            back.start()
            self._carry(ours, theirs, lost)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket, lost: threading.Event) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                if not self._open.is_set():
                    if not self._late:
                        lost.set()
                    self._open.wait()
                if lost.is_set():
                    break
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
