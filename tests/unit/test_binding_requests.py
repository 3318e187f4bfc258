"""From a request or a message to the arguments of a handler."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import STRICT, Enum, IntEnum, IntFlag
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from wherry.app import App, Caller, Form, Header, RawBody
from wherry.app.endpoints import Endpoint
from wherry.errors import (
    BadRequest,
    DoNotRetry,
    Invalid,
    Problem,
    Unauthenticated,
    UnsupportedMediaType,
)
from wherry.invocation import CallerClaims, HttpEvent, MessageEvent
from wherry.runtime.binding import bind, bind_message
from wherry.runtime.binding.texts import BadText, text_reader
from wherry.runtime.binding.urlencoded import parse

ALICE = CallerClaims("alice", ("customer",), ("read",), "https://id", {"sub": "alice"})
JSON = {"content-type": "application/json"}
OrderId = NewType("OrderId", str)


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Settings(Struct):
    news: bool = False
    mail: str = ""


class Rights(IntFlag, boundary=STRICT):
    READ = 1
    WRITE = 2


class Size(IntEnum):
    S = 1
    L = 2


class Item(Struct):
    id: str
    count: int = 1


def event(
    *,
    path: dict[str, str] | None = None,
    query: str = "",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    caller: CallerClaims | None = None,
) -> HttpEvent:
    return HttpEvent(
        "handle", "POST", "/", path or {}, query, headers or {}, body, caller, "127.0.0.1"
    )


def endpoint(fn: Any, path: str = "/a", method: str = "post") -> Endpoint:
    app = App("a")
    people = app.auth("people")
    getattr(app, method)(path, auth=people)(fn)
    app.freeze()
    return app.endpoints[fn.__name__][fn.__name__]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (str, "a b", "a b"),
        (str, "", ""),
        (OrderId, "x", "x"),
        (int, "-12", -12),
        (int, "0", 0),
        (float, "1.5e3", 1500.0),
        (float, "2", 2.0),
        (bool, "true", True),
        (bool, "false", False),
        (Decimal, "1.10", Decimal("1.10")),
        (date, "2026-11-21", date(2026, 11, 21)),
        (datetime, "2026-11-21T10:00:00Z", datetime(2026, 11, 21, 10, tzinfo=UTC)),
        (UUID, "018f2b5e-0000-7000-8000-000000000000",
         UUID("018f2b5e-0000-7000-8000-000000000000")),
        (Color, "red", Color.RED),
        (Size, "2", Size.L),
        (Literal["a", 1], "1", 1),
        (Literal["a", None], "null", None),
        (Rights, "2", Rights.WRITE),
        (Rights, "3", Rights.READ | Rights.WRITE),
        (Annotated[int, msgspec.Meta(ge=1)], "1", 1),
    ],
)  # fmt: skip
def test_a_text_becomes_a_scalar_of_its_type(kind: Any, text: str, expected: Any) -> None:
    found = text_reader(kind)(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "texts"),
    [
        (str, ["a\0b"]),
        (int, ["", " 1", "1 ", "+1", "01", "1.0", "1_000", "0x1", "1" * 30, "one", "-", "\u0661"]),
        (float, ["", "nan", "inf", "-inf", "1e999", "1e99999", ".5", "5.", "1_0", "0" * 500]),
        (bool, ["", "1", "0", "True", "yes", "on", "null"]),
        (Decimal, ["NaN", "Infinity", "1e99999", ""]),
        (date, ["2026-13-01", "2026-11-21T10:00:00Z", "today", ""]),
        (datetime, ["2026-11-21 25:00", "now", "1700000000", ""]),
        (UUID, ["", "x", "018f2b5e"]),
        (Color, ["", "RED", "Color.RED", "green"]),
        (Size, ["3", "S", "1.0", "01"]),
        (Literal["a", 1], ["b", "01", ""]),
        (Literal["a", None], ["None", ""]),
        (Rights, ["READ", "8", "1.0", ""]),
        (Annotated[int, msgspec.Meta(ge=1)], ["0"]),
        (Annotated[str, msgspec.Meta(max_length=2)], ["abc"]),
    ],
)
def test_any_other_text_is_refused(kind: Any, texts: list[str]) -> None:
    read = text_reader(kind)
    for text in texts:
        with pytest.raises(BadText):
            read(text)


ODD_TEXTS = st.text(max_size=12) | st.sampled_from(["1", "true", "1e5", "2026-11-21"])


@given(ODD_TEXTS)
@settings(max_examples=200, deadline=None)
def test_no_text_gives_anything_but_a_value_or_bad_text(text: str) -> None:
    for kind in (str, int, float, bool, Decimal, date, datetime, UUID, Color, Size, Literal["a"]):
        with suppress(BadText):
            text_reader(kind)(text)


def test_arguments_come_from_path_query_header_body_and_caller() -> None:
    def handle(
        id: int,
        item: Item,
        agent: Annotated[str, Header("User-Agent")],
        caller: Caller,
        tag: list[str],
        q: str = "all",
        size: Size | None = None,
        trace: Annotated[str | None, Header("x-trace")] = None,
    ) -> None: ...

    found = bind(
        endpoint(handle, "/a/{id}"),
        event(
            path={"id": "7"},
            query="tag=x&tag=y%20z&q=caf%C3%A9+bar&size=2",
            headers=JSON | {"user-agent": "curl"},
            body=b'{"id":"a"}',
            caller=ALICE,
        ),
    )
    assert found == {
        "id": 7,
        "item": Item("a"),
        "agent": "curl",
        "caller": Caller(
            subject="alice",
            roles=("customer",),
            scopes=("read",),
            issuer="https://id",
            claims={"sub": "alice"},
        ),
        "tag": ["x", "y z"],
        "q": "café bar",
        "size": Size.L,
        "trace": None,
    }


def test_what_is_left_out_has_its_default_and_lists_are_not_shared() -> None:
    def handle(q: str = "all", tags: list[str] = [], more: list[int] | None = None) -> None: ...  # noqa: B006

    one = endpoint(handle)
    first = bind(one, event())
    assert first == {"q": "all", "tags": [], "more": None}
    first["tags"].append("x")
    assert bind(one, event())["tags"] == []


def test_all_faults_of_a_request_are_listed_at_once() -> None:
    def handle(id: UUID, item: Item, limit: int, q: int = 1, tags: list[int] = []) -> None: ...  # noqa: B006

    with pytest.raises(Invalid) as failure:
        bind(
            endpoint(handle, "/a/{id}"),
            event(
                path={"id": "x"},
                query="q=1&q=2&tags=1&tags=b",
                headers=JSON,
                body=b'{"count":"x","odd":1}',
            ),
        )
    assert {fault["at"]: fault["fault"] for fault in failure.value.faults} == {
        "path.id": "Invalid UUID",
        "query.limit": "Missing query parameter",
        "query.q": "Given twice",
        "query.tags[1]": "Expected a whole number of up to 19 digits",
        "$.odd": "Unknown field",
        "$.id": "Missing field",
        "$.count": "Expected `int`, got `str`",
    }


@pytest.mark.parametrize("query", ["q=%", "q=%zz", "q=%ff", "%c3=1", "q=\ud800", "&q=1" * 1_001])
def test_a_query_that_cannot_be_read_is_400(query: str) -> None:
    def handle(q: str) -> None: ...

    with pytest.raises(BadRequest):
        bind(endpoint(handle), event(query=query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", []),
        ("a", [("a", "")]),
        ("a=", [("a", "")]),
        ("=a", [("", "a")]),
        ("&&a=1&", [("a", "1")]),
        ("a=b=c", [("a", "b=c")]),
        ("a=1;b=2", [("a", "1;b=2")]),
        ("a+b=c%2Bd", [("a b", "c+d")]),
    ],
)
def test_a_query_is_pairs_in_order(query: str, expected: list[tuple[str, str]]) -> None:
    assert parse(query, "query") == expected


@given(st.text(max_size=30) | st.text(alphabet="qlimt=&%+0123456789abcdef", max_size=30))
@settings(max_examples=300, deadline=None)
def test_no_query_gives_anything_but_arguments_or_a_problem(query: str) -> None:
    with suppress(Problem):
        assert set(bind(SEARCH, event(query=query))) == {"q", "limit", "tags", "color"}


def search(
    q: str = "",
    limit: int = 1,
    tags: list[date] = [],  # noqa: B006
    color: Color | None = None,
) -> None: ...


SEARCH = endpoint(search, method="get")


def take(item: Item) -> None: ...
def take_settings(settings: Form[Settings]) -> None: ...
def take_form(item: Form[Item]) -> None: ...
def take_raw(body: RawBody) -> None: ...
def take_some(item: Item | None = None) -> None: ...


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/merge-patch+json",
        "",
    ],
)
def test_json_may_be_called_by_its_names_or_not_at_all(content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}
    assert bind(endpoint(take), event(headers=headers, body=b'{"id":"a"}')) == {"item": Item("a")}


@pytest.mark.parametrize(
    ("fn", "content_type"),
    [
        (take, "text/plain"),
        (take, "application/x-www-form-urlencoded"),
        (take, "application/json; charset=utf-16"),
        (take, "applicationjson"),
        (take_form, "application/json"),
        (take_form, "multipart/form-data; boundary=x"),
        (take_form, ""),
    ],
)
def test_another_media_type_is_415(fn: Any, content_type: str) -> None:
    with pytest.raises(UnsupportedMediaType):
        bind(endpoint(fn), event(headers={"content-type": content_type}, body=b'{"id":"a"}'))


def test_a_multipart_form_is_refused_with_the_advice_of_a_presigned_upload() -> None:
    headers = {"content-type": "multipart/form-data; boundary=x"}
    with pytest.raises(UnsupportedMediaType) as failure:
        bind(endpoint(take_form), event(headers=headers, body=b"--x"))
    assert "presigned" in failure.value.advice


def test_forms_and_raw_bodies_are_bound() -> None:
    form = {"content-type": "application/x-www-form-urlencoded; charset=UTF-8"}
    found = bind(endpoint(take_form), event(headers=form, body=b"id=a&count=2"))
    assert found == {"item": Item("a", 2)}
    raw = bind(endpoint(take_raw), event(headers={"content-type": "image/png"}, body=b"\xff\0"))
    assert raw == {"body": RawBody(content=b"\xff\0", media_type="image/png")}


def test_a_checked_box_of_a_form_is_true() -> None:
    """Browsers send `on` for it, and nothing for one that is not checked."""
    form = {"content-type": "application/x-www-form-urlencoded"}
    for body, news in ((b"news=on", True), (b"news=true", True), (b"news=false", False)):
        found = bind(endpoint(take_settings), event(headers=form, body=body))
        assert found == {"settings": Settings(news)}
    found = bind(endpoint(take_settings), event(headers=form, body=b"mail=a"))
    assert found == {"settings": Settings(mail="a")}
    with pytest.raises(Invalid):
        bind(endpoint(take_settings), event(headers=form, body=b"news=yes"))


def test_a_body_that_is_needed_and_missing_is_400_and_an_optional_one_is_none() -> None:
    with pytest.raises(BadRequest):
        bind(endpoint(take), event())
    assert bind(endpoint(take_some), event()) == {"item": None}


def test_a_handler_that_takes_a_caller_is_not_called_without_one() -> None:
    def handle(caller: Caller) -> None: ...

    with pytest.raises(Unauthenticated):
        bind(endpoint(handle), event())


def test_a_caller_that_is_known_already_is_not_made_again() -> None:
    def handle(caller: Caller | None) -> None: ...

    bob = Caller(subject="bob")
    one = endpoint(handle)
    assert bind(one, event(), bob)["caller"] is bob
    assert bind(one, event()) == {"caller": None}


def consumer() -> Endpoint:
    app = App("a")
    items = app.queue(Item)

    @app.consume(items)
    def work(item: Item) -> None: ...

    app.freeze()
    return app.endpoints["work"]["work"]


def test_a_message_becomes_its_payload_and_may_have_newer_fields() -> None:
    message = MessageEvent("work", "items", "1", b'{"id":"a","count":2,"newer":true}', 0)
    assert bind_message(consumer(), message) == {"item": Item("a", 2)}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id":1}', b"\xff", b"[" * 100_000])
def test_a_message_of_another_type_is_not_tried_again(body: bytes) -> None:
    with pytest.raises(DoNotRetry, match="work"):
        bind_message(consumer(), MessageEvent("work", "items", "1", body, 0))
