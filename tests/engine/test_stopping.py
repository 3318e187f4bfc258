"""An engine that is asked to stop: what had begun is kept up until it has ended."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wherry.runtime.process.trees import descendants

from .server_kit import Engine, running, serving, until

APP = """
import os, time
from multiprocessing import get_context
from wherry import App

app = App("stopping")

def wait() -> None:
    while not os.path.exists("go-on"):
        time.sleep(0.01)

@app.get("/waits", timeout_s=2)
def waits() -> None:
    wait()

@app.get("/quick")
def quick() -> None:
    pass

@app.get("/prints", timeout_s=20)
def prints() -> str:
    wait()
    print("x" * 400_000)
    return "printed"

@app.get("/forks", timeout_s=5)
def forks() -> list[int]:
    codes = []
    for _ in range(20):
        child = get_context("fork").Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join()
        codes.append(child.exitcode)
    return codes
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "stopping.py").write_text(APP)
    with serving("stopping", tmp_path / "data", folder=tmp_path) as found:
        yield found


def stop_amid(engine: Engine, function: str) -> None:
    """Ask the engine to stop when this function is running."""
    until(lambda: engine.pools()[function]["busy"] > 0, "the run")
    os.kill(engine.pid, signal.SIGTERM)
    until(lambda: not takes_connections(engine.port), "the beginning of its stop")


def takes_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as found:
        yield found


def test_a_deadline_holds_while_the_engine_stops(
    engine: Engine, threads: ThreadPoolExecutor
) -> None:
    reply = threads.submit(engine.once, "GET", "/waits")
    stop_amid(engine, "waits")
    assert reply.result().status == 504
    assert engine.wait() == 0


def test_what_a_function_prints_is_read_while_the_engine_stops(
    engine: Engine, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """Else it would wait for its pipe, and its caller for it."""
    reply = threads.submit(engine.once, "GET", "/prints")
    stop_amid(engine, "prints")
    (tmp_path / "go-on").touch()
    assert reply.result().json() == "printed"
    assert engine.wait() == 0


def test_a_stop_of_the_whole_group_is_the_engines(
    engine: Engine, threads: ThreadPoolExecutor, tmp_path: Path
) -> None:
    """As systemd stops a service by default: what runs is finished, and nothing is left behind."""
    reply = threads.submit(engine.once, "GET", "/prints")
    until(lambda: engine.pools()["prints"]["busy"] > 0, "the run")
    below = list(descendants(engine.pid))
    for pid in [*below, engine.pid]:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not takes_connections(engine.port), "the beginning of its stop")
    (tmp_path / "go-on").touch()
    assert (reply.result().status, reply.result().body) == (200, b'"printed"')
    assert engine.wait() == 0
    until(lambda: not any(map(running, below)), "the end of its processes")


def test_what_a_handler_forks_ends_when_it_is_told_to(engine: Engine) -> None:
    """However soon. The handler's own process goes on then: the engine decides of that."""
    assert engine.client("GET", "/forks").json() == [-signal.SIGTERM] * 20


def test_an_engine_that_leaves_says_so_and_serves_on_until_its_time_is_over(
    tmp_path: Path,
) -> None:
    """A load balancer sees it and goes elsewhere; what it has sent by then is answered."""
    (tmp_path / "stopping.py").write_text(APP)
    leaving = ["--leave-s", "30"]
    with serving("stopping", tmp_path / "data", folder=tmp_path, arguments=leaving) as engine:
        assert engine.client("GET", "/quick").status == 204
        os.kill(engine.pid, signal.SIGTERM)
        until(lambda: engine.once("GET", "/readyz").status == 503, "not ready")
        kept, new = engine.client("GET", "/quick"), engine.once("GET", "/quick")
        assert (kept.status, kept.headers["connection"]) == (204, "close")
        assert (new.status, new.headers["connection"]) == (204, "close")
        os.kill(engine.pid, signal.SIGTERM)  # now
        assert engine.wait() == 0
