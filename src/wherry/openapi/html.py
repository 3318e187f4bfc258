"""HTML that is built, never written: every text is escaped unless this module made it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_VOID = frozenset(("br", "input", "link", "meta", "wbr"))


class Html(str):
    """Markup that needs no escaping. Made by `el` and `raw` only."""

    __slots__ = ()


Node: TypeAlias = str | Iterable["Node"] | None
"""A text, which is escaped; markup; nothing; or several of them."""


def el(name: str, /, *children: Node, **attributes: str | bool | None) -> Html:
    """Return an element.

    Args:
        attributes: `class_` is class, `data_name` data-name. True is an attribute without a value;
            False and None are none.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an element")
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{inside(children)}</{name}>")


def inside(node: Node) -> Html:
    """Return the markup of texts and elements one after another."""
    if node is None:
        return Html("")
    if isinstance(node, Html):
        return node
    if isinstance(node, str):
        return Html(escape(node, quote=True))
    return Html("".join(inside(one) for one in node))


def raw(text: str) -> Html:
    """Take text as markup: our own style and script, nothing that came from elsewhere."""
    return Html(text)


def _attribute(key: str, value: str | bool | None) -> str:
    name = key.rstrip("_").replace("_", "-")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an attribute")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value, quote=True)}"'
