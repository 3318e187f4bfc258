"""A peer on Postgres: FastAPI on uvicorn, psycopg, and Procrastinate for the job.

It is spared the token check. It also promises less: the order and its job are two commits, so that
a crash between them loses the job.

    PEER_DSN=postgres://... uvicorn bench.peers.deferred:app
    PEER_DSN=postgres://... procrastinate --app bench.peers.deferred.queue worker --concurrency 8

`make` makes the tables.
"""

# mypy: ignore-errors
# (its packages are not among the project's; a check must not need them)

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import uuid4

import procrastinate
from fastapi import FastAPI
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field

DSN = os.environ["PEER_DSN"]
CONNECTIONS = 16
TABLES = (
    "CREATE TABLE orders (customer_id text, order_id text, body text,"
    " PRIMARY KEY (customer_id, order_id))",
    "CREATE TABLE results (order_id text PRIMARY KEY, lines integer)",
)
pool = AsyncConnectionPool(DSN, open=False, min_size=4, max_size=CONNECTIONS)
queue = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=DSN, min_size=4, max_size=CONNECTIONS)
)


@asynccontextmanager
async def connected(_: FastAPI) -> AsyncIterator[None]:
    async with pool, queue.open_async():
        yield


app = FastAPI(lifespan=connected)


class Line(BaseModel):
    sku: str
    quantity: Annotated[int, Field(ge=1, le=100)]


class NewOrder(BaseModel):
    lines: Annotated[list[Line], Field(min_length=1, max_length=50)]


class Order(NewOrder):
    customer_id: str
    order_id: str
    status: str


@app.post("/orders", status_code=201)
async def create_order(new: NewOrder) -> Order:
    order = Order(customer_id="alice", order_id=uuid4().hex, lines=new.lines, status="open")
    body = order.model_dump_json()
    async with pool.connection() as connection:
        await connection.execute(
            "INSERT INTO orders VALUES (%s, %s, %s)", (order.customer_id, order.order_id, body)
        )
    await work.defer_async(customer_id=order.customer_id, order_id=order.order_id)
    return order


@queue.task()
async def work(customer_id: str, order_id: str) -> None:
    await pool.open()  # once
    async with pool.connection() as connection:
        found = await connection.execute(
            "SELECT body FROM orders WHERE (customer_id, order_id) = (%s, %s)",
            (customer_id, order_id),
        )
        row = await found.fetchone()
        lines = len(Order.model_validate_json(row[0]).lines) if row else 0
        await connection.execute("INSERT INTO results VALUES (%s, %s)", (order_id, lines))


async def _make() -> None:
    async with queue.open_async():
        await queue.schema_manager.apply_schema_async()
    async with pool, pool.connection() as connection:
        for table in TABLES:
            await connection.execute(table)


def make() -> None:
    asyncio.run(_make())
