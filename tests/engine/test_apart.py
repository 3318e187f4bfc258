"""Which processors the processes of an engine may use while it works."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from wherry import limits
from wherry.runtime.process import places
from wherry.runtime.process.trees import descendants

from .server_kit import serving, until
from .stores_kit import sqlite_alone

APP = """
import os
from wherry import App

app = App("places")

@app.get("/")
def look() -> list[int]:
    return sorted(os.sched_getaffinity(0))
"""


@sqlite_alone("the store process")
@pytest.mark.skipif(
    sys.platform != "linux"
    or not 2 <= len(places.GIVEN) <= (os.cpu_count() or 1) <= limits.AWAKE_PROCESSORS,
    reason="needs Linux, and two to eight processors",
)
def test_handlers_may_use_all_processors_also_of_a_version_loaded_meanwhile(tmp_path: Path) -> None:
    """The engine and its store are bound to one each; nobody inherits that."""
    code = tmp_path / "code"
    code.mkdir()
    (code / "places_app.py").write_text(APP)
    with serving("places_app", tmp_path / "data", folder=code) as engine:
        store = engine.status()["store"]["pid"]

        def bound() -> bool:
            assert engine.client("GET", "/").json() == sorted(places.GIVEN)
            one, other = os.sched_getaffinity(engine.pid), os.sched_getaffinity(store)
            return len(one) == len(other) == 1 and one != other

        until(bound, "the engine and its store apart")
        (code / "places_app.py").write_text(APP + "\n# another version\n")
        engine.call("reload")
        assert engine.client("GET", "/").json() == sorted(places.GIVEN)
        found = set()
        for pid in set(descendants(engine.pid)) - {store}:
            with suppress(ProcessLookupError):  # of the version that is ending
                found.add(frozenset(os.sched_getaffinity(pid)))
        assert found == {places.GIVEN}
        until(lambda: os.sched_getaffinity(engine.pid) == places.GIVEN, "an engine without work")
