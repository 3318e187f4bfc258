"""A small shop: customers order, send pictures, and have their orders exported.

wherry run shop:app
"""

from datetime import datetime
from typing import Annotated, Literal

from wherry import App, Caller, Meta, NotFound, Struct, UploadTicket, log, new_id, now

PRICES_CENTS = {"oar": 8900, "rowlock": 1450, "varnish": 2395}


class NewLine(Struct):
    sku: Literal["oar", "rowlock", "varnish"]
    count: Annotated[int, Meta(ge=1, le=100)]


class NewOrder(Struct):
    lines: Annotated[list[NewLine], Meta(min_length=1, max_length=50)]
    export: bool = False  # also write all my orders into a file


class Line(Struct):
    sku: str
    count: int
    price_cents: int


class Order(Struct):
    order_id: str
    customer_id: str
    created_at: datetime
    lines: list[Line]
    total_cents: int


class OrderView(Struct):
    order: Order
    export_url: str | None  # a download, as soon as the file is there


class NewAsset(Struct):
    media_type: Literal["image/jpeg", "image/png"]
    size_bytes: Annotated[int, Meta(ge=1, le=5_000_000)]


class ExportJob(Struct):
    customer_id: str
    order_id: str  # the order that asked for it


app = App("shop")

customers = app.auth("customers", roles=["customer", "staff"])
orders = app.table(Order, key="order_id", indexes={"by_customer": ("customer_id", "created_at")})
export_jobs = app.queue(ExportJob, max_attempts=3)
exports = app.bucket("exports")
assets = app.bucket("assets", max_bytes=5_000_000, media_types=["image/jpeg", "image/png"])


@app.policy
def own_orders_only(caller: Caller, order: Order) -> bool:
    return caller.subject == order.customer_id or caller.has_role("staff")


@app.post("/orders", auth=customers, status=201, grants=[orders.write, export_jobs.send])
def create_order(new: NewOrder, caller: Caller) -> Order:
    """Order something. The order and its export job are saved together, or not at all."""
    lines = [Line(line.sku, line.count, PRICES_CENTS[line.sku]) for line in new.lines]
    total_cents = sum(line.count * line.price_cents for line in lines)
    order = Order(new_id(), caller.subject, now(), lines, total_cents)
    orders.put(order, if_absent=True)
    if new.export:
        export_jobs.send(ExportJob(caller.subject, order.order_id))
    log.info("order created", order_id=order.order_id, total_cents=total_cents)
    return order


@app.get("/orders/{order_id}", auth=customers, grants=[orders.read, exports.read])
def get_order(order_id: str) -> OrderView:
    """Look at an order, and fetch the export it asked for."""
    order = orders.get(order_id)
    if order is None:
        raise NotFound("order", order_id)
    file = f"{order_id}.csv"
    ready = exports.head(file) is not None
    return OrderView(order, exports.presign_download(file, filename=file) if ready else None)


@app.post("/assets", auth=customers, status=201, grants=[assets.create])
def upload_asset(new: NewAsset, caller: Caller) -> UploadTicket:
    """Get a ticket to upload one picture, of this type and size, straight to the bucket."""
    key = f"{caller.subject}/{new_id()}"
    return assets.presign_upload(key, size_bytes=new.size_bytes, media_type=new.media_type)


@app.consume(export_jobs, grants=[orders.read, exports.create])
def process_export_job(job: ExportJob) -> None:
    """Write the customer's orders, oldest first, into a CSV file."""
    rows = ["order_id,created_at,articles,total_cents"]
    cursor = None
    while True:
        page = orders.query(job.customer_id, index="by_customer", cursor=cursor)
        for order in page:
            articles = sum(line.count for line in order.lines)
            at = order.created_at.isoformat()
            rows.append(f"{order.order_id},{at},{articles},{order.total_cents}")
        if (cursor := page.cursor) is None:
            break
    exports.put(f"{job.order_id}.csv", "\n".join(rows).encode(), media_type="text/csv")
    log.info("orders exported", order_id=job.order_id, orders=len(rows) - 1)
