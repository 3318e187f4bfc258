"""Batches: crates item by item, pallets all at once; what was done is counted for each name."""

import os
import signal
import time

from wherry import App, Batch, Struct

app = App("crates")


class Crate(Struct):
    """`do`: "" is done, "fail" raises, "die" takes its process along. `until` is a file."""

    name: str
    do: str = ""
    work_s: float = 0.0
    until: str = ""
    lane: str = ""
    place: int = 0


class Done(Struct):
    name: str
    runs: int = 0
    company: int = 0  # how many messages its run had, itself too


class Lane(Struct):
    """What was done last in a lane, and how often something had been overtaken."""

    name: str
    place: int = -1
    overtaken: int = 0


class Sent(Struct):
    crates: list[Crate]
    queue: str = "crates"


dones = app.table(Done, key="name")
lanes = app.table(Lane, key="name")
crates = app.queue(Crate, name="crates", retry_base_s=0.05, retry_max_s=0.2)
pallets = app.queue(Crate, name="pallets", retry_base_s=0.05, retry_max_s=0.2)
slow = app.queue(Crate, name="slow", retry_base_s=0.05, retry_max_s=0.2)
patient = app.queue(Crate, name="patient", max_attempts=100, retry_base_s=0.05, retry_max_s=0.2)
noisy = app.queue(Crate, name="noisy")
ordered = app.queue(
    Crate, name="ordered", fifo=True, group=lambda crate: crate.lane, max_attempts=100,
    retry_base_s=0.05, retry_max_s=0.2,
)  # fmt: skip
queues = {
    "noisy": noisy,
    "ordered": ordered,
    "crates": crates,
    "pallets": pallets,
    "slow": slow,
    "patient": patient,
}


@app.post("/crates", status=202, grants=[one.send for one in queues.values()])
def send(sent: Sent) -> int:
    queues[sent.queue].send.many(sent.crates)
    return len(sent.crates)


def handle(crate: Crate, company: int) -> None:
    dones.add(crate.name, runs=1, company=company)
    time.sleep(crate.work_s)
    while crate.until and not os.path.exists(crate.until):
        time.sleep(0.01)
    if crate.do == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if crate.do == "fail":
        raise RuntimeError(f"{crate.name} cannot be done")


def each(batch: Batch[Crate]) -> None:
    for item in batch:
        with item as crate:
            handle(crate, len(batch))


@app.consume(crates, batch=8, grants=[dones.write])
def unpack(batch: Batch[Crate]) -> None:
    each(batch)


@app.consume(pallets, batch=8, timeout_s=2, grants=[dones.write])
def unload(batch: Batch[Crate]) -> None:
    for crate in batch.values:
        handle(crate, len(batch))


@app.consume(slow, batch=5, window_s=60, grants=[dones.write])
def ponder(batch: Batch[Crate]) -> None:
    each(batch)


@app.consume(patient, batch=8, concurrency=2, grants=[dones.write])
def carry(batch: Batch[Crate]) -> None:
    each(batch)


@app.consume(noisy, concurrency=1, grants=[dones.write])
def shout(crate: Crate) -> None:
    handle(crate, 1)


@app.consume(ordered, batch=8, concurrency=2, grants=[dones.write, lanes.read, lanes.write])
def follow(batch: Batch[Crate]) -> None:
    for item in batch:
        with item as crate:
            lane = lanes.get(crate.lane) or Lane(crate.lane)
            late = lane.overtaken + (crate.place < lane.place)
            lanes.put(Lane(crate.lane, crate.place, late))
            handle(crate, len(batch))


@app.get("/lanes/{name}", grants=[lanes.read])
def lane(name: str) -> Lane:
    return lanes.get(name) or Lane(name)


@app.get("/dones/{name}", grants=[dones.read])
def done(name: str) -> Done:
    return dones.get(name) or Done(name)
