"""Pydantic models, for teams that use them; nobody else pays for them."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ConfigDict, Field
from pydantic.dataclasses import dataclass

from wherry.app import App, Form
from wherry.errors import AppInvalid, BadRequest, Invalid
from wherry.runtime.binding import encode_reply
from wherry.runtime.binding.bodies import form_reader, json_reader, message_reader


class Line(BaseModel):
    sku: str
    count: int = Field(ge=1)


class Order(BaseModel):
    lines: list[Line]


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    id: str


@dataclass
class Weighed:
    id: str
    grams: int = 0


class Search(BaseModel):
    q: str
    tags: list[str] = []


def test_a_model_is_a_body() -> None:
    assert json_reader(Order)(b'{"lines":[{"sku":"a","count":2}]}') == Order(
        lines=[Line(sku="a", count=2)]
    )
    assert json_reader(list[Line])(b'[{"sku":"a","count":2}]') == [Line(sku="a", count=2)]


def test_every_fault_is_listed_and_unknown_fields_are_faults() -> None:
    with pytest.raises(Invalid) as failure:
        json_reader(Order)(b'{"lines":[{"count":0},{"sku":"a","count":1,"odd":2}],"more":1}')
    assert [fault["at"] for fault in failure.value.faults] == [
        "$.lines[0].sku",
        "$.lines[0].count",
        "$.lines[1].odd",
        "$.more",
    ]


def test_a_dataclass_of_pydantic_is_read_from_a_body_and_a_form() -> None:
    """It has no way to write itself: as a reply or an item it is found when the app is frozen."""
    assert json_reader(Weighed)(b'{"id":"a","grams":2}') == Weighed("a", 2)
    assert form_reader(Weighed)(b"id=a&grams=2") == Weighed("a", 2)


def test_a_model_that_allows_more_fields_gets_them() -> None:
    assert json_reader(Loose)(b'{"id":"a","more":1}').more == 1


@pytest.mark.parametrize(
    "body", [b"{", b'{"lines":NaN}', b'{"lines":[],"lines":[]}', b"[" * 9_999, b'"\\ud800"']
)
def test_what_cannot_be_read_is_400_as_for_every_type(body: bytes) -> None:
    with pytest.raises(BadRequest):
        json_reader(Order)(body)


def test_a_form_is_read_into_a_model() -> None:
    assert form_reader(Search)(b"q=a&tags=x&tags=y") == Search(q="a", tags=["x", "y"])
    with pytest.raises(Invalid):
        form_reader(Search)(b"tags=x")


def test_a_message_is_read_into_a_model_and_may_have_more_fields() -> None:
    assert message_reader(Line)(b'{"sku":"a","count":2,"newer":1}') == Line(sku="a", count=2)
    with pytest.raises(ValueError, match="count"):
        message_reader(Line)(b'{"sku":"a"}')


def test_models_are_items_payloads_bodies_and_replies() -> None:
    app = App("a")
    lines = app.table(Line, key="sku", indexes={"by_count": "count"})
    jobs = app.queue(Order)

    @app.post("/a", grants=[lines.write, jobs.send])
    def a(order: Order) -> list[Line]:
        return order.lines

    @app.post("/b")
    def b(search: Form[Search]) -> Order: ...  # type: ignore[empty-body]

    @app.consume(jobs)
    def work(order: Order) -> None: ...

    blueprint = app.freeze()
    assert blueprint.tables[0].kinds == {"sku": "text", "count": "number"}
    assert "Line" in blueprint.functions[0].triggers[0].parameters[0].schema["$defs"]  # type: ignore[union-attr]
    endpoint = app.endpoints["a"]["a"]
    assert encode_reply(endpoint, [Line(sku="a", count=1)]).body == b'[{"sku":"a","count":1}]'
    order = Order(lines=[])
    assert encode_reply(app.endpoints["b"]["b"], order).body == b'{"lines":[]}'


def test_a_key_that_may_be_none_is_refused_in_a_model_too() -> None:
    class Item(BaseModel):
        id: str | None = None

    app = App("a")
    app.table(Item, key="id")
    with pytest.raises(AppInvalid, match="may be None"):
        app.freeze()


def test_pydantic_is_not_imported_for_a_team_without_it() -> None:
    code = """
import sys
from msgspec import Struct
from wherry.app import App
class Item(Struct):
    id: str
app = App("a")
items = app.table(Item, key="id")
@app.post("/a", grants=[items.write])
def a(item: Item) -> list[Item]: ...
app.freeze()
from wherry.runtime.binding import encode_reply
encode_reply(app.endpoints["a"]["a"], [Item("a")])
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
