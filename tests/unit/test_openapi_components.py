"""Schemas are shared by what they are, not by what they are called."""

from __future__ import annotations

from typing import Any

from tests.unit.openapi_apps import blueprint, body, market, route
from wherry.openapi import document
from wherry.openapi.components import PREFIX, Components


def struct(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def test_the_same_type_is_there_once() -> None:
    components = Components()
    defs = {"Order": struct(line=ref("Line")), "Line": struct(sku={"type": "string"})}
    first = components.add({**ref("Order"), "$defs": defs})
    second = components.add({"type": "array", "items": ref("Line"), "$defs": defs})
    assert first == {"$ref": PREFIX + "Order"}
    assert second == {"type": "array", "items": {"$ref": PREFIX + "Line"}}
    assert set(components.schemas) == {"Order", "Line"}


def test_two_types_of_one_name_are_told_apart() -> None:
    components = Components()
    one = components.add({**ref("Item"), "$defs": {"Item": struct(a={"type": "string"})}})
    two = components.add({**ref("Item"), "$defs": {"Item": struct(b={"type": "string"})}})
    assert (one["$ref"], two["$ref"]) == (PREFIX + "Item", PREFIX + "Item_2")
    assert "b" in components.schemas["Item_2"]["properties"]


def test_a_type_is_told_apart_by_what_it_refers_to() -> None:
    """Two orders that read the same differ when their lines do."""
    components = Components()
    for kind in ("string", "integer"):
        defs = {"Order": struct(line=ref("Line")), "Line": struct(sku={"type": kind})}
        components.add({**ref("Order"), "$defs": defs})
    assert set(components.schemas) == {"Order", "Line", "Order_2", "Line_2"}
    assert components.schemas["Order_2"]["properties"]["line"] == {"$ref": PREFIX + "Line_2"}


def test_a_type_may_need_itself() -> None:
    components = Components()
    defs = {"A": struct(b=ref("B")), "B": struct(a={"anyOf": [ref("A"), {"type": "null"}]})}
    components.add({**ref("A"), "$defs": defs})
    components.add({**ref("B"), "$defs": defs})
    assert set(components.schemas) == {"A", "B"}
    assert components.schemas["B"]["properties"]["a"]["anyOf"][0] == {"$ref": PREFIX + "A"}


def test_data_that_looks_like_a_reference_is_left_alone() -> None:
    components = Components()
    odd = ref("A")
    properties = {"$ref": {"type": "string"}, "default": ref("A"), "properties": {"default": odd}}
    schema = {**struct(**properties), "default": odd, "enum": [odd], "$defs": {"A": struct()}}
    found = components.add(schema)
    assert (found["default"], found["enum"]) == (odd, [odd])
    assert found["properties"]["$ref"] == {"type": "string"}
    assert found["properties"]["default"] == {"$ref": PREFIX + "A"}
    assert found["properties"]["properties"] == {"default": odd}


def test_a_tagged_union_keeps_its_discriminator() -> None:
    api = document(market().freeze())
    animals = api["components"]["schemas"]["Zoo"]["properties"]["animals"]["items"]
    assert animals["discriminator"]["mapping"] == {"cat": PREFIX + "Cat", "dog": PREFIX + "Dog"}


def test_names_are_made_fit_for_a_component() -> None:
    """RFC 6901's escapes are read, and characters that no key may have are replaced."""
    components = Components()
    defs = {"a/b~c": struct(), "größe": struct()}
    schema = {"anyOf": [ref("a~1b~0c"), ref("größe")], "$defs": defs}
    found = components.add(schema)
    assert [one["$ref"] for one in found["anyOf"]] == [PREFIX + "a_b_c", PREFIX + "gr__e"]


def test_what_is_required_comes_first_and_in_its_order() -> None:
    """A canonical blueprint sorts fields by name; a reader wants them as they were declared."""
    components = Components()
    properties = {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": ["c", "b"]}
    assert list(components.add(schema)["properties"]) == ["c", "b", "a"]


def test_an_apps_problem_is_not_ours() -> None:
    schema = {**ref("Problem"), "$defs": {"Problem": struct(sum={"type": "string"})}}
    api = document(blueprint(route(method="POST", parameters=(body(schema),))))
    schemas = api["components"]["schemas"]
    assert "sum" in schemas["Problem"]["properties"]
    assert "correlation_id" in schemas["Problem_2"]["properties"]
    media = api["components"]["responses"]["BadRequest"]["content"]["application/problem+json"]
    assert media["schema"] == {"$ref": PREFIX + "Problem_2"}
