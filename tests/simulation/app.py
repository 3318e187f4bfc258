"""The app that is simulated: every effect leaves a trace that counts how often it happened."""

from __future__ import annotations

from wherry import App, DoNotRetry, Struct, current

app = App("simulated")


class Order(Struct):
    """`kind` says how its job goes: plain, flaky (fails twice), poison, hopeless."""

    order_id: str
    kind: str = "plain"
    delay_s: float = 0.0


class Job(Struct):
    order_id: str
    kind: str


class Effect(Struct):
    order_id: str
    runs: int = 0


class Tally(Struct):
    name: str
    count: int = 0


orders = app.table(Order, key="order_id")
effects = app.table(Effect, key="order_id")
tallies = app.table(Tally, key="name")
jobs = app.queue(Job, max_attempts=4, retry_base_s=0.2, retry_max_s=2.0)
FLAKY_ATTEMPTS = 2


@app.post("/orders", status=201, grants=[orders.write, jobs.send, tallies.write])
def place(order: Order) -> Order:
    orders.put(order, if_absent=True)
    tallies.add("placed", count=1)
    jobs.send(Job(order.order_id, order.kind), delay_s=order.delay_s)
    return order


@app.consume(jobs, concurrency=4, grants=[effects.write, tallies.write])
def work(job: Job) -> None:
    effects.add(job.order_id, runs=1)
    tallies.add("done", count=1)
    if job.kind == "poison":
        raise RuntimeError("it fails whenever it is tried")
    if job.kind == "hopeless":
        raise DoNotRetry("there is no use in trying again")
    if job.kind == "flaky" and current().attempt <= FLAKY_ATTEMPTS:
        raise RuntimeError("it fails at first")


@app.post("/bump/{name}", grants=[tallies.read, tallies.write])
def bump(name: str) -> int:
    """Read, and write what was read plus one: only right if nobody wrote in between."""
    tally = tallies.get(name) or Tally(name)
    tally.count += 1
    tallies.put(tally)
    return tally.count
