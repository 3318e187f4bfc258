"""Changing fields in place leaves an item that its type can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

import pydantic
import pytest
from msgspec import Meta, Struct

from wherry import App, all_of, any_of, field, negate
from wherry.errors import ConditionFailed, Refused
from wherry.testing import running


class Thing(Struct, rename={"shown_as": "shownAs"}):
    """An item, one of whose fields has another name in JSON."""

    name: str
    count: Annotated[int, Meta(ge=0)] = 0
    weight: float = 0
    shown_as: str | None = None
    price: Decimal = Decimal(0)


@dataclass
class Plain:
    """The same as a dataclass."""

    name: str
    count: int = 0


class Model(pydantic.BaseModel):
    """The same as a Pydantic model."""

    name: str
    count: int = pydantic.Field(0, ge=0)


WRONG = [
    (Thing, {"count": "five"}, "int"),
    (Thing, {"count": -1}, ">= 0"),
    (Thing, {"count": None}, "null"),
    (Thing, {"nonsense": 1}, "it has: name, count, weight, shown_as, price"),
    (Thing, {"weight": object()}, "object"),
    (Thing, {"price": Decimal("NaN")}, "NaN"),
    (Thing, {"price": Decimal("-Infinity")}, "-Infinity"),
    (Plain, {"count": "five"}, "int"),
    (Plain, {"nonsense": 1}, "it has: name, count"),
    (Model, {"count": "five"}, "integer"),
    (Model, {"count": -1}, "greater than or equal"),
    (Model, {"nonsense": 1}, "it has: name, count"),
]


@pytest.mark.parametrize(("kind", "values", "said"), WRONG)
def test_an_update_that_would_make_an_item_unreadable_is_refused(
    kind: Any, values: dict[str, Any], said: str
) -> None:
    app = App("changes")
    table = app.table(kind, name="t", key="name")
    with running(app) as backend:
        with backend.acting():
            table.put(kind(name="a"))
        with pytest.raises(Refused, match=said), backend.acting():
            table.update("a", **values)
        assert backend.items(table) == [kind(name="a")]


@pytest.mark.parametrize("kind", [Thing, Plain, Model])
def test_an_update_and_an_add_change_fields_of_any_type_of_item(kind: Any) -> None:
    app = App("changes")
    table = app.table(kind, name="t", key="name")
    with running(app) as backend:
        with backend.acting():
            table.put(kind(name="a"))
        with backend.acting():
            table.update("a", count=5)
        with backend.acting():
            table.add("a", count=-2)
        assert backend.items(table) == [kind(name="a", count=3)]


@pytest.mark.parametrize("text", ["NaN", "sNaN", "-Infinity"])
def test_an_item_holds_no_decimal_that_is_not_finite(text: str) -> None:
    """As for a float, the error names where it stands; text that only looks so is an item's."""
    app = App("changes")
    table = app.table(Thing, name="t", key="name")
    with running(app) as backend:
        with pytest.raises(Refused, match=rf"\$\.price is {text}"), backend.acting():
            table.put(Thing("a", price=Decimal(text)))
        with backend.acting():
            table.put(Thing(text, price=Decimal("1.5")))
        assert backend.items(table) == [Thing(text, price=Decimal("1.5"))]


def test_a_field_with_another_name_in_json_is_changed_by_its_own_name() -> None:
    app = App("changes")
    table = app.table(Thing, name="t", key="name")
    with running(app) as backend:
        with backend.acting():
            table.put(Thing("a"))
        with backend.acting():
            table.update("a", shown_as="A")
        assert backend.items(table) == [Thing("a", shown_as="A")]


@pytest.mark.parametrize("values", [{"count": 1.5}, {"count": "1"}, {"nonsense": 1}])
def test_an_add_of_what_the_field_cannot_hold_is_refused(values: dict[str, Any]) -> None:
    app = App("changes")
    table = app.table(Thing, name="t", key="name")
    with running(app) as backend, pytest.raises(Refused), backend.acting():
        table.add("a", **values)


class Priced(pydantic.BaseModel):
    """A model with fields that are stored as text or truth, and one that a serializer writes."""

    name: str
    price: Decimal = Decimal(1)
    rebate: Decimal | None = None
    paid: bool = False
    note: str = ""
    weight: Decimal = Decimal(1)

    @pydantic.field_serializer("weight")
    def _as_number(self, weight: Decimal) -> float:
        return float(weight)


