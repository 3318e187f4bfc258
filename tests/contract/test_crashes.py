"""A store process that is killed anywhere: what it acknowledged is there, and nothing in half.

Every commit writes an item, sends a message, adds to a counter and leaves its record. These are
SQLite's own: where the state is on Postgres, what dies is a server (`test_postgres_servers`).
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from wherry.effects import SendMessage, UpdateItem
from wherry.errors import Passing
from wherry.platforms.sql.client import StoreClient
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Already, Bury, Commit, Committed, ListFailures, QueueDepths
from wherry.world import ManualClock

SEED = int(os.environ.get("WHERRY_SEED", "20261121"))
# Its one thread syncs, however slow the disk: which call is the n-th one is then known.
PROCESS = """
import sys
from wherry.platforms.sql.process import main
options = dict(zip(sys.argv[1::2], sys.argv[2::2]))
sys.exit(main(int(options["--fd"]), options["--path"], slow_s=float("inf")))
"""
MODULE = [sys.executable, "-c", PROCESS]
COMMITS = 120
BATCH = 8


def order(place: Any, number: int) -> Commit:
    commit: Commit = place.request(
        place.put("orders", "c", str(number), n=number, status="open", at=number),
        SendMessage("jobs", f"m{number}", b"{}"),
        UpdateItem("counters", *place.key("k"), add=b'{"n":1}', initial=b"{}"),  # type: ignore[misc]
        number=number,
    )
    return commit


def check(make_place: Any, path: Path, acknowledged: set[int], asked: int) -> int:
    """Open the store and hold it to the claim; return how many commits it has."""
    store = SqlStore(str(path), ManualClock())
    place = make_place(store)
    run = store._session.run
    assert run("PRAGMA integrity_check").get == "ok"
    records = {row[0] for row in run("SELECT number FROM records").fetchall()}
    messages = {int(row[0][1:]) for row in run("SELECT id FROM messages").fetchall()}  # type: ignore[index]
    items = run("SELECT body FROM items WHERE sk <> x''").fetchall()
    entries = run("SELECT count(*) FROM entries").get
    assert records == messages == {json.decode(body)["n"] for (body,) in items}  # type: ignore[arg-type]
    assert entries == len(items)
    assert (place.get("counters", "k") or {"n": 0})["n"] == len(records)
    assert acknowledged <= records <= set(range(1, asked + 1))
    versions = [row[0] for row in run("SELECT version FROM items WHERE sk <> x''").fetchall()]
    assert len(set(versions)) == len(versions)
    # It goes on: an old commit is known, a new one is applied.
    answers = place.batch(*(order(place, number) for number in (*records, asked + 1)))
    assert answers[:-1] == [Already(None)] * len(records)
    assert isinstance(answers[-1], Committed)
    assert not {row[0] for row in run("SELECT token FROM messages").fetchall()} - {0}
    store.close()
    return len(records)


def work(client: StoreClient, make_place: Any, kill_after: int | None = None) -> set[int]:
    """Commit until the process is gone; return what it acknowledged."""
    acknowledged: set[int] = set()
    try:
        place = make_place(client)
        for first in range(1, COMMITS + 1, BATCH):
            numbers = range(first, first + BATCH)
            if kill_after is not None and first > kill_after:
                client.process.kill()
            answers = place.batch(*(order(place, number) for number in numbers))
            for number, answer in zip(numbers, answers, strict=True):
                assert isinstance(answer, Committed)
                acknowledged.add(number)
    except Passing:
        pass
    return acknowledged


def test_what_was_acknowledged_survives_a_kill_at_any_moment(
    make_place: Any, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    for trial in range(8):
        path = tmp_path / f"{trial}.sqlite"
        client = StoreClient(str(path))
        acknowledged = work(client, make_place, chance.randrange(COMMITS))
        client.close()
        assert client.process.returncode == -signal.SIGKILL
        check(make_place, path, acknowledged, COMMITS)


def test_what_fails_first_after_a_start_is_counted_once(make_place: Any, tmp_path: Path) -> None:
    """The counts of the inbox are read when they are first asked for, with that failure in them."""
    path = str(tmp_path / "store.sqlite")
    place = make_place(SqlStore(path, ManualClock()))
    place.send("a")
    [message] = place.claim()
    place.platform.close()
    place = make_place(SqlStore(path, ManualClock()))
    place.ask(Bury("a", message.token, "worker", "handler_failed", "no luck", None))
    assert place.ask(ListFailures(None, 100, None)).total == 1
    assert {row.queue: row.failed for row in place.ask(QueueDepths()).rows}["jobs"] == 1
    place.platform.close()


def test_a_lease_outlives_the_process_of_the_store(make_place: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "store.sqlite")
    with StoreClient(path) as client:
        place = make_place(client)
        place.send("a")
        born = place.send("b", queue="mail", leases={"mail": 1}).leased
        held = [*place.claim(), *born]
        client.process.kill()
    with StoreClient(path) as client:
        place = make_place(client)
        assert place.claim() == []
        for number, message in enumerate(held, 100):
            assert isinstance(place.acknowledge(message, number=number), Committed)


def tracer_works() -> bool:
    if shutil.which("strace") is None:
        return False
    probe = ["strace", "-qq", "-o", os.devnull, "-e", "trace=none", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not tracer_works(), reason="strace is not installed, or may not trace here")
@pytest.mark.parametrize(
    ("call", "at"),
    [("fdatasync", at) for at in (1, 2, 3, 4, 6, 9, 14)]
    + [("pwrite64", at) for at in (1, 2, 5, 12, 30, 47, 66, 90, 130, 171)],
)
def test_what_was_acknowledged_survives_a_kill_at_the_nth_system_call(
    make_place: Any, tmp_path: Path, call: str, at: int
) -> None:
    path = tmp_path / "store.sqlite"
    tracer = ["strace", "-qq", "-o", os.devnull, "-e", f"trace={call}"]
    client = StoreClient(
        str(path), [*tracer, "-e", f"inject={call}:signal=SIGKILL:when={at}", *MODULE]
    )
    acknowledged = work(client, make_place)
    client.close()
    assert client.process.returncode != 0, "the fault did not occur"
    check(make_place, path, acknowledged, COMMITS)


@pytest.mark.skipif(not tracer_works(), reason="strace is not installed, or may not trace here")
@pytest.mark.parametrize("call", ["fdatasync", "pwrite64"])
def test_a_system_call_that_fails_now_and_then_loses_nothing_that_was_acknowledged(
    make_place: Any, tmp_path: Path, call: str
) -> None:
    path = tmp_path / "store.sqlite"
    with StoreClient(str(path)) as client:
        make_place(client)
    first = {"fdatasync": 9, "pwrite64": 60}[call]
    fault = f"inject={call}:error=EIO:when={first}+{first - 1}"
    tracer = ["strace", "-qq", "-o", os.devnull, "-e", f"trace={call}", "-e", fault]
    acknowledged: set[int] = set()
    broken = looked_up = 0
    with StoreClient(str(path), [*tracer, *MODULE]) as client:
        place = make_place(client)
        for number in range(1, COMMITS + 1):
            answer = place.ask(order(place, number))
            if isinstance(answer, Committed | Already):
                acknowledged.add(number)
                # The sync failed, and what it was to write was found and written again.
                looked_up += isinstance(answer, Already)
            else:
                assert answer.code == "passing"
                broken += 1
    assert 0 < broken + looked_up < COMMITS / 2
    check(make_place, path, acknowledged, COMMITS)
