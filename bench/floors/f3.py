"""F3: what the layout costs at the least: front, store process, isolated workers; nothing else.

What wherry's design asks for and no more: an order is worked out by a forked worker that holds one
at a time, committed by a store process (one transaction for all that has come, one sync) with its
job, and answered; the job is handed to another worker, which reads the order by way of front and
store, and its result is committed with its end. No token, limit, grant, deadline, log or record
for anybody to look at; nothing survives a fault. Whoever has this layout cannot be faster.

    python -m bench.floors.f3 --port 8102 --data DIR [--workers 2] [--consumers 14]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import msgspec

from bench.floors.f1 import MESSAGE_BYTES
from bench.floors.f2 import Job, NewOrder, Order, open_store
from bench.floors.http import HEAD_201, Connection, serve

OPEN = 48  # orders whose jobs are not done; what comes beyond waits, so that jobs keep up
BUFFER_BYTES = 1 << 20

_length = struct.Struct(">I")
_packed = msgspec.msgpack.Encoder().encode
_unpacked = msgspec.msgpack.Decoder().decode

Worker = Callable[[socket.socket], None]


class Result(msgspec.Struct):
    order_id: str
    lines: int


# --- the processes ------------------------------------------------------------------------------


def work_orders(pipe: socket.socket) -> None:
    """One request's body in; out what to answer and store, and the job."""
    decode = msgspec.json.Decoder(NewOrder).decode
    encode = msgspec.json.Encoder().encode
    while body := pipe.recv(MESSAGE_BYTES):
        order = Order("alice", os.urandom(16).hex(), decode(body).lines, "open")
        job = Job(order.customer_id, order.order_id)
        pipe.send(_packed((order.customer_id, order.order_id, encode(order), encode(job))))


def work_jobs(pipe: socket.socket) -> None:
    """One job in; out a question for its order, and then what to store."""
    decode_job = msgspec.json.Decoder(Job).decode
    decode_order = msgspec.json.Decoder(Order).decode
    encode = msgspec.json.Encoder().encode
    while body := pipe.recv(MESSAGE_BYTES):
        job = decode_job(body)
        pipe.send(_packed((job.customer_id, job.order_id)))
        order = decode_order(pipe.recv(MESSAGE_BYTES))
        pipe.send(_packed((job.order_id, encode(Result(job.order_id, len(order.lines))), b"")))


def keep(pipe: socket.socket, store: apsw.Connection) -> None:
    """Answer questions at once, and all that is to be stored in one transaction."""
    held = b""
    jobs = 0
    while piece := pipe.recv(BUFFER_BYTES):
        held += piece
        frames, held = cut(held)
        asked = [frame for frame in frames if frame[1] == "read"]
        answers = []
        for number, _, customer, order in asked:
            key = (customer, order)
            found = store.execute("SELECT body FROM orders WHERE customer = ? AND id = ?", key)
            answers.append(framed((number, found.fetchall()[0][0])))
        if answers:
            pipe.sendall(b"".join(answers))
        if len(asked) == len(frames):
            continue
        answers = []
        store.execute("BEGIN IMMEDIATE")
        for number, what, *values in frames:
            if what == "order":
                *order_row, job_body = values
                jobs += 1
                store.execute("INSERT INTO orders VALUES (?, ?, ?)", order_row)
                store.execute("INSERT INTO jobs VALUES (?, ?)", (jobs, job_body))
                answers.append(framed((number, jobs)))
            elif what == "done":
                job, *result = values
                store.execute("INSERT INTO results VALUES (?, ?)", result)
                store.execute("DELETE FROM jobs WHERE id = ?", (job,))
                answers.append(framed((number, job)))
        store.execute("COMMIT")
        pipe.sendall(b"".join(answers))


def framed(message: tuple[Any, ...]) -> bytes:
    payload = _packed(message)
    return _length.pack(len(payload)) + payload


def cut(data: bytes) -> tuple[list[Any], bytes]:
    """Return the whole frames, and what is left."""
    found, start = [], 0
    while start + 4 <= len(data):
        end = start + 4 + _length.unpack_from(data, start)[0]
        if end > len(data):
            break
        found.append(_unpacked(data[start + 4 : end]))
        start = end
    return found, data[start:]