@pytest.mark.parametrize("name", ["price", "rebate", "paid", "note"])
def test_a_field_of_a_model_that_is_stored_as_no_number_cannot_be_added_to(name: str) -> None:
    """It is an error of the function at the call, and not an unmet condition at the commit."""
    app = App("changes")
    table = app.table(Priced, name="t", key="name")
    said = f"Priced.{name} .* is stored as no number"
    values: dict[str, Any] = {name: 1}
    with running(app) as backend, pytest.raises(Refused, match=said), backend.acting():
        table.add("a", **values)


def test_a_field_of_a_model_that_is_written_as_a_number_is_added_to() -> None:
    app = App("changes")
    table = app.table(Priced, name="t", key="name")
    with running(app) as backend:
        with backend.acting():
            table.put(Priced(name="a"))
        with backend.acting():
            table.add("a", weight=1.5)
        assert backend.items(table) == [Priced(name="a", weight=Decimal("2.5"))]


class Packs(Struct):
    """What is counted in fives."""

    name: str
    count: Annotated[int, Meta(multiple_of=5)] = 0


class PacksModel(pydantic.BaseModel):
    """The same as a Pydantic model."""

    name: str
    count: int = pydantic.Field(0, multiple_of=5)


@pytest.mark.parametrize("kind", [Packs, PacksModel])
def test_a_sum_that_is_no_multiple_of_what_its_field_asks_for_is_an_unmet_condition(
    kind: Any,
) -> None:
    app = App("changes")
    table = app.table(kind, name="t", key="name")
    with running(app) as backend:
        with backend.acting():
            table.put(kind(name="a", count=5))
        with pytest.raises(ConditionFailed), backend.acting():
            table.add("a", count=3)
        with backend.acting():
            table.add("a", count=-10)
        assert backend.items(table) == [kind(name="a", count=-5)]


MET = [
    field("shown_as") == "box",
    field("shownAs") == "box",
    all_of(field("count") == 0, field("shown_as").exists()),
    any_of(field("count") == 1, field("shown_as").begins_with("b")),
    negate(field("shown_as") == "crate"),
]


@pytest.mark.parametrize("met", MET)
def test_a_condition_calls_a_field_as_an_update_does(met: Any) -> None:
    """By its name in Python, whatever it is called in JSON; that name is taken as well."""
    app = App("changes")
    table = app.table(Thing, name="t", key="name")
    box = Thing(name="a", shown_as="box")
    with running(app) as backend:
        with backend.acting():
            table.put(box)
        with pytest.raises(ConditionFailed), backend.acting():
            table.delete("a", when=negate(met))
        with backend.acting():
            table.update("a", when=met, weight=2)
        with backend.acting():
            table.put(box, when=met)
        with backend.acting():
            table.delete("a", when=met)
        assert backend.items(table) == []


@pytest.mark.parametrize(
    "join",
    [
        lambda one, other: one and other,
        lambda one, other: one or other,
        lambda one, other: not one,
        lambda one, other: 3 < field("count") < 5,
    ],
)
def test_python_s_own_words_do_not_join_conditions(join: Any) -> None:
    """One of the two would be dropped, and nobody would know."""
    with pytest.raises(TypeError, match="all_of"):
        join(field("count") == 1, field("name") == "a")


@pytest.mark.parametrize(
    "value",
    [Decimal("10"), timedelta(days=2), datetime(2026, 1, 1, tzinfo=UTC), [1], {"a": 1}, b"x"],
)
def test_a_condition_compares_with_nothing_that_items_hold_as_text(value: object) -> None:
    """Its text has another order than it, and a moment has more than one."""
    with pytest.raises(Refused, match="'count' cannot be compared"):
        assert field("count") >= value


def test_a_condition_compares_with_a_date_and_a_uuid_as_items_hold_them() -> None:
    id = UUID(int=7)
    assert (field("day") >= date(2026, 1, 2)) == (field("day") >= "2026-01-02")
    assert (field("id") == id) == (field("id") == str(id))


def test_a_condition_on_a_field_that_items_lack_is_refused() -> None:
    """It would never hold, or always."""
    app = App("changes")
    table = app.table(Thing, name="t", key="name")
    wrong = negate(field("cuont") == 1)
    with running(app) as backend:
        changes: list[Callable[[], None]] = [
            lambda: table.put(Thing("a"), when=wrong),
            lambda: table.update("a", count=1, when=wrong),
            lambda: table.add("a", count=1, when=wrong),
            lambda: table.delete("a", when=wrong),
        ]
        for change in changes:
            with pytest.raises(Refused, match="'cuont'"), backend.acting():
                change()
