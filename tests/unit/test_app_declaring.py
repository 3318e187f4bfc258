"""Declaring an app: what the blueprint and the endpoints say of it."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import partial, wraps
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta, Struct

from wherry import limits
from wherry.app import App, Caller, Form, Header, RawBody, Redirect, Reply
from wherry.app.naming import default_name
from wherry.blueprint import HttpTrigger, QueueTrigger, Throttle
from wherry.errors import Refused
from wherry.runtime.awaiting import awaited
from wherry.testing import running


class Line(Struct):
    sku: str
    count: Annotated[int, msgspec.Meta(ge=1)]


class NewOrder(Struct):
    lines: list[Line]


class Order(Struct):
    customer_id: str
    order_id: str
    lines: list[Line]
    status: str
    created_at: datetime
    gone_at: datetime | None = None


class ExportJob(Struct):
    order_id: str


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def shop() -> App:
    app = App("shop")
    customers = app.auth("customers", roles=["customer", "staff"])
    orders = app.table(
        Order,
        key="customer_id",
        sort="order_id",
        indexes={"by_status": ("status", "created_at")},
        expires="gone_at",
    )
    assets = app.bucket("assets")
    exports = app.queue(ExportJob)

    @app.post("/orders", auth=customers, status=201, grants=[orders.write, exports.send])
    def create_order(new: NewOrder, caller: Caller) -> Order:
        """Create an order.

        It is open until it is paid.
        """
        raise NotImplementedError

    @app.get("/orders/{order_id}", auth=customers, roles=["customer"], grants=[orders.read])
    def get_order(order_id: str, caller: Caller) -> Order | None: ...

    @app.consume(exports, grants=[orders.read, assets.write, assets.delete], timeout_s=60)
    def process_export_job(job: ExportJob) -> None: ...

    return app


def route(app: App, function: str) -> HttpTrigger:
    trigger = app.endpoints[function][function].trigger
    assert isinstance(trigger, HttpTrigger)
    return trigger


def test_the_shop_freezes_without_a_finding() -> None:
    app = shop()
    blueprint = app.freeze()
    assert [one.name for one in blueprint.functions] == [
        "create_order",
        "get_order",
        "process_export_job",
    ]
    assert app.warnings == []
    assert app.freeze() is blueprint


def test_a_route_is_recorded_with_everything_a_gateway_needs() -> None:
    app = shop()
    app.freeze()
    created, got = route(app, "create_order"), route(app, "get_order")
    assert (created.method, created.path, created.status) == ("POST", "/orders", 201)
    assert (created.auth, created.roles) == ("customers", ())
    assert (created.summary, created.description) == (
        "Create an order.",
        "It is open until it is paid.",
    )
    assert [(one.name, one.source) for one in created.parameters] == [
        ("new", "body"),
        ("caller", "caller"),
    ]
    assert created.reply is not None
    assert created.reply["$ref"] == "#/$defs/Order"
    assert got.roles == ("customer",)
    assert [(one.name, one.source, one.required) for one in got.parameters] == [
        ("order_id", "path", True),
        ("caller", "caller", True),
    ]


def test_a_consumer_is_recorded_with_its_queue() -> None:
    app = shop()
    blueprint = app.freeze()
    consumer = blueprint.functions[2]
    assert isinstance(consumer.triggers[0], QueueTrigger)
    assert consumer.triggers[0].queue == "export_jobs"
    assert consumer.timeout_s == 60
    assert [str(grant) for grant in consumer.grants] == [
        "orders.read",
        "assets.write",
        "assets.delete",
    ]


def test_a_routed_function_has_the_gateways_time_minus_five_seconds() -> None:
    app = shop()
    assert app.freeze().functions[0].timeout_s == limits.ROUTE_TIMEOUT_S == 25


def test_a_table_knows_how_its_key_and_index_fields_sort() -> None:
    app = shop()
    table = app.freeze().tables[0]
    assert (table.name, table.key, table.sort, table.expires) == (
        "orders",
        "customer_id",
        "order_id",
        "gone_at",
    )
    assert table.kinds == {
        "customer_id": "text",
        "order_id": "text",
        "status": "text",
        "created_at": "moment",
    }
    assert [(one.name, one.key, one.sort) for one in table.indexes] == [
        ("by_status", "status", "created_at")
    ]


def test_places_name_this_file_and_the_decorators_line() -> None:
    place = shop().freeze().functions[1].place
    assert place is not None
    assert os.path.samefile(place.file, __file__)
    with open(__file__, encoding="utf-8") as source:
        assert "@app.get(" in source.readlines()[place.line - 1]


def test_a_decorator_gives_the_function_back_unchanged() -> None:
    app = App("a")

    def hello(name: str) -> str:
        return f"hello {name}"

    assert app.get("/hello")(hello) is hello
    assert hello("you") == "hello you"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Order", "orders"),
        ("ExportJob", "export_jobs"),
        ("Category", "categories"),
        ("Day", "days"),
        ("Address", "addresses"),
        ("Box", "boxes"),
        ("HTTPLog", "http_logs"),
    ],
)
def test_a_resource_is_named_by_the_plural_of_its_type(name: str, expected: str) -> None:
    assert default_name(type(name, (), {})) == expected


def test_every_kind_of_argument_has_its_source() -> None:
    app = App("a")
    people = app.auth("people")

    @app.post("/a/{kind}/{at}/{id}", auth=people)
    def handle(
        kind: Color,
        at: datetime,
        id: UUID,
        q: str,
        agent: Annotated[str, Header("User-Agent")],
        new: NewOrder,
        tags: list[str],
        mode: Literal["a", "b"] = "a",
        price: Decimal | None = None,
        trace: Annotated[str | None, Header("x-trace")] = None,
        caller: Caller | None = None,
    ) -> dict[str, int]: ...

    app.freeze()
    found = {
        one.name: (one.source, one.alias, one.required) for one in route(app, "handle").parameters
    }
    assert found == {
        "kind": ("path", "kind", True),
        "at": ("path", "at", True),
        "id": ("path", "id", True),
        "q": ("query", "q", True),
        "agent": ("header", "user-agent", True),
        "new": ("body", "new", True),
        "tags": ("query", "tags", False),
        "mode": ("query", "mode", False),
        "price": ("query", "price", False),
        "trace": ("header", "x-trace", False),
        "caller": ("caller", "caller", False),
    }


def test_raw_bodies_forms_and_lists_of_records_are_bodies() -> None:
    app = App("a")

    @app.post("/raw")
    def raw(body: RawBody) -> bytes: ...

    @app.post("/form")
    def form(new: Form[ExportJob]) -> Redirect: ...

    @app.post("/many")
    def many(lines: list[Line]) -> Reply: ...

    @app.post("/free")
    def free(values: dict[str, int] | None = None) -> None: ...

    app.freeze()
    sources = {name: route(app, name).parameters[0].source for name in app.endpoints}
    assert sources == {"raw": "raw", "form": "form", "many": "body", "free": "body"}
    assert not route(app, "free").parameters[0].required
    assert all(route(app, name).reply is None for name in app.endpoints)


def test_a_bundle_is_one_function_of_its_routes() -> None:
    app = App("a")
    staff = app.auth("staff", roles=["admin", "clerk"])
    orders = app.table(Order, key="customer_id", sort="order_id")
    admin = app.bundle("admin", auth=staff, roles=["clerk"], grants=[orders.read], memory_mb=512)

    @admin.get("/admin/orders")
    def all_orders() -> list[Order]: ...

    @admin.post("/admin/close", roles=["admin"], throttle=(1, 2))
    async def close() -> None: ...

    blueprint = app.freeze()
    (function,) = blueprint.functions
    assert (function.name, function.memory_mb, function.module) == ("admin", 512, __name__)
    routes = [one for one in function.triggers if isinstance(one, HttpTrigger)]
    assert [(one.endpoint, one.auth, one.roles) for one in routes] == [
        ("all_orders", "staff", ("clerk",)),
        ("close", "staff", ("admin",)),
    ]
    assert routes[1].throttle == Throttle(rate_per_s=1, burst=2)
    assert not app.endpoints["admin"]["all_orders"].is_async
    assert app.endpoints["admin"]["close"].is_async


def test_an_async_handler_below_decorators_is_awaited_unless_they_have_run_it() -> None:
    """What decides is what the decorated function gives back, a coroutine or its result."""
    app = App("a")

    def passed_on(fn: Any) -> Any:
        return wraps(fn)(lambda *args, **kwargs: fn(*args, **kwargs))

    def run_to_its_end(fn: Any) -> Any:
        return wraps(fn)(lambda *args, **kwargs: awaited(fn(*args, **kwargs)))

    @app.get("/one")
    @passed_on
    async def one() -> int:
        return 1

    @app.get("/two")
    @run_to_its_end
    async def two() -> int:
        return 2

    with running(app) as backend:
        assert (backend.get("/one").json(), backend.get("/two").json()) == (1, 2)


def test_a_handler_has_a_name() -> None:
    """An object that can be called has none, wherever it is to be a handler."""
    app = App("a")
    fn: Any = partial(print, "x")
    queue = app.queue(Order, name="q")
    declarations: list[Any] = [
        app.get("/a"),
        app.bundle("b").get("/b"),
        app.consume(queue),
        app.after_commit(),
        app.task(),
        app.schedule("rate(1 hour)"),
    ]
    for declare in declarations:
        with pytest.raises(Refused, match=r"partial.* has no name"):
            declare(fn)


@pytest.mark.parametrize(
    ("kind", "default"),
    [(float, 1), (date, date(2026, 1, 1)), (Decimal, Decimal("1.5")), (Color, Color.RED),
     (Annotated[int, Meta(ge=1)], 0), (str, None), (list[UUID], [UUID(int=1)]), (int | None, 5),
     (Literal["a", "b"], "b")],
)  # fmt: skip
def test_a_default_may_be_any_value_of_its_type_whatever_its_bounds(
    kind: Any, default: Any
) -> None:
    app = App("a")

    def handler(x: Any = default) -> None: ...

    handler.__annotations__["x"] = kind
    app.get("/a")(handler)
    assert app.freeze().functions[0].triggers


def test_a_plain_handler_is_known_by_its_two_arguments() -> None:
    app = App("a")

    @app.get("/a/{x}")
    def handler(event, context):  # type: ignore[no-untyped-def]
        return {}

    assert app.freeze().functions[0].plain
    assert app.endpoints["handler"]["handler"].plain


def test_nothing_can_be_declared_on_a_frozen_app() -> None:
    app = App("a")
    app.freeze()
    with pytest.raises(Refused, match="frozen"):
        app.bucket("late")


def test_one_name_may_stand_where_several_can() -> None:
    app = App("a")
    people = app.auth("people", roles="admin")

    @app.get("/a", auth=people, roles="admin")
    def a() -> None: ...

    app.freeze()
    assert route(app, "a").roles == ("admin",)


def test_importing_the_app_brings_nothing_heavy() -> None:
    heavy = ["asyncio", "inspect", "apsw", "joserfc", "urllib.parse", "email", "dataclasses", "ast"]
    code = (
        "import sys, msgspec; before = set(sys.modules); import wherry.app;"
        f"print([name for name in {heavy!r} if name in set(sys.modules) - before])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_option_that_there_is_not_is_named_with_the_nearest_one() -> None:
    """Where it was written: it would be dropped otherwise, or be told of a class inside."""
    app = App("shop")
    with pytest.raises(
        TypeError, match=r"the function 'go' has no option 'grant'; did you mean gr"
    ):

        @app.get("/go", grant=[])  # type: ignore[call-arg]
        def go() -> None: ...


@pytest.mark.parametrize("name", [["orders"], 5])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    app = App("shop")
    for declare in (lambda: app.table(Order, key="order_id", name=name),
                    lambda: app.queue(Order, name=name)):  # fmt: skip
        with pytest.raises(Refused, match="is no name"):
            declare()


def test_what_has_no_order_is_described_in_one() -> None:
    """Else the same code would be another release in each process."""
    names = [f"role-{number}" for number in range(50)]

    class Job(Struct):
        tags: frozenset[str] = frozenset(names)

    app = App("shop")
    app.auth("people", roles=set(names))  # type: ignore[arg-type]
    app.queue(Job)
    blueprint = app.freeze()
    assert list(blueprint.auths[0].roles) == sorted(names)
    schema = blueprint.queues[0].schema
    (job,) = schema["$defs"].values()
    assert job["properties"]["tags"]["default"] == sorted(names)
