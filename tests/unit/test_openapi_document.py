"""The OpenAPI document says what the gateway and the binding do, and holds together."""

# mypy: disable-error-code="empty-body"
from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pydantic
import pytest
from shop import app as shop

from tests.unit.openapi_apps import Zoo, blueprint, body, hostile, market, route
from wherry.app import App, Redirect, Reply
from wherry.blueprint import AuthSpec, FunctionSpec, Grant, Parameter, Throttle
from wherry.blueprint.form import canonical, load
from wherry.codec import to_json
from wherry.openapi import document
from wherry.testing import running

SCHEMAS = "#/components/schemas/"


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a document but those that are data."""
    if isinstance(node, list):
        for one in node:
            yield from nodes(one)
    elif isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in ("example", "examples", "default", "enum", "const"):
                yield from nodes(value)


def operations(api: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the operations by their IDs."""
    return {one["operationId"]: one for item in api["paths"].values() for one in item.values()}


def statuses(api: dict[str, Any], operation: str) -> set[str]:
    """Return the statuses of an operation."""
    return set(operations(api)[operation]["responses"])


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    """The document of an app with one route of each sort."""
    return document(market().freeze())


@pytest.mark.parametrize("blueprint_", [market().freeze(), shop.freeze(), blueprint(), hostile()])
def test_a_document_holds_together(blueprint_: Any) -> None:
    """References lead somewhere, names are fit, IDs are unique, path parameters are declared."""
    api = document(blueprint_)
    refs = [one["$ref"] for one in nodes(api) if isinstance(one.get("$ref"), str)]
    for ref in refs:
        _, _, kind, name = ref.split("/")
        assert name in api["components"][kind], ref
    for kind in ("schemas", "responses", "parameters", "headers"):
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in api["components"][kind])
    found = [one for item in api["paths"].values() for one in item.values()]
    assert len(operations(api)) == len(found)
    tags = {tag["name"] for tag in api["tags"]}
    for path, item in api["paths"].items():
        for one in item.values():
            declared = {p["name"] for p in one["parameters"] if p.get("in") == "path"}
            assert declared == set(re.findall(r"{([^{}]*)}", path))
            assert set(one["tags"]) <= tags
            assert one["responses"]
            for needed in one["security"]:
                assert set(needed) <= set(api["components"]["securitySchemes"])


def test_the_same_app_gives_the_same_document() -> None:
    """Neither the order of declaration nor a way through the canonical form changes a byte."""
    first = market().freeze()
    again = load(canonical(first))
    turned = msgspec.structs.replace(first, functions=first.functions[::-1])
    assert to_json(document(first)) == to_json(document(again)) == to_json(document(turned))


def test_the_public_url_is_where_the_document_points() -> None:
    api = document(market().freeze(), "https://api.example.com/")
    assert api["servers"] == [{"url": "https://api.example.com"}]
    told = api["components"]["securitySchemes"]["admins"]["description"]
    assert "https://api.example.com/_issuer/admins/log-in" in told
    assert document(market().freeze())["servers"] == [{"url": "/"}]


# --- operations ---------------------------------------------------------------------------------


def test_operations_are_named_by_function_and_handler(api: dict[str, Any]) -> None:
    assert set(operations(api)) == {
        "admin.delete_product", "admin.put_product", "catalog.get_product",
        "catalog.list_products", "contact", "make_zoo", "models", "own_header", "plain", "raw",
    }  # fmt: skip


def test_a_docstring_is_summary_and_description(api: dict[str, Any]) -> None:
    found = operations(api)["catalog.list_products"]
    assert (found["summary"], found["description"]) == ("List products.", "Newest first.")
    assert found["tags"] == ["catalog"]


