"""What sources put into queues becomes the value that a handler takes, or AWS's shape of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pydantic
import pytest
from msgspec import Struct

from tests.unit.runtime_kit import Runs
from wherry import (
    App,
    Batch,
    Change,
    Firing,
    ObjectCreated,
    ObjectRemoved,
)
from wherry.errors import HandlerFailed
from wherry.runtime.binding import failed_items
from wherry.testing import running

AT_MS = 1_795_255_438_123
AT = datetime(2026, 11, 21, 10, 3, 58, 123_000, UTC)


class Order(Struct):
    """An item."""

    customer: str
    order_id: str
    total: float = 0
    tags: list[str] = []
    paid: bool | None = None


class Model(pydantic.BaseModel):
    """An item as a Pydantic model."""

    id: str
    count: int = pydantic.Field(0, ge=0)


app = App("occurrences")
orders = app.table(Order, key="customer", sort="order_id")
models = app.table(Model, key="id")
assets = app.bucket("assets")
got: list[Any] = []


@app.event("shop.placed", version=1)
class Placed(Struct):
    """An event."""

    order_id: str


@app.event("shop.placed", version=2)
class PlacedToo(Struct):
    """Its next version."""

    order_id: str
    total: int


@app.event("shop.counted")
class Counted(pydantic.BaseModel):
    """An event as a Pydantic model."""

    count: int = pydantic.Field(0, ge=0)


@app.on(Placed)
@app.on(PlacedToo)
def listen(event: Placed | PlacedToo) -> None:
    got.append(event)


@app.on(Counted)
def count(event: Counted) -> None:
    got.append(event)


@app.schedule("rate(1 day)")
def sweep(firing: Firing) -> None:
    got.append(firing)


@app.schedule("rate(1 day)")
def blind() -> None:
    got.append("ran")


@assets.on_created()
@assets.on_removed()
def look(what: ObjectCreated | ObjectRemoved) -> None:
    got.append(what)


@orders.on_change()
def follow(change: Change[Order]) -> None:
    got.append(change)


@models.on_change(batch=10)
def follow_many(changes: Batch[Change[Model]]) -> None:
    got.append(changes.values)


@app.on(Placed)
def aws_event(event, context):  # type: ignore[no-untyped-def]
    got.append(event)


@app.schedule("rate(1 day)")
def aws_schedule(event, context):  # type: ignore[no-untyped-def]
    got.append(event)


@assets.on_created(batch=10)
@assets.on_removed()
def aws_objects(event, context):  # type: ignore[no-untyped-def]
    got.append(event)


@orders.on_change(batch=10)
def aws_changes(event, context):  # type: ignore[no-untyped-def]
    got.append(event)
    last = event["Records"][-1]["dynamodb"]["SequenceNumber"]
    return {"batchItemFailures": [{"itemIdentifier": last}]}


PLACED = {"event": "shop.placed", "version": 1, "id": "e1", "at_ms": AT_MS,
          "detail": {"order_id": "o1", "newer": True}}  # fmt: skip
FIRED = {"schedule": "sweep", "at_ms": AT_MS}
CREATED = {"kind": "created", "bucket": "assets", "key": "in/a b.png", "size_bytes": 3,
           "sha256": "ab" * 32, "media_type": "image/png", "metadata": {"by": "me"},
           "at_ms": AT_MS}  # fmt: skip
REMOVED = {"kind": "removed", "bucket": "assets", "key": "in/a b.png", "at_ms": AT_MS}
ITEM = {"customer": "ann", "order_id": "o1", "total": 1.5, "tags": ["x"], "paid": None}
CHANGED = {"kind": "modify", "table": "orders", "old": {**ITEM, "paid": True}, "new": ITEM,
           "at_ms": AT_MS, "version": 7}  # fmt: skip


@pytest.fixture
def backend() -> Iterator[Any]:
    got.clear()
    with running(app) as found:
        yield found


NEW = Order("ann", "o1", 1.5, ["x"])
OLD = Order("ann", "o1", 1.5, ["x"], True)


@pytest.mark.parametrize(
    ("function", "body", "value"),
    [
        ("listen", PLACED, Placed("o1")),
        ("listen", PLACED | {"version": 2, "detail": {"order_id": "o1", "total": 2}},
         PlacedToo("o1", 2)),
        ("count", {"event": "shop.counted", "version": 1, "id": "e", "at_ms": 0,
                   "detail": {"count": 3}}, Counted(count=3)),
        ("sweep", FIRED, Firing("sweep", AT)),
        ("blind", FIRED, "ran"),
        ("look", CREATED, ObjectCreated("assets", "in/a b.png", 3, "ab" * 32, "image/png",
                                        {"by": "me"}, AT)),
        ("look", REMOVED, ObjectRemoved("assets", "in/a b.png", AT)),
        ("follow", CHANGED, Change("modify", "orders", OLD, NEW, 7, AT)),
        ("follow", CHANGED | {"kind": "insert", "old": None},
         Change("insert", "orders", None, NEW, 7, AT)),
        ("follow", CHANGED | {"kind": "remove", "new": None},
         Change("remove", "orders", OLD, None, 7, AT)),
        ("follow_many", CHANGED | {"table": "models", "old": None, "new": {"id": "a"}},
         [Change("modify", "models", None, Model(id="a", count=0), 7, AT)]),
    ],
)  # fmt: skip
def test_a_message_of_a_source_becomes_what_the_handler_takes(
    backend: Any, function: str, body: Any, value: Any
) -> None:
    outcome = Runs(app, backend, function).one(body)
    assert outcome.failure is None
    assert got == [value]


@pytest.mark.parametrize(
    ("function", "body", "why"),
    [
        ("listen", PLACED | {"version": 3}, "no shop.placed version 3"),
        ("listen", PLACED | {"detail": {}}, "order_id"),
        ("count", {"event": "shop.counted", "version": 1, "detail": {"count": -1}}, "count"),
        ("follow", CHANGED | {"table": "models"}, "does not follow"),
        ("follow", CHANGED | {"new": {"customer": 7}}, "customer"),
        ("look", CREATED | {"kind": "moved"}, "moved"),
        ("sweep", {"at_ms": 1}, "no event, schedule, object or change"),
        ("sweep", b"[]", "object"),
        ("aws_event", b"{}", "of no source"),
        ("aws_event", b"[]", "of no source"),
    ],
)
def test_a_message_that_does_not_fit_waits_in_the_inbox_at_once(
    backend: Any, function: str, body: Any, why: str
) -> None:
    failure = Runs(app, backend, function).one(body).failure
    assert failure is not None
    assert (failure.code, failure.retry) == ("do_not_retry", False)
    assert why in failure.message
    assert got == []


def test_a_change_knows_its_item() -> None:
    assert Change("insert", "t", None, 1).item == 1
    assert Change("remove", "t", 2, None).item == 2
    with pytest.raises(ValueError, match="neither"):
        _ = Change[int]("modify", "t").item


# --- AWS's shapes -------------------------------------------------------------------------------


def test_a_plain_listener_gets_an_event_of_the_bus(backend: Any) -> None:
    assert Runs(app, backend, "aws_event").one(PLACED).failure is None
    assert got == [
        {
            "version": "0",
            "id": "e1",
            "detail-type": "shop.placed",
            "source": "shop",
            "account": "000000000000",
            "time": "2026-11-21T10:03:58Z",
            "region": "local",
            "resources": ["version/1"],
            "detail": {"order_id": "o1", "newer": True},
        }
    ]


def test_a_plain_scheduled_function_gets_the_schedulers_payload(backend: Any) -> None:
    assert Runs(app, backend, "aws_schedule").one(FIRED).failure is None
    (event,) = got
    assert (event["source"], event["detail-type"]) == ("aws.scheduler", "Scheduled Event")
    assert (event["time"], event["detail"]) == ("2026-11-21T10:03:58Z", "{}")
    assert event["resources"][0].endswith("schedule/default/sweep")


def test_a_plain_handler_of_objects_gets_a_notification(backend: Any) -> None:
    assert Runs(app, backend, "aws_objects").batch(CREATED, REMOVED).failure is None
    (event,) = got
    created, removed = event["Records"]
    assert created["eventSource"] == "aws:s3"
    assert created["eventName"] == "ObjectCreated:Put"
    assert created["eventTime"] == "2026-11-21T10:03:58.123Z"
    assert created["s3"]["bucket"]["name"] == "assets"
    assert created["s3"]["object"]["key"] == "in%2Fa+b.png"
    assert created["s3"]["object"]["size"] == 3
    assert removed["eventName"] == "ObjectRemoved:Delete"
    assert "size" not in removed["s3"]["object"]


def test_a_plain_handler_of_changes_gets_a_stream_and_reports_its_failures(backend: Any) -> None:
    outcome = Runs(app, backend, "aws_changes").batch(
        CHANGED, CHANGED | {"kind": "remove", "new": None}
    )
    (event,) = got
    modified, removed = event["Records"]
    assert (modified["eventName"], removed["eventName"]) == ("MODIFY", "REMOVE")
    stream = modified["dynamodb"]
    assert stream["Keys"] == {"customer": {"S": "ann"}, "order_id": {"S": "o1"}}
    assert stream["NewImage"] == {
        "customer": {"S": "ann"},
        "order_id": {"S": "o1"},
        "total": {"N": "1.5"},
        "tags": {"L": [{"S": "x"}]},
        "paid": {"NULL": True},
    }
    assert stream["OldImage"]["paid"] == {"BOOL": True}
    assert "NewImage" not in removed["dynamodb"]
    assert removed["dynamodb"]["Keys"]["customer"] == {"S": "ann"}
    assert [one.failure is None for one in outcome.items] == [True, False]


@pytest.mark.parametrize("result", [None, {}, {"batchItemFailures": []}, "done"])
def test_a_batch_without_reported_failures_is_done(result: Any) -> None:
    assert failed_items(result, ["m1"]) == set()


@pytest.mark.parametrize(
    "entry", [{"itemIdentifier": ""}, {"itemIdentifier": None}, {}, "m1", {"itemIdentifier": "m2"}]
)
def test_a_report_that_names_no_message_fails_the_batch(entry: Any) -> None:
    with pytest.raises(HandlerFailed):
        failed_items({"batchItemFailures": [entry]}, ["m1"])
