"""The verbs and a running engine: real processes, real HTTP, from `wherry new` to `wherry stop`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from .server_kit import until

VERB_S = 60  # a verb that takes longer hangs
WHERRY = [sys.executable, "-c", "from wherry.cli import main; main()"]
ENV = {**os.environ, "PYTHONUNBUFFERED": "1"}


class Running:
    """`wherry dev` or `wherry run` on an app that `wherry new` wrote."""

    def __init__(self, folder: Path, verb: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*WHERRY, verb, "--port", "0"],
            cwd=folder,
            env=ENV,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._said = bytearray()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            until(lambda: b"is served at" in self._said, "its start", 40.0)
        except BaseException:
            self.kill()
            raise
        self.url = (Path(folder) / ".wherry" / "address").read_text().strip()

    def verb(self, *arguments: str, code: int = 0) -> str:
        """Run a verb in the app's folder."""
        run = subprocess.run(
            [*WHERRY, *arguments],
            cwd=self.folder, env=ENV, capture_output=True, text=True, timeout=VERB_S,
        )  # fmt: skip
        assert run.returncode == code, run.stdout + run.stderr
        return run.stdout if code == 0 else run.stderr

    def visit(self, token: str) -> tuple[dict[str, object], str]:
        """Call the app's route; return its answer and its correlation ID."""
        request = urllib.request.Request(
            f"{self.url}/visits", method="POST", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.load(reply), str(reply.headers["x-correlation-id"])

    def said(self) -> str:
        """All that it has said so far."""
        return self._said.decode("utf-8", "replace")

    def end(self) -> str:
        """Wait for its end; return all that it said."""
        self.process.wait(40)
        self._reader.join(20)
        return self._said.decode()

    def kill(self) -> None:
        """Leave nothing behind, whatever happened."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        self._reader.join(20)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            while piece := os.read(output.fileno(), 65_536):
                self._said += piece


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run = subprocess.run(
        [*WHERRY, "new", "hello"], cwd=tmp_path, env=ENV, capture_output=True, timeout=VERB_S
    )
    assert run.returncode == 0
    return tmp_path / "hello"


@pytest.fixture
def app(folder: Path) -> Iterator[Running]:
    running = Running(folder, "run")
    yield running
    running.kill()


def test_the_first_ten_minutes(app: Running) -> None:
    """Token, request, timeline, logs, status, reload, stop: each verb on a running engine."""
    token = app.verb("token", "--subject", "alice", "--role", "user").strip()
    answer, correlation_id = app.visit(token)
    assert answer == {"text": "Hello, alice!", "visits": 0}

    def timeline() -> str:
        page = app.verb("timeline", correlation_id)
        return page if "count_visit" in page else ""

    page = until(timeline, "the job", 40.0)
    assert "POST /visits  greet" in page
    assert correlation_id in app.verb("timeline")

    state = json.loads(app.verb("status", "--json"))
    assert state["url"] == app.url
    assert state["pid"] == app.process.pid
    assert "visits" in app.verb("queues")
    assert state["paused"] == state["blocked"] == []
    app.verb("pause", "count_visit")
    assert "count_visit is paused since" in app.verb("status")
    assert json.loads(app.verb("status", "--json"))["paused"][0]["function"] == "count_visit"
    app.verb("resume", "count_visit")
    assert "The failure inbox is empty." in app.verb("failures")
    assert "subject is" in subprocess.run(
        [*WHERRY, "accounts", "add", "bob"],
        cwd=app.folder, env=ENV, input="correct horse battery\n", capture_output=True, text=True,
        timeout=VERB_S,
    ).stdout  # fmt: skip

    code = app.folder / "app.py"
    code.write_text(code.read_text().replace("Hello", "Good day"))
    assert "serves at" in app.verb("reload")
    assert app.visit(token)[0]["text"] == "Good day, alice!"
    code.write_text("def broken(:\n")
    assert "SyntaxError" in app.verb("reload", code=1)
    assert app.visit(token)[0]["text"] == "Good day, alice!"

    assert app.verb("stop") == "Stopped.\n"
    said = app.end()
    assert app.process.returncode == 0
    assert all(line.startswith("{") for line in said.splitlines())
    assert "No engine is running" in app.verb("status", code=1)
    # What was remembered is there without an engine, too.
    assert "POST /visits  greet" in app.verb("timeline", correlation_id)
    assert "visit counted" in app.verb("logs", "--correlation", correlation_id)


def test_a_second_engine_is_refused(app: Running) -> None:
    """The first one is named, goes on, and nothing of it is disturbed."""
    told = app.verb("run", "--port", "0", code=1)
    assert f"in use by process {app.process.pid}" in told
    assert app.verb("status")


def test_a_developers_log_is_readable(folder: Path) -> None:
    """`wherry dev` shows lines for people, also where its output is no terminal."""
    running = Running(folder, "dev")
    try:
        running.verb("stop")
        said = running.end()
    finally:
        running.kill()
    assert running.process.returncode == 0
    assert "INFO" in said
    assert not any(line.startswith("{") for line in said.splitlines())


def rename_a_field(code: Path) -> None:
    """Give a payload a field that messages on their way do not have."""
    text = code.read_text()
    begin = text.index("class Visit(")
    code.write_text(
        text[:begin]
        + text[begin:].replace("name: str", "reader: str", 1).replace("visit.name", "visit.reader")
    )


def test_a_server_refuses_a_version_that_does_not_read_what_is_recorded(app: Running) -> None:
    """Unless it is told to; without the folder schemas/ nobody is asked."""
    code = app.folder / "app.py"
    before = code.read_text()
    rename_a_field(code)
    assert "serves at" in app.verb("reload")
    code.write_text(before)
    app.verb("reload")

    app.verb("schemas", "update")
    rename_a_field(code)
    refused = app.verb("reload", code=1)
    assert "`name`, which is gone, looks like its old name" in refused
    assert "wherry reload --accept-schemas" in refused
    assert "The old one goes on." in refused
    assert "serves at" in app.verb("reload", "--accept-schemas")
    until(lambda: "looks like its old name" in app.said(), "the warning", 40.0)


def test_a_server_that_starts_says_what_it_does_not_read(folder: Path) -> None:
    """It serves all the same: nobody is helped by a backend that is down."""
    code = folder / "app.py"
    subprocess.run([*WHERRY, "schemas", "update"], cwd=folder, env=ENV, check=True)
    rename_a_field(code)
    running = Running(folder, "run")
    try:
        running.verb("stop")
        assert "looks like its old name" in running.end()
    finally:
        running.kill()


def test_who_writes_an_app_is_warned_at_each_reload_and_kept_from_nothing(folder: Path) -> None:
    """Also of a type that is only not recorded yet."""
    code = folder / "app.py"
    subprocess.run([*WHERRY, "schemas", "update"], cwd=folder, env=ENV, check=True)
    running = Running(folder, "dev")
    try:
        rename_a_field(code)
        until(lambda: "looks like its old name" in running.said(), "the warning", 40.0)
        until(lambda: "the new version serves" in running.said(), "the new version", 40.0)
        table = 'class Loan(Struct):\n    number: int\n\n\nloans = app.table(Loan, key="number")\n'
        code.write_text(f"{code.read_text()}\n\n{table}")
        until(lambda: "table 'loans' is not recorded" in running.said(), "the other one", 40.0)
        (folder / "schemas" / "queues" / "visits.json").write_text("{")
        running.verb("reload")
        until(lambda: "visits.json cannot be read" in running.said(), "the last one", 40.0)
    finally:
        running.kill()
