"""The routes of the page: by function, each with what it takes, what it answers, and a try."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

from wherry.openapi.components import Schema
from wherry.openapi.html import Html, Node, el
from wherry.openapi.operations import ANY
from wherry.openapi.reading import notes_of, prose, table, type_of
from wherry.openapi.trying import try_form

_SPACE = re.compile(r"\s")


def section_id(kind: str, name: str) -> str:
    """Return the ID of a part of the page. An ID may hold anything but spaces."""
    return f"{kind}-{_SPACE.sub('_', name)}"


def link_to(kind: str, name: str) -> str:
    """Return the address of that part."""
    return "#" + quote(section_id(kind, name))


class Routes:
    """The operations of a document, by function."""

    def __init__(self, api: dict[str, Any]) -> None:
        self._components = api["components"]
        self._described = {tag["name"]: tag.get("description", "") for tag in api["tags"]}
        self._by_tag: dict[str, list[tuple[str, str, Schema]]] = {}
        for path, item in api["paths"].items():
            for method, one in item.items():
                found = self._by_tag.setdefault(one["tags"][0], [])
                found.append((method.upper(), path, one))

    def contents(self) -> list[Node]:
        """Return the list of the routes, for the navigation."""
        return [
            el(
                "li",
                el("a", tag, href=link_to("function", tag)),
                el(
                    "ul",
                    [
                        el(
                            "li",
                            el(
                                "a",
                                _method(method),
                                " ",
                                el("span", _breakable(path), class_="path"),
                                href=link_to("route", one["operationId"]),
                            ),
                        )
                        for method, path, one in found
                    ],
                ),
            )
            for tag, found in self._by_tag.items()
        ]

    def sections(self) -> list[Node]:
        """Return a section for each function."""
        return [
            el(
                "section",
                el("h2", el("code", tag)),
                el("p", prose(self._described[tag]), class_="prose")
                if self._described.get(tag)
                else None,
                [self._route(method, path, one) for method, path, one in found],
                id=section_id("function", tag),
            )
            for tag, found in self._by_tag.items()
        ]

    def _route(self, method: str, path: str, one: Schema) -> Html:
        identity = section_id("route", one["operationId"])
        parameters = [self._resolved(parameter) for parameter in one["parameters"]]
        own = [parameter for parameter in one["parameters"] if "$ref" not in parameter]
        return el(
            "article",
            el("h3", _method(method), " ", el("code", _breakable(path), class_="path")),
            el("p", prose(one["summary"]), class_="summary") if "summary" in one else None,
            el("p", prose(one["description"]), class_="prose") if "description" in one else None,
            _who(one),
            parameters_table("Parameters", own),
            self._body(one.get("requestBody")),
            self._replies(one["responses"]),
            try_form(method, path, one, parameters, self._components["schemas"], identity),
            id=identity,
            class_="card",
        )

    def _resolved(self, node: Schema) -> Schema:
        """Follow a reference to a shared parameter or response."""
        if "$ref" not in node:
            return node
        _, _, kind, name = node["$ref"].split("/")
        found: Schema = self._components[kind][name]
        return found

    def _body(self, body: Schema | None) -> Node:
        if body is None:
            return None
        rows: list[list[Node]] = [
            [
                el("code", media_type),
                type_of(media.get("schema", {})),
                "yes" if body.get("required") else "no",
                prose(body["description"]),
            ]
            for media_type, media in body["content"].items()
        ]
        example = next((one["example"] for one in body["content"].values() if "example" in one),
                       None)  # fmt: skip
        return [
            table("Body", ["Media type", "Type", "Required", "Notes"], rows),
            _example("Example of a body", example) if example is not None else None,
        ]

    def _replies(self, responses: Schema) -> Node:
        rows: list[list[Node]] = []
        problems: list[Node] = []
        example = None
        for status, reply in responses.items():
            if "$ref" in reply:
                problems += [", "] if problems else []
                problems.append(el("a", status, href=link_to("problem", status)))
                continue
            for media_type, media in reply.get("content", {"": {}}).items():
                example = media.get("example", example)
                kind: Node = el("code", media_type) if media_type != ANY else "not described"
                if "schema" in media:
                    kind = type_of(media["schema"])
                rows.append(
                    [el("code", status), kind if media_type else "no body", reply["description"]]
                )
        return [
            table("Replies", ["Status", "Type", "Meaning"], rows),
            el("p", "Problems: ", problems, ".", class_="who") if problems else None,
            _example("Example of a reply", example) if example is not None else None,
        ]

    def problems(self) -> Node:
        """Return a table of all problems; each row can be linked to by its status."""
        rows: list[list[Node]] = []
        for reply in self._components["responses"].values():
            (media,) = reply["content"].values()
            status = str(next(iter(media["examples"].values()))["value"]["status"])
            codes: list[Node] = []
            for code in media["examples"]:
                codes += [", ", el("code", code)] if codes else [el("code", code)]
            meaning = reply["description"].partition(": ")[2]
            row = el("code", status, id=section_id("problem", status))
            rows.append([row, codes, prose(meaning)])
        return table("Problems", ["Status", "Code", "Meaning"], rows) if rows else None


def parameters_table(caption: str, parameters: list[Schema]) -> Node:
    """Return parameters as a table; nothing where there are none."""
    rows: list[list[Node]] = [
        [
            el("code", one["name"], class_="name"),
            one["in"],
            type_of(one["schema"]),
            "yes" if one.get("required") else "no",
            notes_of(one["schema"], one.get("description", "")),
        ]
        for one in parameters
    ]
    return table(caption, ["Name", "In", "Type", "Required", "Notes"], rows) if rows else None


def _who(one: Schema) -> Html:
    auths = [name for alternative in one["security"] for name in alternative]
    if not auths:
        return el("p", "Open to everybody.", class_="who")
    return el(
        "p",
        "For callers of ",
        [el("a", el("code", auth), href=link_to("auth", auth)) for auth in auths],
        ".",
        class_="who",
    )


def _method(method: str) -> Html:
    return el("span", method, class_=f"method {method.lower()}")


def _breakable(path: str) -> Node:
    """Let a long path break before a slash."""
    first, *others = path.split("/")
    return [first, [[el("wbr"), "/", part] for part in others]]


def _example(label: str, value: object) -> Html:
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return el("details", el("summary", label), el("pre", el("code", text), tabindex="0"))
