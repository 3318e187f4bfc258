"""Callers that hang up before their request was begun."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .server_kit import WAIT_S, Engine, serving, until

APP = """
import socket
from wherry import App, Struct

class Mark(Struct):
    name: str

app = App("leaving")
marks = app.table(Mark, key="name")

@app.post("/marks/{name}", concurrency=1, grants=[marks.read, marks.write])
def mark(name: str, port: int = 0) -> None:
    marks.put(marks.get("hot") or Mark("hot"))
    marks.put(Mark(name))
    if port:
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.recv(1)

@app.post("/heat", grants=[marks.write])
def heat() -> None:
    marks.put(Mark("hot"))

@app.get("/marks/{name}", grants=[marks.read])
def look(name: str) -> bool:
    return marks.get(name) is not None
"""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "leaving.py").write_text(APP)
    with serving("leaving", tmp_path / "data", folder=code) as engine:
        yield engine


def asked(engine: Engine, target: str, *headers: str) -> socket.socket:
    """Send a request and do not wait for its answer."""
    lines = [f"POST {target} HTTP/1.1", "Host: x", "Content-Length: 0", *headers, "", ""]
    connection = socket.create_connection(("127.0.0.1", engine.port))
    connection.sendall("\r\n".join(lines).encode())
    return connection


def gate_of_runs() -> socket.socket:
    """Runs connect to it, and go on when they are let go."""
    gate = socket.create_server(("127.0.0.1", 0))
    gate.settimeout(WAIT_S)
    return gate


def waiting(engine: Engine) -> int:
    """How many requests wait for the function that marks."""
    functions = engine.status()["functions"]
    return sum(one["waiting"] for name, one in functions.items() if name.startswith("mark@"))


def test_a_request_that_waits_is_not_run_when_its_caller_hangs_up(engine: Engine) -> None:
    """But with an Idempotency-Key it is: its caller will ask again for the answer."""
    with closing(gate_of_runs()) as gate:
        first = asked(engine, f"/marks/first?port={gate.getsockname()[1]}")
        held, _ = gate.accept()  # it runs, and alone: all others wait
        asked(engine, "/marks/left").close()
        asked(engine, "/marks/kept", "Idempotency-Key: one").close()
        until(lambda: engine.lines(ending="refused", status=499), "the end of what was left")
        held.close()
    assert first.recv(100).startswith(b"HTTP/1.1 204")
    first.close()
    until(lambda: engine.client("GET", "/marks/kept").json(), "what has a key")
    assert engine.client("POST", "/marks/last").status == 204
    marked = [
        name
        for name in ("first", "left", "kept", "last")
        if engine.client("GET", f"/marks/{name}").json()
    ]
    assert marked == ["first", "kept", "last"]
    line = engine.lines(ending="refused")[0]
    records = engine.timeline(line["correlation_id"]).records
    assert [(one.ending, one.status) for one in records] == [("refused", 499)]


def test_what_waits_to_run_again_is_run_although_its_caller_hangs_up(engine: Engine) -> None:
    """It has been begun: its named steps may be committed, and the outside been asked."""
    with closing(gate_of_runs()) as gate:
        target = f"port={gate.getsockname()[1]}"
        first = asked(engine, f"/marks/first?{target}")
        held, _ = gate.accept()
        again = asked(engine, f"/marks/again?{target}")
        until(lambda: waiting(engine) == 1, "the second one")
        held.close()
        held, _ = gate.accept()
        assert engine.client("POST", "/heat").status == 204  # the run under way has read it
        last = asked(engine, f"/marks/last?{target}")
        until(lambda: waiting(engine) == 1, "the third one")
        held.close()
        held, _ = gate.accept()
        until(lambda: waiting(engine) == 1, "the second one, to run again behind the third")
        again.close()
        held.close()
        held, _ = gate.accept()
        held.close()
    until(lambda: engine.client("GET", "/marks/again").json(), "what its caller did not wait for")
    first.close()
    last.close()
