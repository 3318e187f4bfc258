"""Several engines on one Postgres, and a network between them and it that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.postgres_kit import Server, loop

from .server_kit import Engine, serving

ALONE = "--objects-local"


def asked(dsn: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database itself."""
    import asyncpg

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(dsn)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    return [tuple(row) for row in loop().run(ask())]


@contextmanager
def engines(app: str, dsn: str, folder: Path, count: int, **more: Any) -> Iterator[list[Engine]]:
    """Several engines on one database, each with a data folder of its own."""
    more.setdefault("arguments", ["--store", dsn, ALONE])
    folder.mkdir(exist_ok=True)
    with serving(app, folder / f"data-{count}", **more) as first:
        if count == 1:
            yield [first]
        else:
            with engines(app, dsn, folder, count - 1, **more) as others:
                yield [first, *others]


class Wire:
    """A network between one engine and its servers: TCP on this side, their Unix sockets behind.

    While it is cut, it takes what it is given and says nothing: what it swallowed is gone, and a
    connection that lost something carries nothing more, as after a path that has changed. With
    `late` it holds back instead, and delivers all when it is mended: the worst of networks.

    Args:
        servers: Of each there is an address, in their order.
    """

    def __init__(self, *servers: Server) -> None:
        self._open = threading.Event()
        self._open.set()
        self._late = False
        self._listeners: list[socket.socket] = []
        for server in servers:
            listener = socket.create_server(("127.0.0.1", 0), backlog=128)
            self._listeners.append(listener)
            there = str(server.folder / ".s.PGSQL.5432")
            threading.Thread(target=self._accept, args=(listener, there), daemon=True).start()

    @property
    def address(self) -> str:
        """Its end on this side, as an address of a database names hosts."""
        return ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in self._listeners)

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
        for listener in self._listeners:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket, there: str) -> None:
        with listener, suppress(OSError):
            while True:
                ours, _ = listener.accept()
                threading.Thread(target=self._connect, args=(ours, there), daemon=True).start()

    def _connect(self, ours: socket.socket, there: str) -> None:
        with ours, socket.socket(socket.AF_UNIX) as theirs, suppress(OSError):
            self._open.wait()
            theirs.connect(there)
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
