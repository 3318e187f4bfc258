"""Data of an older form is read where `upgrade=` makes the new form; else it costs nothing."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from pathlib import Path
from typing import Any

import pydantic
import pytest
from msgspec import Struct

from tests.unit.runtime_kit import Runs
from wherry import App, Change, publish
from wherry.errors import AppInvalid, Refused, StoredItemUnreadable
from wherry.handles.shapes import Shape
from wherry.handles.upgrades import NotUpgraded, upgrading
from wherry.runtime.binding.bodies import message_reader
from wherry.testing import call, running


class OldOrder(Struct):
    """As it was."""

    order_id: str
    sku: str


class Order(Struct):
    """As it is: `sku` is now one of several `skus`."""

    order_id: str
    skus: list[str]


class Model(pydantic.BaseModel):
    """As it is, in Pydantic."""

    order_id: str
    skus: list[str]


OLD = b'{"order_id":"1","sku":"oar"}'
NEW = b'{"order_id":"1","skus":["oar"]}'


def from_json(old: dict[str, Any]) -> dict[str, Any]:
    """Make the new form as JSON."""
    return {"order_id": old["order_id"], "skus": [old["sku"]]}


def from_class(old: OldOrder) -> Order:
    """Make the new form as a value."""
    return Order(old.order_id, [old.sku])


def never(old: dict[str, Any]) -> dict[str, Any]:
    """Show that it is not called."""
    raise AssertionError("called")


# --- the reader -----------------------------------------------------------------------------------


@pytest.mark.parametrize("upgrade", [from_json, from_class, lambda old: from_json(old)])
def test_the_new_form_is_made_of_the_old_one(upgrade: Any) -> None:
    """From JSON, or from a value of the old class where the argument is annotated with it."""
    assert Shape(Order, (upgrade,)).decode(OLD) == Order("1", ["oar"])


def test_a_pydantic_model_is_upgraded_as_well() -> None:
    """Whether the upgrade returns JSON or the model."""
    made = Model(order_id="1", skus=["oar"])
    assert Shape(Model, (from_json,)).decode(OLD) == made
    assert message_reader(Model, (lambda old: made,))(OLD) is made


def test_what_is_right_is_read_without_it() -> None:
    """The upgrade is not even looked at where the type reads the bytes."""
    assert Shape(Order, (never,)).decode(NEW) == Order("1", ["oar"])


def test_a_type_without_upgrade_is_read_by_its_decoder_alone() -> None:
    """No step is added to reading where nothing is declared."""
    read = Shape(Order).decode
    assert upgrading(read, Order, ()) is read


def test_several_are_tried_in_their_order() -> None:
    """One that raises leaves the form to the next."""

    def of_articles(old: dict[str, Any]) -> dict[str, Any]:
        return {"order_id": old["order_id"], "skus": old["articles"]}

    shape = Shape(Order, (of_articles, from_class))
    assert shape.decode(OLD).skus == ["oar"]
    assert shape.decode(b'{"order_id":"1","articles":["a","b"]}').skus == ["a", "b"]


def test_what_nobody_reads_says_why_of_each() -> None:
    """The error names what the type lacks, and what each upgrade said."""
    with pytest.raises(NotUpgraded, match=r"skus.*from_json: KeyError: 'sku'"):
        Shape(Order, (from_json,)).decode(b'{"order_id":"1"}')


def test_what_an_upgrade_returns_is_held_against_the_type() -> None:
    """A new form that is none is refused like the old one."""
    with pytest.raises(NotUpgraded, match="Expected `array`"):
        Shape(Order, (lambda old: {"order_id": "1", "skus": 3},)).decode(OLD)


# --- tables, queues, what runs after a commit -----------------------------------------------------


class Job(Struct):
    """A payload as it was."""

    sku: str


class Jobs(Struct):
    """A payload as it is."""

    skus: list[str]


got: list[Any] = []


def before() -> App:
    """The app as it was."""
    app = App("shop")
    orders = app.table(OldOrder, name="orders", key="order_id")
    jobs = app.queue(Job, name="jobs")

    @app.after_commit()
    def tell(sku: str) -> None: ...

    @app.post("/orders", grants=[orders.write, jobs.send, tell.send])
    def order() -> None:
        orders.put(OldOrder("1", "oar"))
        jobs.send(Job("oar"))
        tell.send("oar")

    @app.consume(jobs)
    def work(job: Job) -> None: ...

    return app


def after(upgrades: bool) -> App:
    """The app as it is, on the same data."""
    given: Any = {"upgrade": from_class} if upgrades else {}
    app = App("shop")
    orders = app.table(Order, name="orders", key="order_id", **given)
    queued: Any = {"upgrade": lambda old: {"skus": [old["sku"]]}} if upgrades else {}
    jobs = app.queue(Jobs, name="jobs", **queued)

    @app.after_commit(**queued)
    def tell(skus: list[str]) -> None:
        got.append(("tell", skus))

    @app.get("/orders/{order_id}", grants=[orders.read])
    def look(order_id: str) -> Order | None:
        return orders.get(order_id)

    @app.consume(jobs)
    def work(job: Jobs) -> None:
        got.append(("work", job.skus))

    return app


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A folder with an item, a message and a call of the app as it was."""
    with running(before(), data=str(tmp_path / "data")) as backend:
        assert backend.post("/orders").status < 300
    return str(tmp_path / "data")


