"""Declaring what calls a function by itself: events, schedules, objects, changes, batches."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    limits,
    publish,
)
from wherry.blueprint import (
    Blueprint,
    ChangeSource,
    EventSource,
    Finding,
    FunctionSpec,
    Grant,
    ObjectSource,
    QueueTrigger,
    ScheduleSource,
    canonical,
    digest,
    load,
)
from wherry.errors import AppInvalid, Refused


class Order(Struct):
    """An item."""

    order_id: str
    total: int = 0


class Job(Struct):
    """A message."""

    order_id: str


def function(blueprint: Blueprint, name: str) -> FunctionSpec:
    return next(one for one in blueprint.functions if one.name == name)


def trigger(blueprint: Blueprint, name: str) -> QueueTrigger:
    (found,) = function(blueprint, name).triggers
    assert isinstance(found, QueueTrigger)
    return found


def without_place(source: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(source, place=None)


def codes(app: App) -> list[str]:
    try:
        app.freeze()
    except AppInvalid as failure:
        return [one.code for one in failure.findings]
    return [one.code for one in app.warnings]


def findings(app: App) -> list[Finding]:
    with pytest.raises(AppInvalid) as failure:
        app.freeze()
    return failure.value.findings


# --- events -------------------------------------------------------------------------------------


def test_a_listener_has_a_queue_of_its_own_with_the_options_it_was_given() -> None:
    app = App("shop")

    @app.event("shop.order_placed", version=2)
    class OrderPlaced(Struct):
        order_id: str
        total: int

    @app.post("/orders", grants=[publish[OrderPlaced]])
    def place() -> None: ...

    @app.on(OrderPlaced, where={"total": [{"numeric": [">", 100]}]}, max_attempts=7, timeout_s=60)
    def confirm(event: OrderPlaced) -> None: ...

    blueprint = app.freeze()
    (event,) = blueprint.events
    assert (event.name, event.version, event.payload) == ("shop.order_placed", 2, "OrderPlaced")
    assert event.schema["$defs"]["OrderPlaced"]["required"] == ["order_id", "total"]
    assert [without_place(one) for one in blueprint.sources] == [
        EventSource(
            queue="confirm",
            event="shop.order_placed",
            version=2,
            pattern='{"total":[{"numeric":[">",100]}]}',
        )
    ]
    (queue,) = blueprint.queues
    assert (queue.name, queue.max_attempts, queue.fifo) == ("confirm", 7, False)
    assert trigger(blueprint, "confirm").queue == "confirm"
    assert function(blueprint, "confirm").timeout_s == 60
    assert function(blueprint, "place").grants == (
        Grant(kind="event", resource="shop.order_placed", action="publish"),
    )
    assert app.warnings == []
    assert load(canonical(blueprint)).sources == blueprint.sources
    assert OrderPlaced("1", 2).total == 2  # the class stays what it was


@dataclass
class Plain:
    """An event as a dataclass."""

    id: str


class Model(pydantic.BaseModel):
    """An event as a Pydantic model."""

    id: str


@pytest.mark.parametrize("kind", [Plain, Model])
def test_an_event_is_any_class_with_fields(kind: Any) -> None:
    app = App("shop")
    app.event("thing.done")(kind)

    def listen(event: Any) -> None: ...

    listen.__annotations__["event"] = kind
    app.on(kind)(listen)
    app.post("/a", grants=[publish[kind]])(lambda_route)
    assert codes(app) == []


def lambda_route() -> None: ...


def test_versions_of_an_event_are_different_types_with_listeners_of_their_own() -> None:
    app = App("shop")

    @app.event("thing.done", version=1)
    class First(Struct):
        id: str

    @app.event("thing.done", version=2)
    class Second(Struct):
        id: str
        count: int

    @app.on(Second)
    @app.on(First)
    def both(event: First | Second) -> None: ...

    sources = app.freeze().sources
    assert [one.version for one in sources if isinstance(one, EventSource)] == [2, 1]


def test_a_class_below_an_event_is_no_event_by_itself() -> None:
    app = App("shop")

    @app.event("thing.done")
    class Thing(Struct):
        id: str

    class Other(Thing):
        more: str = ""

    @app.on(Other)
    def listen(event: Other) -> None: ...

    assert "event_unknown" in [one.code for one in findings(app)]
    with pytest.raises(Refused, match="no type of event"):
        publish(Other("a"))


def test_an_event_is_declared_once_for_apps_that_include_each_other() -> None:
    events, app = App("events"), App("shop")

    @events.event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing)
    def listen(event: Thing) -> None: ...

    app.include(events)
    assert [one.name for one in app.freeze().events] == ["thing.done"]


def test_the_same_pattern_written_otherwise_is_no_new_release() -> None:
    def made(where: Any) -> str:
        app = App("shop")

        @app.event("thing.done")
        class Thing(Struct):
            id: str
            total: int

        @app.on(Thing, where=where)
        def listen(event: Thing) -> None: ...

        return digest(app.freeze())

    first = made({"id": ["a"], "total": [1]})
    assert made('{"total": [1.0], "id": ["a"]}') == first
    assert made({"id": ["a"]}) != first


# --- schedules ----------------------------------------------------------------------------------


def test_schedules_are_stacked_and_numbered_from_the_top() -> None:
    app = App("shop")

    @app.schedule("cron(0 3 * * ? *)", timezone="Europe/Berlin", window_s=60, missed="all")
    @app.schedule("rate(5 minutes)", name="often", overlap="skip")
    @app.schedule("at(2099-01-01T00:00:00)", grants=[])
    def reconcile(firing: Firing) -> None: ...

    blueprint = app.freeze()
    assert [without_place(one) for one in blueprint.sources] == [
        ScheduleSource(
            queue="reconcile",
            name="reconcile",
            expression="cron(0 3 * * ? *)",
            timezone="Europe/Berlin",
            window_s=60,
            missed="all",
        ),
        ScheduleSource(
            queue="reconcile", name="often", expression="rate(5 minutes)", overlap="skip"
        ),
        ScheduleSource(queue="reconcile", name="reconcile-2", expression="at(2099-01-01T00:00:00)"),
    ]
    assert [one.name for one in blueprint.functions] == ["reconcile"]
    assert [one.name for one in blueprint.queues] == ["reconcile"]
    assert app.warnings == []


def test_a_scheduled_function_need_not_look_at_its_firing() -> None:
    app = App("shop")

    @app.schedule("rate(1 day)")
    def sweep() -> None: ...

    assert codes(app) == []


def test_triggers_of_a_function_share_it_with_grants_of_all_of_them() -> None:
    app = App("shop")
    orders = app.table(Order, key="order_id")
    assets = app.bucket("assets")

    @app.schedule("rate(1 day)", grants=[orders.read, orders.write])
    @assets.on_removed(suffix=".png", grants=[orders.read], memory_mb=512)
    def tidy(what: Firing | ObjectRemoved) -> None: ...

    blueprint = app.freeze()
    assert function(blueprint, "tidy").memory_mb == 512
    assert [str(one) for one in function(blueprint, "tidy").grants] == [
        "orders.read",
        "orders.write",
    ]
    assert [type(one) for one in blueprint.sources] == [ScheduleSource, ObjectSource]


def test_an_option_that_two_triggers_give_differently_is_a_finding() -> None:
    app = App("shop")

    @app.schedule("rate(1 day)", timeout_s=10)
    @app.schedule("rate(2 days)", timeout_s=20)
    def sweep() -> None: ...

    assert codes(app) == ["options_differ"]


def test_an_option_that_there_is_not_is_refused_where_it_stands() -> None:
    app = App("shop")
    with pytest.raises(TypeError, match="timeout"):
        app.schedule("rate(1 day)", timeout=3)  # type: ignore[call-arg]


# --- objects and changes ------------------------------------------------------------------------


def test_a_bucket_and_a_table_declare_functions_on_their_app() -> None:
    app = App("shop")
    orders = app.table(Order, key="order_id")
    assets = app.bucket("assets")

    @assets.on_created(prefix="incoming/", suffix=".png", grants=[orders.write])
    def check_asset(created: ObjectCreated) -> None: ...

    @orders.on_change(batch=10, window_s=1, on_failure="block")
    def changed(changes: Batch[Change[Order]]) -> None: ...

    blueprint = app.freeze()
    assert [without_place(one) for one in blueprint.sources] == [
        ObjectSource(
            queue="check_asset",
            bucket="assets",
            kind="created",
            prefix="incoming/",
            suffix=".png",
        ),
        ChangeSource(queue="changed", table="orders"),
    ]
    assert all(one.place and one.place.file.endswith(__name__.rpartition(".")[2] + ".py")
               for one in blueprint.sources)  # fmt: skip
    changed_queue = next(one for one in blueprint.queues if one.name == "changed")
    assert (changed_queue.fifo, changed_queue.on_failure) == (True, "block")
    assert (trigger(blueprint, "changed").batch, trigger(blueprint, "changed").window_s) == (10, 1)


def test_handles_of_no_app_declare_nothing() -> None:
    from wherry.handles import Bucket, Table

    with pytest.raises(Refused, match="of no app"):
        Bucket(name="loose").on_created()
    with pytest.raises(Refused, match="of no app"):
        Table(Order, name="loose", key="order_id").on_change()


# --- queues and their consumers -----------------------------------------------------------------


def test_a_queue_says_how_it_orders_shares_and_fails() -> None:
    app = App("shop")
    ordered = app.queue(
        Job, name="ordered", fifo=True, group=lambda job: job.order_id, on_failure="block"
    )
    shared = app.queue(Job, name="shared", fair_by=lambda job: job.order_id)

    @app.post("/a", grants=[ordered.send, shared.send])
    def send() -> None: ...

    @app.consume(ordered, reserved=2)
    def one(job: Job) -> None: ...

    @app.consume(
        shared, batch=20, window_s=0.5, once_per=lambda job: job.order_id, once_s=60, concurrency=4
    )
    def many(jobs: Batch[Job]) -> None: ...

    blueprint = app.freeze()
    first, second = blueprint.queues
    assert (first.fifo, first.on_failure, first.fair) == (True, "block", False)
    assert (second.fifo, second.on_failure, second.fair) == (False, "skip", True)
    assert function(blueprint, "one").reserved == 2
    found = trigger(blueprint, "many")
    assert (found.batch, found.window_s, found.once_s) == (20, 0.5, 60)
    assert app.warnings == []


def test_once_per_is_kept_for_a_day_unless_told_otherwise() -> None:
    app = App("shop")
    jobs = app.queue(Job)

    @app.consume(jobs, once_per=lambda job: job.order_id)
    def work(job: Job) -> None: ...

    assert trigger(app.freeze(), "work").once_s == limits.ONCE_S == 86_400


def test_a_claim_check_is_a_bucket_of_the_queue_with_grants_for_both_its_ends() -> None:
    app = App("shop")
    jobs = app.queue(Job, claim_check=True)

    @app.post("/a", grants=[jobs.send])
    def send() -> None: ...

    @app.consume(jobs)
    def work(job: Job) -> None: ...

    blueprint = app.freeze()
    assert [(one.name, one.max_bytes) for one in blueprint.buckets] == [
        ("jobs-payloads", limits.CLAIM_BYTES)
    ]
    assert [str(one) for one in function(blueprint, "send").grants] == [
        "jobs.send",
        "jobs-payloads.create",
    ]
    assert [str(one) for one in function(blueprint, "work").grants] == [
        "jobs-payloads.read",
    ]
    assert blueprint.queues[0].claim_check
