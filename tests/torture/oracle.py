"""The oracle: clients in a process of their own that write down what they do and are told.

    python oracle.py PORT[,PORT...] LEDGER RUNS COLLECTOR_FD SEED CLIENTS PARCELS

Each client places orders, one after another, with an Idempotency-Key or without. An order is
`asked` (synced) before it is sent. 201 is `ok`. An answer that says that nothing was applied is
`failed`: now and then that is all, else it is tried again. What nobody answered is tried again
under the same key until it is known; without a key it stays `unknown`. On SIGTERM nothing new is
begun, what is open is settled, `end` is written. Every run of a job is heard of at the socket
COLLECTOR_FD, and written to RUNS as it comes. So many in a hundred orders more are PARCELS, which
put an object. Of several ports each try takes any, as through a
load balancer that does not look whether who is behind it is well.

Lines of the ledger: a word, the order's ID, the steady clock's ns, and what belongs to the word.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from contextlib import suppress

GIVE_UP_S = 60.0
PACE_S = 0.01
SHARES = {"plain": 50, "flaky": 10, "slow": 10, "delayed": 10, "poison": 8, "brittle": 12}
REFUSALS = (500, 502, 503, 504, 507)


class Ledger:
    """Lines in a file, each synced before the call returns."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def write(self, word: str, order_id: str, *more: object, synced: bool = True) -> None:
        line = " ".join(map(str, (word, order_id, time.monotonic_ns(), *more)))
        with self._lock:
            os.write(self._fd, f"{line}\n".encode())
        if synced:
            os.fsync(self._fd)


class Answer:
    """What a client was told; `status` 0: nothing."""

    def __init__(self, status: int = 0, code: str = "", traced: bool = True) -> None:
        self.status = status
        self.code = code
        self.traced = traced  # it has a correlation ID, and a code if it is a refusal

    @property
    def unknown(self) -> bool:
        """It may have been applied, or not."""
        return self.status == 0 or self.code == "fate_unknown"


class Client(threading.Thread):
    """Places orders one after another."""

    def __init__(self, ports: list[int], ledger: Ledger, name: str, seed: str) -> None:
        super().__init__()
        self._ports = ports
        self._ledger = ledger
        self._name = name
        self._chance = random.Random(seed)
        self._connections: dict[int, http.client.HTTPConnection] = {}

    def run(self) -> None:
        number = 0
        while not stopping.is_set():
            self._place(f"{self._name}-{number}")
            number += 1
            time.sleep(PACE_S * self._chance.random())

    def _place(self, order_id: str) -> None:
        [kind] = self._chance.choices([*SHARES], [*SHARES.values()])
        keyed = self._chance.random() < 0.7
        may_give_up = not keyed or self._chance.random() < 0.5
        body = json.dumps({"client": self._name, "order_id": order_id, "kind": kind}).encode()
        headers = {"content-type": "application/json"}
        if keyed:
            headers["idempotency-key"] = order_id
        self._ledger.write("asked", order_id, kind, int(keyed))
        unknown = False
        give_up_s = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up_s:
            sent_ns = time.monotonic_ns()
            answer = self._send(body, headers)
            if not answer.traced:
                self._ledger.write("untraced", order_id, answer.status)
            if answer.status == 201:
                self._ledger.write("ok", order_id, sent_ns)
                return
            self._ledger.write("heard", order_id, answer.status, answer.code, synced=False)
            if answer.status not in (0, *REFUSALS):
                self._ledger.write("odd", order_id, answer.status, answer.code)
                return
            unknown = unknown or answer.unknown
            if unknown and not keyed:
                break
            if not unknown and may_give_up:
                self._ledger.write("failed", order_id, answer.status, answer.code)
                return
            time.sleep(0.005)
        self._ledger.write("unknown", order_id)

    def _send(self, body: bytes, headers: dict[str, str]) -> Answer:
        port = self._ports[0] if len(self._ports) == 1 else self._chance.choice(self._ports)
        connection = self._connections.get(port)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            self._connections[port] = connection
        try:
            connection.request("POST", "/orders", body, headers)
            reply = connection.getresponse()
            content = reply.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            del self._connections[port]
            return Answer()
        traced = reply.getheader("x-correlation-id") is not None
        if reply.status < 400:
            return Answer(reply.status, "", traced)
        code = ""
        with suppress(ValueError, AttributeError):
            code = json.loads(content).get("code", "")
        return Answer(reply.status, code, traced and bool(code))


def collect(collector: socket.socket, path: str) -> None:
    """Write down what is heard of runs, for ever."""
    with open(path, "ab", buffering=0) as file:
        while True:
            file.write(collector.recv(256) + b"\n")


stopping = threading.Event()


def main(
    ports: list[int], path: str, runs: str, collector_fd: int, seed: str, clients: int, parcels: int
) -> None:
    signal.signal(signal.SIGTERM, lambda number, stack: stopping.set())
    collector = socket.socket(fileno=collector_fd)
    threading.Thread(target=collect, args=(collector, runs), daemon=True).start()
    ledger = Ledger(path)
    SHARES["parcel"] = parcels
    threads = [Client(ports, ledger, f"c{one}", f"{seed}/{one}") for one in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.write("end", "-")
    signal.pause()  # runs are heard of until nothing is left to run


if __name__ == "__main__":
    main(
        [int(port) for port in sys.argv[1].split(",")],
        sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5], int(sys.argv[6]),
        int(sys.argv[7]),
    )  # fmt: skip
