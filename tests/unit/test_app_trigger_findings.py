"""What is wrong with events, sources, queues and batches is found when the app is frozen.

Each case declares one fault on an app and names the code of the finding that it leads to.
"""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import enum
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from msgspec import Struct

from wherry import App, Batch, Change, Firing, ObjectCreated, ObjectRemoved, limits, publish
from wherry.blueprint import Finding
from wherry.errors import AppInvalid

Case = Callable[[App], Any]
CASES: dict[str, tuple[str, Case]] = {}


class Job(Struct):
    """A message and an item."""

    order_id: str


def case(code: str) -> Callable[[Case], Case]:
    def keep(fn: Case) -> Case:
        CASES[f"{code}-{fn.__name__}"] = (code, fn)
        return fn

    return keep


def found_in(fn: Case) -> list[Finding]:
    app = App("shop")
    fn(app)
    try:
        app.freeze()
    except AppInvalid as failure:
        return failure.findings
    return app.warnings


def told(app: App, *kinds: Any) -> None:
    """Give somebody the right to publish, so that only the fault of the case is found."""
    app.post("/tell", grants=[publish[kind] for kind in kinds])(tell)


def tell() -> None: ...


# --- events -------------------------------------------------------------------------------------


@case("event_unknown")
def class_that_is_no_event(app: App) -> None:
    @app.on(Job)
    def listen(event: Job) -> None: ...


@case("event_unknown")
def event_of_another_app(app: App) -> None:
    @App("other").event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing)
    def listen(event: Thing) -> None: ...


@case("pattern_invalid")
def unknown_operator(app: App) -> None:
    listening(app, {"id": [{"like": "a"}]})


@case("pattern_invalid")
def pattern_without_a_list(app: App) -> None:
    listening(app, {"id": "a"})


@case("pattern_invalid")
def pattern_that_is_no_json(app: App) -> None:
    listening(app, {"id": {1, 2}})


def listening(app: App, where: Any) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing, where=where)
    def listen(event: Thing) -> None: ...

    told(app, Thing)


class Line(Struct):
    sku: str
    count: int = 1


class Parcel(Struct, tag="parcel"):
    weight_g: int
    inside: list[Parcel] = []


class Letter(Struct, tag="letter"):
    stamps: int


class Placed(Struct):
    order_id: str
    total_cents: int
    lines: list[Line]
    shipped: Parcel | Letter | None = None
    note: str | None = None
    labels: dict[str, str] = {}
    more: dict[str, Any] = {}
    at_home: bool = msgspec.field(name="at.home", default=True)


ANY = [{"exists": True}]
FAULTY: list[tuple[str, Any, str, str]] = [
    ("a misspelt field", {"totl_cents": [1]}, "'totl_cents', which is no field of Placed",
     "Did you mean 'total_cents'?"),
    ("one that is never there", {"order": [{"exists": False}]}, "'order'", "'order_id'"),
    ("within a list", {"lines": {"skuu": ["a"]}}, "'skuu', which is no field of 'lines' of Placed",
     "'sku'"),
    ("with dots", {"lines.cuont": [1]}, "'cuont', which is no field of 'lines' of Placed",
     "'count'"),
    ("in a branch", {"$or": [{"order_id": ["a"]}, {"total": [1]}]}, "'total'", "'total_cents'"),
    ("in no member of a union", {"shipped": {"wieght_g": [1]}}, "'wieght_g'", "'weight_g'"),
    ("deep in itself", {"shipped": {"inside": {"inside": {"stampss": ["a"]}}}}, "'stampss'",
     "There is: type, weight_g, inside."),
    ("below text", {"order_id": {"prefix_": ["a"]}}, "'prefix_'", "Nothing is below it"),
]  # fmt: skip
FINE: list[Any] = [
    {"order_id": ["a"], "total_cents": ANY, "lines": {"sku": ["a"], "count": [1]}},
    {"shipped": {"type": ["letter"], "stamps": [1]}},
    {"shipped": {"inside": {"inside": {"weight_g": [1]}}}},
    {"labels": {"colour": ["red"]}, "more": {"a": {"b": ["c"]}}},
    {"$or": [{"note": [None]}, {"lines.sku": ["a"]}]},
    {"at.home": [True]},
    {"at": {"home": [True]}},
    {"total_cents": [1, "1"], "order_id": [{"anything-but": 1}], "note": [None, 1]},
    {"total_cents": [{"exists": False}, "1"], "note": [{"exists": True}]},
    {"lines": [{"exists": False}], "labels": {"a": [1, "b"]}, "more": {"a": [1]}},
    {"total_cents": [{"numeric": [">", 1]}], "order_id": [{"cidr": "10.0.0.0/8"}]},
]


