"""Where syncs are slow others are served meanwhile, and nobody is told what a power cut may undo.

This is SQLite's store process alone: Postgres serves each connection by itself.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import apsw
import pytest

from tests.contract.test_disk_faults import FailingVfs, order, present
from tests.contract.test_set_back import WallClock
from tests.engine.fault_kit import cut_power, disk_image, mounted
from wherry import limits
from wherry.effects import Absent, PutObject
from wherry.platforms.sql.answering import Answering
from wherry.platforms.sql.store import SqlStore
from wherry.ports import (
    Already,
    Broken,
    Claim,
    Committed,
    Configure,
    GetItem,
    GetObject,
    GetReply,
    Item,
    ListObjects,
    Nothing,
    QueryItems,
    ReplyAck,
    Request,
    Sweep,
    Unmet,
)
from wherry.world import ManualClock

ALWAYS = -1.0  # so that every commit counts as slow


class Disk:
    """Its syncs end when the test says so, and as it says."""

    def __init__(self) -> None:
        self.begun = 0
        self._ends: SimpleQueue[OSError | None] = SimpleQueue()

    def sync(self, fd: int) -> None:
        self.begun += 1
        fault = self._ends.get(timeout=60)
        if fault is not None:
            raise fault
        os.fdatasync(fd)

    def end(self, fault: OSError | None) -> None:
        self._ends.put(fault)


class Slow:
    """A store whose syncs are a disk's, and what it has answered, by the number of the question."""

    def __init__(
        self, path: Path, make_place: Any, vfs: str | None = None, slow_s: float = ALWAYS
    ) -> None:
        self.clock = WallClock()
        self.store = SqlStore(str(path), self.clock, vfs=vfs)
        self.place = make_place(self.store)
        self.disk = Disk()
        self.answering = Answering(self.store, slow_s, self.disk.sync)
        self.said: dict[int, Any] = {}
        self._numbers = itertools.count(1)

    def ask(self, *requests: Request) -> list[int]:
        """Ask together; return the numbers of the questions."""
        asked = [(next(self._numbers), "", request) for request in requests]
        for answers in self.answering.take(asked):
            self.said.update(answers)
        return [number for number, _, _ in asked]

    def end_sync(self, fault: OSError | None = None) -> None:
        self.disk.end(fault)
        for answers in self.answering.synced():
            self.said.update(answers)

    def put(self, pk: str, **fields: Any) -> Request:
        commit: Request = self.place.request(self.place.put("counters", pk, n=1), **fields)
        return commit

    def read(self, pk: str) -> Request:
        return GetItem("counters", *self.place.key(pk))

    def close(self) -> None:
        while self.answering.busy:
            self.end_sync()
        self.answering.finish()
        self.store.close()


@pytest.fixture
def slow(tmp_path: Path, make_place: Any) -> Iterator[Slow]:
    found = Slow(tmp_path / "store.sqlite", make_place)
    found.place.commit(found.place.put("counters", "before", n=1))
    yield found
    found.close()


def test_while_a_commit_is_synced_others_read_and_it_is_not_answered(slow: Slow) -> None:
    (commit,) = slow.ask(slow.put("new"))
    (before,) = slow.ask(slow.read("before"))
    assert isinstance(slow.said[before], Item)
    assert commit not in slow.said
    slow.end_sync()
    assert isinstance(slow.said[commit], Committed)


def test_what_comes_while_a_sync_is_under_way_shares_the_next_one(slow: Slow) -> None:
    (first,) = slow.ask(slow.put("1"))
    rest = [*slow.ask(slow.put("2")), *slow.ask(slow.put("3"), slow.put("4"))]
    slow.end_sync()
    assert list(slow.said) == [first]
    slow.end_sync()
    assert list(slow.said) == [first, *rest]
    assert (slow.disk.begun, slow.answering.busy) == (2, False)


def test_a_refusal_that_rests_on_what_is_not_durable_waits_for_it(slow: Slow) -> None:
    (commit,) = slow.ask(slow.put("new"))
    unmet = slow.place.request(slow.place.put("counters", "new", when=Absent(), n=2))
    known = slow.put("new", number=99)
    slow.ask(known)
    (refused,) = slow.ask(unmet)
    slow.end_sync()
    assert list(slow.said) == [commit]
    slow.end_sync()
    assert isinstance(slow.said[refused], Unmet)


