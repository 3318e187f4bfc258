"""The shop as `make demo` runs it: the same four functions, and a parcel service that has bad days.

Nothing of this is needed for a shop. It gives the demo something to break.
"""

import os
import time

from shop import Order, app, customers, orders

from wherry import NotFound, Struct, current, log


class Part(Struct):
    order_id: str
    part: str


class PackJob(Struct):
    order_id: str


class ShipJob(Struct):
    order_id: str


parts = app.table(Part, key="order_id", sort="part")
packing = app.queue(PackJob, max_attempts=3, retry_base_s=0.2)
shipping = app.queue(ShipJob, max_attempts=2, retry_base_s=0.2)
carrier = app.secret("carrier")  # stands for an outside service: "open", or not


@app.post("/orders/{order_id}/parcel", auth=customers, status=202, roles=["staff"],
          grants=[orders.read, packing.send])  # fmt: skip
def pack_order(order_id: str) -> None:
    packing.send(PackJob(_order(order_id).order_id))


@app.get("/orders/{order_id}/parcel", auth=customers, roles=["staff"], grants=[parts.read])
def parcel_of(order_id: str) -> list[Part]:
    return parts.query(order_id).items


@app.post("/orders/{order_id}/shipment", auth=customers, status=202, roles=["staff"],
          grants=[orders.read, shipping.send])  # fmt: skip
def ship_order(order_id: str) -> None:
    shipping.send(ShipJob(_order(order_id).order_id))


@app.consume(packing, grants=[parts.write])
def process_pack_job(job: PackJob) -> None:
    parts.put(Part(job.order_id, "box"))
    if current().attempt == 1:
        log.info("halfway", pid=os.getpid())
        time.sleep(25)  # meanwhile the demo kills this process
    parts.put(Part(job.order_id, "label"))


@app.consume(shipping, grants=[parts.write, carrier.read])
def process_ship_job(job: ShipJob) -> None:
    if carrier.get() != "open":
        raise ConnectionError("the carrier does not answer")
    parts.put(Part(job.order_id, "on its way"))


def _order(order_id: str) -> Order:
    order = orders.get(order_id)
    if order is None:
        raise NotFound("order", order_id)
    return order
