"""The load generator of our own: one process, asyncio, keep-alive connections.

Closed loop: each connection sends its next request when the last is answered. Open loop (with a
rate): request number i leaves at start + i / rate over whichever connection is free, and its
latency counts from that moment, so that a server which stalls cannot hide what had to wait.

    python -m bench.generator < plan.json
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections import deque

import httptools
import msgspec

from bench.load import Load, Plan, Request
from bench.stats import percentile

DRAIN_S = 10


def encode_request(request: Request) -> bytes:
    body = request.body.encode()
    fields = {"Host": f"127.0.0.1:{request.port}", **request.fields()}
    head = [f"POST {request.path} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields)]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


class Run:
    """A load while it runs: what was sent and when, what came back."""

    def __init__(self, plan: Plan) -> None:
        self.message = encode_request(plan.request)
        self.latencies_s: list[float] = []
        self.bad = 0
        self.first_bad = ""
        self.free: deque[Client] = deque()
        self.due: deque[float] = deque()
        self.open_loop = plan.rate_per_s > 0
        self.stopped = False

    def finished(self, client: Client, status: int, body: bytes, since: float) -> None:
        """An answer is here: count it, and give the connection its next request."""
        now = time.perf_counter()
        if 200 <= status < 300:
            self.latencies_s.append(now - since)
        else:
            self.failed(f"{status} {body[:300].decode(errors='replace')}")
        if self.due:
            client.send(self.due.popleft())
        elif self.open_loop or self.stopped:
            self.free.append(client)
        else:
            client.send(now)

    def failed(self, why: str) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or why

    def demand(self, at: float) -> None:
        """Open loop: a request is due at `at`."""
        if self.free:
            self.free.popleft().send(at)
        else:
            self.due.append(at)


class Client(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._parts: list[bytes] = []
        self._since = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer: socket.socket = transport.get_extra_info("socket")
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._parser = httptools.HttpResponseParser(self)

    def send(self, since: float) -> None:
        self._since = since
        self.busy = True
        self._transport.write(self._run.message)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._parts)
        self._parts.clear()
        self.busy = False
        self._run.finished(self, self._parser.get_status_code(), body, self._since)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self._run.failed(f"the connection was lost before the answer: {exc}")
            self.busy = False


async def connect(run: Run, plan: Plan) -> list[Client]:
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(plan.connections):
        _, client = await loop.create_connection(
            lambda: Client(run), "127.0.0.1", plan.request.port
        )
        clients.append(client)
    return clients


async def keep_rate(run: Run, plan: Plan, begun: float) -> None:
    for number in range(int(plan.rate_per_s * plan.seconds)):
        at = begun + number / plan.rate_per_s
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        run.demand(at)


async def run_plan(plan: Plan) -> Load:
    run = Run(plan)
    clients = await connect(run, plan)
    gc.collect()
    gc.freeze()
    begun = time.perf_counter()
    if run.open_loop:
        run.free.extend(clients)
        await keep_rate(run, plan, begun)
    else:
        for client in clients:
            client.send(time.perf_counter())
        await asyncio.sleep(plan.seconds)
    good = len(run.latencies_s)
    seconds = time.perf_counter() - begun
    run.stopped = True
    await drained(run, clients)
    waited_ms = [each * 1000 for each in run.latencies_s] or [0.0]
    return Load(
        generator="own",
        good=len(run.latencies_s) if run.open_loop else good,
        bad=run.bad,
        seconds=seconds,
        p50_ms=percentile(waited_ms, 50),
        p99_ms=percentile(waited_ms, 99),
        max_ms=max(waited_ms),
        first_bad=run.first_bad,
    )


async def drained(run: Run, clients: list[Client]) -> None:
    """Wait for the answers that are still out; those which never come are bad."""
    until = time.perf_counter() + DRAIN_S
    while any(client.busy for client in clients) and time.perf_counter() < until:
        await asyncio.sleep(0.01)
    for client in clients:
        if client.busy:
            client.busy = False
            run.failed(f"no answer within {DRAIN_S} s")


def main() -> None:
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(run_plan(plan))))


if __name__ == "__main__":
    main()
