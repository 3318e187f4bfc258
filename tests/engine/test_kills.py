"""kill -9 and what follows: what waits goes on, and what is lost is told from what is not.

Everything killed, at random and under load, is `tests/torture`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from wherry.runtime.process.trees import children

from .fault_kit import killing
from .server_kit import Engine, Reply, serving, tries, until
from .stores_kit import both_stores, sqlite_alone

ENDED = "the process that forks environments ended; it is started again"


def answers(reply: Reply) -> Any:
    """Return what was answered, which is no failure."""
    assert reply.status == 200
    return reply.json()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Engine]:
    with serving("ledger", tmp_path / "data", arguments=["--no-access-log"]) as engine:
        yield engine


def place(engine: Engine, order_id: str, work_s: float = 0.0) -> int:
    """Place an order under its key on a connection of its own."""
    body = {"order_id": order_id, "work_s": work_s}
    return engine.once("POST", "/orders", body, {"idempotency-key": order_id}).status


def settled(engine: Engine, orders: int) -> None:
    """So many orders are there, and so many effects of their jobs."""
    until(lambda: engine.drained("jobs"), "an empty queue", 30.0)
    total = engine.client("GET", "/total").json()
    assert (total["placed"], total["done"]) == (orders, orders)


@sqlite_alone("there is no process of a store that could be killed")
def test_the_store_killed_at_its_kth_system_call_is_not_noticed(
    ledger: Engine, tmp_path: Path
) -> None:
    """At each of the first writes and syncs: every request is answered as if nothing had been."""
    placed = 0
    for call in ("fdatasync", "pwrite64", "sendto"):
        for nth in (1, 2, 3, 5):
            pid = ledger.store_pid()
            with killing(pid, call, nth, tmp_path / "strace") as tracer:
                for _ in range(20):
                    assert place(ledger, f"k-{placed}") == 201
                    placed += 1
                    if tracer.poll() is not None:
                        break
            until(lambda: tries(ledger.store_pid) not in (None, pid), f"the kill at {call} {nth}")  # noqa: B023
    settled(ledger, placed)


def test_what_waits_survives_the_process_that_forks(ledger: Engine) -> None:
    """Requests and messages that had no environment yet are run by the next zygote's."""
    sent: list[Future[int]] = []
    with ThreadPoolExecutor(40) as threads:

        def some_wait() -> bool:
            sent.append(threads.submit(place, ledger, f"w-{len(sent)}", 0.1))
            return len(sent) >= 40 and ledger.pools()["place"]["waiting"] > 0

        until(some_wait, "orders that wait")
        os.kill(ledger.zygote_pid(), signal.SIGKILL)
        late = [threads.submit(place, ledger, f"l-{one}") for one in range(10)]
        statuses = [one.result() for one in (*sent, *late)]
    assert set(statuses) <= {201, 502}  # 502: what was running
    assert [one.result() for one in late] == [201] * 10
    assert statuses.count(201) > 10
    settled(ledger, statuses.count(201))


def test_what_a_dead_zygote_leaves_is_ended_and_reaped(ledger: Engine) -> None:
    """Its environments become the engine's children: none stays, dead or alive."""
    assert place(ledger, "z-1") == 201
    zygote = ledger.zygote_pid()
    left = children(zygote)
    assert left
    os.kill(zygote, signal.SIGKILL)
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left), "that all are reaped")
    assert place(ledger, "z-2") == 201


def test_an_engine_without_an_app_to_load_says_so_and_recovers(tmp_path: Path) -> None:
    """The zygote dies while the source is broken: not ready, 503, and back when it is mended."""
    code = tmp_path / "code"
    code.mkdir()
    good = "from wherry import App\napp = App('tiny')\n"
    good += "@app.get('/')\ndef one() -> int:\n    return 1\n"
    (code / "tiny.py").write_text(good)
    with serving("tiny", tmp_path / "data", folder=code) as engine:
        (code / "tiny.py").write_text("def broken(:\n")
        os.kill(engine.zygote_pid(), signal.SIGKILL)
        until(lambda: engine.client("GET", "/readyz").status == 503, "not ready")
        assert "cannot be loaded" in until(
            lambda: engine.client("GET", "/readyz").json()["detail"], "the reason"
        )
        (code / "tiny.py").write_text(good)
        until(lambda: engine.client("GET", "/readyz").status == 200, "ready again")
        assert engine.client("GET", "/").json() == 1