def fork(work: Worker, kind: socket.SocketKind) -> socket.socket:
    """Fork a process and return the front's end of its pipe."""
    front, back = socket.socketpair(socket.AF_UNIX, kind)
    for end in (front, back):
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            end.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    if os.fork() == 0:
        front.close()
        with suppress(OSError, msgspec.DecodeError):  # the front has ended
            work(back)
        os._exit(0)
    back.close()
    front.setblocking(False)
    return front


# --- the front ----------------------------------------------------------------------------------


class Front:
    """Hands over what comes, one thing at a time to each worker."""

    def __init__(
        self, store: socket.socket, workers: list[socket.socket], consumers: list[socket.socket]
    ) -> None:
        self._store = store
        self._workers = deque(workers)
        self._consumers = deque(consumers)
        self._waiting: deque[tuple[Connection, bytes]] = deque()
        self._serving: dict[socket.socket, Connection] = {}
        self._jobs: deque[tuple[int, bytes]] = deque()
        self._doing: dict[socket.socket, int] = {}
        self._open = 0
        self._number = 0
        self._then: dict[int, Callable[[Any], object]] = {}
        self._out: list[bytes] = []
        self._held = b""
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle(self, connection: Connection, body: bytes) -> None:
        if self._loop is None:
            self._watch()
        self._waiting.append((connection, body))
        self._go_on()

    def _watch(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        for pipe in self._workers:
            loop.add_reader(pipe, self._worked_out, pipe)
        for pipe in self._consumers:
            loop.add_reader(pipe, self._said, pipe)
        loop.add_reader(self._store, self._stored)

    def _go_on(self) -> None:
        while self._waiting and self._workers and self._open < OPEN:
            self._open += 1
            pipe, (connection, body) = self._workers.popleft(), self._waiting.popleft()
            self._serving[pipe] = connection
            pipe.send(body)
        while self._jobs and self._consumers:
            pipe, (job, body) = self._consumers.popleft(), self._jobs.popleft()
            self._doing[pipe] = job
            pipe.send(body)

    def _worked_out(self, pipe: socket.socket) -> None:
        customer, order, body, job_body = _unpacked(pipe.recv(MESSAGE_BYTES))
        connection = self._serving.pop(pipe)
        self._workers.append(pipe)
        self._go_on()

        def stored(job: int) -> None:
            connection.reply(HEAD_201, body)
            self._jobs.append((job, job_body))
            self._go_on()

        self._ask(stored, "order", customer, order, body, job_body)

    def _said(self, pipe: socket.socket) -> None:
        said = _unpacked(pipe.recv(MESSAGE_BYTES))
        if len(said) == 2:
            self._ask(pipe.send, "read", *said)
            return
        job = self._doing.pop(pipe)
        self._consumers.append(pipe)
        self._go_on()
        self._ask(self._done, "done", job, *said[:2])

    def _done(self, _job: int) -> None:
        self._open -= 1
        self._go_on()

    def _ask(self, then: Callable[[Any], object], *message: object) -> None:
        self._number += 1
        self._then[self._number] = then
        if not self._out:
            assert self._loop is not None
            self._loop.call_soon(self._send)
        self._out.append(framed((self._number, *message)))

    def _send(self) -> None:
        data = b"".join(self._out)
        self._out.clear()
        if self._store.send(data) != len(data):
            raise RuntimeError("the store is too slow for this front")

    def _stored(self) -> None:
        frames, self._held = cut(self._held + self._store.recv(BUFFER_BYTES))
        for number, answer in frames:
            self._then.pop(number)(answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--consumers", type=int, default=14)
    asked = parser.parse_args()

    def store(pipe: socket.socket) -> None:
        keep(pipe, open_store(asked.data))

    kept = fork(store, socket.SOCK_STREAM)
    workers = [fork(work_orders, socket.SOCK_SEQPACKET) for _ in range(asked.workers)]
    consumers = [fork(work_jobs, socket.SOCK_SEQPACKET) for _ in range(asked.consumers)]
    serve(asked.port, Front(kept, workers, consumers).handle)


if __name__ == "__main__":
    main()
