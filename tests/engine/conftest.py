"""Engines that many tests share; each worker of the suite has its own. Which store they have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from . import stores_kit
from .server_kit import Engine, serving


@pytest.fixture(scope="module", autouse=True)
def store(request: pytest.FixtureRequest) -> Iterator[str]:
    """The store of the engines that tests make. What shares one among tests has to ask for it."""
    yield from stores_kit.engines_on(getattr(request, "param", stores_kit.CHOSEN))


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`apps/desk.py`, for tests that do it no harm."""
    with serving("desk", tmp_path_factory.mktemp("desk") / "data") as engine:
        yield engine
