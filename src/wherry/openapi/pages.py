"""What an engine serves besides the app: `/openapi.json`, and a page to read and try it."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

from wherry.blueprint import Blueprint
from wherry.codec import to_json
from wherry.openapi.document import document, issuer_path
from wherry.openapi.html import Html, el, raw
from wherry.openapi.reading import anchor, fields_table, prose
from wherry.openapi.routes import Routes, parameters_table, section_id

Pages: TypeAlias = dict[str, tuple[str, bytes]]
"""Path -> media type, content."""


def pages(blueprint: Blueprint, public_url: str = "") -> Pages:
    """Return the OpenAPI document and the page. The page fetches nothing from other addresses.

    Args:
        public_url: See `document`.
    """
    api = document(blueprint, public_url)
    issuers = {one.name: issuer_path(one) for one in blueprint.auths if one.issuer is None}
    return {
        "/openapi.json": ("application/json", to_json(api)),
        "/docs": ("text/html; charset=utf-8", docs_page(api, issuers).encode()),
    }


def docs_page(api: dict[str, Any], issuers: dict[str, str]) -> str:
    """Return the page of a document.

    Args:
        issuers: The paths of the development issuers, by the name of their security scheme.
    """
    style, script = _asset("docs.css"), _asset("docs.js")
    title = f"{api['info']['title']} API"
    routes = Routes(api)
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=_policy(style, script)),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("link", rel="icon", href="data:,"),
        el("title", title),
        el("style", raw(style)),
    )
    body = el(
        "body",
        el("a", "Skip to the routes", href="#routes", class_="skip"),
        _header(api, title),
        el(
            "div",
            _navigation(api, routes),
            el(
                "main",
                _callers(api, issuers),
                _headers(api),
                el("div", routes.sections(), id="routes", tabindex="-1"),
                _problems(routes),
                _schemas(api),
            ),
            class_="columns",
        ),
        el("script", raw(script)),
    )
    return "<!doctype html>\n" + el("html", head, body, lang="en")


@cache
def _asset(name: str) -> str:
    return (Path(__file__).parent / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """Nothing but our own style and script, and requests to the app itself."""
    parts = {
        "default-src": "'none'",
        "style-src": _source(style),
        "script-src": _source(script),
        "img-src": "data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def _source(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def _header(api: dict[str, Any], title: str) -> Html:
    return el(
        "header",
        el("h1", title),
        el(
            "p",
            "Version ",
            el("code", api["info"]["version"]),
            ", described by ",
            el("a", "openapi.json", href="openapi.json"),
            " (OpenAPI 3.1). ",
            "Errors are problem details (RFC 9457) with a ",
            el("code", "code"),
            " and a correlation ID.",
        ),
        class_="top",
    )


def _navigation(api: dict[str, Any], routes: Routes) -> Html:
    schemas = [
        el("li", el("a", name, href="#" + anchor(name))) for name in api["components"]["schemas"]
    ]
    return el(
        "nav",
        el(
            "details",
            el("summary", "Contents"),
            el("ul", el("li", el("a", "Sign in", href="#sign-in")) if _has_auth(api) else None,
               el("li", el("a", "Headers of every route", href="#headers")),
               routes.contents(),
               el("li", el("a", "Problems", href="#problems")) if api["paths"] else None,
               el("li", el("a", "Schemas", href="#schemas"), el("ul", schemas))
               if schemas else None),
            open=True,
        ),
        aria_label="Contents",
    )  # fmt: skip


def _has_auth(api: dict[str, Any]) -> bool:
    return bool(api["components"]["securitySchemes"])


# --- signing in --------------------------------------------------------------------------------


def _callers(api: dict[str, Any], issuers: dict[str, str]) -> Html | None:
    if not _has_auth(api):
        return None
    return el(
        "section",
        el("h2", "Sign in"),
        el("p", "A token stays on this page until it is closed or loaded again."),
        [
            _caller(name, scheme, issuers.get(name))
            for name, scheme in api["components"]["securitySchemes"].items()
        ],
        id="sign-in",
    )


def _caller(name: str, scheme: dict[str, Any], issuer: str | None) -> Html:
    state = section_id("state", name)
    return el(
        "div",
        el("h3", el("code", name)),
        el("p", prose(scheme["description"]), class_="prose"),
        _log_in(name, state, issuer) if issuer is not None else None,
        el(
            "form",
            _field("Bearer token", section_id("token", name), type_="password", data_token=name,
                   autocomplete="off", spellcheck="false"),
            el("p", role="status", aria_live="polite", class_="state", id=state),
            class_="try inline",
            hidden=True,
        ),
        class_="card",
        id=section_id("auth", name),
    )  # fmt: skip


def _log_in(name: str, state: str, issuer: str) -> Html:
    return el(
        "form",
        _field("User name", section_id("user", name), autocomplete="username", name="username"),
        _field(
            "Password",
            section_id("password", name),
            type_="password",
            autocomplete="current-password",
            name="password",
        ),
        el("button", "Log in", type_="submit", value="log-in"),
        el("button", "Sign up", type_="submit", value="sign-up", class_="quiet"),
        class_="try inline",
        data_issuer=issuer,
        data_auth=name,
        data_state=state,
        hidden=True,
    )  # fmt: skip


def _field(label: str, identity: str, **attributes: str) -> Html:
    return el(
        "div",
        el("label", label, for_=identity),
        el("input", id=identity, **attributes),
        class_="field",
    )


def _headers(api: dict[str, Any]) -> Html:
    shared = api["components"]["parameters"]
    return el(
        "section",
        el("h2", "Headers of every route"),
        el(
            "div",
            parameters_table("Of requests that change something", [shared["IdempotencyKey"]]),
            parameters_table("Of all requests, and in every reply", [shared["CorrelationId"]]),
            class_="card",
        ),
        id="headers",
    )


def _problems(routes: Routes) -> Html | None:
    found = routes.problems()
    if found is None:
        return None
    return el("section", el("h2", "Problems"), el("div", found, class_="card"), id="problems")


def _schemas(api: dict[str, Any]) -> Html | None:
    schemas = api["components"]["schemas"]
    if not schemas:
        return None
    return el(
        "section",
        el("h2", "Schemas"),
        [
            el(
                "article",
                el("h3", el("code", name)),
                el("p", prose(str(schema["description"])), class_="prose")
                if schema.get("description")
                else None,
                fields_table(schema, f"Fields of {name}"),
                id=anchor(name),
                class_="card",
            )
            for name, schema in schemas.items()
        ],
        id="schemas",
    )
