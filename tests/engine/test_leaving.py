"""Callers that hang up before their request was begun."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from .server_kit import Engine, serving, until

APP = """
import socket
from wherry import App, Struct

class Mark(Struct):
    name: str

app = App("leaving")
marks = app.table(Mark, key="name")

@app.post("/marks/{name}", concurrency=1, grants=[marks.write])
def mark(name: str, port: int = 0) -> None:
    marks.put(Mark(name))
    if port:
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.recv(1)

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


def test_a_request_that_waits_is_not_run_when_its_caller_hangs_up(engine: Engine) -> None:
    """But with an Idempotency-Key it is: its caller will ask again for the answer."""
    with closing(socket.create_server(("127.0.0.1", 0))) as gate:
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
