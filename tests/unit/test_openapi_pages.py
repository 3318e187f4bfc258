"""The docs page: whole, closed, and made of text that stays text."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from shop import app as shop

from tests.unit.openapi_apps import EVIL, blueprint, hostile, market
from wherry import openapi
from wherry.blueprint import AuthSpec
from wherry.codec import from_json
from wherry.openapi import document, pages
from wherry.openapi.html import Html, el

ASSETS = Path(openapi.__file__).parent
VOID = {"br", "input", "link", "meta", "wbr"}


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.unbalanced: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, attribute: str) -> list[str]:
        """Return the values of an attribute, wherever it is."""
        return [value or "" for _, found in self.elements
                for name, value in found.items() if name == attribute]  # fmt: skip


def page_of(app: Any) -> Page:
    return Page(pages(app)["/docs"][1].decode())


APPS = {
    "market": market().freeze(),
    "shop": shop.freeze(),
    "empty": blueprint(),
    "hostile": hostile(),
}


@pytest.fixture(scope="module", params=APPS)
def page(request: pytest.FixtureRequest) -> Page:
    """The page of each app in turn."""
    return page_of(APPS[request.param])


def test_there_are_two_pages_with_their_media_types() -> None:
    found = pages(APPS["shop"], "https://shop.example")
    assert {path: media for path, (media, _) in found.items()} == {
        "/openapi.json": "application/json",
        "/docs": "text/html; charset=utf-8",
    }
    expected = document(APPS["shop"], "https://shop.example")
    assert from_json(found["/openapi.json"][1]) == expected
    assert pages(APPS["shop"]) == pages(APPS["shop"])


# --- whole and closed ---------------------------------------------------------------------------


def test_every_element_is_closed(page: Page) -> None:
    assert (page.unbalanced, page.open) == ([], [])


def test_nothing_is_fetched_from_elsewhere(page: Page) -> None:
    """Links stay on the page or lead to the document; there is no image, frame or script file."""
    assert page.all("src") == page.all("action") == page.all("srcset") == []
    assert {link for link in page.all("href") if not link.startswith("#")} == {
        "openapi.json", "data:,",
    }  # fmt: skip
    assert "url(" not in (ASSETS / "docs.css").read_text()
    assert "@import" not in (ASSETS / "docs.css").read_text()


def test_only_our_own_style_and_script_may_run(page: Page) -> None:
    """The policy names both by their hashes and forbids the rest."""
    (policy,) = [found["content"] or "" for tag, found in page.elements
                 if found.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for kind in ("script", "style"):
        (text,) = page.texts[kind]
        digest = b64encode(sha256(text.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
        assert [tag for tag, _ in page.elements].count(kind) == 1
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules["connect-src"] == "'self'"
    assert "unsafe" not in policy


def test_the_policy_comes_before_what_it_governs(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    policy = next(at for at, (_, found) in enumerate(page.elements) if "http-equiv" in found)
    assert policy < min(tags.index("style"), tags.index("script"), tags.index("link"))


def test_the_script_never_makes_markup_of_text() -> None:
    script = (ASSETS / "docs.js").read_text()
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|Function\(|Storage|</"
    assert re.findall(forbidden, script) == []
    assert "<!--" not in script


# --- text stays text ----------------------------------------------------------------------------


def test_markup_in_an_app_stays_text() -> None:
    """Names and docstrings of an app cannot add an element or an attribute of their own."""
    page = page_of(hostile())
    assert {tag for tag, _ in page.elements} & {"img", "iframe", "svg", "object", "base"} == set()
    assert [name for _, found in page.elements for name in found if name.startswith("on")] == []
    # A backtick pairs up as code, so a docstring is found in pieces; a name is found whole.
    assert EVIL in "".join(page.texts["code"])
    assert EVIL in page.all("data-auth")
    assert EVIL.upper() in page.all("data-method")


def test_a_hostile_app_has_no_elements_and_attributes_but_ours() -> None:
    def kinds(page: Page) -> set[str]:
        return {f"<{tag}>" for tag, _ in page.elements} | {
            name for _, found in page.elements for name in found
        }

    assert kinds(page_of(hostile())) <= kinds(page_of(APPS["market"])) | kinds(
        page_of(APPS["shop"])
    )


def test_the_builder_escapes_all_but_its_own() -> None:
    assert el("p", "<b>", el("i", "&"), title='"') == '<p title="&quot;">&lt;b&gt;<i>&amp;</i></p>'
    assert isinstance(el("p"), Html)
    assert el("p", "<", None, ["a", ["b"]], hidden=True, id=None) == "<p hidden>&lt;ab</p>"


@pytest.mark.parametrize("name", ["p onclick", "", "P", "a>b"])
def test_the_builder_refuses_odd_names(name: str) -> None:
    """Names of elements and attributes are ours; one that is not is a fault of ours."""
    with pytest.raises(ValueError, match="is not the name"):
        el(name)
    with pytest.raises(ValueError, match="is not the name"):
        el("p", **{name: "x"})


# --- for everybody ------------------------------------------------------------------------------


def test_ids_are_unique_and_links_lead_somewhere(page: Page) -> None:
    ids = page.all("id")
    assert len(ids) == len(set(ids))
    assert {unquote(link[1:]) for link in page.all("href") if link.startswith("#")} <= set(ids)
    assert set(page.all("data-answer")) | set(page.all("data-state")) <= set(ids)


def test_every_field_has_a_label_and_every_label_a_field(page: Page) -> None:
    fields = [found["id"] for tag, found in page.elements if tag in ("input", "select", "textarea")]
    assert sorted(page.all("for")) == sorted(map(str, fields))


def test_forms_are_hidden_until_the_script_is_there(page: Page) -> None:
    """Without JavaScript the page is for reading, and shows nothing that does not work."""
    for tag, found in page.elements:
        if "try" in (found.get("class") or "").split():
            assert "hidden" in found, tag
    nested = page.all("data-path") + page.all("data-issuer")
    assert len(nested) <= (page.all("class").count("try") + page.all("class").count("try inline"))


def test_tables_and_parts_have_names(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption")
    assert [tags.count(tag) for tag in ("h1", "main", "nav", "header", "title")] == [1] * 5
    assert ("html", {"lang": "en"}) in page.elements


def test_a_route_is_on_the_page_with_its_try() -> None:
    page = page_of(shop.freeze())
    forms = [found for tag, found in page.elements if "data-path" in found]
    assert {(one["data-method"], one["data-path"], one["data-auth"]) for one in forms} == {
        ("POST", "/orders", "customers"),
        ("GET", "/orders/{order_id}", "customers"),
        ("POST", "/assets", "customers"),
    }
    assert '"sku": "oar"' in "".join(page.texts["textarea"])


def test_only_a_development_issuer_has_a_log_in() -> None:
    auths = (AuthSpec(name="mine"), AuthSpec(name="real", issuer="https://issuer.example"))
    page = page_of(blueprint(auths=auths))
    assert page.all("data-issuer") == ["/_issuer/mine"]
    assert page.all("data-token") == ["mine", "real"]


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(scheme: str) -> None:
    """WCAG 2.2 AA: a contrast of 4.5 to 1, in both colour schemes."""
    blocks = re.findall(r":root \{(.*?)\}", (ASSETS / "docs.css").read_text(), re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[0 if scheme == "light" else 1]))
    inks = ("ink", "soft", "accent", "good", "bad", "get", "post", "put", "delete")
    for ink in inks:
        for ground in ("paper", "card") + (("code",) if ink in ("ink", "soft", "accent") else ()):
            one, other = sorted((luminance(colours[ink]), luminance(colours[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (ink, ground)
