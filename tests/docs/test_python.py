"""The Python on the pages runs: each page's blocks, top to bottom, are one program."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.pages import PAGES, blocks_of, program_of
from wherry import App

WITH_PYTHON = [page for page in PAGES if blocks_of(page, "python")]


@pytest.fixture
def module(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ModuleType]:
    """The page's program, imported."""
    page: str = request.param
    name = "page_" + page.replace("/", "_").replace("-", "_").removesuffix(".md")
    file = tmp_path / f"{name}.py"
    file.write_text(program_of(page))
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[name]


@pytest.mark.parametrize("module", WITH_PYTHON, indirect=True)
def test_the_python_of_a_page_runs(module: ModuleType) -> None:
    """It can be imported, its app is free of findings, and the tests it shows pass."""
    apps = [value for value in vars(module).values() if isinstance(value, App)]
    assert apps
    for app in apps:
        app.freeze()
    for name, value in list(vars(module).items()):
        if name.startswith("test_") and inspect.isfunction(value):
            value()
