"""What runs by itself: events, a schedule, work that fails until it is redriven."""

from wherry import App, DoNotRetry, Firing, Struct, publish

app = App("beats")


class Beat(Struct):
    name: str
    count: int = 0


class Work(Struct):
    number: int
    fails: bool = False


class Works(Struct):
    count: int
    fails: bool = False


beats = app.table(Beat, key="name")
works = app.queue(Work)


@app.event("beats.happened", version=1)
class Happened(Struct):
    name: str
    size: int = 0


@app.post("/events", status=202, grants=[publish[Happened]])
def happen(event: Happened) -> None:
    publish(event)


@app.on(Happened, grants=[beats.write])
def listen(event: Happened) -> None:
    beats.add("heard", count=1)


@app.on(Happened, where={"size": [{"numeric": [">", 10]}]}, grants=[beats.write])
def listen_large(event: Happened) -> None:
    beats.add("large", count=1)


@app.schedule("rate(1 minute)", name="each-minute", grants=[beats.write])
def tick(firing: Firing) -> None:
    beats.add("tick", count=1)


@app.post("/works", status=202, grants=[works.send])
def begin(asked: Works) -> None:
    works.send.many([Work(number, asked.fails) for number in range(asked.count)])


@app.post("/fix", status=204, grants=[beats.write])
def fix() -> None:
    beats.add("fixed", count=1)


@app.consume(works, grants=[beats.read, beats.write])
def work(job: Work) -> None:
    if job.fails and beats.get("fixed") is None:
        raise DoNotRetry("not before it is fixed")
    beats.add("again", count=1)


@app.get("/beats/{name}", grants=[beats.read])
def look(name: str) -> int:
    beat = beats.get(name)
    return beat.count if beat else 0
