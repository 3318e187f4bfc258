"""A process that is forked before it is asked for, so that a cold start need not wait for it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.runtime.process.trees import children

from .server_kit import Engine, running, serving, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")

APP = """
import os
from wherry import App, log

app = App("steps")

@app.get("/one")
def one() -> list[str]:
    log.info("one runs")
    print("one prints")
    return [str(os.getpid()), os.environ["HOME"], os.environ["TMPDIR"]]

@app.get("/two")
def two() -> int:
    return os.getpid()
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "steps.py").write_text(APP)
    with serving("steps", tmp_path / "data", folder=tmp_path / "code") as engine:
        yield engine


def spare(engine: Engine) -> int:
    """Return the one process of the zygote that is nobody's environment yet."""
    taken = {pid for function in engine.pools() for pid in engine.environments(function)}

    def look() -> list[int]:
        return [pid for pid in children(engine.zygote_pid()) if pid not in taken and running(pid)]

    [pid] = until(look, "a spare")
    return pid


def test_a_spare_becomes_the_environment_of_whichever_function_is_asked_for(
    engine: Engine,
) -> None:
    """Its folder, output and logs are those of the function; the next spare is another one."""
    first = spare(engine)
    pid, home, tmp = engine.client("GET", "/one").json()
    assert int(pid) == first
    assert home == tmp
    assert os.path.basename(home).startswith("one-")
    until(lambda: engine.lines(function_name="one", message="one prints"), "what it printed")
    until(lambda: engine.lines(function_name="one", message="one runs"), "what it logged")
    second = spare(engine)
    assert engine.client("GET", "/two").json() == second != first
    assert engine.client("GET", "/one").json()[0] == pid


def test_a_spare_that_was_killed_is_not_missed(engine: Engine) -> None:
    """The next start forks as if there had never been one; then there is one again."""
    first = spare(engine)
    os.kill(first, signal.SIGKILL)
    until(lambda: not running(first), "its end")
    assert engine.client("GET", "/one").status == 200
    second = spare(engine)
    assert engine.client("GET", "/two").json() == second


def test_a_spare_ends_with_its_zygote(engine: Engine) -> None:
    """However that ends: a spare is confined by nothing yet, and nobody could ask it any more."""
    first = spare(engine)
    os.kill(engine.zygote_pid(), signal.SIGKILL)
    until(lambda: not running(first), "its end")
    assert until(lambda: engine.client("GET", "/one").status == 200, "a new zygote")
