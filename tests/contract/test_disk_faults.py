"""A disk that fails at any write or sync, or is full: no lie, no half commit, and it goes on.

These are SQLite's own: the disk of a Postgres is its own affair.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import json

from wherry.effects import SendMessage, UpdateItem
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Already, Broken, Committed
from wherry.world import ManualClock

FAULTS = {"io": apsw.IOError, "full": apsw.FullError}
CODES = {"io": ("passing", "fate_unknown"), "full": ("store_full",)}


class FailingFile(apsw.VFSFile):
    """A file whose writes and syncs fail when the VFS says so."""

    def __init__(self, vfs: FailingVfs, name: Any, flags: Any) -> None:
        self.vfs = vfs
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self.vfs.operation()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.vfs.operation()
        super().xSync(flags)


class FailingVfs(apsw.VFS):
    """Counts writes and syncs; the k-th fails, and `length` - 1 that follow it."""

    def __init__(self, name: str) -> None:
        self.count = 0
        self.fail_at = 0
        self.length = 1
        self.fault: type[apsw.Error] = apsw.IOError
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: Any) -> FailingFile:
        return FailingFile(self, name, flags)

    def operation(self) -> None:
        self.count += 1
        if self.fail_at <= self.count < self.fail_at + self.length:
            raise self.fault("injected")

    def arm(self, fail_at: int, length: int, fault: type[apsw.Error]) -> None:
        self.count, self.fail_at, self.length, self.fault = 0, fail_at, length, fault


@pytest.fixture
def failing() -> Iterator[FailingVfs]:
    vfs = FailingVfs("failing")
    yield vfs
    vfs.unregister()


def order(place: Any, number: int) -> Any:
    return place.request(
        place.put("orders", "c", str(number), n=number, status="open", at=number),
        SendMessage("jobs", f"m{number}", b"{}"),
        UpdateItem("counters", *place.key("k"), add=b'{"n":1}', initial=b"{}"),  # type: ignore[misc]
        number=number,
        at_ms=0,
    )


def present(store: SqlStore) -> set[int]:
    """Return the commits that are there; each must be there whole."""
    run = store._session.run
    records = {row[0] for row in run("SELECT number FROM records").fetchall()}
    messages = {int(row[0][1:]) for row in run("SELECT id FROM messages").fetchall()}  # type: ignore[index]
    items = run("SELECT body FROM items WHERE sk <> x''").fetchall()
    assert records == messages == {json.decode(body)["n"] for (body,) in items}  # type: ignore[arg-type]
    counters = run("SELECT body FROM items WHERE sk = x''").fetchall()
    assert sum(json.decode(body)["n"] for (body,) in counters) == len(records)  # type: ignore[arg-type]
    return records


@pytest.mark.parametrize("length", [1, 4, 1000])
@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_at_the_nth_write_or_sync_loses_nothing_and_is_told(
    make_place: Any, tmp_path: Path, failing: FailingVfs, fault: str, length: int
) -> None:
    at = 0
    while True:
        at += 1
        path = tmp_path / f"{at}.sqlite"
        store = SqlStore(str(path), ManualClock(), vfs="failing")
        place = make_place(store)
        failing.arm(at, length, FAULTS[fault])
        acknowledged: set[int] = set()
        refused: set[int] = set()
        for first in range(1, 13, 3):
            numbers = range(first, first + 3)
            answers = place.batch(*(order(place, number) for number in numbers))
            for number, answer in zip(numbers, answers, strict=True):
                if isinstance(answer, Broken):
                    assert answer.code in CODES[fault]
                    refused.add(number)
                else:
                    assert isinstance(answer, Committed | Already)
                    acknowledged.add(number)
            store.idle()
        fired = failing.count >= at
        failing.arm(0, 0, apsw.IOError)
        # Healed, it goes on by itself; what was refused can be asked for again.
        again = place.batch(*(order(place, number) for number in sorted(refused)))
        assert all(isinstance(answer, Committed | Already) for answer in again)
        assert present(store) == acknowledged | refused
        store.close()
        reopened = SqlStore(str(path), ManualClock())
        assert present(reopened) == acknowledged | refused
        reopened.close()
        if not fired:
            break
    assert at > 10


def test_a_commit_that_was_answered_as_broken_is_not_there(
    make_place: Any, tmp_path: Path, failing: FailingVfs
) -> None:
    store = SqlStore(str(tmp_path / "store.sqlite"), ManualClock(), vfs="failing")
    place = make_place(store)
    for number in range(1, 40):
        failing.arm(number % 7 + 1, 1, apsw.IOError)
        answer = place.ask(order(place, number))
        failing.arm(0, 0, apsw.IOError)
        assert (number in present(store)) is not isinstance(answer, Broken)
    store.close()


def test_what_a_dead_disk_may_have_kept_is_never_said_to_be_refused(
    make_place: Any, tmp_path: Path, failing: FailingVfs
) -> None:
    """The disk fails for good at any write or sync; what it has is found when it is back."""
    unknown = 0
    for at in range(1, 30):
        path = tmp_path / f"{at}.sqlite"
        store = SqlStore(str(path), ManualClock(), vfs="failing")
        place = make_place(store)
        failing.arm(at, 10**9, apsw.IOError)
        numbers = range(1, 5)
        answers = [*place.batch(order(place, 1), order(place, 2)), place.ask(order(place, 3))]
        answers.append(place.ask(order(place, 4)))
        store.close()
        failing.arm(0, 0, apsw.IOError)
        reopened = SqlStore(str(path), ManualClock())
        there = present(reopened)
        reopened.close()
        for number, answer in zip(numbers, answers, strict=True):
            if isinstance(answer, Broken) and answer.code == "fate_unknown":
                unknown += 1
            else:
                assert (number in there) is isinstance(answer, Committed | Already), (at, answers)
    assert unknown > 0


def test_reads_are_served_while_nothing_can_be_written(
    make_place: Any, tmp_path: Path, failing: FailingVfs
) -> None:
    store = SqlStore(str(tmp_path / "store.sqlite"), ManualClock(), vfs="failing")
    place = make_place(store)
    place.ask(order(place, 1))
    failing.arm(1, 10**9, apsw.FullError)
    assert place.ask(order(place, 2)) == Broken(
        "store_full", "The disk under the store is full. Free some space."
    )
    assert place.get("orders", "c", "1") is not None
    failing.arm(0, 0, apsw.FullError)
    assert isinstance(place.ask(order(place, 2)), Committed)
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_refuses_writes_serves_reads_and_resumes_when_there_is_room(
    make_place: Any, small_disk: Path
) -> None:
    store = SqlStore(str(small_disk / "store.sqlite"), ManualClock())
    place = make_place(store)
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 2_000_000)
    acknowledged: list[int] = []
    number = 0
    while True:
        number += 1
        answer = place.ask(order(place, number))
        if not isinstance(answer, Committed):
            break
        acknowledged.append(number)
    assert answer.code == "store_full"
    assert len(acknowledged) > 10
    assert place.get("orders", "c", "1") is not None
    filler.unlink()
    assert isinstance(place.ask(order(place, number)), Committed)
    assert present(store) == {*acknowledged, number}
    store.close()
