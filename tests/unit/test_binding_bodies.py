"""Bodies: 400 where they cannot be read, 422 with every fault where they are wrong."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypedDict, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from wherry import limits
from wherry.errors import BadRequest, Invalid, Problem
from wherry.runtime.binding.bodies import form_reader, json_reader
from wherry.runtime.binding.scanning import depth_of

T = TypeVar("T")


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Line(Struct):
    sku: Annotated[str, msgspec.Meta(min_length=1)]
    count: Annotated[int, msgspec.Meta(ge=1, le=99)] = 1
    note: str | None = None


class Card(Struct, tag="card"):
    number: str


class Cash(Struct, tag="cash"):
    change: bool = False


class Order(Struct):
    lines: list[Line]
    pay: Card | Cash
    color: Color = Color.RED
    at: datetime | None = None
    extra: dict[str, Line] = {}
    pair: tuple[int, str] = (1, "a")


class Tree(Struct):
    name: str
    children: list[Tree] = []


class Renamed(Struct, rename="camel"):
    item_id: int


class Positional(Struct, array_like=True):
    a: int
    b: Line | None = None


class Checked(Struct):
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


class Page(Struct, Generic[T]):
    items: list[T]


@dataclass
class Data:
    line: Line
    mode: Literal["a", "b"] = "a"


@dataclass
class Noted:
    line: str

    def __post_init__(self) -> None:
        self.note = "none"


class Typed(TypedDict):
    id: UUID
    lines: list[Line]


class Point(NamedTuple):
    x: int
    y: int


GOOD = b'{"lines":[{"sku":"a","count":2}],"pay":{"type":"card","number":"1"}}'


def refused(kind: Any, body: bytes) -> Problem:
    with pytest.raises(Problem) as failure:
        json_reader(kind)(body)
    return failure.value


def faults(kind: Any, body: bytes) -> dict[str, str]:
    problem = refused(kind, body)
    assert isinstance(problem, Invalid), problem.message
    return {fault["at"]: fault["fault"] for fault in problem.faults}


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (Order, GOOD, Order([Line("a", 2)], Card("1"))),
        (Data, b'{"line":{"sku":"a"},"mode":"b"}', Data(Line("a"), "b")),
        (dict[str, int], b'{"a:b":1}', {"a:b": 1}),
        (list[Line], b'[{"sku":"a:b:c"}]', [Line("a:b:c")]),
        (Line, b'{"sku":"\\u003a\\u003a"}', Line("::")),
        (Line, b'{"sk\\u0075":"a"}', Line("a")),
        (Renamed, b'{"itemId":3}', Renamed(3)),
        (Positional, b'[1,{"sku":"a"}]', Positional(1, Line("a"))),
        (Tree, b'{"name":"a","children":[{"name":"b"}]}', Tree("a", [Tree("b")])),
        (Page[Line], b'{"items":[{"sku":"a"}]}', Page([Line("a")])),
        (Card | Cash | None, b"null", None),
        (dict[str, Any], b'{"a":[1,{"b":null}]}', {"a": [1, {"b": None}]}),
        (dict[str, object], b'{"a":[1,{"b":null}]}', {"a": [1, {"b": None}]}),
        (Any, b"[]", []),
        (Line, b'{"sku":"\\u0000 is a character"}', Line("\0 is a character")),
    ],
)
def test_a_good_body_becomes_a_value_of_its_type(kind: Any, body: bytes, expected: Any) -> None:
    assert json_reader(kind)(body) == expected


class Payment(Struct):
    amount: Decimal
    fees: list[Decimal | None] = []
    note: str = ""


class Measure(pydantic.BaseModel):
    value: float
    others: list[float] = []


@pytest.mark.parametrize(
    ("kind", "body", "at"),
    [
        *(
            (Payment, b'{"amount":"%b"}' % one, "$.amount")
            for one in (b"NaN", b"sNaN", b"-Infinity", b" inf ")
        ),
        (Payment, b'{"amount":"\\u004eaN"}', "$.amount"),
        (Payment, b'{"amount": "1", "fees": [null, "2", "nan"]}', "$.fees[2]"),
        *((Measure, b'{"value":"%b"}' % one, "$.value") for one in (b"NaN", b"-inf", b"1e999")),
        (Measure, b'{"value":1,"others":["2","\\u0069nf"]}', "$.others[1]"),
    ],
)  # fmt: skip
def test_a_text_for_nan_or_infinity_is_no_number(kind: Any, body: bytes, at: str) -> None:
    """JSON has none of them, so no answer and no item could hold what was accepted."""
    with pytest.raises(Invalid) as caught:
        json_reader(kind)(body)
    assert caught.value.faults == [{"at": at, "fault": "Expected a finite number"}]


def test_what_only_looks_like_nan_or_infinity_is_taken() -> None:
    body = b'{"amount":"1e999","fees":["0.1"],"note":"NaN, information, finance"}'
    read = Payment(Decimal("1e999"), [Decimal("0.1")], "NaN, information, finance")
    assert json_reader(Payment)(body) == read
    assert json_reader(Measure)(b'{"value":"1e100","others":[]}').value == 1e100


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "ends too early"),
        (b"", "ends too early"),
        (b'{"lines":[]', "ends too early"),
        (b"{\n  'a': 1}", "line 2, column 3"),
        (b'{"lines":[],}', "trailing comma"),
        (b'{"lines":NaN}', "line 1, column 10"),
        (b'{"lines":Infinity}', "column"),
        (b'{"lines":1e400}', "out of range"),
        (b"1" * 5_000, "out of range"),
        (b'{"lines":"\\ud800"}', "surrogate"),
        (b'{"lines":"\\ud800\\u0041"}', "surrogate"),
        (b'{"lines":"\xff"}', "not UTF-8"),
        (b"\xef\xbb\xbf{}", "column 1"),
        (b'{"lines":"a\x01"}', "invalid character"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a":' * 100_000, "nested deeper"),
        (b"[" * 101 + b"]" * 101, "nested deeper"),
        (b'{"x":' + b"[" * 500 + b"]" * 500 + b"}", "nested deeper"),
        (b'{"lines":[],"lines":[]}', "'lines' is there twice"),
        (b'{"lines":[{"sku":"a","sku":"b"}]}', "'sku' is there twice"),
        (b'{"lines":[{"sku":"\\u003a","sku":"b"}]}', "'sku' is there twice"),
        (b'{"lines":[{"sku":"::::","s\\u006bu":"b"}]}', "'sku' is there twice"),
        (b'{"zz":{"a":1,"a":2}}', "'a' is there twice"),
        (b"{} {}", "trailing"),
    ],
)
def test_what_cannot_be_read_is_400_and_says_where(body: bytes, message: str) -> None:
    for kind in (Order, Any, dict[str, Any]):
        problem = refused(kind, body)
        assert isinstance(problem, BadRequest)
        assert message in problem.message
        assert problem.faults


def test_every_fault_is_listed_with_its_place() -> None:
    body = json.dumps(
        {
            "lines": [{"sku": "", "count": 0, "odd": 1}, {"count": "2"}, 3],
            "pay": {"type": "gold"},
            "color": "green",
            "at": "yesterday",
            "extra": {"x y": {"sku": 1}},
            "pair": [1],
            "surplus": True,
        }
    ).encode()
    assert faults(Order, body) == {
        "$.surplus": "Unknown field",
        "$.lines[0].odd": "Unknown field",
        "$.lines[0].sku": "Expected `str` of length >= 1",
        "$.lines[0].count": "Expected `int` >= 1",
        "$.lines[1].sku": "Missing field",
        "$.lines[1].count": "Expected `int`, got `str`",
        "$.lines[2]": "Expected `object`, got `int`",
        "$.pay.type": "Expected one of 'card', 'cash'",
        "$.color": "Invalid enum value 'green'",
        "$.at": "Invalid RFC3339 encoded datetime",
        '$.extra["x y"].sku': "Expected `str`, got `int`",
        "$.pair": "Expected `array` of length 2",
    }


@pytest.mark.parametrize(
    ("kind", "body", "at"),
    [
        (Line, b'{"sku":"a","b":1}', "$.b"),
        (Data, b'{"line":{"sku":"a","b":1}}', "$.line.b"),
        (Typed, b'{"id":"018f2b5e-0000-7000-8000-000000000000","lines":[],"b":1}', "$.b"),
        (list[Line], b'[{"sku":"a"},{"sku":"a","b":1}]', "$[1].b"),
        (dict[str, Line], b'{"k":{"sku":"a","b":1}}', "$.k.b"),
        (Tree, b'{"name":"a","children":[{"name":"b","children":[{"x":1}]}]}',
         "$.children[0].children[0].x"),
        (Card | Cash, b'{"type":"cash","b":1}', "$.b"),
        (Line | None, b'{"sku":"a","b":1}', "$.b"),
        (Page[Line], b'{"items":[{"sku":"a","b":1}]}', "$.items[0].b"),
        (Positional, b'[1,{"sku":"a","b":1}]', "$"),
        (Renamed, b'{"item_id":3,"itemId":3}', "$.item_id"),
    ],
)  # fmt: skip
def test_an_unknown_field_is_a_fault_wherever_it_is(kind: Any, body: bytes, at: str) -> None:
    found = faults(kind, body)
    assert at in found
    assert "nknown field" in found[at]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (Checked, b'{"low":2,"high":1}', {"$": "low is above high"}),
        (list[Checked], b'[{"low":1,"high":2},{"low":2,"high":1}]', {"$[1]": "low is above high"}),
        (Point, b"[1]", None),
        (dict[str, int], b'{"a":"x","b":"y"}', {"$.a": "Expected `int`, got `str`",
                                                "$.b": "Expected `int`, got `str`"}),
        (dict[int, int], b'{"1":1,"x":2}', None),
        (Line, b"null", {"$": "Expected `object`, got `null`"}),
        (Line, b'"text"', {"$": "Expected `object`, got `str`"}),
        (list[int], b"{}", {"$": "Expected `array`, got `object`"}),
        (int | str | None, b"[]", None),
        (Card | Cash, b'{"number":"1"}', {"$.type": "Expected one of 'card', 'cash'"}),
        (Annotated[list[int], msgspec.Meta(min_length=2)], b"[1]",
         {"$": "Expected at least 2 elements, got 1"}),
        (set[int], b'["a"]', {"$[0]": "Expected `int`, got `str`"}),
    ],
)  # fmt: skip
def test_a_wrong_value_is_422(kind: Any, body: bytes, expected: dict[str, str] | None) -> None:
    found = faults(kind, body)
    assert found
    if expected is not None:
        assert found == expected


def test_the_list_of_faults_is_bounded() -> None:
    body = b"[" + b",".join([b'"x"'] * 5_000) + b"]"
    assert len(refused(list[int], body).faults) == limits.FAULTS


def test_what_is_nested_as_deeply_as_allowed_is_read() -> None:
    body = b"[" * limits.JSON_DEPTH + b"]" * limits.JSON_DEPTH
    assert json_reader(Any)(body) is not None


KINDS = (Order, Tree, Data, Typed, Positional, Page[Line], list[Line], dict[str, Card | Cash], Any)
READERS = [json_reader(kind) for kind in KINDS]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["lines", "pay", "type", "sku", "count", "name", "children", "items", "é:"]
            )
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=60) | values.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=300, deadline=None)
def test_no_body_gives_anything_but_a_value_or_a_problem(body: bytes) -> None:
    for reader in READERS:
        problem = None
        try:
            reader(body)
        except Problem as raised:
            problem = raised
        if problem is not None:
            assert problem.faults
            assert msgspec.json.encode(problem.faults)


@given(st.lists(st.tuples(st.sampled_from("abc:\\"), st.text(alphabet='ab:"\\', max_size=4))))
@settings(max_examples=300, deadline=None)
def test_a_key_is_refused_exactly_when_it_is_there_twice(pairs: list[tuple[str, str]]) -> None:
    body = "{" + ",".join(f"{json.dumps(key)}:{json.dumps(text)}" for key, text in pairs) + "}"
    twice = len({key for key, _ in pairs}) < len(pairs)
    try:
        assert json_reader(dict[str, str])(body.encode()) == dict(pairs)
        assert not twice
    except BadRequest:
        assert twice


SHAPES: list[tuple[Any, int | None]] = [
    (int, 0),
    (Line, 1),
    (Order, 3),
    (Card | Cash | None, 1),
    (dict[str, list[Line]], 3),
    (Page[Line], 3),
    (Tree, None),  # it ends nowhere
    (Any, None),
    (dict[str, Any], None),
    (msgspec.Raw, None),  # it would be written as it came
    (dict[int, str], None),
    (Data, None),  # its attributes are written, not its fields
]


@pytest.mark.parametrize(("kind", "depth"), SHAPES)
def test_it_is_known_how_deep_a_type_is(kind: Any, depth: int | None) -> None:
    assert depth_of(kind) == depth


FORMS = [
    b'{"sku":"a","count":1}',
    b'{"count":1,"sku":"a"}',
    b'{"sku":"a"}',
    b' { "sku" : "a" ,\n"count": 1 } ',
    b'{"sku":"\\u0061","count":1}',
]


@pytest.mark.parametrize("body", FORMS)
def test_a_body_may_be_written_in_any_form(body: bytes) -> None:
    """Order of fields, spaces and escapes make no difference to what is read."""
    assert json_reader(Line)(body) == Line("a", 1)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Line, b'{"sku":"a","sku":"a","count":1}'),
        (Line, b'{"sku":"b","sku":"a","count":1}'),
        (Line, b'{"sku":"a","count":1,"count":1}'),
        (Line, b'{ "sku": "a", "sku": "a", "count": 1 }'),
        (list[Line], b'[{"sku":"a","count":1},{"sku":"a","count":1,"sku":"a"}]'),
        (msgspec.Raw, b'{"a":1,"a":1}'),
        (dict[int, int], b'{"1":1,"1":1}'),
        (dict[str, dict[str, int]], b'{"a":{"b":1,"b":1}}'),
    ],
)
def test_a_key_that_is_there_twice_is_refused_in_any_form(kind: Any, body: bytes) -> None:
    assert isinstance(refused(kind, body), BadRequest)


def test_an_unknown_field_is_refused_although_the_value_would_be_written_with_it() -> None:
    """An attribute of a dataclass that is no field is written as if it were one."""
    assert list(faults(Noted, b'{"line":"a","note":"none"}')) == ["$.note"]


# --- forms --------------------------------------------------------------------------------------


class Search(Struct):
    q: str
    limit: Annotated[int, msgspec.Meta(le=100)] = 10
    tags: list[str] = []
    color: Color | None = None
    exact: bool = False
    sizes: list[int] = []


def test_a_form_is_read_into_its_type() -> None:
    read = form_reader(Search)
    assert read(b"q=a+b%26c&limit=7&tags=x&tags=y&color=blue&exact=true") == Search(
        "a b&c", 7, ["x", "y"], Color.BLUE, True
    )


def test_every_fault_of_a_form_is_listed() -> None:
    with pytest.raises(Invalid) as failure:
        form_reader(Search)(b"limit=many&color=green&odd=1&exact=yes&exact=true&sizes=1&sizes=x")
    assert {fault["at"] for fault in failure.value.faults} == {
        "$.q",
        "$.limit",
        "$.color",
        "$.odd",
        "$.exact",
        "$.sizes[1]",
    }


@pytest.mark.parametrize("body", [b"q=%zz", b"q=%", b"q=%ff", b"q=\xff", b"q=1&" * 1_001])
def test_a_form_that_cannot_be_read_is_400(body: bytes) -> None:
    with pytest.raises(BadRequest):
        form_reader(Search)(body)


@given(
    st.binary(max_size=40)
    | st.text(alphabet="q=&%+limt0123456789tags", max_size=40).map(str.encode)
)
@settings(max_examples=200, deadline=None)
def test_no_form_gives_anything_but_a_value_or_a_problem(body: bytes) -> None:
    with suppress(Problem):
        assert isinstance(form_reader(Search)(body), Search)
