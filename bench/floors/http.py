"""The least HTTP/1.1 that a keep-alive load generator needs: httptools under an asyncio Protocol.

The floors stand on it so that they carry nothing which a real server could do without: no routes,
no limits, no logs, no tokens, no time-outs. It is for measuring only.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable

import httptools

HEAD_200 = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
HEAD_201 = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Connection(asyncio.Protocol):
    """One client. `handle` is called with each whole request body and answers by `reply`."""

    def __init__(self, handle: Callable[[Connection, bytes], None]) -> None:
        self._handle = handle
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._parts)
        self._parts.clear()
        self._handle(self, body)

    def reply(self, head: bytes, body: bytes) -> None:
        self._transport.write(head % len(body) + body)


def serve(port: int, handle: Callable[[Connection, bytes], None]) -> None:
    """Serve on 127.0.0.1 until SIGTERM; prints `ready` once it listens."""
    asyncio.run(_serve(port, handle))


async def _serve(port: int, handle: Callable[[Connection, bytes], None]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(handle), "127.0.0.1", port, backlog=1024, reuse_address=True
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    gc.freeze()
    print("ready", flush=True)
    await stop.wait()
    server.close()
