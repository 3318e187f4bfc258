"""Callers that hang up before their request was begun."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
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
def mark(name: str, port: int = 0, hot: bool = False) -> None:
    if hot:
        marks.put(marks.get("hot") or Mark("hot"))
    marks.put(Mark(name))
    if port:
        with socket.create_connection(("127.0.0.1", port)) as gate:
            gate.sendall(name.encode())
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


class Gate:
    """Runs come to it, say whose they are, and go on when they are let go.

    It closes what callers were given too: a test that fails leaves nothing open for others.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open = ExitStack()
        self._listener = self._open.enter_context(socket.create_server(("127.0.0.1", 0)))
        self._listener.settimeout(WAIT_S)
        self._held: socket.socket | None = None
        self.port = self._listener.getsockname()[1]

    def ask(self, target: str, *headers: str) -> socket.socket:
        """Send a request and do not wait for its answer."""
        lines = [f"POST {target} HTTP/1.1", "Host: x", "Content-Length: 0", *headers, "", ""]
        connection = socket.create_connection(("127.0.0.1", self._engine.port), WAIT_S)
        self._open.enter_context(connection)
        connection.sendall("\r\n".join(lines).encode())
        return connection

    def next(self) -> str:
        """Wait for the next run; return its name."""
        self._held, _ = self._listener.accept()
        self._open.enter_context(self._held)
        self._held.settimeout(WAIT_S)
        return self._held.recv(100).decode()

    def let_go(self) -> None:
        """Let the run that came last go on."""
        assert self._held is not None
        self._held.close()

    def close(self) -> None:
        """Close all connections."""
        self._open.close()


@pytest.fixture
def gate(engine: Engine) -> Iterator[Gate]:
    with closing(Gate(engine)) as made:
        yield made


def hang_up(connection: socket.socket) -> None:
    """Leave, and wait until the engine has seen that: it closes its side then."""
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(1) == b""
    connection.close()


def waiting(engine: Engine) -> int:
    """How many requests wait for the function that marks."""
    functions = engine.status()["functions"]
    return sum(one["waiting"] for name, one in functions.items() if name.startswith("mark@"))


def test_a_request_that_waits_is_not_run_when_its_caller_hangs_up(
    engine: Engine, gate: Gate
) -> None:
    """But with an Idempotency-Key it is: its caller will ask again for the answer."""
    first = gate.ask(f"/marks/first?port={gate.port}")
    assert gate.next() == "first"  # it runs, and alone: all others wait
    gate.ask("/marks/left").close()
    gate.ask("/marks/kept", "Idempotency-Key: one").close()
    until(lambda: engine.lines(ending="refused", status=499), "the end of what was left")
    gate.let_go()
    assert first.recv(100).startswith(b"HTTP/1.1 204")
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


def test_what_waits_to_run_again_is_run_although_its_caller_hangs_up(
    engine: Engine, gate: Gate
) -> None:
    """It has been begun: its named steps may be committed, and the outside been asked."""
    # It alone marks what is hot: a read may overtake a commit that came just before it, and after
    # one of a neighbour's it would lose once more, and stand at the gate again.
    gate.ask(f"/marks/first?port={gate.port}")
    assert gate.next() == "first"
    again = gate.ask(f"/marks/again?port={gate.port}&hot=true")
    until(lambda: waiting(engine) == 1, "the second one")
    gate.let_go()
    assert gate.next() == "again"
    assert engine.client("POST", "/heat").status == 204  # the run under way has read it
    gate.ask(f"/marks/last?port={gate.port}")
    until(lambda: waiting(engine) == 1, "the third one")
    gate.let_go()
    assert gate.next() == "last"
    until(lambda: waiting(engine) == 1, "the second one, to run again behind the third")
    hang_up(again)
    gate.let_go()
    assert gate.next() == "again"
    gate.let_go()
    until(lambda: engine.client("GET", "/marks/again").json(), "what its caller did not wait for")
