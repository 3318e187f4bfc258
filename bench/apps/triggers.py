"""What runs by itself, as little as it can be: jobs, an event with five listeners; a hot key."""

from __future__ import annotations

import time

from wherry import App, Struct, log, new_id, publish


class Ping(Struct):
    text: str
    number: int


class Job(Struct):
    number: int


class Timed(Struct):
    sent_ns: int


class Counter(Struct):
    name: str
    count: int = 0


app = App("bench-triggers")
counters = app.table(Counter, key="name")
jobs = app.queue(Job, name="jobs")
lane = app.queue(Job, name="lane", fifo=True, group=lambda _: "one")
timed = app.queue(Timed)
doomed = app.queue(Job, name="doomed", max_attempts=1)


@app.event("bench.pinged")
class Pinged(Struct):
    number: int


@app.post("/jobs", grants=[jobs.send])
def send_jobs(ping: Ping) -> Ping:
    for number in range(ping.number):
        jobs.send(Job(number))
    return ping


@app.consume(jobs)
def work(job: Job) -> None:
    """The least that a consumer can do: its deletion is a commit all the same."""


@app.post("/lane", grants=[lane.send])
def send_in_order(ping: Ping) -> Ping:
    """All of one group: none starts before the last one is done."""
    for number in range(ping.number):
        lane.send(Job(number))
    return ping


@app.consume(lane)
def work_in_order(job: Job) -> None:
    """The least that a consumer can do."""


@app.consume(doomed)
def fail(job: Job) -> None:
    raise ValueError("it fails again")


# The clock that never goes back is one for all processes of a machine; `now()` stands still.
@app.post("/timed", grants=[timed.send])
def send_timed(ping: Ping) -> Ping:
    timed.send(Timed(time.monotonic_ns()))
    return ping


@app.consume(timed)
def start_timed(job: Timed) -> None:
    log.info("job began", waited_us=(time.monotonic_ns() - job.sent_ns) // 1000)


@app.post("/events", grants=[publish[Pinged]])
def tell(ping: Ping) -> Ping:
    publish(Pinged(ping.number))
    return ping


@app.on(Pinged)
def listener_1(event: Pinged) -> None: ...


@app.on(Pinged)
def listener_2(event: Pinged) -> None: ...


@app.on(Pinged)
def listener_3(event: Pinged) -> None: ...


@app.on(Pinged)
def listener_4(event: Pinged) -> None: ...


@app.on(Pinged)
def listener_5(event: Pinged) -> None: ...


@app.post("/count", grants=[counters.read, counters.write])
def count(ping: Ping) -> int:
    """Read, then write: of two at once one runs again."""
    found = counters.get("hot") or Counter("hot")
    found.count += 1
    counters.put(found)
    return found.count


@app.post("/add", grants=[counters.write])
def add(ping: Ping) -> Ping:
    counters.add("hot", count=1)
    return ping


@app.post("/spread", grants=[counters.write])
def spread(ping: Ping) -> Ping:
    counters.add(new_id(), count=1)
    return ping


@app.get("/counters/{name}", grants=[counters.read])
def look(name: str) -> int:
    found = counters.get(name)
    return found.count if found else 0
