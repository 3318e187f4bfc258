"""Everything that is wrong with an app is found when it is frozen: code, place and fix.

Each case declares one fault on an app and names the code of the finding that it leads to.
"""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import IntEnum
from types import FunctionType
from typing import Annotated, Any, Literal, TypedDict
from uuid import UUID

import pydantic.dataclasses
import pytest
from msgspec import Struct
from pydantic import AliasChoices, BaseModel

from wherry import limits
from wherry.app import App, Caller, Form, Header, RawBody
from wherry.blueprint import Grant
from wherry.errors import AppInvalid
from wherry.handles.occurrences import ObjectCreated

Case = Callable[[App], Any]


class Item(Struct):
    id: str
    name: str = ""


class Other(Struct):
    id: str


class Nested(Struct):
    item: Item


def handler() -> None: ...
def by_id(id: str) -> None: ...
def with_item(item: Item) -> None: ...
def consume_item(item: Item) -> None: ...


def findings(case: Case) -> list[Any]:
    app = App("shop")
    case(app)
    try:
        app.freeze()
    except AppInvalid as failure:
        return failure.findings
    return app.warnings


CASES: dict[str, tuple[str, Case]] = {}


def case(code: str) -> Callable[[Case], Case]:
    def keep(fn: Case) -> Case:
        CASES[f"{code}-{fn.__name__}"] = (code, fn)
        return fn

    return keep


# --- routes -------------------------------------------------------------------------------------


@case("route_twice")
def same_route(app: App) -> None:
    app.get("/a")(handler)
    app.get("/a")(consume_nothing)


def consume_nothing() -> None: ...


@case("route_twice")
def same_shape(app: App) -> None:
    @app.get("/a/{x}")
    def one(x: str) -> None: ...

    @app.get("/a/{y}")
    def two(y: str) -> None: ...


@case("name_twice")
def same_function(app: App) -> None:
    app.get("/a")(handler)
    app.get("/b")(handler)


@case("name_twice")
def same_handler_in_bundle(app: App) -> None:
    bundle = app.bundle("b")
    bundle.get("/a")(handler)
    bundle.get("/b")(handler)


@case("name_twice")
def table_and_bucket(app: App) -> None:
    app.table(Item, key="id")
    app.bucket("items")


@case("name_twice")
def two_tables(app: App) -> None:
    app.table(Item, key="id")
    app.table(Item, key="id")


@case("name_invalid")
def capital_bucket(app: App) -> None:
    app.bucket("Assets")


@case("name_invalid")
def long_secret(app: App) -> None:
    app.secret("x" * 64)


@case("name_invalid")
def odd_index(app: App) -> None:
    app.table(Item, key="id", indexes={"By Name": "name"})


@case("name_invalid")
def role_with_space(app: App) -> None:
    app.auth("people", roles=["the boss"])


@case("path_invalid")
def no_slash(app: App) -> None:
    app.get("a")(handler)


@case("path_reserved")
def engine_path(app: App) -> None:
    app.get("/healthz")(handler)


@case("path_parameter_unused")
def forgotten_parameter(app: App) -> None:
    app.get("/a/{id}")(handler)


@case("routes_many")
def too_many_routes(app: App) -> None:
    for number in range(limits.ROUTES + 1):
        name = f"f{number}"
        fn = FunctionType(handler.__code__, globals(), name)
        app.get(f"/a/{number}")(fn)


@case("status_invalid")
def odd_status(app: App) -> None:
    app.get("/a", status=404)(handler)


@case("status_without_body")
def bytes_without_body(app: App) -> None:
    @app.get("/a", status=204)
    def a() -> bytes: ...


@case("status_without_body")
def body_with_204(app: App) -> None:
    @app.get("/a", status=204)
    def a() -> Item: ...


@case("body_on_get")
def body_on_get(app: App) -> None:
    app.get("/a")(with_item)


@case("body_on_delete")
def body_on_delete(app: App) -> None:
    app.delete("/a")(with_item)


@case("body_twice")
def two_bodies(app: App) -> None:
    @app.post("/a")
    def a(one: Item, two: Other) -> None: ...


@case("throttle_bounds")
def no_rate(app: App) -> None:
    app.get("/a", throttle=(0, 1))(handler)


@case("throttle_bounds")
def no_burst(app: App) -> None:
    app.throttle(1, 0)