def test_where_nothing_was_written_nothing_is_synced(slow: Slow) -> None:
    (claim,) = slow.ask(Claim("jobs", 10, "engine-1"))
    assert slow.said[claim].messages == []
    assert (slow.disk.begun, slow.answering.busy) == (0, False)


def everything(slow: Slow) -> Request:
    """A commit that changes something of each kind."""
    commit: Request = slow.place.request(
        slow.place.put("orders", "carl", "new", status="open", at=1),
        PutObject("assets", "new", "blob", 1, "0" * 64, "text/plain", {}),
        acks=[ReplyAck("new", "print", b"reply", 60)],
    )
    return commit


def query(pk: bytes, index: str | None, table: str = "orders") -> QueryItems:
    return QueryItems(table, index, pk, None, None, 10, False, None)


SEEN: dict[str, Callable[[Slow], Request]] = {
    "the item": lambda slow: GetItem("orders", *slow.place.key("carl", "new")),
    "a query": lambda slow: query(slow.place.key("carl")[0], None),
    "a query of an index": lambda slow: query(slow.place.key("open")[0], "by_status"),
    "the object": lambda slow: GetObject("assets", "new"),
    "a list of objects": lambda slow: ListObjects("assets", "", 10, None),
    "the reply": lambda slow: GetReply("new"),
}
UNSEEN: dict[str, Callable[[Slow], Request]] = {
    "another item of the table": lambda slow: GetItem("orders", *slow.place.key("carl", "old")),
    "another table": lambda slow: query(slow.place.key("x")[0], "by_tag", "notes"),
    "another object": lambda slow: GetObject("assets", "old"),
    "another reply": lambda slow: GetReply("old"),
}


@pytest.mark.parametrize("what", list(SEEN))
@pytest.mark.parametrize("state", ["being synced", "not committed"])
def test_what_sees_what_is_not_durable_is_answered_when_it_is(
    slow: Slow, what: str, state: str
) -> None:
    if state == "not committed":
        slow.ask(slow.put("first"))
    slow.ask(everything(slow))
    (read,) = slow.ask(SEEN[what](slow))
    if state == "not committed":
        slow.end_sync()
    assert read not in slow.said
    slow.end_sync()
    assert not isinstance(slow.said[read], Nothing | Broken)


@pytest.mark.parametrize("what", list(UNSEEN))
def test_what_sees_nothing_of_it_is_answered_at_once(slow: Slow, what: str) -> None:
    slow.ask(slow.put("first"))
    slow.ask(everything(slow))
    (read,) = slow.ask(UNSEEN[what](slow))
    assert not isinstance(slow.said[read], Broken)


@pytest.mark.parametrize("rare", [Sweep(10), Configure("release-2", b"{}", False)])
def test_behind_what_may_change_anything_every_read_waits(slow: Slow, rare: Request) -> None:
    slow.ask(slow.put("first"))
    slow.ask(rare)
    (read,) = slow.ask(slow.read("before"))
    assert read not in slow.said
    slow.end_sync()
    slow.end_sync() if slow.answering.busy else None
    assert isinstance(slow.said[read], Item)


def test_while_a_disk_hangs_not_even_reads_are_answered(slow: Slow) -> None:
    """Else the store would seem to be well."""
    slow.ask(slow.put("new"))
    slow.clock.manual.advance(limits.SYNC_HANGS_S + 0.1)
    (read,) = slow.ask(slow.read("before"))
    assert read not in slow.said
    slow.end_sync()
    assert isinstance(slow.said[read], Item)


def test_a_disk_that_is_quick_again_syncs_with_each_commit(tmp_path: Path, make_place: Any) -> None:
    slow = Slow(tmp_path / "store.sqlite", make_place, slow_s=0.001)
    slow.store.session.commit_s = 0.01
    for number in range(200):  # each takes no time at all
        (asked,) = slow.ask(slow.put(str(number)))
        if asked in slow.said:
            break
        slow.end_sync()
    assert 50 < slow.disk.begun < 200
    assert slow.store.session.run("PRAGMA synchronous").get == 2
    slow.close()


