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
    """A network between an engine and the server, which can hold back all that it carries."""

    def __init__(self, server: Server) -> None:
        self._server = str(server.folder / ".s.PGSQL.5432")
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Carry nothing, and say so to nobody."""
        self._open.clear()

    def mend(self) -> None:
        """Carry on, also what was held back."""
        self._open.set()

    def close(self) -> None:
        """Let nobody connect any more."""
        self.mend()
        self._listener.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with self._listener, suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                threading.Thread(target=self._connect, args=(ours,), daemon=True).start()

    def _connect(self, ours: socket.socket) -> None:
        with ours, socket.socket(socket.AF_UNIX) as theirs, suppress(OSError):
            theirs.connect(self._server)
            back = threading.Thread(target=self._carry, args=(theirs, ours), daemon=True)
            back.start()
            self._carry(ours, theirs)
            back.join()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65_536):
                self._open.wait()
                target.sendall(piece)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