@case("cors_origin")
def origin_with_path(app: App) -> None:
    app.cors(origins=["https://a.example/shop"])


@case("cors_open")
def credentials_for_every_origin(app: App) -> None:
    app.cors(origins=["*"], credentials=True)


@case("cors_method")
def misspelt_method(app: App) -> None:
    app.cors(origins=["https://a.example"], methods=["GTE"])


@case("cors_method")
def no_method(app: App) -> None:
    app.cors(origins=["https://a.example"], methods=[])


@case("cors_header")
def header_of_two_lines(app: App) -> None:
    app.cors(origins=["https://a.example"], headers=["a\nb"])


@case("cors_header")
def exposed_header_of_two_lines(app: App) -> None:
    app.cors(origins=["https://a.example"], expose=["a\nb"])


@case("cors_header")
def headers_as_one_text(app: App) -> None:
    app.cors(origins=["https://a.example"], headers="x-one, x-two")


@case("media_type_invalid")
def pattern_of_media_types(app: App) -> None:
    app.bucket("b", media_types=["image/*"])


@case("media_type_invalid")
def half_a_media_type(app: App) -> None:
    app.bucket("b", media_types=["png"])


@case("media_type_invalid")
def media_type_in_capitals(app: App) -> None:
    app.bucket("b", media_types=["IMAGE/PNG"])


@case("value_type")
def media_type_that_is_no_text(app: App) -> None:
    app.bucket("b", media_types=[1])  # type: ignore[list-item]


@case("cors_age")
def ancient(app: App) -> None:
    app.cors(origins=["*"], max_age_s=100_000)


# --- arguments ----------------------------------------------------------------------------------


@case("argument_without_type")
def no_type(app: App) -> None:
    @app.get("/a")
    def a(x) -> None: ...  # type: ignore[no-untyped-def]


@case("argument_kind")
def stars(app: App) -> None:
    @app.get("/a")
    def a(*x: str) -> None: ...


@case("argument_kind")
def double_stars(app: App) -> None:
    @app.get("/a")
    def a(**x: str) -> None: ...


@case("argument_kind")
def positional_only(app: App) -> None:
    @app.get("/a")
    def a(x: str, /) -> None: ...