def of_the_pattern(where: Any) -> list[Finding]:
    def declare(app: App) -> None:
        app.event("shop.placed")(Placed)

        @app.on(Placed, where=where)
        def listen(event: Placed) -> None: ...

        told(app, Placed)

    return found_in(declare)


@pytest.mark.parametrize(("what", "where", "said", "fix"), FAULTY, ids=[one[0] for one in FAULTY])
def test_a_field_that_an_event_does_not_have_is_an_error(
    what: str, where: Any, said: str, fix: str
) -> None:
    """A pattern that asks for it matches nothing, or all; the nearest name is offered."""
    [finding] = of_the_pattern(where)
    assert (finding.code, finding.severity) == ("pattern_field_unknown", "error")
    assert said in finding.message
    assert fix in finding.fix


NEVER: list[tuple[str, Any, str, str]] = [
    ("text for a number", {"total_cents": ["1"]},
     "'total_cents' of Placed to be [\"1\"], which it never is", "It is a number."),
    ("a beginning of a number", {"total_cents": [{"prefix": "1"}]}, "'total_cents'", "a number"),
    ("a number for text", {"order_id": [1]}, "'order_id'", "It is text."),
    ("a range of text", {"order_id": [{"numeric": [">", 1]}]}, "'order_id'", "It is text."),
    ("null for what is always there", {"total_cents": [None]}, "'total_cents'", "a number"),
    ("a number for true", {"at.home": [1]}, "'at.home'", "true or false"),
    ("within a list", {"lines": {"count": ["1"]}}, "'lines.count'", "a number"),
    ("of no member of a union", {"note": [1]}, "'note'", "It is text or null."),
    ("another tag", {"shipped": {"type": ["boat"]}}, "'shipped.type'", "'letter'"),
    ("an object", {"lines": [{"exists": True}]}, "'lines'", "an object, whose fields"),
    ("in a branch", {"$or": [{"order_id": ["a"]}, {"total_cents": ["1"]}]}, "'total_cents'",
     "a number"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "where", "said", "fix"), NEVER, ids=[one[0] for one in NEVER])
def test_a_value_that_a_field_never_has_is_an_error(
    what: str, where: Any, said: str, fix: str
) -> None:
    """A pattern that asks for it matches nothing; what the field is is said."""
    [finding] = of_the_pattern(where)
    assert (finding.code, finding.severity) == ("pattern_value_never", "error")
    assert said in finding.message
    assert fix in finding.fix


@pytest.mark.parametrize("where", FINE, ids=str)
def test_a_pattern_that_asks_for_what_may_be_there_is_fine(where: Any) -> None:
    """Also in a dict, whose keys nobody knows, and in what a name with a dot leads to."""
    assert of_the_pattern(where) == []


class Priced(pydantic.BaseModel):
    """It writes text and an object, and reads numbers."""

    cents: Annotated[int, pydantic.PlainSerializer(str)]
    weight_g: int

    @pydantic.field_serializer("weight_g")
    def grams(self, weight_g: int) -> Any:
        return {"value": weight_g}

    @pydantic.field_validator("weight_g", mode="before")
    @classmethod
    def weighed(cls, given: Any) -> Any:
        return given["value"] if isinstance(given, dict) else given


def test_a_model_that_is_written_otherwise_than_it_is_read_is_asked_for_what_it_writes() -> None:
    """What its serializers write is not known; the names of its fields are."""

    def declare(app: App) -> None:
        app.event("shop.priced")(Priced)

        @app.on(Priced, where={"cents": ["1"], "weight_g": {"value": [1]}})
        def listen(event: Priced) -> None: ...

        @app.on(Priced, where={"cent": ["1"]})
        def misspelt(event: Priced) -> None: ...

        told(app, Priced)

    [finding] = found_in(declare)
    assert finding.code == "pattern_field_unknown"
    assert "'misspelt' asks for 'cent'" in finding.message


