"""The soak's shop: that of the bench, with an expiry for all that it stores."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from bench.apps.orders import Job, Line, NewOrder
from wherry import App, Caller, Struct, log, new_id, now

KEPT = timedelta(seconds=int(os.environ.get("SOAK_KEPT_S", "60")))


class Order(Struct):
    customer_id: str
    order_id: str
    lines: list[Line]
    status: str
    until: datetime


class Result(Struct):
    order_id: str
    lines: int
    until: datetime


app = App("bench-soak")
customers = app.auth("customers", roles=["customer"])
orders = app.table(
    Order,
    key="customer_id",
    sort="order_id",
    indexes={"by_status": ("status", "order_id")},
    expires="until",
)
results = app.table(Result, key="order_id", expires="until")
jobs = app.queue(Job, max_attempts=3)


@app.post("/orders", auth=customers, status=201, grants=[orders.write, jobs.send])
def create_order(new: NewOrder, caller: Caller) -> Order:
    order = Order(caller.subject, new_id(), new.lines, "open", now() + KEPT)
    orders.put(order, if_absent=True)
    jobs.send(Job(customer_id=order.customer_id, order_id=order.order_id))
    return order


@app.consume(jobs, grants=[orders.read, results.write])
def work(job: Job) -> None:
    order = orders.get(job.customer_id, job.order_id)
    results.put(Result(job.order_id, len(order.lines) if order else 0, now() + KEPT))
    log.info("job done")