@both_stores
def test_an_engine_that_slept_beyond_its_leases_has_no_effect_twice(tmp_path: Path) -> None:
    """Stopped like a suspended machine while jobs run; what was leased meanwhile is fenced."""
    limits = {"LEASE_S": 0.6, "LEASE_RENEW_S": 0.2, "POLL_S": 0.3}
    with serving("ledger", tmp_path / "data", limits=limits) as engine:
        for life in range(2):
            with ThreadPoolExecutor(12) as threads:
                names = [f"s-{life}-{one}" for one in range(12)]
                sent = threads.map(lambda name: place(engine, name, 1.0), names)
                assert set(sent) == {201}
            assert not engine.drained("jobs")
            os.kill(engine.pid, signal.SIGSTOP)
            time.sleep(0.8)  # a machine that sleeps: there is nothing to look at
            os.kill(engine.pid, signal.SIGCONT)
        settled(engine, 24)
        assert not engine.failures("jobs").rows


def test_a_clock_that_was_set_back_loses_no_order(tmp_path: Path) -> None:
    """Started again at the very moment of its first start: new orders are not taken for old."""
    engine = Engine("ledger", tmp_path / "data", stopped_clock=True)
    try:
        for life in range(3):
            engine.start()
            for one in range(10):
                order = {"order_id": f"c-{life}-{one}"}
                assert engine.client("POST", "/orders", order).status == 201
            for one in range(10):
                assert engine.client("GET", f"/orders/c-{life}-{one}").status == 200
            engine.kill()
    finally:
        engine.close()


COUNTING = """
import os, time
from wherry import App, Struct, log

app = App("tiny")

class Counter(Struct):
    name: str
    count: int

counters = app.table(Counter, key="name")

def more() -> int:
    count = (counters.get("a") or Counter("a", 0)).count + 1
    counters.put(Counter("a", count))
    return count

@app.post("/quick", grants=[counters.read, counters.write])
def quick() -> int:
    return more()

@app.post("/slow", grants=[counters.read, counters.write])
def slow() -> int:
    count = more()
    log.info("it waits")
    while not os.path.exists("GATE"):
        time.sleep(0.01)
    return count
"""


@sqlite_alone("its store process is held up; a reload is the same on Postgres")
def test_what_loses_a_conflict_as_its_version_ends_is_run_by_the_next_one(tmp_path: Path) -> None:
    """Nothing of the old version runs at that moment, so that its zygote is stopped."""
    code, gate = tmp_path / "code", tmp_path / "gate"
    code.mkdir()
    (code / "tiny.py").write_text(COUNTING.replace("GATE", str(gate)))
    with (
        serving("tiny", tmp_path / "data", folder=code) as engine,
        ThreadPoolExecutor(1) as threads,
    ):
        slow = threads.submit(engine.once, "POST", "/slow")
        until(lambda: engine.lines(message="it waits"), "its beginning")
        assert engine.client("POST", "/quick").json() == 1
        store, before = engine.store_pid(), set(children(engine.pid))
        os.kill(store, signal.SIGSTOP)
        gate.touch()  # its commit is sent, and the next version behind it
        until(lambda: engine.pools()["slow"]["busy"] == 0, "the end of its run")
        os.kill(engine.pid, signal.SIGHUP)
        zygote = until(lambda: [*{*children(engine.pid)} - before], "the next zygote")[0]
        until(lambda: children(zygote), "the app, imported there")
        os.kill(store, signal.SIGCONT)
        assert answers(slow.result(60)) == 2


@sqlite_alone("its store process is held up; a reload is the same on Postgres")
def test_a_version_whose_zygote_dies_before_it_serves_is_loaded_again(tmp_path: Path) -> None:
    """The store learns the version while its zygote is killed: nothing is given to a dead one."""
    code = tmp_path / "code"
    code.mkdir()
    text = (
        "from wherry import App\napp = App('tiny')\n@app.get('/')\ndef one() -> int:\n    return "
    )
    (code / "tiny.py").write_text(f"{text}1\n")
    with serving("tiny", tmp_path / "data", folder=code) as engine:
        (code / "tiny.py").write_text(f"{text}2\n")
        store, before = engine.store_pid(), set(children(engine.pid))
        os.kill(store, signal.SIGSTOP)
        os.kill(engine.pid, signal.SIGHUP)
        zygote = until(lambda: [*{*children(engine.pid)} - before], "the next zygote")[0]
        until(lambda: children(zygote), "the app, imported there")
        os.kill(zygote, signal.SIGKILL)
        until(lambda: engine.lines(message=ENDED), "that its end was seen")
        os.kill(store, signal.SIGCONT)
        until(lambda: answers(engine.client("GET", "/")) == 2, "the new version")