def test_what_was_stored_and_sent_before_is_read(data: str) -> None:
    """An item, a message that waits, and the arguments of what runs after a commit."""
    got.clear()
    with running(after(upgrades=True), data=data) as backend:
        assert backend.get("/orders/1").json() == {"order_id": "1", "skus": ["oar"]}
        backend.drain()
        assert not backend.failures()
    assert sorted(got) == [("tell", ["oar"]), ("work", ["oar"])]


def test_without_an_upgrade_nothing_of_it_is_read(data: str) -> None:
    """The item is refused, the messages wait in the failure inbox: nothing is lost."""
    got.clear()
    app = after(upgrades=False)
    with running(app, data=data) as backend:
        assert backend.get("/orders/1").status == 500
        backend.drain()
        assert {one.queue for one in backend.failures()} == {"jobs", "tell"}
    assert got == []
    assert StoredItemUnreadable.code == "stored_item_unreadable"


# --- events and changes ---------------------------------------------------------------------------

app = App("events")
items = app.table(Order, name="items", key="order_id", upgrade=from_json)


@app.event("shop.placed", version=1)
class PlacedOnce(Struct):
    """As it was."""

    order_id: str
    sku: str


def to_first(event: Placed) -> PlacedOnce:
    """Make the older version."""
    return PlacedOnce(event.order_id, event.skus[0])


@app.event("shop.placed", version=2, upgrade=from_json, downgrade=to_first)
class Placed(Struct):
    """As it is."""

    order_id: str
    skus: list[str]


@app.on(PlacedOnce)
def listen_once(event: PlacedOnce) -> None:
    got.append(event)


@app.on(Placed)
def listen(event: Placed) -> None:
    got.append(event)


@items.on_change()
def follow(change: Change[Order]) -> None:
    got.append((change.old, change.new))


@app.post("/place", grants=[publish[Placed]])
def place(skus: list[str]) -> str:
    return publish(Placed("1", skus))


def test_an_event_of_the_version_before_is_upgraded() -> None:
    """It was on its way when its listener went over to the next version."""
    got.clear()
    with running(app) as backend:
        body = {"event": "shop.placed", "version": 1, "id": "e", "at_ms": 1, "detail": {}}
        body["detail"] = {"order_id": "1", "sku": "oar"}
        assert Runs(app, backend, "listen").one(body).failure is None
    assert got == [Placed("1", ["oar"])]


