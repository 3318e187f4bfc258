"""What an old form breaks on is found in the schemas, and the decoder itself is the judge of it.

Each case is an old type and a new one, with what is said of them. Where nothing is said to break,
every example of the old form must be read by the new type; where something is, one must fail.
"""

from __future__ import annotations

import itertools
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, TypedDict, Union
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Meta, Struct

from wherry import limits
from wherry.app.schemas import schema_of
from wherry.registry.comparing import breaking, compare
from wherry.registry.examples import examples_of
from wherry.registry.forms import Schema, normal
from wherry.registry.scalars import NoExample
from wherry.registry.texts import text_matching
from wherry.runtime.binding.bodies import message_reader

numbers = itertools.count(1)


def record(*fields: Any, **config: Any) -> Any:
    """A type with these fields: (name, type) or (name, type, default)."""
    return msgspec.defstruct(f"Record{next(numbers)}", fields, **config)


def of(kind: Any, *parts: Any) -> Any:
    """A generic type of these."""
    return kind[parts]


class Card(Struct, tag="card"):
    """A member of a union."""

    number: str


class Longer(Struct, tag="card"):
    """The same member, with more."""

    number: str
    owner: str


class Cash(Struct, tag="cash"):
    """Another member."""


class Coin(Struct, tag="coin"):
    """Another name for cash."""


class Old(Enum):
    """Some states."""

    OPEN = "open"
    PAID = "paid"


class New(Enum):
    """One state less."""

    OPEN = "open"


class Node(Struct):
    """A type that holds itself."""

    name: str
    below: list[Node] = []


class Deeper(Struct):
    """The same, with more in it."""

    name: str
    size: int
    below: list[Deeper] = []


class Loose(TypedDict, total=False):
    """A typed dict."""

    a: int


class Tight(TypedDict):
    """The same, with a key that must be there."""

    a: int


class Point(Struct, array_like=True):
    """Fields by their place."""

    x: int
    y: int


class Point3(Struct, array_like=True):
    """One more."""

    x: int
    y: int
    z: int


class PointDefault(Struct, array_like=True):
    """One more, which may be missing."""

    x: int
    y: int
    z: int = 0


class Model(pydantic.BaseModel):
    """A Pydantic model."""

    a: int
    b: str | None = None


class ModelMore(pydantic.BaseModel):
    """It wants more."""

    a: int
    b: str | None = None
    c: str


class ModelStrict(pydantic.BaseModel, extra="forbid"):
    """It takes no field that it does not know."""

    a: int


A = ("a", int)


class Cat(pydantic.BaseModel):
    """A member of a discriminated union."""

    kind: Literal["cat"]
    lives: int = pydantic.Field(9, ge=1)


class Dog(pydantic.BaseModel):
    """Another."""

    kind: Literal["dog"] = "dog"
    name: str = pydantic.Field(alias="dogName")


class Owner(pydantic.BaseModel):
    """All that a model may hold."""

    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    price: Decimal = pydantic.Field(max_digits=6, decimal_places=2, gt=0)
    born: date
    tags: set[str] = set()
    others: dict[UUID, list[Cat]] = {}
    code: str = pydantic.Field("abc", pattern="^[a-z]{3}$")
    friend: Owner | None = None


class CatOwner(pydantic.BaseModel):
    """Of one kind of pet alone."""

    pet: Cat
    price: Decimal = Decimal(1)
    born: date


