"""A peer: what a small team would write today with packages that pip alone can run.

FastAPI on uvicorn, SQLAlchemy on SQLite (WAL, synchronous=FULL) for the order, Huey on SQLite
(synced) for the job. It is spared the token check. It also promises less: the order and its job
are two commits in two files, so that a crash between them loses the job, and Huey takes a message
away before its job has run.

    PEER_DATA=DIR uvicorn bench.peers.shop:app
    PEER_DATA=DIR huey_consumer bench.peers.shop.huey -k process -w 4 -d 0.005 -m 0.005
"""

# mypy: ignore-errors
# (its packages are not among the project's; a check must not need them)

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

from fastapi import FastAPI
from huey import SqliteHuey
from pydantic import BaseModel, Field
from sqlalchemy import create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

DATA = Path(os.environ["PEER_DATA"])
engine = create_engine(f"sqlite:///{DATA / 'orders.db'}", connect_args={"timeout": 30})
huey = SqliteHuey(filename=str(DATA / "huey.db"), fsync=True, timeout=30, results=False)
app = FastAPI()


@event.listens_for(engine, "connect")
def durable(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


class Row(DeclarativeBase):
    pass


class OrderRow(Row):
    __tablename__ = "orders"
    customer_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]


class ResultRow(Row):
    __tablename__ = "results"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    lines: Mapped[int]
    waited_us: Mapped[int]


class Line(BaseModel):
    sku: str
    quantity: Annotated[int, Field(ge=1, le=100)]


class NewOrder(BaseModel):
    lines: Annotated[list[Line], Field(min_length=1, max_length=50)]


class Order(NewOrder):
    customer_id: str
    order_id: str
    status: str


class Ping(BaseModel):
    text: str
    number: int


Row.metadata.create_all(engine)


@app.post("/trivial")
async def trivial(ping: Ping) -> Ping:
    return Ping(text=ping.text, number=ping.number + 1)


@app.post("/orders", status_code=201)
def create_order(new: NewOrder) -> Order:
    order = Order(customer_id="alice", order_id=uuid4().hex, lines=new.lines, status="open")
    with Session(engine) as session:
        body = order.model_dump_json()
        session.add(OrderRow(customer_id="alice", order_id=order.order_id, body=body))
        session.commit()
    work(order.customer_id, order.order_id, time.monotonic_ns())
    return order


@huey.task()
def work(customer_id: str, order_id: str, sent_ns: int) -> None:
    waited_us = (time.monotonic_ns() - sent_ns) // 1000
    with Session(engine) as session:
        row = session.get(OrderRow, (customer_id, order_id))
        lines = len(Order.model_validate_json(row.body).lines) if row else 0
        session.add(ResultRow(order_id=order_id, lines=lines, waited_us=waited_us))
        session.commit()