def two_asked(tmp_path: Path, make_place: Any) -> Slow:
    """Of two orders one is being synced, and the other not committed; both syncs may end."""
    slow = Slow(tmp_path / "store.sqlite", make_place)
    for number in (1, 2):
        slow.ask(order(slow.place, number))
        slow.disk.end(None)
    return slow


def test_when_the_engine_goes_all_that_it_asked_for_is_done(
    tmp_path: Path, make_place: Any
) -> None:
    slow = two_asked(tmp_path, make_place)
    slow.answering.finish()
    assert present(slow.store) == {1, 2}
    slow.store.close()


# -- disks that fail -------------------------------------------------------------------------------


def test_a_sync_that_fails_loses_nothing_and_lies_to_nobody(slow: Slow) -> None:
    synced = slow.ask(order(slow.place, 1), order(slow.place, 2))
    behind = slow.ask(order(slow.place, 3), slow.read("k"))
    before = slow.store.session.db
    slow.end_sync(OSError(errno.EIO, "injected"))
    assert slow.store.session.db is not before  # opening it again writes all that was left unsynced
    assert [slow.said[number] for number in synced] == [Already(None)] * 2
    assert isinstance(slow.said[behind[0]], Committed)
    assert isinstance(slow.said[behind[1]], Item)
    assert slow.store.session.run("PRAGMA synchronous").get == 2
    slow.place.commit(slow.place.put("counters", "after", n=1))


def test_what_was_undone_for_a_full_disk_is_begun_anew_though_nobody_asked_for_it(
    tmp_path: Path, make_place: Any, failing: FailingVfs
) -> None:
    """Putting right what a clock set back is a change, too; a read alone can come upon it."""
    slow = Slow(tmp_path / "store.sqlite", make_place, vfs="failing apart")
    slow.place.send("later", delay_ms=10 * 3_600_000)
    slow.ask(Claim("jobs", 10, "engine-1"))
    slow.clock.ahead_s = -3600
    failing.arm(1, 10**9, apsw.FullError)
    (read,) = slow.ask(slow.read("before"))
    assert slow.said[read] == Nothing()
    assert (slow.store.session.writing, slow.store.session.db.in_transaction) == (False, False)
    failing.arm(0, 0, apsw.FullError)
    slow.ask(order(slow.place, 1))
    slow.close()


def test_a_clock_that_was_set_back_is_made_up_for_once_in_a_transaction(slow: Slow) -> None:
    slow.place.send("later", delay_ms=1_800_000)
    slow.ask(slow.put("first"))
    due_ms = slow.store.session.run("SELECT due_ms FROM messages").get
    slow.clock.ahead_s = -3600
    for name in "abc":
        slow.ask(slow.put(name))
    assert slow.store.session.run("SELECT due_ms FROM messages").get == due_ms - 3_600_000


def test_an_engine_that_goes_amid_an_answer_leaves_nothing_open(
    tmp_path: Path, make_place: Any
) -> None:
    slow = two_asked(tmp_path, make_place)
    next(slow.answering.synced())  # and nobody takes the rest
    slow.answering.finish()
    assert present(slow.store) == {1, 2}
    slow.store.close()


def test_the_log_that_is_synced_is_the_one_that_is_written(tmp_path: Path, make_place: Any) -> None:
    """Of a file that is somewhere else than it seems the log is there, too."""
    (tmp_path / "big").mkdir()
    (tmp_path / "store.sqlite").symlink_to(tmp_path / "big" / "store.sqlite")
    (tmp_path / "store.sqlite-wal").touch()
    store = SqlStore(str(tmp_path / "store.sqlite"), ManualClock())
    place = make_place(store)
    synced: list[str] = []

    def sync(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))

    answering = Answering(store, ALWAYS, sync)
    list(answering.take([(1, "", order(place, 1))]))
    answering.finish()
    store.close()
    assert synced == [str(tmp_path / "big" / "store.sqlite-wal")]


@pytest.fixture
def failing() -> Iterator[FailingVfs]:
    vfs = FailingVfs("failing apart")
    yield vfs
    vfs.unregister()


