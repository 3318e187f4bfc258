"""Orders and their jobs, of five kinds, counted on both sides: what the oracle is held against."""

import socket
import time
from pathlib import Path

from shapes import (  # type: ignore[import-not-found]
    NEXT,
    UPGRADES,
    Job,
    Kind,
    Order,
    order_of,
)  # fmt: skip

from wherry import App, Struct, current

app = App("harbour")

TIGHT = ("poison", "brittle")  # jobs that have few attempts
COLLECTOR = Path(__file__).with_name("collector").read_text()  # the port that hears of each run
TAKES_S = {"slow": 0.3, "poison": 0.15}  # so long are they in hand when something happens
DELAY_S = 0.6


class NewOrder(Struct):
    client: str
    order_id: str
    kind: Kind


class Effect(Struct):
    client: str
    order_id: str
    runs: int = 0


class Total(Struct):
    name: str
    placed: int = 0
    done: int = 0


orders = app.table(Order, key="client", sort="order_id", upgrade=UPGRADES)
effects = app.table(Effect, key="client", sort="order_id")
totals = app.table(Total, key="name")
jobs = app.queue(Job, max_attempts=100, retry_base_s=0.05, retry_max_s=0.2)
labels = app.bucket("labels")
tight = app.queue(Job, name="tight", max_attempts=3, retry_base_s=0.05, retry_max_s=0.2)


class Audit(Struct):
    client: str
    order_id: str


audits = app.queue(Audit, max_attempts=100, retry_base_s=0.05, retry_max_s=0.2)
audited = app.table(Effect, name="audited", key="client", sort="order_id")
placing = [orders.write, totals.write, labels.write, jobs.send, tight.send]


def label_of(order_id: str) -> bytes:
    return order_id.encode() * 2_000


@app.post("/orders", status=201, grants=[*placing, audits.send] if NEXT else placing)
def place(order: NewOrder) -> Order:
    placed = order_of(order.client, order.order_id, order.kind)
    orders.put(placed, if_absent=True)
    if NEXT:
        audits.send(Audit(order.client, order.order_id))
    if order.kind == "parcel":
        labels.put(f"{order.client}/{order.order_id}", label_of(order.order_id))
    totals.add("all", placed=1)
    job = Job(order.client, order.order_id, order.kind)
    if order.kind in TIGHT:
        tight.send(job)
    else:
        jobs.send(job, delay_s=DELAY_S if order.kind == "delayed" else 0)
    return placed


def do(job: Job) -> None:
    attempt = current().attempt
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as told:
        run = f"{job.order_id} {job.kind} {attempt} {time.monotonic_ns()}"
        told.sendto(run.encode(), ("127.0.0.1", int(COLLECTOR)))
    time.sleep(TAKES_S.get(job.kind, 0))
    if job.kind == "parcel":
        label = labels.get(f"{job.client}/{job.order_id}")
        if label is None or label.read() != label_of(job.order_id):
            raise RuntimeError(f"the label of {job.order_id} is not what was put")
    effects.add(job.client, job.order_id, runs=1)
    totals.add("all", done=1)
    if job.kind == "poison" or (job.kind == "flaky" and attempt == 1):
        raise RuntimeError(f"{job.order_id} cannot be done now")


@app.consume(jobs, timeout_s=1, grants=[effects.write, totals.write, labels.read])
def work(job: Job) -> None:
    do(job)


@app.consume(tight, timeout_s=1, grants=[effects.write, totals.write, labels.read])
def work_tight(job: Job) -> None:
    do(job)


if NEXT:  # the version before has nobody who could do this

    @app.consume(audits, timeout_s=1, grants=[audited.write])
    def audit(asked: Audit) -> None:
        audited.add(asked.client, asked.order_id, runs=1)


class Orders(Struct):
    rows: list[Order]
    cursor: str | None


class Effects(Struct):
    rows: list[Effect]
    cursor: str | None


@app.get("/orders/{client}", grants=[orders.read])
def placed(client: str, cursor: str | None = None) -> Orders:
    page = orders.query(client, limit=1000, cursor=cursor)
    return Orders(list(page), page.cursor)


@app.get("/effects/{client}", grants=[effects.read])
def done(client: str, cursor: str | None = None) -> Effects:
    page = effects.query(client, limit=1000, cursor=cursor)
    return Effects(list(page), page.cursor)


@app.get("/audited/{client}", grants=[audited.read])
def was_audited(client: str, cursor: str | None = None) -> Effects:
    page = audited.query(client, limit=1000, cursor=cursor)
    return Effects(list(page), page.cursor)


@app.get("/labels/{client}/{order_id}", grants=[labels.read])
def labelled(client: str, order_id: str) -> bool:
    label = labels.get(f"{client}/{order_id}")
    return label is not None and label.read() == label_of(order_id)


@app.get("/total", grants=[totals.read])
def total() -> Total:
    return totals.get("all") or Total("all")
