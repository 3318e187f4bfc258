"""What the tests of the HTTP server share: an app that records, a transport in memory, sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

from wherry.engine.http.connection import Connection
from wherry.engine.http.server import (
    App,
    Bounds,
    Request,
    Responder,
    Response,
    Server,
    Sink,
)
from wherry.world import ManualClock

GET = b"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, *headers: bytes) -> bytes:
    """Return a POST with its Content-Length."""
    lines = [b"POST /in HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(body: bytes, *headers: bytes) -> bytes:
    """Return a POST with a body in chunks as given."""
    lines = [b"POST /in HTTP/1.1", b"Host: a", b"Transfer-Encoding: chunked", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Recorder:
    """An app that keeps what it gets. It echoes the path, at once unless `hold` is set."""

    def __init__(self) -> None:
        self.admitted: list[tuple[Request, int | None]] = []
        self.requests: list[Request] = []
        self.responders: list[Responder] = []
        self.hold = False
        self.verdict: Callable[[Request, int | None], Response | Sink | None] = lambda r, n: None
        self.reply: Callable[[Request], Response] = lambda r: Response(
            200, [("content-type", "text/plain")], r.path.encode()
        )

    def admit(self, request: Request, length: int | None) -> Response | Sink | None:
        self.admitted.append((request, length))
        return self.verdict(request, length)

    def handle(self, request: Request, responder: Responder) -> None:
        self.requests.append(request)
        self.responders.append(responder)
        if not self.hold:
            responder.send(self.reply(request))


class Bucket:
    """A sink that keeps its pieces."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[bool] = []
        self.full = False
        self.callbacks: list[Callable[[], None]] = []

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def close(self, complete: bool) -> None:
        self.ends.append(complete)

    def on_room(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


class MemoryTransport(asyncio.Transport):
    """A transport whose client is the test. `stuck`: nothing is read from it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4000)})
        self.output = b""
        self.unread = 0
        self.stuck = self.reading_paused = self.closing = self.aborted = self.ended = False
        self.high = 65_536
        self.writes = 0
        self.protocol: Connection | None = None

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.ended, "written behind the end"
        self.writes += 1
        self.output += bytes(data)
        if self.stuck:
            self.unread += len(data)
            if self.unread > self.high and self.protocol is not None:
                self.protocol.pause_writing()

    def read(self, count: int) -> None:
        """The client reads `count` bytes of what was stuck."""
        self.unread -= count
        if self.unread <= self.high // 4 and self.protocol is not None:
            self.protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = 65_536 if high is None else high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write_eof(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def is_closing(self) -> bool:
        return self.closing

    def is_reading(self) -> bool:
        return not self.reading_paused

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False


class Turns:
    """The part of an event loop that a connection in memory uses."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.faults: list[BaseException] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.calls.append(callback)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.faults.append(context["exception"])

    def run(self) -> None:
        while self.calls:
            self.calls.pop(0)()


class Memory:
    """A server without sockets."""

    def __init__(self, app: App | None = None, bounds: Bounds | None = None) -> None:
        self.app = cast(Recorder, app or Recorder())
        self.clock = ManualClock()
        self.loop = Turns()
        server = Server(self.app, self.clock, bounds)
        self.hub = server.hub(cast(asyncio.AbstractEventLoop, self.loop))

    def connect(self) -> Client:
        return Client(self)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.hub.sweep()


class Client:
    """One connection to a `Memory`."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.transport = MemoryTransport()
        self.connection = self.transport.protocol = Connection(memory.hub)
        self.connection.connection_made(self.transport)

    def feed(self, *pieces: bytes) -> Client:
        """Send; a piece waits while the server does not read."""
        for piece in pieces:
            self.memory.loop.run()
            if self.is_open():
                self.connection.data_received(piece)
        self.memory.loop.run()
        return self

    def leave(self) -> None:
        self.transport.closing = True
        self.connection.connection_lost(None)

    def is_open(self) -> bool:
        """The server would take another request."""
        return not (self.transport.closing or self.transport.ended)

    @property
    def statuses(self) -> list[int]:
        return [status for status, _, _ in read_answers(self.transport.output)]


def read_answers(
    data: bytes, bodyless: frozenset[int] = frozenset({100, 204, 304})
) -> list[tuple[int, dict[str, str], bytes]]:
    """Return the answers in `data`; each must have exactly the framing it announces."""
    answers = []
    while data:
        head, found, data = data.partition(b"\r\n\r\n")
        assert found, head
        first, *lines = head.decode("latin-1").split("\r\n")
        assert first.startswith("HTTP/1.1 ")
        headers = dict(line.split(": ", 1) for line in lines)
        status = int(first.split(" ")[1])
        length = 0 if status in bodyless else int(headers["content-length"])
        assert len(data) >= length
        answers.append((status, headers, data[:length]))
        data = data[length:]
    return answers


class Running:
    """A server on a loopback socket."""

    def __init__(self, server: Server, app: Recorder, clock: ManualClock, port: int) -> None:
        self.server, self.app, self.clock, self.port = server, app, clock, port
        self.faults: list[Exception] = []

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, data: bytes) -> bytes:
        """Send `data` and return everything until the server closes."""
        reader, writer = await self.connect()
        writer.write(data)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return answer

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.server.sweep()


@contextlib.asynccontextmanager
async def running(bounds: Bounds | None = None) -> AsyncIterator[Running]:
    """Run a server with a clock that stands still."""
    app, clock = Recorder(), ManualClock()
    listener = socket.create_server(("127.0.0.1", 0))
    faults: list[Exception] = []
    server = Server(app, clock, bounds, on_error=faults.append)
    await server.start([listener])
    run = Running(server, app, clock, listener.getsockname()[1])
    run.faults = faults
    try:
        yield run
    finally:
        await server.stop(0)


def finish(main: Coroutine[Any, Any, None]) -> None:
    """Run this to its end, which has to come."""
    asyncio.run(asyncio.wait_for(main, 60))


async def until(holds: Callable[[], object]) -> None:
    """Let the event loop turn until `holds()`."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0)