def test_parameters_come_from_path_query_and_header(api: dict[str, Any]) -> None:
    found = operations(api)["catalog.list_products"]["parameters"]
    shown = {one["name"]: one for one in found if "name" in one}
    assert [(name, one["in"]) for name, one in shown.items()] == [
        ("kind", "query"), ("limit", "query"), ("tag", "query"), ("user-agent", "header"),
    ]  # fmt: skip
    assert shown["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100}
    assert shown["tag"]["schema"] == {"type": "array", "items": {"type": "string"}}
    assert "required" not in shown["limit"]


def test_paths_of_one_shape_are_one_path(api: dict[str, Any]) -> None:
    """OpenAPI forbids /products/{id} beside /products/{sku}; the parameter is renamed."""
    assert "/products/{id}" not in api["paths"]
    put = api["paths"]["/products/{sku}"]["put"]
    assert put["parameters"][0]["name"] == "sku"


def test_bodies_are_json_form_or_anything(api: dict[str, Any]) -> None:
    found: dict[str, Any] = {name: one.get("requestBody") for name, one in operations(api).items()}
    assert found["make_zoo"]["content"]["application/json"]["schema"] == {"$ref": SCHEMAS + "Zoo"}
    assert list(found["contact"]["content"]) == ["application/x-www-form-urlencoded"]
    assert list(found["raw"]["content"]) == list(found["plain"]["content"]) == ["*/*"]
    assert found["raw"]["required"]
    assert "required" not in found["plain"]
    assert found["catalog.get_product"] is None


def test_replies_have_the_routes_status_and_schema(api: dict[str, Any]) -> None:
    accepted = operations(api)["make_zoo"]["responses"]["202"]
    assert accepted["content"]["application/json"]["schema"] == {"$ref": SCHEMAS + "Zoo"}
    assert "content" not in operations(api)["admin.delete_product"]["responses"]["204"]


def untyped():  # type: ignore[no-untyped-def]
    ...


def item_or_none() -> Zoo | None: ...
def nothing() -> None: ...
def raw_bytes() -> bytes: ...
def bytes_or_item() -> memoryview | Zoo | None: ...
def own_reply() -> Reply: ...
def item_or_reply() -> Zoo | Reply: ...
def elsewhere() -> Redirect: ...
def item_or_elsewhere() -> Zoo | Redirect: ...
def whatever() -> Zoo | Any: ...
def plain_one(event: Any, context: Any) -> Any: ...


ITEM, RAW, ANYTHING = ["application/json"], ["application/octet-stream"], ["*/*"]


@pytest.mark.parametrize(
    ("handler", "status", "replies"),
    [
        (item_or_none, 200, {"200": ITEM, "204": []}),
        (item_or_none, 201, {"201": ITEM}),
        (nothing, 200, {"204": []}),
        (nothing, 202, {"202": []}),
        (nothing, 204, {"204": []}),
        (raw_bytes, 200, {"200": RAW}),
        (bytes_or_item, 200, {"200": ITEM + RAW, "204": []}),
        (own_reply, 202, {"202": ANYTHING, "default": ANYTHING}),
        (item_or_reply, 200, {"200": ITEM, "default": ANYTHING}),
        (elsewhere, 200, {"3XX": []}),
        (item_or_elsewhere, 200, {"200": ITEM, "3XX": []}),
        (untyped, 200, {"200": ANYTHING, "204": []}),
        (whatever, 200, {"200": ANYTHING, "204": []}),
        (plain_one, 200, {"200": ANYTHING, "default": ANYTHING}),
    ],
)
def test_a_route_answers_with_what_its_handler_returns(
    handler: Any, status: int, replies: dict[str, list[str]]
) -> None:
    """None is 204 where the status is 200; bytes, Reply and Redirect are what they are."""
    app = App("one")
    app.get("/one", status=status)(handler)
    found = operations(document(app.freeze()))[handler.__name__]["responses"]
    told = {code: list(one.get("content", {})) for code, one in found.items() if "$ref" not in one}
    assert told == replies
    assert "Location" in found.get("3XX", {"headers": {"Location": {}}})["headers"]


class Plain(pydantic.BaseModel):
    name: str = "any"


class Odd(pydantic.BaseModel):
    """What is written differs from what is read."""

    model_config = pydantic.ConfigDict(populate_by_name=True)

    at: datetime
    given: str = pydantic.Field(validation_alias="in_x", serialization_alias="out_x")
    hidden: str = pydantic.Field(default="", exclude=True)

    @pydantic.field_serializer("at")
    def _seconds(self, value: datetime) -> int:
        return int(value.timestamp())

    @pydantic.computed_field
    def total(self) -> int:
        return 3


def test_a_reply_is_described_as_it_is_written_and_a_body_as_it_is_read() -> None:
    """Of Pydantic's models; one that is the same both ways is described so."""
    app = App("odd")

    @app.post("/odd")
    def odd(body: Odd) -> Odd:
        return body

    @app.post("/plain")
    def plain(body: Plain) -> Plain:
        return body

    api = document(app.freeze())

    def schemas(path: str) -> Iterator[dict[str, Any]]:
        operation = api["paths"][path]["post"]
        for part in (operation["requestBody"], operation["responses"]["200"]):
            yield part["content"]["application/json"]["schema"]

    read, written = (
        {name: one["type"] for name, one in schema["properties"].items()}
        for schema in schemas("/odd")
    )
    assert read == {"at": "string", "in_x": "string", "hidden": "string"}
    assert written == {"at": "integer", "out_x": "string", "total": "integer"}
    with running(app) as backend:
        reply = backend.post("/odd", json={"at": "2026-11-23T00:00:00Z", "in_x": "a"})
        assert reply.json().keys() == written.keys()
    read, written = schemas("/plain")
    assert read == written


def test_a_status_whose_body_may_be_missing_says_so() -> None:
    app = App("one")
    app.get("/one", status=201)(item_or_none)
    found = operations(document(app.freeze()))["item_or_none"]["responses"]["201"]
    assert found["description"] == "It is made. There may be no body."


def test_headers_of_the_engine_are_documented_where_they_count(api: dict[str, Any]) -> None:
    """Each route takes a correlation ID; those that change something an Idempotency-Key."""
    keyed, correlated = (
        {"$ref": f"#/components/parameters/{name}"} for name in ("IdempotencyKey", "CorrelationId")
    )
    found = operations(api)
    assert keyed in found["make_zoo"]["parameters"]
    assert keyed not in found["catalog.get_product"]["parameters"]
    assert all(correlated in one["parameters"] for one in found.values())
    assert keyed not in found["own_header"]["parameters"]  # its own stands for it
    replies = [*api["components"]["responses"].values(), *found["make_zoo"]["responses"].values()]
    assert all("X-Correlation-Id" in one["headers"] for one in replies if "$ref" not in one)


# --- who may call -------------------------------------------------------------------------------


def test_an_auth_is_a_security_scheme(api: dict[str, Any]) -> None:
    schemes = api["components"]["securitySchemes"]
    assert schemes["staff"]["type"] == "openIdConnect"
    assert schemes["staff"]["openIdConnectUrl"] == (
        "https://issuer.example/realms/x/.well-known/openid-configuration"
    )
    assert (schemes["admins"]["type"], schemes["admins"]["scheme"]) == ("http", "bearer")
    assert "/_issuer/admins/log-in" in schemes["admins"]["description"]


def test_roles_are_said_in_words_and_for_machines(api: dict[str, Any]) -> None:
    found = operations(api)["admin.delete_product"]
    assert found["security"] == [{"admins": []}]
    assert found["x-roles"] == ["admin", "auditor"]
    assert "`admin`, `auditor`" in found["description"]
    assert operations(api)["contact"]["security"] == []


# --- problems -----------------------------------------------------------------------------------

ALWAYS = {"500", "502", "503", "504"}


def test_problems_are_listed_only_where_they_can_occur() -> None:
    """A bare GET can fail in the ways any function can, and in no other."""
    query = Parameter(name="q", source="query", alias="q", schema={"type": "integer"})
    path = Parameter(name="p", source="path", alias="p", schema={"type": "integer"})
    cases = [
        (route(), {"200", "204"}),
        (route(reply={"type": "integer"}), {"200"}),
        (route(parameters=(query,)), {"200", "204", "400", "422"}),
        (route(path="/a/{p}", parameters=(path,)), {"200", "204", "400", "404", "422"}),
        (route(auth="users"), {"200", "204", "401", "403"}),
        (route(throttle=Throttle(rate_per_s=1, burst=1)), {"200", "204", "429"}),
        (route(method="DELETE", status=204), {"204", "400", "422"}),
        (
            route(method="POST", status=201, parameters=(body({"type": "integer"}),)),
            {"201", "400", "413", "415", "422"},
        ),
    ]
    for one, expected in cases:
        found = document(blueprint(one, auths=(AuthSpec(name="users"),)))
        assert statuses(found, "f0.do") == expected | ALWAYS, one


def test_a_throttle_of_the_app_is_on_every_route() -> None:
    found = document(blueprint(route(), throttle=Throttle(rate_per_s=1, burst=1)))
    assert "429" in statuses(found, "f0.do")


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (Grant(kind="table", resource="t", action="read"), set()),
        (Grant(kind="queue", resource="q", action="send"), {"507"}),
        (Grant(kind="table", resource="t", action="write"), {"409", "507"}),
        (Grant(kind="bucket", resource="b", action="create"), {"409", "507"}),
    ],
)
def test_a_conflict_needs_the_right_to_write(grant: Grant, expected: set[str]) -> None:
    """409 and a full disk are for functions that write."""
    function = FunctionSpec(name="do", module="app", triggers=(route(),), grants=(grant,))
    found = document(blueprint(functions=(function,)))
    assert statuses(found, "do") - {"200", "204"} - ALWAYS == expected


