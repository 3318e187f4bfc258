"""Composing an app from modules, and the boundaries between bundles."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from wherry.app import App
from wherry.errors import AppInvalid

BASE = """
from msgspec import Struct
from wherry.app import App
class Item(Struct):
    id: str
app = App("market")
items = app.table(Item, key="id")
"""
CATALOG = """
from {package}.base import app, items, Item
catalog = app.bundle("catalog", grants=[items.read])
@catalog.get("/items")
def list_items() -> list[Item]: ...
"""
SELLER = """
from {package}.base import app, items, Item
{more}
seller = app.bundle("seller", grants=[items.write])
@seller.post("/items")
def add_item(item: Item) -> Item: ...
"""
ALONE = """
from wherry.app import App
notes = App("notes")
@notes.get("/notes")
def list_notes() -> list[str]: ...
"""

_made = 0


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    global _made
    _made += 1
    folder = tmp_path / f"market{_made}"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == folder.name]:
        del sys.modules[name]


def write(package: Path, more: str = "", **sources: str) -> App:
    for name, source in sources.items():
        text = source.format(package=package.name, more=more.format(package=package.name))
        (package / f"{name}.py").write_text(text)
    from importlib import import_module

    app = import_module(f"{package.name}.base").app
    assert isinstance(app, App)
    return app


def test_a_module_that_declares_on_the_app_is_included_by_its_name(package: Path) -> None:
    app = write(package, base=BASE, catalog=CATALOG, seller=SELLER)
    app.include(f"{package.name}.catalog")
    app.include(f"{package.name}.seller")
    assert [one.name for one in app.freeze().functions] == ["catalog", "seller"]


def test_an_app_of_its_own_is_merged_with_all_it_declares(package: Path) -> None:
    app = write(package, base=BASE, catalog=CATALOG, alone=ALONE)
    app.include(f"{package.name}.alone")
    app.include(f"{package.name}.alone")
    assert [one.name for one in app.freeze().functions] == ["list_notes"]
    assert app.endpoints["list_notes"]["list_notes"].fn is not None


def test_apps_that_include_each_other_are_taken_once() -> None:
    one, two = App("one"), App("two")
    one.include(two)
    two.include(one)
    two.bucket("files")
    assert [bucket.name for bucket in one.freeze().buckets] == ["files"]


def test_a_module_that_declares_nothing_is_a_finding() -> None:
    app = App("a")
    app.include(ModuleType("empty"))
    with pytest.raises(AppInvalid, match="declares nothing"):
        app.freeze()


def test_a_missing_module_is_an_import_error() -> None:
    with pytest.raises(ImportError):
        App("a").include("there.is.no.such.module")


@pytest.mark.parametrize(
    "crossing",
    [
        "import {package}.catalog",
        "from {package} import catalog",
        "from {package}.catalog import list_items",
        "from .catalog import list_items",
        "from . import catalog",
        "def late():\n    from .catalog import list_items",
    ],
)
def test_an_import_from_one_bundle_into_another_is_a_finding(package: Path, crossing: str) -> None:
    app = write(package, base=BASE, catalog=CATALOG, seller=SELLER, more=crossing)
    app.include(f"{package.name}.seller")
    app.include(f"{package.name}.catalog")
    with pytest.raises(AppInvalid) as failure:
        app.freeze()
    codes = {finding.code for finding in failure.value.findings}
    assert codes == {"boundary_crossed"}
    assert failure.value.findings[0].place.file.endswith("seller.py")


def test_an_import_for_types_alone_crosses_nothing(package: Path) -> None:
    more = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
        "    from {package}.catalog import list_items"
    )
    app = write(package, base=BASE, catalog=CATALOG, seller=SELLER, more=more)
    app.include(f"{package.name}.seller")
    app.include(f"{package.name}.catalog")
    app.freeze()


def test_two_apps_with_different_cors_are_a_finding() -> None:
    one, two = App("one"), App("two")
    one.include(two)
    one.cors(origins=["https://a.example"])
    two.cors(origins=["https://b.example"])
    with pytest.raises(AppInvalid, match="two ways"):
        one.freeze()