class Faulty:
    """A platform on a failing disk: of what is asked together the first is synced by itself."""

    def __init__(self, path: Path, vfs: FailingVfs) -> None:
        self.store = SqlStore(str(path), ManualClock(), vfs="failing apart")
        self._vfs = vfs
        self._answering: Answering | None = None

    def begin(self) -> None:
        self._answering = Answering(self.store, ALWAYS, self._sync)

    def _sync(self, fd: int) -> None:
        try:
            self._vfs.operation()
        except apsw.IOError as error:
            raise OSError(errno.EIO, str(error)) from None
        os.fdatasync(fd)

    def run(self, requests: list[tuple[str, Request]]) -> list[Any]:
        if self._answering is None:
            return self.store.run(requests)
        said: dict[int, Any] = {}
        for number, request in enumerate(requests):
            for answers in self._answering.take([(number, *request)]):
                said.update(answers)
        while self._answering.busy:
            for answers in self._answering.synced():
                said.update(answers)
        return [said[number] for number in range(len(requests))]

    def close(self) -> None:
        if self._answering is not None:
            self._answering.finish()
        self.store.close()


@pytest.mark.parametrize("length", [1, 4, 1000])
def test_a_fault_at_the_nth_write_or_sync_is_told_and_halves_nothing(
    make_place: Any, tmp_path: Path, failing: FailingVfs, length: int
) -> None:
    at, unknown = 0, 0
    while True:
        at += 1
        path = tmp_path / f"{at}.sqlite"
        faulty = Faulty(path, failing)
        place = make_place(faulty)
        faulty.begin()
        failing.arm(at, length, apsw.IOError)
        answers: dict[int, Any] = {}
        for first in range(1, 13, 4):
            numbers = range(first, first + 4)
            said = place.batch(*(order(place, number) for number in numbers))
            answers.update(zip(numbers, said, strict=True))
            faulty.store.idle()
        fired = failing.count >= at
        failing.arm(0, 0, apsw.IOError)
        faulty.close()
        reopened = SqlStore(str(path), ManualClock())
        there = present(reopened)
        reopened.close()
        for number, answer in answers.items():
            if isinstance(answer, Broken) and answer.code == "fate_unknown":
                unknown += 1
            else:
                assert (number in there) is isinstance(answer, Committed | Already), (at, answers)
        if not fired:
            break
    assert at > 10
    assert bool(unknown) is (length > 1)  # then the log cannot even be looked at


def lost_by_a_power_cut(
    tmp_path: Path, make_place: Any, sync: Callable[[int], None]
) -> tuple[int, set[int]]:
    """Return how many commits were acknowledged before the plug was pulled, and which are lost."""
    image, disk = disk_image(tmp_path / "image"), tmp_path / "disk"
    acknowledged: set[int] = set()
    with mounted(disk, "mount", "-o", "loop", str(image)):
        store = SqlStore(str(disk / "store.sqlite"), ManualClock())
        place = make_place(store)
        answering = Answering(store, ALWAYS, sync)
        numbers = itertools.count(1)
        for _ in range(40):
            for number in itertools.islice(numbers, 5):
                for answers in answering.take([(number, "", order(place, number))]):
                    acknowledged.update(one for one, _ in answers)
            for answers in answering.synced():
                acknowledged.update(one for one, _ in answers)
        cut_power(disk)
        for _ in answering.synced():
            pass
        answering.finish()
        with suppress(Exception):  # the disk is dead
            store.close()
    with mounted(disk, "mount", "-o", "loop", str(image)):
        reopened = SqlStore(str(disk / "store.sqlite"), ManualClock())
        lost = acknowledged - present(reopened)
        reopened.close()
    return len(acknowledged), lost


def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, make_place: Any) -> None:
    acknowledged, lost = lost_by_a_power_cut(tmp_path, make_place, os.fdatasync)
    assert acknowledged > 100
    assert not lost


def test_without_the_sync_of_the_thread_a_power_cut_would_lose_some(
    tmp_path: Path, make_place: Any
) -> None:
    """So the test above can fail: it is this sync that makes commits durable."""
    _, lost = lost_by_a_power_cut(tmp_path, make_place, lambda fd: None)
    assert lost
