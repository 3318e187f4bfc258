"""The fine print: events, changes, uploads and groups reach their handlers with the commit."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.fine_print import Thing, on_every_platform
from wherry import App, Change, ObjectCreated, Struct, UploadTicket, publish
from wherry.testing.composing import _Running

pytestmark = on_every_platform


class Order(Struct):
    """A payload with a group."""

    name: str
    number: int = 0


class World:
    """An app with every source, and what its handlers have seen."""

    def __init__(self, **queue: Any) -> None:
        self.app = app = App("world")
        self.seen: list[Any] = []
        self.broken: set[Any] = set()
        self.orders = app.queue(Order, name="orders", **queue) if queue else None
        self.things = app.table(Thing, key="name")
        if self.orders is not None:

            @app.consume(self.orders)
            def work(order: Order) -> None:
                self.see((order.name, order.number))

    def see(self, what: Any) -> None:
        """Remember it; fail if it is broken."""
        self.seen.append(what)
        if what in self.broken:
            raise ValueError("no")


def test_messages_of_a_group_run_in_their_order_even_when_one_is_tried_again(run: Any) -> None:
    world = World(
        fifo=True, group=lambda order: order.name, max_attempts=3, retry_base_s=10, retry_max_s=10
    )
    assert world.orders is not None
    world.broken = {("a", 1)}
    with run(world.app) as backend:
        with backend.acting():
            world.orders.send.many([Order("a", n) for n in range(4)])
            world.orders.send.many([Order("b", n) for n in range(2)])
        backend.advance(1)
        assert [one for one in world.seen if one[0] == "a"] == [("a", 0), ("a", 1)]
        assert [one for one in world.seen if one[0] == "b"] == [("b", 0), ("b", 1)]
        world.broken = set()
        backend.drain()
        numbers = [one[1] for one in world.seen if one[0] == "a"]
        assert numbers == [0, 1, 1, 2, 3]


@pytest.mark.parametrize("policy", ["skip", "block"])
def test_a_dead_message_lets_its_group_go_on_or_blocks_it(run: Any, policy: Any) -> None:
    world = World(fifo=True, group=lambda order: order.name, max_attempts=1, on_failure=policy)
    assert world.orders is not None
    world.broken = {("a", 0)}
    with run(world.app) as backend:
        with backend.acting():
            world.orders.send.many([Order("a", n) for n in range(3)])
        backend.advance(1)
        rest = [("a", 1), ("a", 2)]
        assert world.seen == [("a", 0), *(rest if policy == "skip" else [])]
        world.broken = set()
        backend.redrive()
        backend.drain()
        again = [("a", 0), *rest] if policy == "block" else [*rest, ("a", 0)]
        assert world.seen == [("a", 0), *again]


def test_an_event_reaches_each_listener_whose_pattern_matches(run: Any) -> None:
    world = World()

    @world.app.event("shop.placed", version=1)
    class Placed(Struct):
        name: str
        total: int

    @world.app.on(Placed, where={"total": [{"numeric": [">", 100]}]})
    def large(event: Placed) -> None:
        world.see(("large", event.name))

    @world.app.on(Placed)
    def every(event: Placed) -> None:
        world.see(("every", event.name))

    @world.app.post("/orders", grants=[publish[Placed], world.things.write])
    def place(name: str, total: int) -> None:
        world.things.put(Thing(name), if_absent=True)
        publish(Placed(name, total))

    with run(world.app) as backend:
        for name, total in (("small", 5), ("big", 500), ("big", 500)):
            backend.post("/orders", query={"name": name, "total": total})
        backend.drain()
    assert sorted(world.seen) == [("every", "big"), ("every", "small"), ("large", "big")]


def test_changes_of_an_item_reach_who_follows_its_table_in_order(run: Any) -> None:
    world = World()

    @world.things.on_change()
    def changed(change: Change[Thing]) -> None:
        old, new = change.old, change.new
        world.see((change.kind, old.count if old else None, new.count if new else None))

    with run(world.app) as backend:
        for count in range(3):
            with backend.acting():
                world.things.put(Thing("a", count))
        with backend.acting():
            world.things.delete("a")
        backend.drain()
    assert world.seen == [
        ("insert", None, 0),
        ("modify", 0, 1),
        ("modify", 1, 2),
        ("remove", 2, None),
    ]


def test_an_object_that_appears_reaches_who_waits_for_its_kind_of_key(run: Any) -> None:
    world = World()
    assets = world.app.bucket("assets")

    @assets.on_created(prefix="in/", suffix=".png")
    def check(created: ObjectCreated) -> None:
        world.see((created.key, created.size_bytes))

    with run(world.app) as backend:
        with backend.acting():
            assets.put("in/a.png", b"abc")
            assets.put("in/a.txt", b"abc")
        backend.drain()
    assert world.seen == [("in/a.png", 3)]


def test_an_upload_begins_what_it_triggers(run: Any) -> None:
    """Its commit wakes the function, as a handler's put does: nothing waits for the next poll."""
    world = World()
    assets = world.app.bucket("assets")

    @world.app.post("/tickets", grants=[assets.create])
    def ticket() -> UploadTicket:
        return assets.presign_upload("in/a.txt", size_bytes=3, media_type="text/plain")

    @assets.on_created()
    def check(created: ObjectCreated) -> None:
        world.see(created.key)

    with run(world.app) as backend:
        signed = backend.post("/tickets").json()
        composed = backend._composed
        with _Running(composed):  # the clock stands still, and polls come with time
            done = backend.put(signed["url"], b"abc", headers=signed["headers"])
            composed.settle()
        records = backend.timeline(done.headers["x-correlation-id"])
    assert world.seen == ["in/a.txt"]
    assert "check" in str(records)
