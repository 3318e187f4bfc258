"""`wherry logs`: choosing lines, and following them through rotation."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.cli_kit import cli, ok
from wherry import limits
from wherry.cli.commands.logs import lines_of
from wherry.engine.journal import LogFiles


def line(number: int, **fields: object) -> bytes:
    record = {
        "level": "INFO",
        "timestamp": f"2026-11-21T12:00:{number % 60:02d}.000Z",
        "message": f"line {number}",
        "function_name": "create_order",
        "correlation_id": f"c-{number}",
    }
    return msgspec.json.encode(record | fields) + b"\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "store.sqlite").touch()
    (tmp_path / "logs").mkdir()
    return tmp_path


def test_lines_are_shown_to_people(data: Path) -> None:
    """One readable line each; with --json as they were written."""
    (data / "logs" / "app.jsonl").write_bytes(line(1))
    assert ok("logs", "--data", data) == "12:00:01.000 INFO    create_order     line 1 [c-1]\n"
    assert ok("logs", "--json", "--data", data).encode() == line(1)


def test_lines_are_chosen(data: Path) -> None:
    """By function, correlation ID, level and time, all at once."""
    wanted = line(4, level="ERROR")
    others = line(1) + line(2, level="ERROR", function_name="other") + line(3, level="ERROR")
    (data / "logs" / "app.jsonl").write_bytes(others + b"garbage\n" + wanted)
    shown = ok(
        "logs", "--function", "create_order", "--correlation", "c-4", "--level", "error",
        "--since", "2026-11-21T12:00:02", "--json", "--data", data,
    )  # fmt: skip
    assert shown.encode() == wanted


def test_a_span_that_cannot_be_read_is_refused(data: Path) -> None:
    """--since takes durations and moments; anything else exits with 1 and examples."""
    result = cli("logs", "--since", "yesterday", "--data", data)
    assert result.exit_code == 1
    assert "10m, 2h" in result.stderr


def test_an_empty_answer_is_told_as_such(data: Path) -> None:
    """On standard error: there is nothing yet, or nothing is like that."""
    assert cli("logs", "--data", data).stderr == "Nothing has been logged yet.\n"
    (data / "logs" / "app.jsonl").write_bytes(line(1))
    assert cli("logs", "--function", "other", "--data", data).stderr == "No line is like that.\n"
    assert cli("logs", "--data", data).stderr == ""


def test_rotated_files_come_first(data: Path) -> None:
    """The oldest line first, through all files."""
    for number, suffix in enumerate([".2", ".1", ""]):
        (data / "logs" / f"app.jsonl{suffix}").write_bytes(line(number))
    shown = ok("logs", "--data", data)
    assert [text.split()[-2] for text in shown.splitlines()] == ["0", "1", "2"]


def test_no_logs_are_no_fault(data: Path) -> None:
    """Before anything was said there is nothing to show."""
    assert ok("logs", "--data", data) == ""


# -- following -------------------------------------------------------------------------------------


def followed(folder: Path, *events: Callable[[], object]) -> list[bytes]:
    """Follow; when there is nothing to read the next event happens, after the last one Ctrl-C."""
    coming = iter(events)

    def wait() -> None:
        event = next(coming, None)
        if event is None:
            raise KeyboardInterrupt
        event()

    found = []
    with contextlib.suppress(KeyboardInterrupt):
        for one in lines_of(str(folder), wait):
            found.append(one)
    return found


def test_what_comes_is_followed(data: Path) -> None:
    """Lines written later are shown, halves only when they are whole; first of all the file."""
    path = data / "logs" / "app.jsonl"

    def append(content: bytes) -> None:
        with path.open("ab") as file:
            file.write(content)

    half = line(2)
    assert followed(
        data / "logs",
        lambda: append(line(1)),
        lambda: append(half[:10]),
        lambda: append(half[10:] + line(3)),
    ) == [line(1), line(2), line(3)]


def test_no_line_is_lost_in_a_rotation(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are rotated by the engine, also several times between two looks."""
    monkeypatch.setattr(limits, "LOG_FILE_BYTES", 2 * len(line(10)) - 1)
    files = LogFiles(str(data / "logs"))

    def write(*numbers: int) -> None:
        for number in numbers:
            files.write(line(number))

    write(10)
    assert followed(
        data / "logs",
        lambda: write(11, 12),  # a rotation
        lambda: write(13),  # another one, into an empty file
        lambda: write(*range(14, 20)),  # three of them
        lambda: write(20),
    ) == [line(number) for number in range(10, 21)]
    files.close()


def test_a_removed_file_is_no_end(data: Path) -> None:
    """Who removes the log while it is followed sees what is written into the next one."""
    path = data / "logs" / "app.jsonl"
    path.write_bytes(line(1))
    events = (path.unlink, lambda: path.write_bytes(line(2)))
    assert followed(data / "logs", *events) == [line(1), line(2)]


def test_what_comes_after_the_newest_file_was_moved_away_is_in_another_one(data: Path) -> None:
    """By a `logrotate`, or with the whole folder; the engine need not be told."""
    folder = data / "logs"
    files = LogFiles(str(folder))
    files.write(line(1))
    (folder / "app.jsonl").rename(folder / "app.jsonl-20261123")
    files.write(line(2))
    assert (folder / "app.jsonl").read_bytes() == line(2)
    shutil.rmtree(folder)
    files.write(line(3))
    assert (folder / "app.jsonl").read_bytes() == line(3)
    files.close()


def test_where_a_rotation_fails_the_old_file_goes_on(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number that was closed may be a client's connection by then: nothing is written there."""
    monkeypatch.setattr(limits, "LOG_FILE_BYTES", 1)
    monkeypatch.setattr(limits, "LOG_FILES", 2)
    folder = data / "logs"
    (folder / "app.jsonl.1").mkdir()  # in the way
    files = LogFiles(str(folder))
    files.write(line(1))
    stranger = os.memfd_create("a client")
    files.write(line(2))
    assert os.fstat(stranger).st_size == 0
    os.close(stranger)
    assert (folder / "app.jsonl").read_bytes() == line(1) + line(2)
    files.close()