def test_an_image_of_an_older_form_is_upgraded() -> None:
    """A change holds what an item was: of a form that nobody writes any more."""
    got.clear()
    old, new = {"order_id": "1", "sku": "oar"}, {"order_id": "1", "skus": ["a"]}
    body = {"kind": "modify", "table": "items", "old": old, "new": new, "at_ms": 1, "version": 3}
    with running(app) as backend:
        assert Runs(app, backend, "follow").one(body).failure is None
    assert got == [(Order("1", ["oar"]), Order("1", ["a"]))]


def test_an_event_is_published_in_the_older_version_too() -> None:
    """Each version is a record of its own, with an ID of its own, in the same commit."""
    result = call(app, place, ["oar", "rowlock"])
    assert result.effects.published(Placed) == [Placed("1", ["oar", "rowlock"])]
    assert result.effects.published(PlacedOnce) == [PlacedOnce("1", "oar")]
    assert len({getattr(one, "id", "") for one in result.effects}) == 2


def test_who_listens_to_either_version_gets_it_once() -> None:
    """One commit, two listeners, each with its own class."""
    got.clear()
    with running(app) as backend:
        assert backend.post("/place?skus=oar&skus=varnish").status == 200
        backend.drain()
        assert not backend.failures()
    assert sorted(got, key=repr) == [
        Placed("1", ["oar", "varnish"]),
        PlacedOnce("1", "oar"),
    ]


def test_a_downgrade_that_is_no_older_version_is_refused() -> None:
    """It would reach nobody, or go round in a circle."""
    one = App("round")

    @one.event("a.b", version=2, downgrade=lambda event: event)
    class New(Struct):
        id: str

    @one.event("a.b", version=1)
    class Old(Struct):
        id: str

    @one.post("/tell", grants=[publish[New]])
    def tell() -> str:
        return publish(New("1"))

    with pytest.raises(Refused, match="no older version"):
        call(one, tell)


# --- findings -------------------------------------------------------------------------------------


def codes(app: App) -> set[str]:
    """What is found wrong."""
    try:
        app.freeze()
    except AppInvalid as invalid:
        return {one.code for one in invalid.findings}
    return {one.code for one in app.warnings}


def versions(
    first: Any = None, second: Any = None, *, twice: bool = False, old: bool = True
) -> App:
    """An app with two versions of an event, whose older one is listened to."""
    app = App("versions")

    class One(Struct):
        id: str

    class Two(Struct):
        id: str

    if old:
        app.event("a.b", version=1, downgrade=first)(One)
    app.event("a.b", version=2, downgrade=second)(Two)

    def hear(event: Any) -> None: ...

    hear.__annotations__ = {"event": One, "return": None}
    if twice:
        hear.__annotations__["event"] = One | Two
        app.on(Two)(hear)
    if old:
        app.on(One)(hear)
    return app


def test_those_who_hear_nothing_of_a_newer_version_are_named() -> None:
    """Without a conversion who listens to version 1 gets nothing of what is published as 2."""
    app = versions()
    assert "version_not_heard" in codes(app)
    (found,) = [one for one in app.warnings if one.code == "version_not_heard"]
    assert "hear" in found.message
    assert "version_not_heard" not in codes(versions(second=lambda event: event))


def test_who_would_hear_an_event_twice_is_named() -> None:
    """It listens to both versions, and one is told as the other."""
    assert "version_heard_twice" in codes(versions(second=lambda event: event, twice=True))


def test_a_downgrade_to_nothing_is_found() -> None:
    """There is no older version that it could give."""
    assert "downgrade_to_nothing" in codes(versions(second=lambda event: event, old=False))


@pytest.mark.parametrize("upgrade", [dict, lambda a, b: {}, "no function"])
def test_a_conversion_that_cannot_be_called_is_found(upgrade: Any) -> None:
    """It takes one value."""
    app = App("odd")
    app.table(Order, key="order_id", upgrade=upgrade)
    assert "conversion_invalid" in codes(app)
