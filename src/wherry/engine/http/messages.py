"""A request as the server read it, an answer as it will send it, and who speaks with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec


class Request(msgspec.Struct, eq=False):
    """One request whose framing, target and headers were checked.

    Attributes:
        method: One of `head.METHODS`, upper case.
        target: The request target as it was sent.
        path: Percent-decoded once: begins with '/', holds no empty, '.' or '..' segment, no
            backslash and no control character. It may end in '/'.
        segments: What stands between the slashes of the target, each decoded; an encoded slash
            stays inside its segment. '/' is `("",)`, '/a/' is `("a", "")`.
        query: Behind the first '?', as it was sent; '' if there is none.
        headers: Names in lower case, values as Latin-1; what came twice is joined by ', '
            (cookies by '; ').
        body: All of it, unless a sink took it.
        client: The peer's IP address; '' on a Unix socket.
        http_version: '1.0' or '1.1'.
        keep_alive: Whether the client wants to keep the connection.
    """

    method: str
    target: str
    path: str
    segments: tuple[str, ...]
    query: str = ""
    headers: dict[str, str] = {}
    body: bytes = b""
    client: str = ""
    http_version: str = "1.1"
    keep_alive: bool = True


class FileSlice(msgspec.Struct, frozen=True):
    """`length` bytes of the file at `path`, from `offset`: sent by the kernel, never held here."""

    path: str
    offset: int
    length: int


class Response(msgspec.Struct, frozen=True):
    """An answer: a status of 200 to 599, headers, and a body.

    The server itself writes Content-Length, Transfer-Encoding, Connection and Date; those in
    `headers` are dropped. A line break in a header makes it a 500.
    """

    status: int
    headers: list[tuple[str, str]] = []
    body: bytes | FileSlice = b""


class Responder(Protocol):
    """Answers one request. Used on the thread of the event loop only."""

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        ...

    def send(self, response: Response) -> None:
        """Send the answer. The first one counts; harmless once the client is gone."""
        ...

    def on_gone(self, callback: Callable[[], None]) -> None:
        """Call `callback` if the client leaves before the answer (at once if it has left)."""
        ...


class Sink(Protocol):
    """Takes a body in pieces. `write` may raise a `Problem`: it is the answer."""

    def write(self, piece: bytes) -> None:
        """Take the next bytes. Must not block."""
        ...

    def close(self, complete: bool) -> None:
        """Called once: True when the body is whole, False when it never will be."""
        ...


class FillingSink(Sink, Protocol):
    """A sink that can fill up: while `full` is true after a write, nothing more is read."""

    full: bool

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room again, on the thread of the event loop."""
        ...


class Names(Protocol):
    """An app that says what every answer has, also one by which the server itself refuses."""

    def correlation_of(self, headers: dict[str, str]) -> str:
        """Return the ID of a request: that of its headers if it is usable, else a new one."""
        ...

    def cors_of(self, request: Request) -> list[tuple[str, str]]:
        """Return the headers that let a page of another origin read the answer."""
        ...


class App(Protocol):
    """What the server serves. Neither method may block."""

    def admit(self, request: Request, length: int | None) -> Response | Sink | None:
        """Called when the headers are in (the body is empty still).

        Args:
            length: Of the body in bytes, 0 for none, None if it comes in chunks.

        Returns:
            A Response to refuse before the body is read (if one follows, the connection
            closes), a Sink to take the body in pieces, None to collect it.
        """
        ...

    def handle(self, request: Request, responder: Responder) -> None:
        """Called when the body is in. The answer goes to `responder`, now or later."""
        ...
