"""Composing an app from modules."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from wherry.app.places import shown_path
from wherry.blueprint.parts import Finding

if TYPE_CHECKING:
    from wherry.app.app import App
    from wherry.app.places import Site


def apps_in(other: Any, into: App, where: Site) -> tuple[list[App], Finding | None]:
    """Return the apps that `other` stands for, and what is wrong with it.

    Raises:
        ImportError: There is no such module.
    """
    from wherry.app.app import App

    if isinstance(other, App):
        return [other], None
    if not isinstance(other, ModuleType | str):
        return [], Finding(
            code="include_kind",
            message=f"The app includes {other!r}, which is neither an app nor a module.",
            fix='Write app.include(catalog), or app.include("catalog").',
            place=where.place,
        )
    module = other if isinstance(other, ModuleType) else _imported(other, where.package)
    apps = [one for one in vars(module).values() if isinstance(one, App) and one is not into]
    if apps or declares(into, getattr(module, "__file__", None)):
        return list(dict.fromkeys(apps)), None
    return [], Finding(
        code="include_nothing",
        message=f"The module {module.__name__!r} declares nothing.",
        fix="Give it an app of its own (`catalog = App('catalog')`), or declare on this one.",
        place=where.place,
    )


def _imported(name: str, package: str) -> ModuleType:
    return sys.modules.get(name) or import_module(name, package or None)


def declares(app: App, file: str | None) -> bool:
    """Whether anything is declared on the app in this file."""
    functions = [endpoint.site.place for one in app._functions for endpoint in one.endpoints]
    resources: list[Any] = [
        *app._tables,
        *app._queues,
        *app._buckets,
        *app._secrets,
        *app._auths,
        *app._events,
        *app._workflows,
    ]
    places = [*functions, *(one.place for one in resources)]
    return any(place is not None and place.file == shown_path(file or "") for place in places)


def with_included(app: App) -> list[App]:
    """Return the app and all that it includes, each once."""
    found: dict[int, App] = {}
    waiting = [app]
    while waiting:
        one = waiting.pop(0)
        if id(one) not in found:
            found[id(one)] = one
            waiting.extend(one._included)
    return list(found.values())
