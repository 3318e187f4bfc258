"""What AWS does and one machine does not: indexes that lag, objects without their commit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from msgspec import Struct

from wherry import App, NotFound
from wherry.testing import Backend, running


class Order(Struct):
    """An item with an index."""

    order_id: str
    status: str = "open"


class Print(Struct):
    """A message."""

    order_id: str


class Plain(Struct):
    """An item without one."""

    name: str


app = App("lagging")
orders = app.table(Order, key="order_id", indexes={"by_status": "status"})
others = app.table(Order, name="others", key="order_id", indexes={"by_status": "status"})
plains = app.table(Plain, key="name")
labels = app.bucket("labels")
printing = app.queue(Print, max_attempts=3)
mails = app.bucket("mails")


@app.get("/open", grants=[orders.read])
def open_ones() -> list[str]:
    return [order.order_id for order in orders.query("open", index="by_status").items]


@app.get("/others", grants=[others.read])
def open_others() -> int:
    return len(others.query("open", index="by_status").items)


@app.get("/orders/{order_id}", grants=[orders.read])
def get_order(order_id: str) -> Order:
    (order,) = orders.query(order_id).items
    assert orders.get(order_id) == order
    return order


@app.post("/closing", status=204, grants=[orders.read, orders.write])
def close_all() -> None:
    for order in orders.query("open", index="by_status").items:
        orders.put(Order(order.order_id, "closed"))


@app.post("/labels/{key}", status=204, grants=[labels.write])
def put_and_fail(key: str) -> None:
    labels.put(key, b"content")
    raise NotFound("label", key)


@app.consume(printing, grants=[labels.create, mails.create])
def print_label(job: Print) -> None:
    labels.put(job.order_id, b"label")
    mails.put(job.order_id, b"mail")


@app.post("/prints/{order_id}", status=204, grants=[printing.send])
def ask_for_print(order_id: str) -> None:
    printing.send(Print(order_id))


@pytest.fixture
def backend() -> Iterator[Backend]:
    with running(app) as backend:
        with backend.acting():
            orders.put(Order("1"))
            others.put(Order("1"))
        yield backend


def test_an_index_that_lags_shows_what_was_there(backend: Backend) -> None:
    """Neither a new item is in it, nor a changed or deleted one out of it, until it catches up."""
    with backend.lag(orders):
        with backend.acting():
            orders.put(Order("1", "closed"))
            orders.put(Order("2"))
            others.put(Order("2"))
        assert backend.get("/open").json() == ["1"]
        assert backend.get("/others").json() == 2  # no other table lags
    assert backend.get("/open").json() == ["2"]


def test_reads_by_key_never_lag(backend: Backend) -> None:
    with backend.lag(orders):
        with backend.acting():
            orders.put(Order("1", "closed"))
        assert backend.get("/orders/1").json()["status"] == "closed"


def test_what_was_read_behind_cannot_be_written(backend: Backend) -> None:
    """The commit checks the version that the index showed: behind, it loses as often as it runs."""
    with backend.lag(orders):
        with backend.acting():
            orders.put(Order("1", "held"))
        assert backend.post("/closing").status == 503
    assert backend.items(orders) == [Order("1", "held")]
    assert backend.post("/closing").status == 204


def test_of_two_lags_the_longer_one_holds(backend: Backend) -> None:
    backend.lag(orders)
    with backend.acting():
        orders.put(Order("2"))
    with backend.lag(orders):
        assert backend.get("/open").json() == ["1"]
    assert backend.get("/open").json() == ["1"]


def test_a_table_without_an_index_does_not_lag(backend: Backend) -> None:
    with pytest.raises(ValueError, match="has no index"):
        backend.lag(plains)


def test_here_an_object_is_there_when_its_run_commits(backend: Backend) -> None:
    assert backend.post("/labels/a").status == 404
    assert backend.object(labels, "a") is None


def test_as_on_s3_an_object_can_be_there_without_its_commit(backend: Backend) -> None:
    """The run has raised, nothing of it is applied, and what it put is to be seen."""
    with backend.orphans(labels):
        assert backend.post("/labels/a").status == 404
    left = backend.object(labels, "a")
    assert left is not None
    assert left.read() == b"content"
    assert backend.post("/labels/b").status == 404
    assert backend.object(labels, "b") is None


def test_a_repeat_takes_the_place_of_what_its_first_run_left(backend: Backend) -> None:
    """A process that dies leaves its object; the next attempt may create it although it is there.

    In a bucket that was not named nothing is left.
    """
    backend.orphans(labels)
    backend.post("/prints/1")
    backend.crash_before_commit(2)
    backend.drain()
    assert backend.failures() == []
    for bucket in (labels, mails):
        found = backend.object(bucket, "1")
        assert found is not None
        assert found.read() in (b"label", b"mail")


def test_another_invocation_finds_the_orphan_in_its_way(backend: Backend) -> None:
    backend.orphans(labels)
    backend.post("/labels/1")
    backend.post("/prints/1")
    backend.drain()
    (failure,) = backend.failures()
    assert "labels" in failure.error
    assert backend.object(mails, "1") is None