class Right(enum.IntFlag):
    """Of which a value may be any sum."""

    READ = 1
    WRITE = 2


def test_a_sum_of_flags_and_a_form_that_a_setting_gives_may_be_there() -> None:
    def declare(app: App) -> None:
        @app.event("shop.granted")
        class Granted(Struct):
            rights: Right

        @app.event("shop.taken")
        class Taken(pydantic.BaseModel, ser_json_timedelta="float"):
            lasted: timedelta

        @app.on(Granted, where={"rights": [3]})
        def granted(event: Granted) -> None: ...

        @app.on(Taken, where={"lasted": [{"numeric": [">", 60]}]})
        def taken(event: Taken) -> None: ...

        told(app, Granted, Taken)

    assert found_in(declare) == []


def test_a_model_that_takes_anything_is_left_alone() -> None:
    def declare(app: App) -> None:
        @app.event("shop.loose")
        class Loose(pydantic.BaseModel, extra="allow"):
            id: str

        @app.on(Loose, where={"idd": ["a"]})
        def listen(event: Loose) -> None: ...

        told(app, Loose)

    assert found_in(declare) == []


@case("event_twice")
def one_version_twice(app: App) -> None:
    @app.event("thing.done")
    class First(Struct):
        id: str

    @app.event("thing.done")
    class Second(Struct):
        id: str

    @app.on(First)
    def listen(event: First) -> None: ...

    told(app, First)


@case("type_unsupported")
def event_without_a_json_form(app: App) -> None:
    class Odd: ...

    app.event("thing.done")(Odd)

    @app.on(Odd)
    def listen(event: Odd) -> None: ...

    told(app, Odd)


@case("event_not_record")
def event_as_an_array(app: App) -> None:
    @app.event("thing.done")
    class Row(Struct, array_like=True):
        id: str

    @app.on(Row)
    def listen(event: Row) -> None: ...

    told(app, Row)


@case("event_version")
def version_zero(app: App) -> None:
    @app.event("thing.done", version=0)
    class Thing(Struct):
        id: str

    @app.on(Thing)
    def listen(event: Thing) -> None: ...

    told(app, Thing)


@case("name_invalid")
def event_with_a_space(app: App) -> None:
    @app.event("Thing done")
    class Thing(Struct):
        id: str

    @app.on(Thing)
    def listen(event: Thing) -> None: ...

    told(app, Thing)


@case("event_without_listener")
def nobody_listens(app: App) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    told(app, Thing)


@case("event_without_publisher")
def nobody_tells(app: App) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing)
    def listen(event: Thing) -> None: ...


@case("grant_to_nothing")
def grant_of_a_class_that_is_no_event(app: App) -> None:
    told(app, Job)


@case("payload_mismatch")
def listener_of_another_type(app: App) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing)
    def listen(event: Job) -> None: ...

    told(app, Thing)


@case("payload_mismatch")
def listener_of_two_events_that_takes_one(app: App) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    @app.event("thing.undone")
    class Undone(Struct):
        id: str

    @app.on(Thing)
    @app.on(Undone)
    def listen(event: Thing) -> None: ...

    told(app, Thing, Undone)


@case("trigger_loop")
def listener_that_publishes_the_same(app: App) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing, grants=[publish[Thing]])
    def listen(event: Thing) -> None: ...


# --- schedules ----------------------------------------------------------------------------------


def scheduled(app: App, *given: Any, **options: Any) -> None:
    @app.schedule(*given, **options)
    def sweep(firing: Firing) -> None: ...


@case("schedule_invalid")
def unknown_expression(app: App) -> None:
    scheduled(app, "every day")


@case("schedule_invalid")
def cron_that_never_fires(app: App) -> None:
    scheduled(app, "cron(0 3 30 2 ? *)")


@case("schedule_invalid")
def unknown_zone(app: App) -> None:
    scheduled(app, "rate(1 day)", timezone="Mars/Olympus")


@case("schedule_bounds")
def window_of_two_days(app: App) -> None:
    scheduled(app, "rate(7 days)", window_s=2 * 86_400)


