"""What a type checker says about an app: it is of use to the team, and not in its way."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.unit.source_kit import APPS_CACHE

SAMPLE = """
from __future__ import annotations

from typing import Annotated

from msgspec import Struct

from wherry import Batch, Change, Firing, ObjectCreated, asl, publish
from wherry.app import App, Caller, Form, Header, RawBody, Redirect, Reply


class Order(Struct):
    id: str
    count: int


app = App("shop")
people = app.auth("people", roles=["staff"])
orders = app.table(Order, key="id", indexes={"by_count": ("count",)})
jobs = app.queue(Order, max_attempts=5)
files = app.bucket("files")
key = app.secret("key")
admin = app.bundle("admin", auth=people, grants=[orders.read, files.delete, key.read])


@app.post("/orders", auth=people, status=201, grants=[orders.write, jobs.send], timeout_s=5)
def create(new: Order, caller: Caller, agent: Annotated[str, Header("user-agent")]) -> Order:
    jobs.send(new, delay_s=3)
    orders.put(new)
    return new


@app.get("/orders/{id}", throttle=(10, 20), reads="checked")
async def read(id: str) -> Order | None:
    reveal_type(orders.get(id))
    return orders.get(id)


@app.post("/form")
def form(new: Form[Order], raw: RawBody) -> Redirect | Reply:
    reveal_type(new)
    return Redirect("/")


@admin.delete("/orders/{id}", roles=["staff"])
def remove(id: str) -> None: ...


@app.consume(jobs, grants=[orders.write], memory_mb=512)
def work(job: Order) -> None: ...


@app.after_commit(grants=[orders.read])
def notify(order: Order, text: str = "") -> int:
    return 1


@app.post("/notify", grants=[notify.send])
def tell(order: Order) -> None:
    jobs.cancel(notify.send(order, text="hello"))


@app.event("order.placed", version=2)
class Placed(Struct):
    id: str


fifo = app.queue(Order, fifo=True, group=lambda order: order.id, on_failure="block")
reveal_type(Placed("a").id)


@app.on(Placed, where={"id": [{"prefix": "a"}]}, grants=[publish[Placed]], max_attempts=2)
def listen(event: Placed) -> None: ...


@app.schedule("rate(1 day)", timezone="UTC", missed="all")
@app.schedule("rate(2 days)", name="slow", reserved=1)
def sweep(firing: Firing) -> None: ...


@files.on_created(prefix="a/", batch=5, window_s=1)
def look(created: Batch[ObjectCreated]) -> None: ...


@orders.on_change(on_failure="block", timeout_s=3)
def follow(change: Change[Order]) -> None:
    reveal_type(change.item)


@app.consume(fifo, batch=10, once_per=lambda order: order.id, once_s=60)
def bulk(batch: Batch[Order]) -> None:
    for item in batch:
        with item as order:
            reveal_type(order)


@app.task(grants=[orders.write], timeout_s=60)
def charge(order: Order) -> int:
    return order.count


refund = app.workflow(
    "refund",
    input=Order,
    grants=[jobs.send],
    definition=asl.machine(asl.Task("Charge", charge).retry("Busy", times=2).catch(then="Done")),
)
loose = app.workflow("loose", definition="loose.asl.json")


@app.post("/refunds", grants=[refund.start, refund.read, refund.complete, loose.start])
def begin(order: Order) -> str:
    refund.succeed("token", {"ok": True})
    loose.start(None, name="one")
    reveal_type(refund.describe("one"))
    reveal_type(refund.list(status="RUNNING").items)
    return refund.start(order)


@app.policy
def own(caller: Caller, order: Order) -> bool:
    return caller.has_role("staff") or order.id == caller.subject


def reserve(order: Order, count: int) -> bool:
    return count > order.count


reveal_type(app.atomic("reserve", reserve, Order("a", 1), 2))
reveal_type(create)
reveal_type(read)
app.atomic("reserve", reserve, "wrong", 1)  # E: arg-type
create()  # E: call-arg
jobs.send("wrong")  # E: arg-type
notify.send("wrong")  # E: arg-type
notify.send(Order("a", 1), 5)  # E: arg-type
notify.send()  # E: call-arg
reveal_type(notify(Order("a", 1)))
app.get("/a", timeout=5)  # E: call-arg
app.get("/a", reads="sometimes")  # E: arg-type
work(1)  # E: arg-type
follow(Change("insert", "orders"))
sweep("now")  # E: arg-type
app.on(Placed, timeout=5)  # E: call-arg
app.schedule("rate(1 day)", batch=5)  # E: call-arg
app.schedule("rate(1 day)", missed="first")  # E: arg-type
app.consume(fifo, once_per=lambda order: order.nothing)  # E: attr-defined
files.on_created(prefix=1)  # E: arg-type
orders.on_change(on_failure="stop")  # E: arg-type
reveal_type(charge)
refund.start("o1")  # E: arg-type
refund.list(status="DONE")  # E: arg-type
refund.stop(7)  # E: arg-type
app.task(max_attempts=3)  # E: call-arg
app.workflow("refund", definition=7)  # E: call-overload
asl.Task("Charge", 7)  # E: arg-type
asl.Choice("Large?", "Charge")  # E: arg-type
"""

REVEALED = [
    "Order | None",
    "Order",
    "str",
    "Order",
    "Order",
    "Execution | None",
    "list[Execution]",
    "bool",
    "def (new: Order, caller: Caller, agent: str) -> Order",
    "def (id: str) -> Coroutine[Any, Any, Order | None]",
    "int",
    "def (order: Order) -> int",
]


def test_a_handler_keeps_its_type_and_mistakes_are_seen(tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE)
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "mypy", "--strict", "--no-color-output", "--no-error-summary"]
    done = subprocess.run(
        [*command, "--config-file=", "--cache-dir", APPS_CACHE, str(sample)],
        capture_output=True,
        text=True,
        check=False,
        cwd=root / "src",
    )
    output = done.stdout + done.stderr
    revealed = re.findall(r'Revealed type is "(.*)"', output)
    assert [
        re.sub(r"\b(sample|wherry|typing|builtins)\.([\w.]*\.)?", "", one) for one in revealed
    ] == (REVEALED), output
    lines = SAMPLE.splitlines()
    expected = {
        (number, line.split("# E: ")[1]) for number, line in enumerate(lines, 1) if "# E:" in line
    }
    found = {
        (int(line), code)
        for line, code in re.findall(r"sample\.py:(\d+): error: .*\[([\w-]+)\]", output)
    }
    assert found == expected, output
