"""F1: what isolation costs at the least. An asyncio front, bare forked workers, nothing else.

Each worker is a process of its own and holds one request at a time; what comes meanwhile waits in
the front. Bodies are decoded and encoded in the worker, as a handler's are.

    python -m bench.floors.f1 --port 8100 [--workers 4]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
from collections import deque

import msgspec

from bench.floors.http import HEAD_200, Connection, serve

MESSAGE_BYTES = 65_536


class Ping(msgspec.Struct):
    text: str
    number: int


class Pong(msgspec.Struct):
    text: str
    number: int


def work(pipe: socket.socket) -> None:
    """A worker's life: one body in, one body out, until the front is gone."""
    decode = msgspec.json.Decoder(Ping).decode
    encode = msgspec.json.Encoder().encode
    while body := pipe.recv(MESSAGE_BYTES):
        ping = decode(body)
        pipe.send(encode(Pong(ping.text, ping.number + 1)))


def fork_worker() -> socket.socket:
    """Fork a worker and return the front's end of its pipe, which keeps message boundaries."""
    front, back = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        front.close()
        work(back)
        os._exit(0)
    back.close()
    front.setblocking(False)
    return front


class Front:
    def __init__(self, pipes: list[socket.socket]) -> None:
        self._free = deque(pipes)
        self._waiting: deque[tuple[Connection, bytes]] = deque()
        self._serving: dict[socket.socket, Connection] = {}
        self._watched = False

    def handle(self, connection: Connection, body: bytes) -> None:
        if not self._watched:
            self._watch()
        if self._free:
            self._give(self._free.popleft(), connection, body)
        else:
            self._waiting.append((connection, body))

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        for pipe in self._free:
            loop.add_reader(pipe, self._answered, pipe)
        self._watched = True

    def _give(self, pipe: socket.socket, connection: Connection, body: bytes) -> None:
        self._serving[pipe] = connection
        pipe.send(body)

    def _answered(self, pipe: socket.socket) -> None:
        answer = pipe.recv(MESSAGE_BYTES)
        connection = self._serving.pop(pipe)
        if self._waiting:
            self._give(pipe, *self._waiting.popleft())
        else:
            self._free.append(pipe)
        connection.reply(HEAD_200, answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=4)
    asked = parser.parse_args()
    pipes: list[socket.socket] = []
    for _ in range(asked.workers):
        pipes.append(fork_worker())
    serve(asked.port, Front(pipes).handle)


if __name__ == "__main__":
    main()
