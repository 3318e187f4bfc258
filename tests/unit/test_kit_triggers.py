"""The test kit's `call` with what events, schedules, objects, changes and batches hand over."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pydantic
import pytest
from msgspec import Struct

from wherry import (
    App,
    Batch,
    Change,
    Firing,
    ObjectCreated,
    ObjectRemoved,
    current,
    limits,
    new_id,
    publish,
)
from wherry.effects import PublishEvent
from wherry.errors import BoundExceeded, GrantMissing, Refused
from wherry.testing import call, repeats


class Order(Struct):
    """An item and a message."""

    order_id: str
    total: int = 0


app = App("calls")
orders = app.table(Order, key="order_id")
jobs = app.queue(Order, name="jobs")
assets = app.bucket("assets")


@app.event("shop.order_placed", version=2)
class OrderPlaced(Struct):
    """An event."""

    order_id: str
    total: int


@app.event("shop.spoken")
@dataclass
class Spoken:
    """An event as a dataclass."""

    text: str = ""


@app.event("shop.checked")
class Checked(pydantic.BaseModel):
    """An event as a Pydantic model."""

    count: int = pydantic.Field(0, ge=0)


every = [publish[OrderPlaced], publish[Spoken], publish[Checked]]


@app.post("/orders", grants=[orders.write, jobs.send, *every])
def place(order: Order) -> str:
    orders.put(order)
    return publish(OrderPlaced(order.order_id, order.total))


@app.post("/other", grants=every)
def tell(text: str, total: int = 0) -> None:
    publish(Spoken(text))
    publish(Checked(count=total))


@app.post("/wrong", grants=every)
def tell_wrong() -> None:
    publish(OrderPlaced("o1", "much"))  # type: ignore[arg-type]


@app.post("/wrong-model", grants=every)
def tell_wrong_model() -> None:
    publish(Checked.model_construct(count=-1))


@app.post("/class", grants=every)
def tell_a_class() -> None:
    publish(OrderPlaced)


@app.post("/quiet")
def may_not_tell() -> None:
    publish(Spoken("x"))


@app.on(OrderPlaced, grants=[orders.write])
def confirm(event: OrderPlaced) -> None:
    orders.put(Order(event.order_id, event.total))


@app.on(Spoken)
def listen_spoken(event: Spoken) -> None: ...


@app.on(Checked)
def listen_checked(event: Checked) -> None: ...


@app.schedule("rate(1 day)")
def sweep(firing: Firing) -> str:
    return f"{firing.schedule} {firing.at:%Y-%m-%d}"


@assets.on_created()
def check(created: ObjectCreated) -> str:
    return f"{created.key} {created.size_bytes}"


@assets.on_removed()
def forget(removed: ObjectRemoved) -> str:
    return removed.key


@orders.on_change()
def follow(change: Change[Order]) -> int:
    return (change.new or Order("")).total - (change.old or Order("")).total


@app.consume(jobs, batch=10, grants=[orders.write])
def work(batch: Batch[Order]) -> None:
    for item in batch:
        if item.value.order_id == "skip":
            continue
        with item as order:
            orders.put(Order(f"{order.order_id} {new_id()}", order.total))
            if order.total < 0:
                raise ValueError("negative")
    if batch.values[0].order_id == "beside":
        orders.put(Order("beside"))


def test_an_event_is_recorded_with_its_version_and_an_id() -> None:
    result = call(app, place, Order("o1", 7))
    assert result.effects.published(OrderPlaced) == [OrderPlaced("o1", 7)]
    (event,) = [one for one in result.effects if isinstance(one, PublishEvent)]
    assert (event.event, event.version, event.id) == ("shop.order_placed", 2, result.value)
    assert f"publish shop.order_placed@2 {event.id}" in result.marks
    assert "publish shop.order_placed@2" in repr(result.effects)


def test_an_event_is_the_same_when_the_run_is_repeated() -> None:
    assert repeats(app, place, Order("o1", 7)).value


def test_events_are_of_any_class() -> None:
    effects = call(app, tell, "hello", 3).effects
    assert effects.published(Spoken) == [Spoken("hello")]
    assert effects.published(Checked) == [Checked(count=3)]
    assert effects.published(OrderPlaced) == []
    with pytest.raises(Refused, match="no type of event"):
        effects.published(Order)


@pytest.mark.parametrize("handler", [tell_wrong, tell_wrong_model])
def test_an_event_that_is_not_what_its_type_says_is_refused(handler: object) -> None:
    with pytest.raises(Refused, match=r"The event .* does not take this \w+: .* - at"):
        call(app, handler)  # type: ignore[arg-type]


def test_a_class_is_no_event() -> None:
    with pytest.raises(Refused, match="no type of event"):
        call(app, tell_a_class)


def test_an_event_needs_its_grant() -> None:
    with pytest.raises(GrantMissing, match=r"shop\.spoken"):
        call(app, may_not_tell)


def test_an_event_that_is_too_large_is_refused() -> None:
    with pytest.raises(BoundExceeded, match=r"event shop\.spoken has"):
        call(app, tell, "x" * limits.EVENT_BYTES)


def test_an_event_outside_of_a_handler_is_refused() -> None:
    with pytest.raises(Refused, match="outside of a handler"):
        publish(Spoken("x"))


def test_handlers_are_called_with_what_triggers_them() -> None:
    called = call(app, confirm, OrderPlaced("o1", 3))
    assert called.effects.puts(orders) == [Order("o1", 3)]
    assert call(app, sweep, Firing("sweep", datetime(2026, 1, 2, tzinfo=UTC))).value == (
        "sweep 2026-01-02"
    )
    assert call(app, check, ObjectCreated("assets", "a.png", 3)).value == "a.png 3"
    assert call(app, forget, ObjectRemoved("assets", "a.png")).value == "a.png"
    change = Change("modify", "orders", Order("o1", 1), Order("o1", 5))
    assert call(app, follow, change).value == 4


def test_a_batch_is_called_with_payloads_and_tells_which_failed() -> None:
    batch = [Order("a", 1), Order("b", -1), Order("skip"), Order("c", 2)]
    called = call(app, work, batch)
    assert [one.total for one in called.effects.puts(orders)] == [1, 2]
    assert {at: type(why) for at, why in called.failed.items()} == {1: ValueError, 2: Refused}
    assert len(called.marks) == 3


def test_a_batch_is_called_twice_with_the_same_outcome() -> None:
    assert repeats(app, work, [Order("a", 1), Order("b", 2)]).failed == {}


def test_a_batch_that_writes_beside_its_items_is_refused_in_a_test_too() -> None:
    with pytest.raises(Refused, match="outside of the items"):
        call(app, work, [Order("beside", 1)])


@pytest.mark.parametrize("given", [(), (Order("a"),), ("text",)])
def test_a_batch_is_a_list(given: tuple[object, ...]) -> None:
    with pytest.raises(Refused, match="takes a batch"):
        call(app, work, *given)


def test_a_handler_knows_itself_as_a_function() -> None:
    inner = App("inner")

    @inner.schedule("rate(1 day)")
    def named() -> str:
        return current().function

    assert call(inner, named).value == "named"
