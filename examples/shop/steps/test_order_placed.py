"""The order-placed event and its two listeners, with wherry's test kit alone."""

from datetime import UTC, datetime

import pytest
from shop import Line, Order, app
from steps.order_placed import (
    Letter,
    OrderPlaced,
    Stock,
    confirm_order,
    letters,
    reserve_stock,
    stock,
    tell_of_order,
)

from wherry import Change
from wherry.testing import NotDrained, call, repeats, running

LINES = [Line("oar", 2, 8_900), Line("varnish", 1, 2_395)]
ORDER = Order("o-1", "alice", datetime(2026, 11, 21, tzinfo=UTC), LINES, 20_195)
PLACED = OrderPlaced("o-1", "alice", LINES, 20_195)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Change("insert", "orders", new=ORDER), [PLACED]),
        (Change("modify", "orders", old=ORDER, new=ORDER), []),
        (Change("remove", "orders", old=ORDER), []),
    ],
)
def test_new_orders_are_told_of(change: Change[Order], told: list[OrderPlaced]) -> None:
    assert call(app, tell_of_order, change).effects.published(OrderPlaced) == told


def test_the_customer_is_written_to() -> None:
    (letter,) = repeats(app, confirm_order, PLACED).effects.puts(letters)
    assert letter == Letter("o-1", "alice", "We have your order of 201.95 EUR.")


def test_what_is_ordered_is_reserved() -> None:
    assert len(call(app, reserve_stock, PLACED).effects) == 2
    with running(app) as backend:
        for _ in range(2):
            with backend.acting():
                reserve_stock(PLACED)
        assert sorted(backend.items(stock), key=lambda one: one.sku) == [
            Stock("oar", 4),
            Stock("varnish", 2),
        ]


def test_an_order_is_confirmed_and_reserved() -> None:
    with running(app) as backend:
        token = backend.token("alice", roles=["customer"])
        backend.post("/orders", json={"lines": [{"sku": "oar", "count": 2}]}, token=token)
        backend.drain()
        assert [one.customer_id for one in backend.items(letters)] == ["alice"]
        assert backend.items(stock) == [Stock("oar", 2)]


def test_a_letter_that_fails_keeps_nobody_else_waiting() -> None:
    with running(app) as backend:
        token = backend.token("alice", roles=["customer"])
        with backend.fail(letters):
            backend.post("/orders", json={"lines": [{"sku": "oar", "count": 2}]}, token=token)
            with pytest.raises(NotDrained, match="confirm_order"):
                backend.drain(until_s=5)
            assert backend.items(stock) == [Stock("oar", 2)]
        backend.drain()
        assert [one.customer_id for one in backend.items(letters)] == ["alice"]
