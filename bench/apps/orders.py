"""The bench's shop: an order and its job in one commit; a job reads the order, stores a result."""

from __future__ import annotations

import time
from typing import Annotated

from msgspec import Meta

from wherry import App, Caller, Struct, log, new_id, now


class Line(Struct):
    sku: str
    quantity: Annotated[int, Meta(ge=1, le=100)]


class NewOrder(Struct):
    lines: Annotated[list[Line], Meta(min_length=1, max_length=50)]


class Order(Struct):
    customer_id: str
    order_id: str
    lines: list[Line]
    status: str
    created_at: int


class Job(Struct):
    customer_id: str
    order_id: str


class Result(Struct):
    order_id: str
    lines: int


class Timed(Struct):
    sent_ns: int


class Ping(Struct):
    text: str
    number: int


class Fill(Struct):
    jobs: int
    delay_s: float


class Done(Struct):
    jobs: int


app = App("bench-orders")
customers = app.auth("customers", roles=["customer"])
orders = app.table(Order, key="customer_id", sort="order_id")
results = app.table(Result, key="order_id")
jobs = app.queue(Job, max_attempts=3)
timed = app.queue(Timed, max_attempts=3)


@app.post("/orders", auth=customers, status=201, grants=[orders.write, jobs.send])
def create_order(new: NewOrder, caller: Caller) -> Order:
    order = Order(
        customer_id=caller.subject,
        order_id=new_id(),
        lines=new.lines,
        status="open",
        created_at=int(now().timestamp() * 1000),
    )
    orders.put(order, if_absent=True)
    jobs.send(Job(customer_id=order.customer_id, order_id=order.order_id))
    return order


@app.consume(jobs, grants=[orders.read, results.write])
def work(job: Job) -> None:
    order = orders.get(job.customer_id, job.order_id)
    results.put(Result(order_id=job.order_id, lines=len(order.lines) if order else 0))
    log.info("job done")


@app.post("/fill", grants=[jobs.send])
def fill(asked: Fill) -> Done:
    for _ in range(asked.jobs):
        jobs.send(Job(customer_id="alice", order_id=new_id()), delay_s=asked.delay_s)
    return Done(jobs=asked.jobs)


# The clock that never goes back is one for all processes of a machine, which `now()` is not:
# it stands still within an invocation.
@app.post("/timed", grants=[timed.send])
def send_timed(ping: Ping) -> Ping:
    timed.send(Timed(sent_ns=time.monotonic_ns()))
    return ping


@app.consume(timed)
def start_timed(job: Timed) -> None:
    log.info("job began", waited_us=(time.monotonic_ns() - job.sent_ns) // 1000)
