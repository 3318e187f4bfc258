"""An app that takes requests of all kinds."""

import time
from typing import Annotated, Any

from wherry import App, Caller, Meta, NotFound, Struct, UploadTicket, current, new_id

app = App("desk")
app.cors(origins=["https://shop.example"], credentials=True, expose=["x-correlation-id"])


class Line(Struct):
    sku: str
    count: Annotated[int, Meta(ge=1, le=100)]


class NewOrder(Struct):
    lines: Annotated[list[Line], Meta(min_length=1)]
    price: float = 0.0
    note: str = ""
    wait_s: float = 0.0


class Order(Struct):
    order_id: str
    subject: str
    pieces: int


class Total(Struct):
    name: str
    orders: int = 0


class Upload(Struct):
    key: str
    size_bytes: int
    media_type: str = "text/plain"
    sha256: str | None = None


class Key(Struct):
    key: str


customers = app.auth("customers", roles=["customer", "staff"])
orders = app.table(Order, key="order_id")
totals = app.table(Total, key="name")
assets = app.bucket("assets", max_bytes=100_000)


@app.post("/orders", auth=customers, status=201, grants=[orders.write, totals.write])
def order(new: NewOrder, caller: Caller) -> Order:
    time.sleep(new.wait_s)
    made = Order(new_id(), caller.subject, sum(line.count for line in new.lines))
    orders.put(made, if_absent=True)
    totals.add(caller.subject, orders=1)
    return made


@app.get("/orders/{order_id}", auth=customers, grants=[orders.read])
def get_order(order_id: str) -> Order:
    found = orders.get(order_id)
    if found is None:
        raise NotFound("order", order_id)
    return found


@app.get("/totals/{name}", grants=[totals.read])
def get_total(name: str) -> Total:
    return totals.get(name) or Total(name)


@app.get("/books", auth=customers, roles=["staff"])
def books(caller: Caller) -> list[str]:
    return [caller.subject]


@app.post("/echo")
def echo(body: Any) -> Any:
    return body


@app.get("/context")
def context() -> dict[str, str]:
    run = current()
    return {"correlation_id": run.correlation_id, "traceparent": run.traceparent}


@app.get("/_words/{word}")
def say(word: str) -> str:
    return word


@app.post("/rare", throttle=(0.1, 2))
def rare() -> str:
    return "done"


@app.post("/uploads", grants=[assets.create])
def upload(new: Upload) -> UploadTicket:
    return assets.presign_upload(
        new.key, size_bytes=new.size_bytes, media_type=new.media_type, sha256=new.sha256
    )


@app.post("/downloads", grants=[assets.read])
def download(asked: Key) -> str:
    return assets.presign_download(asked.key)
