"""The oracle: a client in a process of its own that writes down what it did before it believes it.

    python oracle.py PORT LEDGER SEED CLIENTS

Each client places orders, one after another. An order is `asked` (synced) before it is sent. 201
is `ok`. An answer that says that nothing was applied is `failed`: now and then that is all, else
it is tried again, as is everything whose fate is unknown: with the same Idempotency-Key, until it
is known. On SIGTERM it begins nothing new, settles what is open, writes `end`, and exits.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import sys
import threading
import time

GIVE_UP_S = 60.0


class Ledger:
    """Lines in a file, each synced before the call returns."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._lock = threading.Lock()

    def write(self, word: str, order_id: str) -> None:
        with self._lock:
            os.write(self._fd, f"{word} {order_id}\n".encode())
            os.fsync(self._fd)


class Client(threading.Thread):
    """Places orders one after another."""

    def __init__(self, port: int, ledger: Ledger, name: str, seed: int) -> None:
        super().__init__()
        self._port = port
        self._ledger = ledger
        self._prefix = name
        self._chance = random.Random(seed)
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        number = 0
        while not stopping.is_set():
            self._place(f"{self._prefix}-{number}")
            number += 1

    def _place(self, order_id: str) -> None:
        may_give_up = self._chance.random() < 0.5
        work_s = 0.02 if self._chance.random() < 0.1 else 0.0
        body = json.dumps({"order_id": order_id, "work_s": work_s}).encode()
        headers = {"content-type": "application/json", "idempotency-key": order_id}
        self._ledger.write("asked", order_id)
        unknown = False
        give_up_s = time.monotonic() + GIVE_UP_S
        while time.monotonic() < give_up_s:
            status = self._send(body, headers)
            if status == 201:
                self._ledger.write("ok", order_id)
                return
            if status == 0:  # it may have been applied, or not: only asking again tells
                unknown = True
            elif status in (500, 502, 503, 507) and not unknown and may_give_up:
                self._ledger.write("failed", order_id)
                return
            elif status not in (500, 502, 503, 504, 507):
                self._ledger.write(f"odd-{status}", order_id)
                return
            time.sleep(0.005)
        self._ledger.write("unknown", order_id)

    def _send(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
            self._connection.request("POST", "/orders", body, headers)
            reply = self._connection.getresponse()
            reply.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0
        return reply.status


stopping = threading.Event()


def main(port: int, path: str, seed: int, clients: int) -> None:
    signal.signal(signal.SIGTERM, lambda number, stack: stopping.set())
    ledger = Ledger(path)
    threads = [Client(port, ledger, f"o{seed}-{one}", seed + one) for one in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.write("end", "-")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
