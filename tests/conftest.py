"""What every worker of the suite does.

Examples that Hypothesis makes have no deadline: a slow machine is no fault. Where `.ci/run` asks
for it, each worker notes what it runs.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.garbage_kit import kept

if TYPE_CHECKING:
    from tests.s3_kit import S3

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """An S3, started when it is first asked for, once for each worker."""
    from tests.s3_kit import moto

    with moto() as running:
        yield running


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among thousands of tests: they stay until the end of the worker."""
    with kept():
        return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: at the end all workers would wait for it."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/torture"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep the test's name in a file while it runs: what is killed can say nothing any more."""
    folder = os.environ.get("RUNNING_TESTS")
    if not folder:
        return (yield)
    note = Path(folder, os.environ.get("PYTEST_XDIST_WORKER", "alone"))
    note.write_text(item.nodeid + "\n")
    try:
        return (yield)
    finally:
        note.write_text(f"(between two tests, or at the end, after {item.nodeid})\n")
