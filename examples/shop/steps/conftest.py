"""The tests of each step get a shop of their own: a step declares on the shop that it imports."""

import sys
from collections.abc import Generator

import pytest


def _shops() -> list[str]:
    return [name for name in sys.modules if name in ("shop", "steps") or name.startswith("steps.")]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Import a test's module, and with it a new shop; what others have imported stays theirs."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    before = {name: sys.modules.pop(name) for name in _shops()}
    try:
        return (yield)
    finally:
        for name in _shops():
            del sys.modules[name]
        sys.modules.update(before)
