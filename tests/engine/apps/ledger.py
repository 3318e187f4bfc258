"""Orders and their jobs, counted on both sides: what the oracle holds against its ledger."""

import time

from wherry import App, DoNotRetry, NotFound, Struct, current

app = App("ledger")


class Order(Struct):
    order_id: str
    work_s: float = 0.0


class Job(Struct):
    order_id: str
    work_s: float = 0.0


class Done(Struct):
    order_id: str
    runs: int = 0


class Total(Struct):
    name: str
    placed: int = 0
    done: int = 0


class Task(Struct):
    """What `tasks` is told to do: fail so often, or for good, or as long as a file is missing."""

    name: str
    failures: int = 0
    for_good: bool = False
    until: str = ""
    work_s: float = 0.0


orders = app.table(Order, key="order_id")
dones = app.table(Done, key="order_id")
totals = app.table(Total, key="name")
jobs = app.queue(Job, max_attempts=100, retry_base_s=0.05, retry_max_s=0.2)
tasks = app.queue(Task, max_attempts=3, retry_base_s=0.05, retry_max_s=0.2)


@app.post("/orders", status=201, grants=[orders.write, totals.write, jobs.send])
def place(order: Order) -> Order:
    time.sleep(order.work_s)
    orders.put(order, if_absent=True)
    totals.add("all", placed=1)
    jobs.send(Job(order.order_id, order.work_s))
    return order


@app.consume(jobs, grants=[dones.write, totals.write])
def work(job: Job) -> None:
    time.sleep(job.work_s)
    dones.add(job.order_id, runs=1)
    totals.add("all", done=1)


@app.get("/orders/{order_id}", grants=[orders.read, dones.read])
def look(order_id: str) -> int:
    """How often its job had its effect."""
    if orders.get(order_id) is None:
        raise NotFound("order", order_id)
    done = dones.get(order_id)
    return done.runs if done else 0


@app.get("/total", grants=[totals.read])
def total() -> Total:
    return totals.get("all") or Total("all")


class Send(Struct):
    tasks: list[Task]
    delay_s: float = 0.0


@app.post("/tasks", grants=[tasks.send])
def send(asked: Send) -> list[str]:
    return tasks.send.many(asked.tasks, delay_s=asked.delay_s)


@app.consume(tasks, timeout_s=1, concurrency=4, grants=[dones.write])
def task(told: Task) -> None:
    import os

    dones.add(told.name, runs=1)
    time.sleep(told.work_s)
    if told.for_good:
        raise DoNotRetry(f"{told.name} can never be done")
    if current().attempt <= told.failures or (told.until and not os.path.exists(told.until)):
        raise RuntimeError(f"{told.name} cannot be done now")


@app.get("/dones/{name}", grants=[dones.read])
def done(name: str) -> Done:
    return dones.get(name) or Done(name)


@app.post("/waits", status=201)
def waits(order: Order) -> int:
    import os

    time.sleep(order.work_s)
    return os.getpid()