BREAKS: list[tuple[str, Any, Any, str, str]] = [
    ("added without a default", record(A), record(A, ("b", str)), "b", "required"),
    ("renamed", record(A, ("b", str)), record(A, ("c", str)), "c", "renamed"),
    ("default gone", record(A, ("b", int, 1)), record(A, ("b", int)), "b", "required"),
    ("another type", record(A), record(("a", str)), "a", "type"),
    ("number to whole", record(("a", float)), record(A), "a", "type"),
    ("text to moment", record(("a", str)), record(("a", datetime)), "a", "type"),
    ("text to date", record(("a", str)), record(("a", date)), "a", "type"),
    ("text to UUID", record(("a", str)), record(("a", UUID)), "a", "type"),
    ("text to decimal", record(("a", str)), record(("a", Decimal)), "a", "type"),
    ("text to bytes", record(("a", str)), record(("a", bytes)), "a", "type"),
    ("date to moment", record(("a", date)), record(("a", datetime)), "a", "type"),
    ("anything to text", record(("a", Any)), record(("a", str)), "a", "type"),
    ("no None", record(("a", int | None)), record(A), "a", "none"),
    ("member of a union", record(("a", int | str)), record(A), "a", "member"),
    ("Enum", record(("a", Old)), record(("a", New)), "a", "values"),
    ("Literal", record(("a", Literal["x", "y"])), record(("a", Literal["y"])), "a", "values"),
    ("text to Literal", record(("a", str)), record(("a", Literal["y"])), "a", "type"),
    ("bool to Literal", record(("a", bool)), record(("a", Literal["y"])), "a", "values"),
    ("bound", record(A), record(("a", Annotated[int, Meta(le=10)])), "a", "bounds"),
    ("lower bound", record(("a", Annotated[int, Meta(ge=0)])),
     record(("a", Annotated[int, Meta(gt=0)])), "a", "bounds"),
    ("multiple", record(A), record(("a", Annotated[int, Meta(multiple_of=5)])), "a", "bounds"),
    ("length", record(("a", str)), record(("a", Annotated[str, Meta(max_length=2)])), "a",
     "bounds"),
    ("least length", record(("a", str)), record(("a", Annotated[str, Meta(min_length=1)])), "a",
     "bounds"),
    ("pattern", record(("a", str)), record(("a", Annotated[str, Meta(pattern="^x+$")])), "a",
     "bounds"),
    ("items", record(("a", list[int])), record(("a", Annotated[list[int], Meta(min_length=1)])),
     "a", "bounds"),
    ("item", record(("a", list[int])), record(("a", list[str])), "a[]", "type"),
    ("value", record(("a", dict[str, int])), record(("a", dict[str, str])), "a.*", "type"),
    ("key", record(("a", dict[str, int])), record(("a", dict[int, int])), "a.(keys)", "bounds"),
    ("list to one", record(("a", list[int])), record(A), "a", "type"),
    ("tuple grows", record(("a", tuple[int, int])), record(("a", tuple[int, int, int])), "a[2]",
     "required"),
    ("tuple shrinks", record(("a", tuple[int, int])), record(("a", tuple[int])), "a[1]",
     "refused"),
    ("place", Point, Point3, "[2]", "required"),
    ("refused", record(A, ("b", int)), record(A, forbid_unknown_fields=True), "b", "refused"),
    ("nested", record(("a", of(list, record(A)))),
     record(("a", of(list, record(A, ("b", int))))),
     "a[].b", "required"),
    ("union member gone", record(("a", Card | Cash)), record(("a", Card | Coin)), "a", "member"),
    ("inside a member", record(("a", Card | Cash)), record(("a", Longer | Cash)),
     "a<card>.owner", "required"),
    ("tag", record(("a", Cash)), record(("a", Coin)), "a", "tag"),
    ("recursive", Node, Deeper, "size", "required"),
    ("typed dict", Loose, Tight, "a", "required"),
    ("mapping to fields", record(("a", dict[str, int])), record(("a", record(A))), "a.a",
     "required"),
    ("Pydantic", Model, ModelMore, "c", "required"),
    ("Pydantic's union", Owner, CatOwner, "pet", "member"),
    ("Pydantic's decimal", CatOwner, Owner, "price", "bounds"),
    ("Pydantic refuses", Model, ModelStrict, "b", "refused"),
]  # fmt: skip

