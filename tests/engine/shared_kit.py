"""Several engines on one Postgres, and a network between them and it that can be cut."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from tests.postgres_kit import Server, loop

from .server_kit import Engine, serving

ALONE = "--objects-local"
IDLE = b"Z\0\0\0\5I"  # what a server says that is in no transaction


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
            if not self._begin(ours, theirs):
                return
            lost = threading.Event()
            back = threading.Thread(target=self._carry, args=(theirs, ours, lost), daemon=True)
            back.start()
            self._carry(ours, theirs, lost)
            back.join()

    def _begin(self, ours: socket.socket, theirs: socket.socket) -> bool:
        """Whether this connection is carried on at all."""
        return True

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


class Pooler(Wire):
    """What a pooler is to who connects: it refuses parameters of a connection that it does not know
    how to give to the next one (PgBouncer's list)."""

    KNOWN = frozenset(
        (b"user", b"database", b"client_encoding", b"datestyle", b"timezone", b"application_name",
         b"standard_conforming_strings")
    )  # fmt: skip

    def _begin(self, ours: socket.socket, theirs: socket.socket) -> bool:
        with ours.makefile("rb", buffering=0) as reader:
            size = reader.read(4) or b""
            message = reader.read(int.from_bytes(size) - 4) or b""
        fields = message[4:].split(b"\0")
        unknown = [name for name in fields[:-2:2] if name.lower() not in self.KNOWN]
        if unknown:
            told = b"SFATAL\0C08P01\0Munsupported startup parameter: " + unknown[0] + b"\0\0"
            ours.sendall(b"E" + (len(told) + 4).to_bytes(4) + told)
            return False
        theirs.sendall(size + message)
        return True


class Sharing(Wire):
    """A pooler in transaction mode: all who connect have one session of the server by turns."""

    def __init__(self, server: Server) -> None:
        self._turn = threading.Lock()
        self._session: socket.socket | None = None
        self._greeting = b""
        super().__init__(server)

    def _connect(self, ours: socket.socket, there: str) -> None:
        with ours, suppress(OSError, EOFError):
            begun = _exactly(ours, 4)
            begun += _exactly(ours, int.from_bytes(begun) - 4)
            with self._turn:
                if self._session is None:
                    self._session = socket.socket(socket.AF_UNIX)
                    self._session.connect(there)
                    self._session.sendall(begun)
                    while not self._greeting.endswith(IDLE):
                        self._greeting += _message(self._session)
            ours.sendall(self._greeting)
            while self._transaction(ours, self._session):
                pass

    def _transaction(self, ours: socket.socket, session: socket.socket) -> bool:
        """Carry a transaction; False where the client says good-bye."""
        asked = _message(ours)
        with self._turn:
            while asked[:1] != b"X":
                session.sendall(asked)
                while session in select.select((ours, session), (), ())[0]:
                    said = _message(session)
                    ours.sendall(said)
                    if said == IDLE:
                        return True
                asked = _message(ours)
        return False

    def close(self) -> None:
        super().close()
        if self._session is not None:
            self._session.close()


def _exactly(end: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = end.recv(size - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _message(end: socket.socket) -> bytes:
    head = _exactly(end, 5)
    return head + _exactly(end, int.from_bytes(head[1:]) - 4)


class Guarded(Wire):
    """A server that says who it is by a certificate, and of whoever trusts that, that he came.

    Args:
        folder: Where its certificate is written to, `ca.crt`: it has signed itself.
    """

    TOLD = "you have come so far"

    def __init__(self, server: Server, folder: Path) -> None:
        self.certificate = folder / "ca.crt"
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key = folder / "ca.key"
        _sign_itself(self.certificate, key)
        self._context.load_cert_chain(self.certificate, key)
        super().__init__(server)

    def _begin(self, ours: socket.socket, theirs: socket.socket) -> bool:
        ours.recv(8)  # it asks for TLS
        ours.sendall(b"S")
        with self._context.wrap_socket(ours, server_side=True) as secured:
            secured.recv(4096)
            told = b"SFATAL\0C28000\0M" + self.TOLD.encode() + b"\0\0"
            secured.sendall(b"E" + (len(told) + 4).to_bytes(4) + told)
            secured.recv(1)
        return False


def _sign_itself(certificate: Path, key: Path) -> None:
    """Write the certificate of 127.0.0.1, and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    secret = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
