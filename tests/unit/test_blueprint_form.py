"""The byte form of a blueprint and its digest."""

from __future__ import annotations

import pytest

from wherry import blueprint
from wherry.blueprint import (
    Blueprint,
    BucketSpec,
    FunctionSpec,
    Grant,
    HttpTrigger,
    IndexSpec,
    Place,
    QueueSpec,
    TableSpec,
)
from wherry.errors import Refused


def shop(line: int = 1, timeout_s: float = 25, reverse: bool = False) -> Blueprint:
    place = Place(file="shop.py", line=line)
    grants = [
        Grant(kind="table", resource="orders", action="read"),
        Grant(kind="table", resource="orders", action="write"),
    ]
    routes = [
        HttpTrigger(endpoint="get_order", method="GET", path="/orders/{order_id}", place=place),
        HttpTrigger(endpoint="list_orders", method="GET", path="/orders", place=place),
    ]
    buckets = [BucketSpec(name="assets", place=place), BucketSpec(name="files", place=place)]
    indexes = [IndexSpec(name="by_a", key="a"), IndexSpec(name="by_b", key="b")]
    if reverse:
        for items in (grants, routes, buckets, indexes):
            items.reverse()
    table = TableSpec(
        name="orders",
        item="Order",
        schema={"type": "object", "properties": {"a": {}, "b": {}}},
        key="a",
        indexes=tuple(indexes),
        kinds={"a": "text"},
        place=place,
    )
    function = FunctionSpec(
        name="orders_api",
        module="shop",
        triggers=tuple(routes),
        grants=tuple(grants),
        timeout_s=timeout_s,
        place=place,
    )
    return Blueprint(app="shop", functions=(function,), tables=(table,), buckets=tuple(buckets))


def test_what_is_written_is_read_back_to_the_same_bytes() -> None:
    written = blueprint.canonical(shop())
    assert blueprint.canonical(blueprint.load(written)) == written


def test_places_are_in_the_bytes_and_not_in_the_digest() -> None:
    assert blueprint.canonical(shop(line=1)) != blueprint.canonical(shop(line=2))
    assert blueprint.digest(shop(line=1)) == blueprint.digest(shop(line=2))


def test_the_order_of_declarations_changes_nothing() -> None:
    assert blueprint.canonical(shop()) == blueprint.canonical(shop(reverse=True))


def test_a_whole_number_of_seconds_is_the_same_as_its_float() -> None:
    assert blueprint.digest(shop(timeout_s=25)) == blueprint.digest(shop(timeout_s=25.0))


def test_a_limit_that_changes_is_another_digest() -> None:
    assert blueprint.digest(shop(timeout_s=24)) != blueprint.digest(shop(timeout_s=25))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"app":"shop","version":2}', b'{"app":"shop","news":1}', b"\xff"]
)
def test_what_is_no_blueprint_is_refused_with_advice(data: bytes) -> None:
    with pytest.raises(Refused, match="version of wherry"):
        blueprint.load(data)


def test_a_queue_of_another_name_is_another_digest() -> None:
    one = Blueprint(app="a", queues=(QueueSpec(name="q", payload="P", schema={}),))
    two = Blueprint(app="a", queues=(QueueSpec(name="r", payload="P", schema={}),))
    assert blueprint.digest(one) != blueprint.digest(two)
