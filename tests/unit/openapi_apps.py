"""Apps whose API is described: the usual, the unusual and the hostile."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, Union
from uuid import UUID

import pydantic
from msgspec import Meta, Struct

from wherry.app import App, Caller, Form, Header, RawBody, Redirect
from wherry.blueprint import AuthSpec, Blueprint, FunctionSpec, HttpTrigger, Parameter

EVIL = "</script></style></title></textarea><img src=x onerror=alert(1)>\"'`-->&lt;{x}"


class Kind(Enum):
    BOOK = "book"
    TOY = "toy"


class Cat(Struct, tag="cat"):
    lives: int = 9


class Dog(Struct, tag="dog"):
    friend: Dog | None = None


class Zoo(Struct):
    """A zoo."""

    name: Annotated[str, Meta(min_length=6, max_length=40, description="As on the `gate`.")]
    animals: Annotated[list[Union[Cat, Dog]], Meta(min_length=2)]  # noqa: UP007 - as teams write it
    opened: Annotated[datetime, Meta(tz=True)]
    born: date
    fee: Decimal
    gate: tuple[float, int]
    rate: Annotated[float, Meta(gt=0, lt=1, multiple_of=0.25)]
    level: Annotated[int, Meta(gt=3, le=5)]
    mood: Literal["good", "bad"]
    photo: bytes
    kind: Kind = Kind.BOOK
    owner: UUID | None = None
    extra: dict[str, int] = {}


class Contact(Struct):
    name: Annotated[str, Meta(min_length=2)]
    topics: list[str] = []
    age: int | None = None


class Model(pydantic.BaseModel):
    email: str
    child: Model | None = None


class Product(Struct):
    sku: str
    price_cents: int


class Products(Struct):
    items: list[Product]
    cursor: str | None = None


def market() -> App:
    """Return an app with one route of each sort."""
    app = App("market")
    admins = app.auth("admins", roles=["admin", "auditor"])
    staff = app.auth("staff", issuer="https://issuer.example/realms/x/", audiences=["market"])
    products = app.table(Product, key="sku")
    catalog = app.bundle("catalog", grants=[products.read])
    admin = app.bundle("admin", auth=admins, roles=["admin"], grants=[products.write])

    @catalog.get("/products")
    def list_products(
        kind: Kind | None = None,
        limit: Annotated[int, Meta(ge=1, le=100)] = 20,
        tag: list[str] = [],  # noqa: B006 - a handler is never called with it
        agent: Annotated[str | None, Header("User-Agent")] = None,
    ) -> Products:
        """List products.

        Newest first.
        """

    @catalog.get("/products/{sku}")
    def get_product(sku: str) -> Product: ...

    @admin.put("/products/{id}")
    def put_product(id: str, product: Product) -> Product: ...

    @admin.delete("/products/{sku}", roles=["admin", "auditor"], status=204)
    def delete_product(sku: str, caller: Caller) -> None: ...

    @app.post("/zoo", auth=staff, status=202)
    def make_zoo(zoo: Zoo) -> Zoo: ...

    @app.post("/contact", throttle=(2, 5))
    def contact(form: Form[Contact]) -> Redirect: ...

    @app.put("/raw/{name}")
    def raw(name: str, body: RawBody) -> bytes: ...

    @app.post("/models")
    def models(new: Model, dry: bool = False) -> list[Model]: ...

    @app.post("/plain/{x}")
    def plain(event: Any, context: Any) -> Any: ...

    @app.post("/own")
    def own_header(key: Annotated[str, Header("Idempotency-Key")]) -> None: ...

    return app


def route(**more: Any) -> HttpTrigger:
    """Return a route made by hand."""
    return HttpTrigger(**({"endpoint": "do", "method": "GET", "path": "/do"} | more))


def blueprint(*routes: HttpTrigger, **more: Any) -> Blueprint:
    """Return a blueprint made by hand: a function for each route."""
    functions = tuple(
        FunctionSpec(name=f"f{number}", module="app", triggers=(one,))
        for number, one in enumerate(routes)
    )
    return Blueprint(**({"app": "hand", "functions": functions} | more))


def body(schema: dict[str, Any], source: Literal["body", "form"] = "body") -> Parameter:
    """Return a body parameter of this schema."""
    return Parameter(name="new", source=source, alias="new", schema=schema)


def hostile() -> Blueprint:
    """Return a blueprint with markup wherever a text may stand."""
    evil_type = {
        "type": "object",
        "title": EVIL,
        "description": EVIL,
        "properties": {
            EVIL: {"enum": [EVIL, None], "description": EVIL},
            "default": {"type": "string", "default": EVIL, "pattern": EVIL, "examples": [EVIL]},
            "many": {"type": "array", "items": {"type": "string", "format": EVIL}},
        },
        "required": [EVIL, "default"],
    }
    schema = {"$ref": "#/$defs/" + EVIL.replace("/", "~1"), "$defs": {EVIL: evil_type}}
    texts = {"summary": EVIL, "description": EVIL, "auth": EVIL, "roles": (EVIL,)}
    parameters = tuple(
        Parameter(name=EVIL, source=source, alias=EVIL, schema={"const": EVIL, "description": EVIL})
        for source in ("query", "header")
    )
    routes = (
        route(endpoint=EVIL, path="/" + EVIL, parameters=parameters, reply=schema, **texts),
        route(endpoint="a", method="POST", path="/a", parameters=(body(schema),), **texts),
        route(endpoint="b", method="POST", path="/b", parameters=(body(schema, "form"),), **texts),
        route(endpoint="c", method=EVIL, path="/c", **texts),
    )
    function = FunctionSpec(name=EVIL, module=EVIL, triggers=routes, description=EVIL)
    auths = (AuthSpec(name=EVIL), AuthSpec(name="real", issuer="javascript:" + EVIL))
    return Blueprint(app=EVIL, functions=(function,), auths=auths)
