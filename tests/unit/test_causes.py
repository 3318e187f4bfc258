"""What led to a run is named as what it is: an event, a firing, an object, a change of a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wherry import App, Change, ObjectCreated, Struct, publish
from wherry.telemetry import CAUSE_CHARS, cause_of
from wherry.testing import Backend, running


class Order(Struct):
    """An item."""

    customer: str
    order_id: str


app = App("causes")
orders = app.table(Order, key="customer", sort="order_id")
assets = app.bucket("assets")


@app.event("shop.order_placed")
class OrderPlaced(Struct):
    """An event."""

    order_id: str


@app.post("/orders", grants=[orders.write, assets.create, publish[OrderPlaced]])
def place(order: Order) -> None:
    orders.put(order)
    assets.put(f'slips/"{order.order_id}".txt', b"slip")
    publish(OrderPlaced(order.order_id))


@app.on(OrderPlaced)
def confirm(event: OrderPlaced) -> None: ...


@assets.on_created(prefix="slips/")
def check_slip(created: ObjectCreated) -> None: ...


@orders.on_change()
def follow(change: Change[Order]) -> None: ...


@app.schedule("cron(0 3 * * ? *)", name="nightly")
def tidy() -> None: ...


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app) as backend:
        yield backend


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            b'{"event":"shop.order_placed","version":2,"id":"e-1","at_ms":1,"detail":{"a":1}}',
            "event shop.order_placed v2",
        ),
        (b'{"schedule":"nightly","at_ms":1795230000000}', "schedule nightly 2026-11-21T03:00"),
        (b'{"schedule":"often","at_ms":1795230007000}', "schedule often 2026-11-21T03:00:07"),
        (
            b'{"kind":"created","bucket":"assets","key":"incoming/a.png","size_bytes":3}',
            "object assets/incoming/a.png created",
        ),
        (
            b'{"kind":"removed","bucket":"assets","key":"a \\"b\\" \\u00e9.png","size_bytes":3}',
            'object assets/a "b" é.png removed',
        ),
        (
            b'{"kind":"modify","table":"orders","key":"alice/o-1","old":{},"new":{},"at_ms":1}',
            "change of orders/alice/o-1",
        ),
        (b'{"kind":"remove","table":"orders","old":{},"new":null}', "change of orders"),
    ],
)
def test_a_message_of_a_source_names_its_cause(body: bytes, told: str) -> None:
    assert cause_of(body) == told


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b'{"order_id":"o-1"}', b'{"kind":"created","bucket":3}', b"\xff" * 40],
)
def test_what_is_of_no_source_has_no_name(body: bytes) -> None:
    """A redriven payload may have been edited into anything."""
    assert cause_of(body) == ""


def test_a_name_is_short_and_commands_no_terminal() -> None:
    long = b'{"kind":"created","bucket":"assets","key":"' + b"a" * 1_000 + b'",}'
    assert len(cause_of(long)) == CAUSE_CHARS
    assert cause_of(long).endswith("a… created")
    wild = b'{"kind":"created","bucket":"assets","key":"a\\u001b[2J\\nb",}'
    assert cause_of(wild) == "object assets/a?[2J?b created"


def test_only_the_head_of_a_body_is_looked_at() -> None:
    """A body has up to 350 KB; what names it stands in front."""
    body = b'{"kind":"insert","table":"orders","old":' + b" " * 5_000 + b'{},"key":"o-1"}'
    assert cause_of(body) == "change of orders"


def test_records_and_log_lines_name_what_led_to_a_run(backend: Backend) -> None:
    """Also where a key holds what JSON escapes."""
    backend.post("/orders", json={"customer": "alice", "order_id": "o-1"})
    backend.drain()
    told = {one.function: one.trigger for one in backend.records}
    assert told == {
        "place": "POST /orders",
        "confirm": "event shop.order_placed v1",
        "check_slip": 'object assets/slips/"o-1".txt created',
        "follow": "change of orders/alice/o-1",
    }
    lines = {line["function_name"]: line["message"] for line in backend.logs}
    assert lines == told


def test_a_firing_is_named_by_its_schedule_and_its_moment(backend: Backend) -> None:
    backend.advance(86_400)
    trigger = backend.records[-1].trigger
    assert trigger.startswith("schedule nightly 20")
    assert trigger.endswith("T03:00")


def test_a_timeline_shows_what_followed_from_events_objects_and_changes_below_their_cause(
    backend: Backend,
) -> None:
    """Before it has run, too."""
    reply = backend.post("/orders", json={"customer": "alice", "order_id": "o-1"})
    names = (
        "event shop.order_placed v1  confirm",
        'object assets/slips/"o-1".txt created  check_slip',
        "change of orders/alice/o-1  follow",
    )
    page = backend.timeline(reply.correlation_id)
    assert [name for name in names if f"└─ {name}" not in page] == []
    backend.drain()
    page = backend.timeline(reply.correlation_id)
    assert [name for name in names if f"└─ {name}" not in page] == []
    assert "all was done after" in page