def test_a_problem_names_its_codes(api: dict[str, Any]) -> None:
    conflict = api["components"]["responses"]["Conflict"]
    media = conflict["content"]["application/problem+json"]
    assert set(media["examples"]) == {"conflict", "condition_failed"}
    assert media["examples"]["conflict"]["value"]["status"] == 409
    assert media["schema"] == {"$ref": SCHEMAS + "Problem"}
    assert "Retry-After" in api["components"]["responses"]["Unavailable"]["headers"]


# --- examples -----------------------------------------------------------------------------------


def test_an_example_is_of_its_type(api: dict[str, Any]) -> None:
    """What the document shows as a body can be sent."""
    example = operations(api)["make_zoo"]["requestBody"]["content"]["application/json"]["example"]
    assert msgspec.convert(example, Zoo, strict=True).level in (4, 5)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^a"},
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"type": "string", "minLength": 10_000},
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "uniqueItems": True},
        {"$ref": "#/$defs/A", "$defs": {"A": {"type": "object", "required": ["a"],
                                              "properties": {"a": {"$ref": "#/$defs/A"}}}}},
    ],
)  # fmt: skip
def test_no_example_is_better_than_a_wrong_one(schema: dict[str, Any]) -> None:
    found = document(blueprint(route(method="POST", parameters=(body(schema),))))
    media = operations(found)["f0.do"]["requestBody"]["content"]["application/json"]
    assert "example" not in media