@case("schedule_bounds")
def nothing_of_all_that_was_missed(app: App) -> None:
    scheduled(app, "rate(7 days)", missed="all", missed_max=0)


@case("value_type")
def unknown_overlap(app: App) -> None:
    scheduled(app, "rate(7 days)", overlap="replace")


@case("value_type")
def unknown_missed(app: App) -> None:
    scheduled(app, "rate(7 days)", missed="first")


@case("name_twice")
def two_schedules_of_one_name(app: App) -> None:
    @app.schedule("rate(1 day)", name="daily")
    @app.schedule("rate(2 days)", name="daily")
    def sweep() -> None: ...


@case("name_invalid")
def schedule_with_a_space(app: App) -> None:
    scheduled(app, "rate(1 day)", name="every day")


@case("consumer_arguments")
def firing_and_more(app: App) -> None:
    @app.schedule("rate(1 day)")
    def sweep(firing: Firing, more: str) -> None: ...


@case("payload_mismatch")
def firing_as_text(app: App) -> None:
    @app.schedule("rate(1 day)")
    def sweep(firing: str) -> None: ...


@case("name_twice")
def function_named_as_a_bucket(app: App) -> None:
    app.bucket("sweep")
    scheduled(app, "rate(1 day)")


# --- objects and changes ------------------------------------------------------------------------


@case("source_unknown")
def bucket_of_another_app(app: App) -> None:
    other = App("other").bucket("loose")
    app.bucket("assets")
    app_of_bucket = app.bucket("mine")
    app_of_bucket.name = other.name  # as if it had been renamed behind the app's back

    @app_of_bucket.on_created()
    def check(created: ObjectCreated) -> None: ...

    app._buckets.remove(app_of_bucket)


@case("payload_mismatch")
def removal_as_creation(app: App) -> None:
    @app.bucket("assets").on_removed()
    def check(created: ObjectCreated) -> None: ...


@case("consumer_arguments")
def object_not_looked_at(app: App) -> None:
    @app.bucket("assets").on_removed()
    def check() -> None: ...


@case("payload_mismatch")
def change_of_another_item(app: App) -> None:
    @app.table(Job, key="order_id").on_change()
    def changed(change: Change[str]) -> None: ...


@case("change_mixed")
def change_and_schedule(app: App) -> None:
    @app.schedule("rate(1 day)")
    @app.table(Job, key="order_id").on_change()
    def changed(change: Change[Job] | Firing) -> None: ...


@case("trigger_loop")
def check_that_writes_where_it_looks(app: App) -> None:
    assets = app.bucket("assets")

    @assets.on_created(grants=[assets.read, assets.create])
    def check(created: ObjectCreated) -> None: ...


@case("trigger_loop")
def removal_that_removes(app: App) -> None:
    assets = app.bucket("assets")

    @assets.on_removed(grants=[assets.delete])
    def check(removed: ObjectRemoved) -> None: ...


@case("trigger_loop")
def change_that_changes(app: App) -> None:
    jobs = app.table(Job, key="order_id")

    @jobs.on_change(grants=[jobs.write])
    def changed(change: Change[Job]) -> None: ...


# --- queues -------------------------------------------------------------------------------------


def key(job: Job) -> str:
    return job.order_id


def work(job: Job) -> None: ...
def batch(jobs: Batch[Job]) -> None: ...
def bare_batch(jobs: Batch) -> None: ...  # type: ignore[type-arg]
def batch_of_others(jobs: Batch[str]) -> None: ...


def queued(app: App, consumer: Any = work, consuming: Any = None, **options: Any) -> None:
    jobs = app.queue(Job, **options)
    app.post("/a", grants=[jobs.send])(tell)
    app.consume(jobs, **(consuming or {}))(consumer)


@case("fifo_without_group")
def order_of_nothing(app: App) -> None:
    queued(app, fifo=True)


@case("group_without_fifo")
def groups_without_order(app: App) -> None:
    queued(app, group=key)


@case("dedup_without_fifo")
def repeats_without_order(app: App) -> None:
    queued(app, dedup=key)


@case("queue_key_kind")
def group_as_a_field_name(app: App) -> None:
    queued(app, fifo=True, group="order_id")


