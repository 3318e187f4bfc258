"""The app that is simulated: every effect leaves a trace that counts how often it happened."""

from __future__ import annotations

from wherry import App, DoNotRetry, Firing, Struct, current, publish

app = App("simulated")


class Order(Struct):
    """`kind` says what follows it: a job that is plain, flaky (fails twice), poison or hopeless;
    a step of a group that keeps its order; an event with two listeners.
    """

    order_id: str
    kind: str = "plain"
    delay_s: float = 0.0


class Job(Struct):
    order_id: str
    kind: str


class Step(Struct):
    """The `number`-th step of its group."""

    order_id: str
    group: str
    number: int


@app.event("simulated.placed", version=1)
class Placed(Struct):
    order_id: str


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
steps = app.queue(
    Step, max_attempts=50, retry_base_s=0.2, retry_max_s=1.0, fifo=True, group=lambda one: one.group
)
FLAKY_ATTEMPTS = 2
GROUPS = 3


@app.post(
    "/orders",
    status=201,
    grants=[
        orders.write,
        jobs.send,
        steps.send,
        tallies.read,
        tallies.write,
        publish[Placed],
    ],
)
def place(order: Order) -> Order:
    orders.put(order, if_absent=True)
    tallies.add("placed", count=1)
    if order.kind == "event":
        publish(Placed(order.order_id))
    elif order.kind == "step":
        group = f"group-{sum(order.order_id.encode()) % GROUPS}"
        sent = tallies.get(group) or Tally(group)
        sent.count += 1
        tallies.put(sent)
        steps.send(Step(order.order_id, group, sent.count))
    else:
        jobs.send(Job(order.order_id, order.kind), delay_s=order.delay_s)
    return order


@app.consume(steps, concurrency=4, grants=[effects.write, tallies.read, tallies.write])
def step(told: Step) -> None:
    """Steps of a group come in the order of their commits: each follows the one before it."""
    done = tallies.get(f"{told.group}-done") or Tally(f"{told.group}-done")
    if told.number != done.count + 1:
        tallies.add("disorder", count=1)
    done.count = told.number
    tallies.put(done)
    effects.add(told.order_id, runs=1)
    if told.number % 5 == 0 and current().attempt == 1:
        raise RuntimeError("it fails at first")


@app.on(Placed, max_attempts=100, retry_max_s=1.0, grants=[effects.write])
def listen(event: Placed) -> None:
    effects.add(f"{event.order_id}/listen", runs=1)


@app.on(Placed, max_attempts=100, retry_max_s=1.0, grants=[effects.write])
def listen_too(event: Placed) -> None:
    effects.add(f"{event.order_id}/listen_too", runs=1)


@app.schedule("rate(1 minute)", name="each-minute", max_attempts=100, grants=[effects.write])
def tick(firing: Firing) -> None:
    effects.add(f"tick/{firing.at.isoformat()}", runs=1)


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