FITS: list[tuple[str, Any, Any, str]] = [
    ("the same", record(A), record(A), ""),
    ("added with a default", record(A), record(A, ("b", str, "")), "added"),
    ("gone", record(A, ("b", int)), record(A), "removed"),
    ("order", record(A, ("b", int)), record(("b", int), A), ""),
    ("wider", record(A), record(("a", float)), "widened"),
    ("None", record(A), record(("a", int | None)), "widened"),
    ("moment to text", record(("a", datetime)), record(("a", str)), "widened"),
    ("Enum grows", record(("a", New)), record(("a", Old)), "widened"),
    ("Literal to text", record(("a", Literal["x"])), record(("a", str)), "widened"),
    ("bound", record(("a", Annotated[int, Meta(le=10)])), record(A), "widened"),
    ("the same bound", record(("a", Annotated[int, Meta(gt=0)])),
     record(("a", Annotated[int, Meta(ge=1)])), ""),
    ("anything", record(A), record(("a", Any)), "widened"),
    ("any object", record(A), record(("a", object)), "widened"),
    ("objects are anything", record(("a", dict[str, object])), record(("a", dict[str, Any])), ""),
    ("member", record(("a", Card)), record(("a", Card | Cash)), "widened"),
    ("untagged", record(("a", Card)), record(("a", record(("number", str)))), "removed"),
    ("place", Point, PointDefault, ""),
    ("fields to mapping", record(("a", record(A))), record(("a", dict[str, int])), ""),
    ("default", record(A), record(("a", int, 1)), "optional"),
    ("recursive", Node, Node, ""),
    ("set to list", record(("a", set[int])), record(("a", list[int])), "widened"),
    ("Pydantic", ModelMore, Model, "removed"),
    ("all of Pydantic", Owner, Owner, ""),
    ("Pydantic's decimal", record(("a", Decimal)), pydantic.create_model("D", a=(Decimal, 0)),
     "optional"),
]  # fmt: skip


def forms(old: Any, new: Any) -> tuple[Schema, Schema]:
    """The schemas as they are recorded."""
    return normal(schema_of(old)), normal(schema_of(new))


def unread(old: Any, new: Any) -> list[str]:
    """The examples of the old form that the new type's own reader refuses."""
    read, refused = message_reader(new), []
    for example in examples_of(normal(schema_of(old))):
        body = msgspec.json.encode(example.value)
        message_reader(old)(body)  # an example is of its own type, whatever else
        try:
            read(body)
        except ValueError as error:
            refused.append(f"{body!r}: {error}")
    return refused


@pytest.mark.parametrize("case", BREAKS, ids=[one[0] for one in BREAKS])
def test_what_breaks_is_told_with_its_path(case: tuple[str, Any, Any, str, str]) -> None:
    """The path, the kind of change; and the new type does refuse an example of the old form."""
    _, old, new, path, code = case
    found = breaking(*forms(old, new))
    assert (path, code) in [(one.path, one.code) for one in found], list(map(str, found))
    lenient = {"no None", "tag"} | ({"Pydantic refuses"} & set())
    assert unread(old, new) or case[0] in lenient


@pytest.mark.parametrize("case", FITS, ids=[one[0] for one in FITS])
def test_what_only_widens_is_no_fault(case: tuple[str, Any, Any, str]) -> None:
    """Nothing breaks; and the new type reads every example of the old form."""
    _, old, new, code = case
    found = compare(*forms(old, new))
    assert [str(one) for one in found if one.breaks] == []
    assert {one.code for one in found} == ({code} if code else set())
    assert unread(old, new) == []


def test_a_change_is_told_with_what_was_and_what_is() -> None:
    """In the words of a person who writes Python."""
    (found,) = breaking(*forms(record(("a", int | None)), record(("a", str | None))))
    assert str(found) == "`a` no longer takes a whole number"
    assert (found.old, found.new) == ("a whole number or None", "text or None")


def test_a_rename_is_seen_as_one() -> None:
    """One field that is gone and one that is new, of the same type."""
    (found,) = breaking(*forms(record(A, ("sku", str)), record(A, ("article", str))))
    assert "`sku`, which is gone, looks like its old name" in str(found)


def test_a_rename_is_seen_where_the_new_name_has_a_default() -> None:
    """Nothing breaks, and each field that is gone is the old name of one at most."""
    new = record(A, ("article", str, ""), ("title", str, ""), ("size", int, 0))
    found = compare(*forms(record(A, ("sku", str)), new))
    assert {one.path: one.code for one in found} == {
        "article": "renamed",
        "sku": "removed",
        "size": "added",
        "title": "added",
    }
    assert not any(one.breaks for one in found)


