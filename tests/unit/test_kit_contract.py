"""`wherry.testing.contract`: examples of every form, for the tests of those who read it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from wherry import App
from wherry.registry.folder import write_file
from wherry.runtime.stored import judged
from wherry.testing import call, contract

SCHEMAS = "no/such/folder"
app = App("contract")


@app.event("shop.placed", version=1)
class PlacedOnce(Struct):
    """As it was."""

    order_id: str
    sku: str


def to_second(old: PlacedOnce) -> Placed:
    """Make the newer version."""
    return Placed(old.order_id, [old.sku])


def to_first(event: Placed) -> PlacedOnce:
    """Make the older version."""
    return PlacedOnce(event.order_id, ",".join(event.skus))


@app.event("shop.placed", version=2, upgrade=to_second, downgrade=to_first)
class Placed(Struct):
    """As it is."""

    order_id: str
    skus: list[str]
    count: Annotated[int, Meta(ge=1, le=100)] = 1


class Order(Struct):
    """An item."""

    order_id: str
    note: str | None = None


orders = app.table(Order, key="order_id")
jobs = app.queue(Order, name="jobs")


@app.on(Placed)
def confirm(event: Placed) -> None:
    assert 1 <= event.count <= 100


@app.on(PlacedOnce)
def count_skus(event: PlacedOnce) -> None:
    assert isinstance(event.sku, str)


@pytest.mark.parametrize("example", contract(Placed, schemas=SCHEMAS))
def test_a_listener_takes_every_example(example: Any) -> None:
    """Parametrized, as a team's suite does it."""
    call(app, confirm, example.value)


def test_the_examples_of_a_version_hold_its_bounds_and_the_older_version() -> None:
    """The least, the whole, the bounds; and what is on its way in the form before."""
    found = contract(Placed, schemas=SCHEMAS)
    cases = {(one.version, one.case) for one in found}
    assert {(2, "minimal"), (2, "full"), (2, "count most"), (2, "skus empty"), (1, "full")} <= cases
    assert all(isinstance(one.value, Placed) for one in found)
    assert found == contract(Placed, schemas=SCHEMAS)


def test_a_listener_to_the_older_version_gets_the_newer_as_it_is_told_to_it() -> None:
    """By the newer version's downgrade."""
    found = contract(PlacedOnce, schemas=SCHEMAS)
    assert {one.version for one in found} == {1, 2}
    assert all(isinstance(one.value, PlacedOnce) for one in found)


def test_tables_and_queues_have_examples_too() -> None:
    """Of their items and payloads."""
    for of in (orders, jobs):
        found: Any = contract(of, schemas=SCHEMAS)
        assert found[0].value == Order("")
        assert "note is None" in {one.case for one in found}


def test_a_case_has_a_name_for_pytest() -> None:
    """Which version, which form, what is special."""
    assert contract(Placed, schemas=SCHEMAS)[0].__name__ == "v2 declared minimal"


def test_recorded_forms_are_among_them(tmp_path: Path) -> None:
    """A form that is no longer declared is still read, or the suite says that it is not."""

    class Before(Struct):
        order_id: str
        sku: str

    def folder(kind: type[Any]) -> str:
        old = App("contract")
        old.table(kind, name="orders", key="order_id")
        for one in judged(old, {}).types:
            write_file(str(tmp_path / "schemas"), one.next)
        return str(tmp_path / "schemas")

    found = contract(orders, schemas=folder(Before))
    assert {one.form for one in found} == {0, 1}
    assert next(one.body for one in found if one.form == 1) == b'{"order_id":"","sku":""}'

    new = App("new").table(Placed, name="orders", key="order_id")
    with pytest.raises(ValueError, match=r"table 'orders' is not read in form 1 \(minimal\)"):
        contract(new, schemas=str(tmp_path / "schemas"))


def test_what_is_neither_stored_nor_sent_has_no_contract() -> None:
    """A class that is no event."""
    with pytest.raises(TypeError, match="no event, no table and no queue"):
        contract(Order)
