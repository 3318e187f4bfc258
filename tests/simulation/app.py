"""The app that is simulated: every effect leaves a trace that counts how often it happened."""

from __future__ import annotations

from typing import Any

from wherry import App, DoNotRetry, Firing, NotFound, ObjectCreated, Struct, current, publish

app = App("simulated")


class Order(Struct):
    """`kind` says what follows it: a job that is plain, flaky (fails twice), poison or hopeless;
    a step of a group that keeps its order; an event with two listeners; a picture, an object that
    somebody looks at; a workflow that succeeds, or one that is compensated and fails.
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


class Parcel(Struct):
    """What the states of a workflow hand on."""

    order_id: str
    kind: str


def _task(function: str, *retries: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A state that calls a function, again and again if faults are what fails it."""
    again = {"ErrorEquals": ["States.ALL"], "MaxAttempts": 1_000, "BackoffRate": 1.0}
    return {"Type": "Task", "Resource": function, "Retry": [*retries, again], **more}


def _branch(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": state["Resource"], "States": {state["Resource"]: state}}


PROCESS: dict[str, Any] = {
    "StartAt": "Reserve",
    "States": {
        "Reserve": _task("reserve", ResultPath=None, Next="Both"),
        "Both": {
            "Type": "Parallel",
            "Branches": [
                _branch(_task("pack", End=True)),
                _branch(_task("bill", {"ErrorEquals": ["Declined"], "MaxAttempts": 2}, End=True)),
            ],
            "Catch": [{"ErrorEquals": ["Declined"], "ResultPath": "$.error", "Next": "Release"}],
            "ResultPath": None,
            "Next": "Rest",
        },
        "Rest": {"Type": "Wait", "Seconds": 3, "Next": "Ship"},
        "Ship": _task("ship", End=True),
        "Release": _task("release", ResultPath=None, Next="Refused"),
        "Refused": {"Type": "Fail", "Error": "Refused"},
    },
}
process = app.workflow("process", definition=PROCESS, input=Parcel)
SHIPPED = ("reserve", "pack", "bill", "ship")
orders = app.table(Order, key="order_id")
effects = app.table(Effect, key="order_id")
tallies = app.table(Tally, key="name")
jobs = app.queue(Job, max_attempts=4, retry_base_s=0.2, retry_max_s=2.0)
steps = app.queue(
    Step, max_attempts=50, retry_base_s=0.2, retry_max_s=1.0, fifo=True, group=lambda one: one.group
)
pictures = app.bucket("pictures")
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
        process.start,
        pictures.create,
    ],
)
def place(order: Order) -> Order:
    orders.put(order, if_absent=True)
    tallies.add("placed", count=1)
    if order.kind == "event":
        publish(Placed(order.order_id))
    elif order.kind == "picture":
        pictures.put(order.order_id, picture_of(order.order_id))
    elif order.kind in ("shipped", "declined"):
        process.start(Parcel(order.order_id, order.kind), name=order.order_id)
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


def picture_of(order_id: str) -> bytes:
    """What an order's picture holds."""
    return order_id.encode() * 100


@pictures.on_created(
    max_attempts=100, retry_max_s=1.0, grants=[pictures.read, effects.read, effects.write]
)
def look(created: ObjectCreated) -> None:
    found = pictures.get(created.key)
    if found is not None and found.read() == picture_of(created.key):
        effects.add(f"{created.key}/look", runs=1)


@app.on(Placed, max_attempts=100, retry_max_s=1.0, grants=[effects.write])
def listen(event: Placed) -> None:
    effects.add(f"{event.order_id}/listen", runs=1)


@app.on(Placed, max_attempts=100, retry_max_s=1.0, grants=[effects.write])
def listen_too(event: Placed) -> None:
    effects.add(f"{event.order_id}/listen_too", runs=1)


class Declined(Exception):
    """The bank says no."""


@app.task(grants=[effects.write])
def reserve(parcel: Parcel) -> str:
    effects.add(f"{parcel.order_id}/reserve", runs=1)
    return parcel.order_id


@app.task(grants=[effects.write])
def pack(parcel: Parcel) -> None:
    effects.add(f"{parcel.order_id}/pack", runs=1)


@app.task(grants=[effects.write])
def bill(parcel: Parcel) -> None:
    effects.add(f"{parcel.order_id}/bill", runs=1)
    if parcel.kind == "declined":
        raise Declined("no money")


@app.task(grants=[effects.write])
def ship(parcel: Parcel) -> None:
    effects.add(f"{parcel.order_id}/ship", runs=1)


@app.task(grants=[effects.write])
def release(parcel: Parcel) -> None:
    effects.add(f"{parcel.order_id}/release", runs=1)


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


@app.get("/orders/{order_id}", grants=[orders.read])
def look_up(order_id: str) -> Order:
    order = orders.get(order_id)
    if order is None:
        raise NotFound("order", order_id)
    return order


@app.get("/tallies/{name}", grants=[tallies.read])
def count(name: str) -> int:
    found = tallies.get(name)
    return found.count if found else 0


@app.post("/bump/{name}", grants=[tallies.read, tallies.write])
def bump(name: str) -> int:
    """Read, and write what was read plus one: only right if nobody wrote in between."""
    tally = tallies.get(name) or Tally(name)
    tally.count += 1
    tallies.put(tally)
    return tally.count