def test_names_and_words_are_no_change() -> None:
    """Another class name, a docstring, another order: the recorded form stays as it is."""

    class Order(Struct):
        """Something."""

        id: str
        count: int

    class Purchase(Struct):
        """Something else."""

        count: int
        id: str

    assert normal(schema_of(Order)) == normal(schema_of(Purchase))


SIMPLE: list[Any] = [
    int, float, str, bool, datetime, date, Any, Old, New, Card, Point, PointDefault, Node, Loose,
    Literal["x", 1], Annotated[int, Meta(ge=0, le=9)], Annotated[str, Meta(max_length=3)],
    record(A), record(A, forbid_unknown_fields=True), record(A, ("b", int, 2)), record(("b", str)),
]  # fmt: skip


def types() -> st.SearchStrategy[Any]:
    """Types as teams write them."""

    def more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(
            inner.map(lambda one: of(list, one)),
            inner.map(lambda one: of(dict, str, one)),
            inner.map(lambda one: one if one is Any else of(Union, one, None)),
            st.tuples(inner, inner).map(lambda two: of(tuple, *two)),
            st.lists(st.tuples(st.sampled_from("abc"), inner), unique_by=lambda one: one[0]).map(
                lambda fields: record(*fields)
            ),
        )

    return st.recursive(st.sampled_from(SIMPLE), more, max_leaves=4)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(types(), types())
def test_where_nothing_breaks_every_example_is_read(old: Any, new: Any) -> None:
    """Over random pairs of types: the comparison never says yes where the decoder says no."""
    if not breaking(*forms(old, new)):
        assert unread(old, new) == []


# --- examples -------------------------------------------------------------------------------------


def test_examples_are_the_same_each_time_and_begin_with_the_least() -> None:
    """Required fields alone first, then the whole, then one difference at a time."""
    kind = record(A, ("c", Card | Cash), ("b", Annotated[str, Meta(max_length=3)], ""))
    found = examples_of(normal(schema_of(kind)))
    assert [one.case for one in found[:2]] == ["minimal", "full"]
    assert found[0].value == {"a": 0, "c": {"number": "", "type": "card"}}
    assert {"a below zero", "b with 3 characters", "b least", "c is 'cash'"} <= {
        one.case for one in found
    }
    assert found == examples_of(normal(schema_of(kind)))


def test_a_type_that_only_holds_itself_has_no_example() -> None:
    """It has no value at all."""
    schema = {"$ref": "#/$defs/N", "$defs": {"N": {
        "type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"],
    }}}  # fmt: skip
    with pytest.raises(NoExample):
        examples_of(schema)


def test_types_that_hold_each_other_in_many_ways_have_examples() -> None:
    """Of an expression in twenty operators the least is a number, and the number of them ends."""
    operators = [f"Op{number}" for number in range(20)]
    expression = {"anyOf": [{"$ref": f"#/$defs/{name}"} for name in (*operators, "Number")]}
    sides = {"left": expression, "right": expression}
    defs: dict[str, Any] = {
        name: {
            "type": "object",
            "properties": {"type": {"enum": [name]}, **sides},
            "required": ["type", "left", "right"],
        }
        for name in operators
    }
    number = {"type": {"enum": ["Number"]}, "value": {"type": "integer"}}
    defs["Number"] = {"type": "object", "properties": number, "required": ["type", "value"]}
    found = examples_of({**expression, "$defs": defs})
    assert found[0].value == {"type": "Number", "value": 0}
    assert len(found) == limits.SCHEMA_EXAMPLES
    assert compare({**expression, "$defs": defs}, {**expression, "$defs": defs}) == []


@pytest.mark.parametrize(
    "pattern",
    ["^[a-z]+$", r"^\d{3}-\w+$", "^(a|b)c*$", "[^a-z]{2,4}", r"^[A-Z]{2}\d{2}$", r"^\S+@\S+\.\w+$"],
)
def test_a_text_for_a_pattern_is_found(pattern: str) -> None:
    """It matches, and is the same each time."""
    import re

    text = text_matching(pattern)
    assert text is not None
    assert re.search(pattern, text)
    assert text == text_matching(pattern)


def test_a_pattern_without_a_text_is_told() -> None:
    """Where a lookahead rules out what is built, nothing is made up."""
    assert text_matching("^(?=a)b") is None
