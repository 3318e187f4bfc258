"""The form that tries a route. It is hidden until the script is there to send it."""

from __future__ import annotations

import json
from typing import Any

from wherry.openapi.components import Schema, name_of
from wherry.openapi.html import Html, Node, el
from wherry.openapi.operations import ANY, FORM, JSON


def try_form(
    method: str,
    path: str,
    one: Schema,
    parameters: list[Schema],
    schemas: dict[str, Schema],
    identity: str,
) -> Html:
    """Return the form of a route.

    Args:
        parameters: Those of the operation, without references.
        identity: What the IDs of the fields begin with.
    """
    auths = [name for alternative in one["security"] for name in alternative]
    fields = [_parameter(parameter, schemas, identity) for parameter in parameters]
    return el(
        "details",
        el("summary", "Try it"),
        el(
            "form",
            el("div", fields, class_="fields"),
            _body(one.get("requestBody"), schemas, f"{identity}-body"),
            el("button", f"Send {method}", type_="submit"),
            data_method=method,
            data_path=path,
            data_auth=auths[0] if auths else None,
            data_answer=f"{identity}-answer",
            autocomplete="off",
        ),
        el("div", id=f"{identity}-answer", role="status", aria_live="polite", class_="answer"),
        class_="try",
        hidden=True,
    )


def _parameter(one: Schema, schemas: dict[str, Schema], identity: str) -> Html:
    return _field(
        one["name"],
        one["in"],
        one["schema"],
        schemas,
        f"{identity}-{one['in']}-{one['name']}",
        required=one.get("required", False),
    )


def _field(
    name: str,
    where: str,
    schema: Schema,
    schemas: dict[str, Schema],
    identity: str,
    *,
    required: bool,
) -> Html:
    kind = _bare(schema, schemas)
    values = _values(kind)
    attributes: dict[str, Any] = {
        "id": identity, "data_in": where, "data_name": name, "required": required,
    }  # fmt: skip
    hint = where if where != "form" else "field"
    if values:
        shown = [el("option", value, value=value) for value in values]
        control = el("select", el("option", "", value=""), shown, **attributes)
    elif kind.get("type") == "array":
        hint += ", one value per line"
        control = el("textarea", rows="2", data_many=True, spellcheck="false", **attributes)
    else:
        control = el("input", type_="text", spellcheck="false", **attributes)
    label = el("label", el("code", name), " ", el("span", hint, class_="hint"), for_=identity)
    return el("div", label, control, class_="field")


def _bare(schema: Schema, schemas: dict[str, Schema]) -> Schema:
    """Follow a reference, and take null away."""
    for _ in range(4):
        if "$ref" in schema:
            schema = schemas.get(name_of(schema["$ref"]), {})
        options = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
        if len(options) == 1:
            schema = options[0]
    return schema


def _values(schema: Schema) -> list[str]:
    """Return the few values there are, as they are written in a URL."""
    if schema.get("type") == "boolean":
        return ["true", "false"]
    values = schema.get("enum", [])
    return [one if isinstance(one, str) else json.dumps(one) for one in values if one is not None]


# --- bodies -------------------------------------------------------------------------------------


def _body(body: Schema | None, schemas: dict[str, Schema], identity: str) -> Node:
    if body is None:
        return None
    ((media_type, media),) = body["content"].items()
    if media_type == FORM:
        return _form_fields(media["schema"], schemas, identity)
    if media_type == ANY:
        return _raw_fields(identity)
    text = json.dumps(media["example"], indent=2, ensure_ascii=False) if "example" in media else ""
    lines = min(max(text.count("\n") + 1, 4), 16)
    label = el("label", "Body ", el("span", media_type, class_="hint"), for_=identity)
    # A line break right after the tag is not part of the text; so one is put there.
    area = el("textarea", "\n", text, id=identity, rows=str(lines), spellcheck="false",
              data_in="body", data_media=JSON)  # fmt: skip
    return el("div", label, area, class_="field wide")


def _form_fields(schema: Schema, schemas: dict[str, Schema], identity: str) -> Html:
    found = _bare(schema, schemas)
    required = found.get("required", [])
    fields = [
        _field(name, "form", one, schemas, f"{identity}-{name}", required=name in required)
        for name, one in found.get("properties", {}).items()
    ]
    return el("fieldset", el("legend", "Body ", el("span", FORM, class_="hint")),
              el("div", fields, class_="fields"), data_form=True)  # fmt: skip


def _raw_fields(identity: str) -> Html:
    return el(
        "fieldset",
        el("legend", "Body"),
        el(
            "div",
            el("label", "Media type", for_=f"{identity}-media"),
            el("input", id=f"{identity}-media", value="text/plain", data_in="media",
               spellcheck="false"),
            class_="field",
        ),
        el(
            "div",
            el("label", "A file ", el("span", "or the text below", class_="hint"),
               for_=f"{identity}-file"),
            el("input", id=f"{identity}-file", type_="file", data_in="file"),
            class_="field",
        ),
        el(
            "div",
            el("label", "Text", for_=identity),
            el("textarea", id=identity, rows="4", spellcheck="false", data_in="body"),
            class_="field wide",
        ),
    )  # fmt: skip