@case("annotation_unknown")
def unknown_annotation(app: App) -> None:
    @app.get("/a")
    def a(x: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


@case("argument_unsupported")
def bytes_body(app: App) -> None:
    @app.post("/a")
    def a(x: bytes) -> None: ...


@case("argument_unsupported")
def any_class(app: App) -> None:
    class Odd: ...

    @app.post("/a")
    def a(x: Odd) -> None: ...


@case("argument_unsupported")
def untagged_union(app: App) -> None:
    @app.post("/a")
    def a(x: Item | Other) -> None: ...


@case("argument_unsupported")
def mixed_union(app: App) -> None:
    @app.get("/a")
    def a(x: int | str) -> None: ...


@case("argument_unsupported")
def optional_path(app: App) -> None:
    @app.get("/a/{x}")
    def a(x: str | None) -> None: ...


@case("argument_unsupported")
def record_in_path(app: App) -> None:
    @app.get("/a/{x}")
    def a(x: Item) -> None: ...


@case("argument_unsupported")
def record_in_header(app: App) -> None:
    @app.get("/a")
    def a(x: Annotated[Item, Header("x")]) -> None: ...


@case("argument_unsupported")
def nested_form(app: App) -> None:
    @app.post("/a")
    def a(x: Form[Nested]) -> None: ...


@case("argument_unsupported")
def streamed_body(app: App) -> None:
    @app.post("/a")
    def a(x: Iterator[bytes]) -> None: ...


@case("return_unsupported")
def odd_return(app: App) -> None:
    class Odd: ...

    @app.get("/a")
    def a() -> Odd: ...


@pydantic.dataclasses.dataclass
class Weighed:
    id: str


@case("return_unsupported")
def dataclass_of_pydantic_returned(app: App) -> None:
    @app.get("/a")
    def a() -> list[Weighed] | None: ...


@case("type_unsupported")
def table_of_dataclasses_of_pydantic(app: App) -> None:
    app.table(Weighed, name="w", key="id")


@case("type_unsupported")
def event_that_is_a_dataclass_of_pydantic(app: App) -> None:
    app.event(name="weighed")(Weighed)


@case("header_name")
def header_of_no_name(app: App) -> None:
    @app.get("/a")
    def a(x: Annotated[str, Header("x a\n")]) -> None: ...


@case("default_type")
def default_of_another_type(app: App) -> None:
    @app.get("/a")
    def a(x: int = "abc") -> None: ...  # type: ignore[assignment]


@case("default_type")
def default_list_of_another_type(app: App) -> None:
    @app.get("/a")
    def a(x: list[int] = ["abc"]) -> None: ...  # type: ignore[list-item]  # noqa: B006


@case("handler_generator")
def generator(app: App) -> None:
    @app.get("/a")
    def a() -> Iterator[str]:
        yield "x"


@case("handler_generator")
def generator_of_items(app: App) -> None:
    @app.get("/a", status=204)
    async def a() -> AsyncIterator[Item]:
        yield Item("x")


@case("body_on_get")
def raw_on_get(app: App) -> None:
    @app.get("/a")
    def a(x: RawBody) -> None: ...


# --- who ----------------------------------------------------------------------------------------


@case("caller_without_auth")
def caller_of_nobody(app: App) -> None:
    @app.get("/a")
    def a(caller: Caller) -> None: ...


@case("roles_without_auth")
def roles_of_nobody(app: App) -> None:
    app.get("/a", roles=["admin"])(handler)


@case("role_unknown")
def unknown_role(app: App) -> None:
    people = app.auth("people", roles=["admin"])
    app.get("/a", auth=people, roles=["boss"])(handler)


@case("auth_unknown")
def auth_of_another_app(app: App) -> None:
    app.get("/a", auth=App("other").auth("people"))(handler)


@case("auth_kind")
def auth_by_name(app: App) -> None:
    app.auth("people")
    app.get("/a", auth="people")(handler)  # type: ignore[arg-type]


@case("issuer_insecure")
def plain_http(app: App) -> None:
    app.auth("people", issuer="http://id.example.com", audiences=["shop"])


@case("audience_missing")
def no_audience(app: App) -> None:
    app.auth("people", issuer="https://id.example.com")


# --- functions ----------------------------------------------------------------------------------


@case("timeout_bounds")
def long_route(app: App) -> None:
    app.get("/a", timeout_s=26)(handler)


@case("timeout_bounds")
def no_time(app: App) -> None:
    app.get("/a", timeout_s=0)(handler)


@case("timeout_bounds")
def long_consumer(app: App) -> None:
    app.consume(app.queue(Item), timeout_s=901)(consume_item)


@case("memory_bounds")
def little_memory(app: App) -> None:
    app.get("/a", memory_mb=64)(handler)


@case("concurrency_bounds")
def no_concurrency(app: App) -> None:
    app.get("/a", concurrency=0)(handler)


@case("grant_to_nothing")
def foreign_table(app: App) -> None:
    app.get("/a", grants=[App("other").table(Item, key="id").read])(handler)


@case("grant_to_nothing")
def grant_of_another_kind(app: App) -> None:
    app.bucket("items")
    app.get("/a", grants=[Grant(kind="table", resource="items", action="read")])(handler)


@case("grant_action")
def sending_to_a_table(app: App) -> None:
    app.table(Item, key="id")
    app.get("/a", grants=[Grant(kind="table", resource="items", action="send")])(handler)


@case("grant_twice")
def the_same_grant(app: App) -> None:
    items = app.table(Item, key="id")
    app.get("/a", grants=[items.read, items.read])(handler)


@case("grant_kind")
def the_table_itself(app: App) -> None:
    items = app.table(Item, key="id")
    app.get("/a", grants=[items])(handler)


@case("function_empty")
def empty_bundle(app: App) -> None:
    app.bundle("b")


@case("plain_mixed")
def mixed_bundle(app: App) -> None:
    bundle = app.bundle("b")
    bundle.get("/a")(handler)

    @bundle.get("/b")
    def plain(event: Any, context: Any) -> Any: ...


# --- queues -------------------------------------------------------------------------------------


@case("queue_bounds")
def no_attempt(app: App) -> None:
    app.consume(app.queue(Item, max_attempts=0))(consume_item)


@case("queue_bounds")
def many_attempts(app: App) -> None:
    app.consume(app.queue(Item, max_attempts=1001))(consume_item)


@case("queue_bounds")
def shrinking_retry(app: App) -> None:
    app.consume(app.queue(Item, retry_base_s=10, retry_max_s=5))(consume_item)


@case("queue_bounds")
def short_retention(app: App) -> None:
    app.consume(app.queue(Item, retention_s=10))(consume_item)


@case("queue_without_consumer")
def sent_to_and_not_consumed(app: App) -> None:
    app.get("/a", grants=[app.queue(Item).send])(handler)


@case("queue_without_consumer")
def lonely_queue(app: App) -> None:
    app.queue(Item)


@case("queue_without_sender")
def nothing_sends(app: App) -> None:
    app.consume(app.queue(Item))(consume_item)


@case("consumer_without_queue")
def foreign_queue(app: App) -> None:
    app.consume(App("other").queue(Item))(consume_item)


@case("consumers_two")
def two_consumers(app: App) -> None:
    queue = app.queue(Item)
    app.consume(queue)(consume_item)
    app.consume(queue)(with_item)


@case("consumer_arguments")
def consumer_of_nothing(app: App) -> None:
    app.consume(app.queue(Item))(handler)


@case("payload_mismatch")
def other_payload(app: App) -> None:
    @app.consume(app.queue(Item))
    def a(other: Other) -> None: ...


@case("type_unsupported")
def odd_payload(app: App) -> None:
    class Odd: ...

    app.queue(Odd)


@case("bucket_bounds")
def bucket_of_nothing(app: App) -> None:
    app.bucket("assets", max_bytes=0)


# --- tables -------------------------------------------------------------------------------------


class Size(IntEnum):
    S = 1


class Fields(Struct):
    id: str
    number: int
    size: Size
    when: datetime
    day: date
    uid: UUID
    kind: Literal["a", "b"]
    price: float
    flag: bool
    odd: Decimal
    tags: list[str]
    maybe: str | None = None


class Renamed(Struct, rename="camel"):
    item_id: str


class Positional(Struct, array_like=True):
    id: str


@dataclass
class Data:
    id: str


class Typed(TypedDict):
    id: str


@case("alias_not_read")
def alias_for_writing_only(app: App) -> None:
    class Part(BaseModel):
        size: int = pydantic.Field(default=0, serialization_alias="partSize")

    class Whole(BaseModel):
        id: str
        parts: list[Part] = []

    app.table(Whole, name="wholes", key="id")


@case("alias_not_read")
def alias_for_writing_a_message_only(app: App) -> None:
    class Sent(BaseModel):
        size: int = pydantic.Field(
            default=0, validation_alias=AliasChoices("size", "s"), serialization_alias="partSize"
        )

    app.queue(Sent, name="sent")


@case("item_omits_defaults")
def item_that_leaves_fields_out(app: App) -> None:
    class Sparse(Struct, omit_defaults=True):
        id: str
        state: str = "open"

    app.table(Sparse, name="sparse", key="id", indexes={"by_state": "state"})


@case("field_missing")
def missing_key(app: App) -> None:
    app.table(Item, key="nope")


@case("field_missing")
def missing_sort(app: App) -> None:
    app.table(Item, key="id", sort="nope")


@case("field_missing")
def missing_index(app: App) -> None:
    app.table(Item, key="id", indexes={"by": ("name", "nope")})


@case("field_missing")
def missing_expires(app: App) -> None:
    app.table(Item, key="id", expires="nope")


@case("field_twice")
def key_is_sort(app: App) -> None:
    app.table(Item, key="id", sort="id")


@case("index_fields")
def wide_index(app: App) -> None:
    app.table(Item, key="id", indexes={"by": ("id", "name", "id")})


@case("indexes_many")
def many_indexes(app: App) -> None:
    app.table(Item, key="id", indexes={f"by_{n}": "name" for n in range(limits.INDEXES + 1)})


@case("field_renamed")
def renamed_key(app: App) -> None:
    app.table(Renamed, key="item_id")


@case("item_not_record")
def positional_items(app: App) -> None:
    app.table(Positional, key="id")


@case("item_not_record")
def scalar_items(app: App) -> None:
    app.table(str, key="id")


@case("type_unsupported")
def item_with_odd_field(app: App) -> None:
    class Bad(Struct):
        id: str
        what: object = None
        fn: Callable[[], None] | None = None

    app.table(Bad, key="id")


# --- values -------------------------------------------------------------------------------------


@case("value_type")
def another_kind_of_reads(app: App) -> None:
    app.get("/a", reads="check")(handler)  # type: ignore[arg-type]


@case("value_type")
def half_an_environment(app: App) -> None:
    app.get("/a", concurrency=2.5)(handler)  # type: ignore[arg-type]


@case("value_type")
def seconds_as_text(app: App) -> None:
    app.get("/a", timeout_s="5")(handler)  # type: ignore[arg-type]


@case("value_type")
def status_as_text(app: App) -> None:
    app.get("/a", status="201")(handler)  # type: ignore[arg-type]


@case("value_type")
def rate_without_burst(app: App) -> None:
    app.get("/a", throttle=5)(handler)  # type: ignore[arg-type]


@case("value_type")
def rate_and_no_burst(app: App) -> None:
    app.get("/a", throttle=(1,))(handler)  # type: ignore[arg-type]


@case("value_type")
def rate_as_text(app: App) -> None:
    app.get("/a", throttle=("a", 2))(handler)  # type: ignore[arg-type]


@case("value_type")
def path_that_is_no_text(app: App) -> None:
    app.get(5)(handler)  # type: ignore[arg-type]


@case("value_type")
def decorator_without_parentheses(app: App) -> None:
    app.get(handler)  # type: ignore[arg-type]


@case("value_type")
def decorator_of_a_bundle_without_parentheses(app: App) -> None:
    app.bundle("b").get(handler)  # type: ignore[arg-type]


@case("value_type")
def schedule_without_parentheses(app: App) -> None:
    app.schedule(handler)  # type: ignore[arg-type]


@case("consumer_without_queue")
def consumer_without_parentheses(app: App) -> None:
    app.consume(consume_item)  # type: ignore[arg-type]


@case("event_unknown")
def listener_without_parentheses(app: App) -> None:
    app.on(consume_item)  # type: ignore[arg-type]


@case("value_type")
def event_without_parentheses(app: App) -> None:
    app.event(Item)  # type: ignore[arg-type]


@case("include_kind")
def include_of_a_number(app: App) -> None:
    app.include(5)  # type: ignore[arg-type]


@case("policy_invalid")
def policy_that_is_no_function(app: App) -> None:
    app.policy(5)  # type: ignore[type-var]


@case("value_type")
def path_of_bytes(app: App) -> None:
    app.bundle("b").get(b"/a")(handler)  # type: ignore[arg-type]


@case("value_type")
def roles_that_are_none(app: App) -> None:
    people = app.auth("people", roles=["admin"])
    app.get("/a", auth=people, roles=7)(handler)  # type: ignore[arg-type]


@case("value_type")
def attempts_in_halves(app: App) -> None:
    app.consume(app.queue(Item, max_attempts=1.5))(consume_item)  # type: ignore[arg-type]


@case("value_type")
def attempts_as_text(app: App) -> None:
    app.consume(app.queue(Item, max_attempts="3"))(consume_item)  # type: ignore[arg-type]


@case("value_type")
def batch_as_text(app: App) -> None:
    app.consume(app.queue(Item), batch="20")(consume_item)  # type: ignore[arg-type]


@case("value_type")
def attempts_of_a_schedule(app: App) -> None:
    app.schedule("rate(5 minutes)", max_attempts="3")(handler)  # type: ignore[arg-type]


@case("value_type")
def prefix_that_is_no_text(app: App) -> None:
    @app.bucket("b").on_created(prefix=5)  # type: ignore[arg-type]
    def came(event: ObjectCreated) -> None: ...


@case("value_type")
def key_that_is_no_name(app: App) -> None:
    app.table(Item, key=["id"])  # type: ignore[arg-type]


@case("value_type")
def indexes_without_names(app: App) -> None:
    app.table(Item, key="id", indexes=["name"])  # type: ignore[arg-type]


@case("value_type")
def bytes_as_text(app: App) -> None:
    app.bucket("b", max_bytes="5")  # type: ignore[arg-type]


@case("value_type")
def age_as_text(app: App) -> None:
    app.cors(origins=["https://shop.example"], max_age_s="600")  # type: ignore[arg-type]


@case("value_type")
def no_origins_at_all(app: App) -> None:
    app.cors(origins=None)  # type: ignore[arg-type]


@case("grant_kind")
def no_grants_at_all(app: App) -> None:
    app.get("/a", grants=None)(handler)  # type: ignore[arg-type]


@case("grant_kind")
def no_grants_of_a_schedule(app: App) -> None:
    app.schedule("rate(5 minutes)", grants=None)(handler)  # type: ignore[arg-type]


@case("queue_key_kind")
def once_per_no_function(app: App) -> None:
    app.consume(app.queue(Item), once_per="id")(consume_item)  # type: ignore[arg-type]


@case("conversion_invalid")
def upgrade_that_is_no_function(app: App) -> None:
    app.table(Item, key="id", upgrade=5)  # type: ignore[arg-type]


OF_THE_APP = (no_burst, age_as_text, no_origins_at_all)
WRONG_VALUES = [declare for code, declare in CASES.values() if code == "value_type"]


@pytest.mark.parametrize("declare", WRONG_VALUES)
def test_a_value_of_a_wrong_type_is_one_finding(declare: Case) -> None:
    """It is told what is written there, and nothing that would follow from it."""
    (finding,) = [one for one in findings(declare) if one.severity == "error"]
    assert "=" in finding.message


def test_a_value_of_a_wrong_type_hides_no_other_finding() -> None:
    def declare(app: App) -> None:
        app.get("/a/{x}", timeout_s="5", memory_mb=1)(handler)  # type: ignore[arg-type]
        app.table(Item, name="things", key="nope")

    codes = [finding.code for finding in findings(declare)]
    assert sorted(codes) == [
        "field_missing", "memory_bounds", "path_parameter_unused", "value_type",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("declare", "message", "fix"),
    [
        (
            another_kind_of_reads,
            "'handler' has reads='check'.",
            "Give reads one of 'versioned', 'checked'.",
        ),
        (
            rate_without_burst,
            "'handler' has throttle=5.",
            "Give throttle requests per second and how many at once, like (10, 20).",
        ),
        (
            no_origins_at_all,
            "The app has origins=(None,).",
            'Give origins texts, like ["one", "two"].',
        ),
        (
            attempts_in_halves,
            "'items' has max_attempts=1.5.",
            "Give max_attempts a value of the type int.",
        ),
    ],
)
def test_a_value_of_a_wrong_type_is_answered_with_what_can_be_given(
    declare: Case, message: str, fix: str
) -> None:
    (finding,) = [one for one in findings(declare) if one.severity == "error"]
    assert (finding.message, finding.fix) == (message, fix)


def test_a_parameter_that_no_argument_can_be_called_is_named_otherwise() -> None:
    (finding,) = findings(lambda app: app.get("/a/{class}")(handler))
    assert finding.code == "path_parameter_unused"
    assert finding.fix.startswith("Name it otherwise in the path")


@pytest.mark.parametrize("name", list(CASES))
def test_a_fault_is_found_with_its_code(name: str) -> None:
    code, declare = CASES[name]
    assert code in {finding.code for finding in findings(declare)}


@pytest.mark.parametrize("name", list(CASES))
def test_a_finding_says_where_and_what_to_do(name: str) -> None:
    code, declare = CASES[name]
    for finding in findings(declare):
        assert finding.fix
        assert finding.message.endswith((".", "!")) or ": " in finding.message
        if not (finding.code.startswith("cors_") or declare in OF_THE_APP):
            assert finding.place is not None
            assert os.path.samefile(finding.place.file, __file__)
    assert code


def auth_by_name_and_a_caller(app: App) -> None:
    app.auth("people", roles=["admin"])

    @app.get("/a", auth="people", roles=["admin"])  # type: ignore[arg-type]
    def a(caller: Caller) -> None: ...


@pytest.mark.parametrize(
    ("case", "code"),
    [
        (generator, "handler_generator"),
        (generator_of_items, "handler_generator"),
        (auth_by_name_and_a_caller, "auth_kind"),
    ],
)
def test_one_fault_is_one_finding(case: Case, code: str) -> None:
    """What follows from a fault is not told beside it: nobody would mend that."""
    assert [finding.code for finding in findings(case)] == [code]


@pytest.mark.parametrize("key", ["price", "flag", "odd", "tags", "maybe"])
def test_a_key_that_does_not_sort_or_may_be_missing_is_refused(key: str) -> None:
    found = findings(lambda app: app.table(Fields, key=key))
    assert [finding.code for finding in found] == ["field_type"]


def test_every_method_header_and_media_type_that_there_is_may_be_named() -> None:
    def declare(app: App) -> None:
        app.cors(
            origins=["https://a.example", "http://localhost:3000"],
            methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
            headers=["Content-Type", "x-request-id"],
            expose=["ETag"],
            credentials=True,
        )
        app.bucket("b", media_types=["image/svg+xml", "text/plain; charset=UTF-8"])

    assert findings(declare) == []


@pytest.mark.parametrize("key", ["id", "number", "size", "when", "day", "uid", "kind"])
def test_a_key_that_sorts_is_taken(key: str) -> None:
    assert findings(lambda app: app.table(Fields, key=key)) == []


def test_a_moment_of_a_pydantic_model_may_be_one_that_has_its_zone() -> None:
    """So its callers are told who send none."""

    class Aware(pydantic.BaseModel):
        id: str
        at: pydantic.AwareDatetime
        day: pydantic.PastDate

    indexes = {"by_day": ("day", "at")}
    assert (
        findings(lambda app: app.table(Aware, key="id", sort="at", indexes=indexes, expires="at"))
        == []
    )


@pytest.mark.parametrize("field", ["price", "maybe", "when"])
def test_an_index_may_hold_a_float_or_an_absent_field(field: str) -> None:
    assert findings(lambda app: app.table(Fields, key="id", indexes={"by": field})) == []


@pytest.mark.parametrize("field", ["flag", "tags", "odd"])
def test_an_index_over_what_does_not_sort_is_refused(field: str) -> None:
    found = findings(lambda app: app.table(Fields, key="id", indexes={"by": field}))
    assert [finding.code for finding in found] == ["field_type"]


@pytest.mark.parametrize(("field", "fits"), [("number", True), ("when", True), ("id", False)])
def test_an_item_expires_at_a_moment_or_a_number_of_seconds(field: str, fits: bool) -> None:
    found = findings(lambda app: app.table(Fields, key="id", expires=field))
    assert (found == []) is fits


@pytest.mark.parametrize("kind", [Data, Typed])
def test_items_may_be_dataclasses_and_typed_dicts(kind: Any) -> None:
    assert findings(lambda app: app.table(kind, key="id")) == []


class Loose(Struct):
    id: str
    more: dict[str, object]
    any: object = None


def test_an_object_is_any_json() -> None:
    def loose(app: App) -> None:
        things, notes = app.table(Loose, key="id"), app.queue(Loose, name="notes")

        @app.post("/a", grants=[things.write, notes.send])
        def put(body: Loose) -> list[object]: ...

        @app.consume(notes)
        def take(note: Loose) -> None: ...

    assert findings(loose) == []


def test_all_faults_are_found_at_once() -> None:
    app = App("Shop")
    queue = app.queue(Item)
    app.table(Item, name="things", key="nope")
    app.get("/a/{x}", timeout_s=99, grants=[queue.send, App("o").bucket("b").read])(handler)
    app.get("/a/{y}", roles=["boss"])(consume_nothing)
    with pytest.raises(AppInvalid) as failure:
        app.freeze()
    codes = {finding.code for finding in failure.value.findings}
    assert codes == {
        "name_invalid",
        "field_missing",
        "path_parameter_unused",
        "timeout_bounds",
        "grant_to_nothing",
        "route_twice",
        "roles_without_auth",
        "queue_without_consumer",
    }
    text = str(failure.value)
    assert all(str(finding) in text for finding in failure.value.findings)
    assert app.endpoints == {}


def test_warnings_do_not_stop_the_app() -> None:
    app = App("shop")
    app.queue(Item)
    app.freeze()
    assert [(found.code, found.severity) for found in app.warnings] == [
        ("queue_without_consumer", "warning")
    ]


def test_a_finding_about_a_strange_type_is_a_whole_sentence() -> None:
    """What the type library says over several lines is not cut off after its lead-in."""
    app = App("strange")

    @app.post("/a")
    def a(x: complex) -> None: ...

    with pytest.raises(AppInvalid) as caught:
        app.freeze()
    (finding,) = [one for one in caught.value.findings if one.code == "argument_unsupported"]
    assert finding.message.endswith(
        "complex has no JSON form: it is a type that wherry does not know"
    )
