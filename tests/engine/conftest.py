"""Engines that many tests share; each worker of the suite has its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .server_kit import Engine, serving


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """`apps/desk.py`, for tests that do it no harm."""
    with serving("desk", tmp_path_factory.mktemp("desk") / "data") as engine:
        yield engine
