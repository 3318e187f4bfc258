"""`wherry run` and `dev`: what they refuse before anything is started, and how they log."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import msgspec
import pytest

from tests.unit.cli_kit import cli
from wherry.cli.commands.run import _teller, _writer, mistyped_settings
from wherry.engine.datafolder import DataFolder

LINE = b'{"level":"INFO","timestamp":"2026-11-21T12:00:00.000Z","message":"hello"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text("from wherry import App\napp = App('plain')\n")
    return tmp_path


@pytest.mark.parametrize("verb", ["run", "dev"])
@pytest.mark.parametrize(
    "wrong",
    [
        ["--trusted-proxies", "10.0.0.0/8,nonsense"],
        ["--public-url", "api.example.com"],
        ["--public-url", "ftp://example.com"],
        ["--port", "65536"],
    ],
)
def test_options_are_checked_first(folder: Path, verb: str, wrong: list[str]) -> None:
    """An option that makes no sense is a misuse; no data folder is made for it."""
    result = cli(verb, "--folder", folder, "--data", folder / "data", *wrong)
    assert result.exit_code == 2
    assert wrong[0] in result.stderr
    assert not (folder / "data").exists()


def test_a_variable_that_is_nearly_a_setting_is_told() -> None:
    """A typing error shows at the start, and not by what is gone too early."""
    right = ["WHERRY_RECORDS_S", "WHERRY_STORE", "WHERRY_SECRET_STORE_S", "WHERRY_TEAM", "PATH"]
    assert mistyped_settings([*right, "WHERRY_RECORD_S", "WHERRY_FAILURES"]) == {
        "WHERRY_FAILURES": "WHERRY_FAILURES_S",
        "WHERRY_RECORD_S": "WHERRY_RECORDS_S",
    }


def test_a_busy_port_is_told(folder: Path) -> None:
    """A port that somebody listens on is named, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        result = cli("run", "--folder", folder, "--data", folder / "data", "--port", str(port))
    assert result.exit_code == 1
    assert f"127.0.0.1:{port} cannot be listened on" in result.stderr
    assert "--port" in result.stderr
    DataFolder.open(str(folder / "data")).close()


def test_a_second_engine_is_told_who_is_first(folder: Path) -> None:
    """One engine owns a data folder; the next one is told its process."""
    with DataFolder.open(str(folder / "data")):
        result = cli("run", "--folder", folder, "--data", folder / "data", "--port", "0")
    assert result.exit_code == 1
    assert f"in use by process {os.getpid()}" in result.stderr


def test_without_an_app_nothing_is_started(tmp_path: Path) -> None:
    """A folder without an app is told as such, before state is made."""
    result = cli("dev", "--folder", tmp_path, "--data", tmp_path / "data")
    assert result.exit_code == 1
    assert "wherry new" in result.stderr
    assert not (tmp_path / "data").exists()


# -- log lines -------------------------------------------------------------------------------------


def test_a_server_writes_lines_as_they_are(capfd: pytest.CaptureFixture[str]) -> None:
    """JSON passes through, byte by byte."""
    _writer(readable=False)(LINE)
    assert capfd.readouterr().out.encode() == LINE


def test_a_developer_reads_lines(capfd: pytest.CaptureFixture[str]) -> None:
    """Readable lines, one for each."""
    _writer(readable=True)(LINE + LINE)
    assert capfd.readouterr().out.count("12:00:00.000 INFO    -                hello\n") == 2


@pytest.mark.parametrize("readable", [True, False])
def test_a_reader_that_has_gone_stops_nothing(readable: bool) -> None:
    """A closed pipe at the other end of the terminal is no reason to end an engine."""
    read, write = os.pipe()
    os.close(read)
    lines = _writer(readable, write)
    lines(LINE)
    lines(LINE)
    os.close(write)


def test_the_engines_news_is_a_log_line() -> None:
    """What the engine says at its start is in the same stream, in the same form."""
    found: list[bytes] = []
    _teller(found.append)("warning", "a guard does not hold")
    record = msgspec.json.decode(found[0])
    assert record["level"] == "WARNING"
    assert record["message"] == "a guard does not hold"


def test_news_of_several_lines_is_a_log_line_for_each() -> None:
    """What is wrong with a version that is not taken over can be read one fault at a time."""
    found: list[bytes] = []
    _teller(found.append)("error", "not taken over: two faults.\napp.py:3: one.\n\napp.py:9: two.")
    records = [msgspec.json.decode(line) for line in b"".join(found).splitlines()]
    told = ["not taken over: two faults.", "app.py:3: one.", "app.py:9: two."]
    assert [record["message"] for record in records] == told
    assert {record["level"] for record in records} == {"ERROR"}