@case("queue_key_kind")
def fair_by_a_field_name(app: App) -> None:
    queued(app, fair_by="order_id")


@case("on_failure_without_fifo")
def blocked_without_order(app: App) -> None:
    queued(app, on_failure="block")


@case("value_type")
def unknown_on_failure(app: App) -> None:
    queued(app, fifo=True, group=key, on_failure="stop")


@case("fifo_and_fair")
def ordered_and_shared(app: App) -> None:
    queued(app, fifo=True, group=key, fair_by=key)


@case("fifo_one_at_a_time")
def ordered_and_alone(app: App) -> None:
    queued(app, fifo=True, group=key, consuming={"concurrency": 1})


@case("batch_mismatch")
def batch_without_its_type(app: App) -> None:
    queued(app, consuming={"batch": 10})


@case("batch_mismatch")
def batch_type_without_a_batch(app: App) -> None:
    queued(app, batch)


@case("payload_mismatch")
def batch_of_another_type(app: App) -> None:
    queued(app, batch_of_others, {"batch": 10})


@case("payload_mismatch")
def batch_of_no_type(app: App) -> None:
    queued(app, bare_batch, {"batch": 10})


@case("consumer_bounds")
def batch_of_nothing(app: App) -> None:
    queued(app, consuming={"batch": 0})


@case("consumer_bounds")
def batch_of_too_many(app: App) -> None:
    queued(app, batch, {"batch": limits.BATCH_MAX + 1})


@case("consumer_bounds")
def window_of_ten_minutes(app: App) -> None:
    queued(app, batch, {"batch": 10, "window_s": 600})


@case("window_beyond_retention")
def window_longer_than_messages_are_kept(app: App) -> None:
    queued(app, batch, {"batch": 10, "window_s": 60}, retention_s=60)


@case("window_without_batch")
def window_alone(app: App) -> None:
    queued(app, consuming={"window_s": 1})


@case("once_without_key")
def once_of_nothing(app: App) -> None:
    queued(app, consuming={"once_s": 60})


@case("consumer_bounds")
def once_for_no_time(app: App) -> None:
    queued(app, consuming={"once_per": key, "once_s": 0})


@case("batch_plain")
def aws_events_in_batches(app: App) -> None:
    @app.event("thing.done")
    class Thing(Struct):
        id: str

    @app.on(Thing, batch=10)
    def listen(event, context):  # type: ignore[no-untyped-def]
        ...

    told(app, Thing)


@case("reserved_bounds")
def more_reserved_than_there_can_be(app: App) -> None:
    app.get("/b", concurrency=2, reserved=3)(tell)


@case("reserved_bounds")
def less_than_nothing_reserved(app: App) -> None:
    app.get("/b", reserved=-1)(tell)


@case("reserved_sum")
def more_reserved_than_a_machine_has(app: App) -> None:
    @app.get("/b", concurrency=600, reserved=600)
    def one() -> None: ...

    @app.get("/c", concurrency=600, reserved=600)
    def two() -> None: ...


@pytest.mark.parametrize("name", CASES)
def test_a_fault_is_found_by_itself_with_its_place(name: str) -> None:
    """One fault is one kind of finding, which names what is wrong and what to do about it."""
    code, fn = CASES[name]
    found = found_in(fn)
    assert {one.code for one in found} == {code}
    for one in found:
        assert one.message.endswith((".", "'.")) or ": " in one.message
        assert one.fix.endswith(".")
        assert code == "reserved_sum" or one.place is not None


def test_a_pattern_says_where_it_is_wrong_and_why() -> None:
    (found,) = found_in(CASES["pattern_invalid-unknown_operator"][1])
    assert "$.id[0]" in found.message
    assert "like" in found.message


def test_a_type_is_shown_as_it_is_written() -> None:
    (found,) = found_in(CASES["batch_mismatch-batch_without_its_type"][1])
    assert found.fix == "Annotate 'job' with Batch[Job]."
    (found,) = found_in(CASES["payload_mismatch-change_of_another_item"][1])
    assert found.message == "'changed' takes Change[str], and its triggers give Change[Job]."


def test_a_schedule_says_what_is_wrong_with_it() -> None:
    (found,) = found_in(CASES["schedule_invalid-unknown_zone"][1])
    assert "Mars/Olympus" in found.message
