"""The test kit's `call` and `repeats`: one handler, what it returns and what it wants."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import pytest
from msgspec import Struct

from wherry import App, Caller, Forbidden, NotFound, current, field, log, new_id, now
from wherry.errors import GrantMissing, Refused
from wherry.testing import NotRepeatable, call, repeats


class Order(Struct):
    """An item."""

    order_id: str
    owner: str
    total: int = 0


class Job(Struct):
    """A message."""

    order_id: str


app = App("calls")
people = app.auth("people", roles=["customer", "staff"])
orders = app.table(Order, key="order_id")
jobs = app.queue(Job)
files = app.bucket("files")
vault = app.secret("vault")
may = [orders.read, orders.write, jobs.send, files.create, files.read, vault.read]


@app.policy
def own_orders_only(caller: Caller, order: Order) -> bool:
    return caller.subject == order.owner


@app.post("/orders", auth=people, grants=may)
def create(total: int, caller: Caller) -> Order:
    order = Order(new_id(), caller.subject, total)
    orders.put(order, if_absent=True)
    jobs.send(Job(order.order_id), delay_s=5)
    files.put(f"{order.order_id}.txt", b"text", metadata={"by": "me"})
    log.info("created", order_id=order.order_id)
    return order


@app.get("/orders/{order_id}", auth=people, roles=["customer"], grants=[orders.read])
def show(order_id: str) -> Order:
    order = orders.get(order_id)
    if order is None:
        raise NotFound("order", order_id)
    return order


@app.post("/charge/{order_id}", grants=may)
async def charge(order_id: str) -> str:
    orders.update(order_id, total=0, when=field("total") > 0)
    orders.add("count", total=1)
    orders.delete("old")
    return current().key("charge")


@app.post("/reserve", grants=may)
def reserve() -> str:
    return app.atomic("hold", hold, "a")


def hold(order_id: str) -> str:
    orders.put(Order(order_id, "me"), if_absent=True)
    return f"held {order_id}"


@app.consume(jobs, grants=[orders.read])
def work(job: Job) -> None:
    orders.put(Order(job.order_id, "x"))


@app.get("/plain")
def plain(event: Any, context: Any) -> dict[str, Any]:
    return {"statusCode": 200, "body": f"{event['x']} {context.function_name}"}


@app.get("/secret", grants=may)
def secret() -> str:
    return vault.get()


ALICE = Caller(subject="alice", roles=("customer",))


def test_a_call_shows_value_effects_marks_and_logs() -> None:
    called = call(app, create, 5, caller=ALICE)
    assert called.value == Order(called.value.order_id, "alice", 5)
    assert called.effects.puts(orders) == [called.value]
    assert called.effects.sent(jobs) == [Job(called.value.order_id)]
    assert [found.key for found in called.effects.objects(files)] == [
        f"{called.value.order_id}.txt"
    ]
    assert [mark.partition(" ")[0] for mark in called.marks] == ["put", "send", "put"]
    (line,) = called.logs
    assert (line["message"], line["function_name"]) == ("created", "create")


def test_effects_are_shown_in_words() -> None:
    shown = repr(call(app, create, 5, caller=ALICE))
    assert "put orders/" in shown
    assert '"total":5' in shown
    assert "when Absent()" in shown
    assert "in 5000 ms" in shown
    assert "4 bytes" in shown
    assert repr(
        call(app, show, "a", caller=ALICE, items={orders: [Order("a", "alice")]}).effects
    ) == ("nothing")
    words = repr(call(app, charge, "a").effects)
    assert "update orders/a" in words
    assert "delete orders/old" in words


def test_what_the_tables_hold_can_be_given() -> None:
    order = Order("a", "alice")
    assert call(app, show, "a", caller=ALICE, items={orders: [order]}).value == order
    with pytest.raises(NotFound):
        call(app, show, "a", caller=ALICE)


def test_policies_roles_and_grants_hold() -> None:
    bob = Caller(subject="bob", roles=("customer",))
    with pytest.raises(Forbidden, match="own orders only"):
        call(app, show, "a", caller=bob, items={orders: [Order("a", "alice")]})
    with pytest.raises(Forbidden, match="roles"):
        call(app, show, "a", caller=Caller(subject="alice"))
    with pytest.raises(GrantMissing, match=r"Add orders\.write to the grants of work"):
        call(app, work, Job("a"))


def test_the_key_decides_what_derives_from_it() -> None:
    first, same, other = (
        call(app, charge, "a", key=key).value for key in ("k1", "k1", "k2")
    )  # fmt: skip
    assert first == same != other
    assert call(app, create, 5, caller=ALICE, key="k").value == (
        call(app, create, total=5, caller=ALICE, key="k").value
    )


def test_named_steps_plain_handlers_and_secrets_work_as_they_do_in_operation() -> None:
    assert call(app, reserve).value == "held a"
    assert call(app, plain, {"x": 7}).value["body"] == "7 plain"
    assert call(app, secret, secrets={"vault": "v-a-l-u-e"}).value == "v-a-l-u-e"
    with pytest.raises(Refused, match="not set"):
        call(app, secret)


def test_only_a_handler_of_the_app_can_be_called() -> None:
    with pytest.raises(Refused, match="hold is no handler"):
        call(app, hold, "a")


def test_a_handler_that_repeats_itself_is_returned_from_its_second_run() -> None:
    assert repeats(app, create, 5, caller=ALICE).value.total == 5
    assert repeats(app, reserve).value == "held a"
    assert len(repeats(app, charge, "a").effects) == 3


def test_clocks_and_dice_are_found_out() -> None:
    careless = App("careless")
    stamps = careless.table(Order, name="stamps", key="order_id")
    seen: list[int] = []

    @careless.post("/clock", grants=[stamps.read, stamps.write])
    def clock() -> None:
        stamps.put(Order(datetime.now().astimezone().isoformat(), "x"))

    @careless.post("/dice")
    def dice() -> float:
        return random.random()

    @careless.post("/memory", grants=[stamps.read, stamps.write])
    def memory() -> None:
        seen.append(1)
        for number in range(len(seen)):
            stamps.put(Order(f"{number}", now().isoformat()))

    for handler, said in ((clock, "effect 1"), (dice, "what it returned"), (memory, "effect 2")):
        with pytest.raises(NotRepeatable, match=rf"(?s)run twice.*{said}.*now\(\)"):
            repeats(careless, handler)


def test_a_call_inside_of_a_running_app_leaves_that_alone() -> None:
    from wherry.testing import running

    with running(app) as backend:
        call(app, create, 5, caller=ALICE)
        assert backend.items(orders) == []
        backend.get("/secret")
        assert backend.logs
