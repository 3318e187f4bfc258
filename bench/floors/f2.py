"""F2: what durability costs at the least. An order and its job into SQLite, nothing else.

One asyncio process; whatever one turn of the loop read is one transaction, synced before anybody
is answered (WAL, synchronous=FULL). Nobody consumes the jobs. `--drain N` instead measures the
consumer alone, on N jobs that wait already: claim a batch, read each order, store each result,
delete the jobs, one commit.

    python -m bench.floors.f2 --port 8101 --data DIR
    python -m bench.floors.f2 --data DIR --drain 20000
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from pathlib import Path

import apsw
import msgspec

from bench.floors.http import HEAD_201, Connection, serve

CLAIM = 64
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE orders (customer TEXT, id TEXT, body BLOB, PRIMARY KEY (customer, id)) WITHOUT ROWID;
CREATE TABLE jobs (id INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE results (id TEXT PRIMARY KEY, body BLOB) WITHOUT ROWID;
"""
PUT_ORDER = "INSERT INTO orders VALUES (?, ?, ?)"
SEND_JOB = "INSERT INTO jobs (body) VALUES (?)"


class Line(msgspec.Struct):
    sku: str
    quantity: int


class NewOrder(msgspec.Struct):
    lines: list[Line]


class Order(msgspec.Struct):
    customer_id: str
    order_id: str
    lines: list[Line]
    status: str


class Job(msgspec.Struct):
    customer_id: str
    order_id: str


def open_store(folder: Path) -> apsw.Connection:
    store = apsw.Connection(str(folder / "floor.db"))
    store.execute(SCHEMA).fetchall()  # to the end: rows of a PRAGMA would stop it
    assert store.pragma("synchronous") == 2, "the floor must sync every commit"
    return store


class Shop:
    """Takes orders; a turn of the loop is a group."""

    def __init__(self, store: apsw.Connection) -> None:
        self._store = store
        self._decode = msgspec.json.Decoder(NewOrder).decode
        self._encode = msgspec.json.Encoder().encode
        self._orders: list[tuple[str, str, bytes]] = []
        self._jobs: list[tuple[bytes]] = []
        self._waiting: list[Connection] = []

    def handle(self, connection: Connection, body: bytes) -> None:
        new = self._decode(body)
        order = Order("alice", os.urandom(16).hex(), new.lines, "open")
        job = Job(order.customer_id, order.order_id)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._commit)
        self._orders.append((order.customer_id, order.order_id, self._encode(order)))
        self._jobs.append((self._encode(job),))
        self._waiting.append(connection)

    def _commit(self) -> None:
        self._store.execute("BEGIN IMMEDIATE")
        self._store.executemany(PUT_ORDER, self._orders)
        self._store.executemany(SEND_JOB, self._jobs)
        self._store.execute("COMMIT")
        for connection, order in zip(self._waiting, self._orders, strict=True):
            connection.reply(HEAD_201, order[2])
        self._orders.clear()
        self._jobs.clear()
        self._waiting.clear()


def fill(store: apsw.Connection, jobs: int) -> None:
    encode = msgspec.json.Encoder().encode
    store.execute("BEGIN IMMEDIATE")
    for _ in range(jobs):
        order = Order("alice", os.urandom(16).hex(), [Line("tea", 2)], "open")
        store.execute(PUT_ORDER, (order.customer_id, order.order_id, encode(order)))
        store.execute(SEND_JOB, (encode(Job(order.customer_id, order.order_id)),))
    store.execute("COMMIT")


def bytes_of(value: apsw.SQLiteValue) -> bytes:
    assert isinstance(value, bytes)
    return value


def drain(store: apsw.Connection) -> float:
    """Consume every job that waits; jobs per second."""
    decode_job = msgspec.json.Decoder(Job).decode
    decode_order = msgspec.json.Decoder(Order).decode
    encode = msgspec.json.Encoder().encode
    done = 0
    begun = time.perf_counter()
    while True:
        store.execute("BEGIN IMMEDIATE")
        batch = store.execute("SELECT id, body FROM jobs ORDER BY id LIMIT ?", (CLAIM,)).fetchall()
        for row, body in batch:
            job = decode_job(bytes_of(body))
            key = (job.customer_id, job.order_id)
            found = store.execute("SELECT body FROM orders WHERE customer = ? AND id = ?", key)
            result = encode(decode_order(bytes_of(found.fetchall()[0][0])))
            store.execute("INSERT INTO results VALUES (?, ?)", (job.order_id, result))
            store.execute("DELETE FROM jobs WHERE id = ?", (row,))
        store.execute("COMMIT")
        if not batch:
            return done / (time.perf_counter() - begun)
        done += len(batch)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--drain", type=int, default=0, metavar="N")
    asked = parser.parse_args()
    store = open_store(asked.data)
    if asked.drain:
        fill(store, asked.drain)
        print(drain(store))
    else:
        serve(asked.port, Shop(store).handle)


if __name__ == "__main__":
    main()
