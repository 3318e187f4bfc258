"""From what a handler returned to an encoded answer."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict
from uuid import UUID

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from wherry import limits
from wherry.app import App, Redirect, Reply
from wherry.app.endpoints import Endpoint
from wherry.errors import HandlerFailed
from wherry.invocation import Reply as Encoded
from wherry.runtime.binding import CannotReply, encode_reply

JSON = [("content-type", "application/json")]


class Color(Enum):
    RED = "red"


class Item(Struct):
    id: str


class Special(Item):
    more: int = 1


class Typed(TypedDict):
    id: str


@dataclass
class Data:
    id: str


def endpoint(fn: Any, status: int = 200) -> Endpoint:
    app = App("a")
    app.post("/a", status=status)(fn)
    app.freeze()
    return app.endpoints[fn.__name__][fn.__name__]


def anything():  # type: ignore[no-untyped-def]
    ...


ANYTHING = endpoint(anything)


def why(result: Any, one: Endpoint = ANYTHING) -> str:
    with pytest.raises(HandlerFailed) as failure:
        encode_reply(one, result)
    cause = failure.value.__cause__
    assert isinstance(cause, CannotReply)
    assert str(cause) not in failure.value.message
    return str(cause)


@pytest.mark.parametrize(
    ("result", "body"),
    [
        (Item("a"), b'{"id":"a"}'),
        (Data("a"), b'{"id":"a"}'),
        ([Item("a")], b'[{"id":"a"}]'),
        ({"a": 1}, b'{"a":1}'),
        ({}, b"{}"),
        ("text", b'"text"'),
        (0, b"0"),
        (False, b"false"),
        ((1, 2), b"[1,2]"),
        (Color.RED, b'"red"'),
        (Decimal("1.10"), b'"1.10"'),
        (date(2026, 11, 21), b'"2026-11-21"'),
        (datetime(2026, 11, 21, tzinfo=UTC), b'"2026-11-21T00:00:00Z"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
    ],
)
def test_a_result_is_json_by_its_type(result: Any, body: bytes) -> None:
    assert encode_reply(ANYTHING, result) == Encoded(200, JSON, body)


def test_a_handler_that_says_any_may_return_anything() -> None:
    def handler() -> Any: ...

    assert encode_reply(endpoint(handler), {"a": [1]}).body == b'{"a":[1]}'


def test_bytes_are_sent_as_they_are() -> None:
    octets = [("content-type", "application/octet-stream")]
    assert encode_reply(ANYTHING, b"\xff") == Encoded(200, octets, b"\xff")


@pytest.mark.parametrize(("status", "expected"), [(200, 204), (202, 202), (204, 204)])
def test_none_is_an_answer_without_a_body(status: int, expected: int) -> None:
    assert encode_reply(endpoint(anything, status), None) == Encoded(expected, [], b"")


def test_the_route_says_the_status_and_a_reply_may_say_another() -> None:
    created = endpoint(anything, 201)
    assert encode_reply(created, {}).status == 201
    assert encode_reply(created, Reply({}, status=409)).status == 409


def test_a_reply_has_headers_cookies_and_a_media_type() -> None:
    reply = Reply(
        "id;name",
        status=203,
        headers={"X-Total": "1", "ETag": '"a"'},
        cookies=["a=1; Path=/", "b=2"],
        media_type="text/csv",
    )
    assert encode_reply(ANYTHING, reply) == Encoded(
        203,
        [
            ("x-total", "1"),
            ("etag", '"a"'),
            ("content-type", "text/csv"),
            ("set-cookie", "a=1; Path=/"),
            ("set-cookie", "b=2"),
        ],
        b"id;name",
    )


def test_cookies_by_name_are_kept_from_scripts_and_other_sites() -> None:
    reply = encode_reply(ANYTHING, Reply(cookies={"sid": "x"}))
    assert reply.headers == [("set-cookie", "sid=x; Path=/; Secure; HttpOnly; SameSite=Lax")]


@pytest.mark.parametrize(
    ("reply", "content_type", "body"),
    [
        (Reply("x"), "application/json", b'"x"'),
        (Reply("x", media_type="application/problem+json"), "application/problem+json", b'"x"'),
        (Reply(Item("a"), media_type="application/vnd.a+json"), "application/vnd.a+json",
         b'{"id":"a"}'),
        (Reply(b"x"), "application/octet-stream", b"x"),
        (Reply(b"x", media_type="image/png"), "image/png", b"x"),
        (Reply("x", headers={"Content-Type": "text/html"}), "text/html", b"x"),
    ],
)  # fmt: skip
def test_a_body_is_encoded_by_its_media_type(reply: Reply, content_type: str, body: bytes) -> None:
    encoded = encode_reply(ANYTHING, reply)
    assert encoded.headers == [("content-type", content_type)]
    assert encoded.body == body


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_names_where_to(status: int) -> None:
    assert encode_reply(ANYTHING, Redirect("/there?x=1", status)) == Encoded(
        status, [("location", "/there?x=1")], b""
    )


class Loop(Struct):
    parts: list[Any]


def loop() -> Loop:
    one = Loop([])
    one.parts.append(one)
    return one


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (object(), "no JSON form"),
        ({"a": object()}, "no JSON form"),
        ({(1, 2): 3}, "dict"),
        (loop(), "contains itself"),
        ("\ud800", "surrogate"),
        (Reply("\ud800", media_type="text/plain"), "UTF-8"),
        (Reply({}, status=99), "200..599"),
        (Reply({}, status=True), "200..599"),
        (Reply({}, status=101), "200..599"),
        (Reply("x", status=204), "no body"),
        (Reply(headers={"x\r\ny": "1"}), "name of a header"),
        (Reply(headers={"": "1"}), "name of a header"),
        (Reply(headers={"x y": "1"}), "name of a header"),
        (Reply(headers={"x": "1\r\nset-cookie: a=1"}), "no header holds"),
        (Reply(headers={"x": "1\n"}), "no header holds"),
        (Reply(headers={"x": "\0"}), "no header holds"),
        (Reply(headers={"x": "é€"}), "no header holds"),
        (Reply(headers={"x": 1}), "no header holds"),  # type: ignore[dict-item]
        (Reply(headers={"Content-Length": "1"}), "frames"),
        (Reply(headers={"Transfer-Encoding": "chunked"}), "frames"),
        (Reply("x", headers={"content-type": "a/b"}, media_type="a/c"), "twice"),
        (Reply("x", media_type="a/b\r\nx: 1"), "no header holds"),
        (Reply(cookies=["a=1\r\nb: 2"]), "no header holds"),
        (Reply(cookies={"a b": "1"}), "cookie"),
        (Reply(cookies={"a": "1; Domain=evil.example"}), "cookie"),
        (Redirect("/a\r\nset-cookie: x=1"), "no header holds"),
        (Redirect("/a", status=200), "redirect"),
        (b"x" * (limits.REPLY_BODY_BYTES + 1), "presigned"),
        ((part for part in "ab"), "no JSON form"),
    ],
)
def test_what_cannot_be_sent_fails_with_a_reason_for_the_team(result: Any, says: str) -> None:
    assert says in why(result)


def test_a_property_of_the_teams_own_that_raises_is_a_failure_of_the_handler() -> None:
    class Bad(dict[str, Any]):
        def items(self) -> Any:
            raise RuntimeError("no items today")

    class Wrong:
        __pydantic_validator__ = None

        def model_dump_json(self, **_: Any) -> str:
            raise RuntimeError("no dump today")

    assert "no dump today" in why(Wrong())
    assert encode_reply(ANYTHING, Bad()).body == b"{}"


def gives_item() -> Item: ...
def gives_maybe() -> Item | None: ...
def gives_none() -> None: ...
def gives_list() -> list[Item]: ...
def gives_typed() -> Typed: ...
def gives_float() -> float: ...
def gives_reply() -> Item | Reply: ...


@pytest.mark.parametrize(
    ("fn", "result"),
    [
        (gives_item, Item("a")),
        (gives_item, Special("a")),
        (gives_item, Reply(status=404)),
        (gives_item, Redirect("/")),
        (gives_maybe, None),
        (gives_none, None),
        (gives_list, []),
        (gives_typed, {"id": "a"}),
        (gives_float, 1),
        (gives_reply, Reply({})),
    ],
)
def test_a_result_of_the_declared_type_is_sent(fn: Any, result: Any) -> None:
    assert encode_reply(endpoint(fn), result)


@pytest.mark.parametrize(
    ("fn", "result"),
    [
        (gives_item, None),
        (gives_item, {"id": "a"}),
        (gives_item, Data("a")),
        (gives_maybe, "a"),
        (gives_none, Item("a")),
        (gives_list, Item("a")),
        (gives_typed, Item("a")),
        (gives_float, "1"),
    ],
)
def test_a_result_of_another_type_is_refused(fn: Any, result: Any) -> None:
    assert fn.__name__ in why(result, endpoint(fn))


texts = st.text(max_size=8)


@given(texts, texts, texts, st.integers(-5, 700))
@settings(max_examples=300, deadline=None)
def test_no_reply_writes_a_header_of_its_own(name: str, value: str, url: str, status: int) -> None:
    for result in (
        Reply("x", status=status, headers={name: value}, cookies={name: value}),
        Reply("x", cookies=[value], media_type=url),
        Redirect(url, status=status),
    ):
        try:
            reply = encode_reply(ANYTHING, result)
        except HandlerFailed:
            continue
        assert 200 <= reply.status <= 599
        for key, text in reply.headers:
            assert not set("\r\n\0") & set(key + text)
            text.encode("latin-1")


# --- numbers that JSON cannot say ---------------------------------------------------------------


class Line(Struct):
    price: float | None
    note: str | None = None


class Basket(Struct):
    lines: list[Line]


class Measured(pydantic.BaseModel):
    value: float


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("result", "where"),
    [
        (NAN, "$ is nan"),
        (-INFINITY, "$ is -inf"),
        (Basket([Line(1.5), Line(INFINITY)]), "$.lines[1].price is inf"),
        ({"a": None, "b": {"c": (1, NAN)}}, "$.b.c[1] is nan"),
        (Data(NAN), "$.id is nan"),  # type: ignore[arg-type]
        (Reply([2**63, NAN]), "$[1] is nan"),
        (Reply({"big": 2**64 - 1, "bad": NAN}), "$.bad is nan"),
        (Measured(value=NAN), "$.value is nan"),
        ([Measured(value=NAN)], "$[0].value is nan"),
    ],
)
def test_a_number_that_json_lacks_is_the_teams_fault_and_named(result: Any, where: str) -> None:
    """NaN and Infinity would silently be null; the message says where they are."""
    assert why(result) == f"{where}, which JSON cannot say. Return a number or None."


@pytest.mark.parametrize(
    "result",
    [
        Basket([Line(1.5), Line(None, "null")]),
        [None, 1.7976931348623157e308, -0.0],
        {"when": datetime(2026, 1, 1, tzinfo=UTC), "none": None, "raw": b"\xcb\x7f\xf8"},
        {"large": 2**64 - 1, "deep": [[[[None]]]]},
        Reply(body={"none": None, "nan": "nan"}),
    ],
)
def test_none_is_null_and_every_other_number_goes_out(result: Any) -> None:
    """What looks alike is no fault: None, the word null, bytes like those of a NaN."""
    assert b"null" in encode_reply(ANYTHING, result).body
