"""kill -9 of anything, under load: every accepted order is there once, and so is its job's effect.

An oracle in a process of its own keeps a synced ledger (`oracle.py`). A seed is printed; the same
seed kills the same things in the same order: `WHERRY_SEED=7 pytest tests/engine/test_kills.py`.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from wherry.runtime.process.trees import children

from .server_kit import Engine, serving, tries, until

SEED = int(os.environ.get("WHERRY_SEED", "20261121"))
ROUNDS = int(os.environ.get("WHERRY_ROUNDS", "10"))


class Oracle:
    """The oracle's process and its ledger."""

    def __init__(self, engine: Engine, folder: Path, seed: int, clients: int = 12) -> None:
        self.path = folder / f"ledger-{seed}"
        command = [sys.executable, str(Path(__file__).with_name("oracle.py")), str(engine.port)]
        command += [str(self.path), str(seed), str(clients)]
        self.process = subprocess.Popen(command)
        until(lambda: self.path.exists() and self.count() > 0, "a first order")

    def count(self, word: str = "ok") -> int:
        """How many orders came to this."""
        return sum(line.startswith(f"{word} ") for line in self.path.read_text().splitlines())

    def grows(self, by: int) -> None:
        """Wait until so many more orders were accepted."""
        wanted = self.count() + by
        until(lambda: self.count() >= wanted, f"{by} more orders")

    def end(self) -> dict[str, set[str]]:
        """Let it settle what is open; return the orders by what they came to."""
        self.process.terminate()
        self.process.wait(60)
        found: dict[str, set[str]] = {}
        for line in self.path.read_text().splitlines():
            word, _, order_id = line.partition(" ")
            found.setdefault(word, set()).add(order_id)
        assert "end" in found
        return found


def hold_against(engine: Engine, found: dict[str, set[str]]) -> None:
    """The invariants: I1 to I5, and that the store's own check passes."""
    ok, failed = found.get("ok", set()), found.get("failed", set())
    assert set(found) <= {"asked", "ok", "failed", "end"}, {
        word: orders for word, orders in found.items() if word not in ("asked", "ok", "failed")
    }
    assert found["asked"] == ok | failed
    until(lambda: engine.drained("jobs"), "an empty queue", 30.0)
    assert not engine.failures("jobs").rows
    look = engine.client
    effects = {one: look("GET", f"/orders/{one}") for one in ok}
    assert [one for one, reply in effects.items() if reply.status != 200] == []  # I1
    assert [one for one, reply in effects.items() if reply.json() != 1] == []  # I3
    assert [one for one in failed if look("GET", f"/orders/{one}").status != 404] == []  # I2
    total = look("GET", "/total").json()
    assert (total["placed"], total["done"]) == (len(ok), len(ok))
    assert engine.stop() == 0
    import apsw

    database = apsw.Connection(str(engine.root / "store.sqlite"))
    try:
        assert database.execute("PRAGMA integrity_check").get == "ok"
    finally:
        database.close()


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kill_environments(engine: Engine, function: str) -> None:
    for pid in tries(lambda: engine.environments(function)) or ():
        kill(pid)


def kill_store(engine: Engine) -> None:
    pid = tries(engine.store_pid)
    if pid:
        kill(pid)


def kill_zygote(engine: Engine) -> None:
    state = tries(engine.status)
    for pid in state["zygotes"] if state else ():
        kill(pid)


def kill_engine(engine: Engine) -> None:
    began_s = time.monotonic()
    engine.kill()
    engine.start()
    print(f"  from the kill to ready again: {time.monotonic() - began_s:.3f} s")


def kill_engine_twice(engine: Engine) -> None:
    """Again while it recovers."""
    engine.kill()
    process = engine.launch()
    until(lambda: process.poll() is not None or children(process.pid), "a beginning")
    engine.kill()
    engine.start()


def kill_all_at_once(engine: Engine) -> None:
    pids = [engine.pid, *children(engine.pid)]
    for pid in pids:
        kill(pid)
    engine.wait()
    engine.start()


KILLS: list[Callable[[Engine], None]] = [
    lambda engine: kill_environments(engine, "place"),
    lambda engine: kill_environments(engine, "work"),
    kill_store,
    kill_zygote,
    kill_engine,
    kill_all_at_once,
    kill_engine_twice,
]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Engine]:
    with serving("ledger", tmp_path / "data", arguments=["--no-access-log"]) as engine:
        yield engine


def test_whatever_is_killed_every_order_and_its_effect_are_there_once(
    ledger: Engine, tmp_path: Path
) -> None:
    """Environments, store, zygote, the engine, all at once, again during the recovery."""
    chance = random.Random(SEED)
    plan = [*range(len(KILLS)), *(chance.randrange(len(KILLS)) for _ in range(ROUNDS))][:ROUNDS]
    chance.shuffle(plan)
    print(f"seed {SEED}, kills {plan}")
    oracle = Oracle(ledger, tmp_path, SEED)
    try:
        for number in plan:
            oracle.grows(chance.randrange(5, 60))
            KILLS[number](ledger)
    except BaseException:
        oracle.process.kill()
        oracle.process.wait()
        raise
    oracle.grows(20)
    found = oracle.end()
    print({word: len(orders) for word, orders in found.items()})
    hold_against(ledger, found)


def place(engine: Engine, order_id: str, work_s: float = 0.0) -> int:
    """Place an order under its key on a connection of its own."""
    body = {"order_id": order_id, "work_s": work_s}
    return engine.once("POST", "/orders", body, {"idempotency-key": order_id}).status


def settled(engine: Engine, orders: int) -> None:
    """So many orders are there, and so many effects of their jobs."""
    until(lambda: engine.drained("jobs"), "an empty queue", 30.0)
    total = engine.client("GET", "/total").json()
    assert (total["placed"], total["done"]) == (orders, orders)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_store_killed_at_its_kth_system_call_is_not_noticed(
    ledger: Engine, tmp_path: Path
) -> None:
    """At each of the first writes and syncs: every request is answered as if nothing had been."""
    placed = 0
    for call in ("fdatasync", "pwrite64", "sendto"):
        for nth in (1, 2, 3, 5):
            pid = ledger.store_pid()
            log = tmp_path / "strace"
            log.unlink(missing_ok=True)
            tracer = subprocess.Popen(
                [
                    *("strace", "-f", "-o", str(log), "-p", str(pid), "-e", f"trace={call}"),
                    *("-e", f"inject={call}:signal=SIGKILL:when={nth}"),
                ],
                stderr=subprocess.PIPE,
            )
            assert tracer.stderr is not None
            said = tracer.stderr.readline()
            if b"attached" not in said:
                tracer.wait()
                tracer.stderr.close()
                pytest.skip(f"strace may not attach here: {said.decode()}")
            for _ in range(20):
                assert place(ledger, f"k-{placed}") == 201
                placed += 1
                if tracer.poll() is not None:
                    break
            tracer.kill()
            tracer.wait()
            tracer.stderr.close()
            until(lambda: tries(ledger.store_pid) not in (None, pid), f"the kill at {call} {nth}")  # noqa: B023
    settled(ledger, placed)


def test_what_waits_survives_the_process_that_forks(ledger: Engine) -> None:
    """Requests and messages that had no environment yet are run by the next zygote's."""
    with ThreadPoolExecutor(40) as threads:
        sent = [threads.submit(place, ledger, f"w-{one}", 0.1) for one in range(40)]
        until(lambda: ledger.pools()["place"]["waiting"] > 0, "orders that wait")
        kill_zygote(ledger)
        late = [threads.submit(place, ledger, f"l-{one}") for one in range(10)]
        statuses = [one.result() for one in (*sent, *late)]
    assert set(statuses) <= {201, 502}  # 502: what was running
    assert [one.result() for one in late] == [201] * 10
    assert statuses.count(201) > 10
    settled(ledger, statuses.count(201))


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


def test_an_engine_that_slept_beyond_its_leases_has_no_effect_twice(tmp_path: Path) -> None:
    """Stopped like a suspended machine while jobs run; what was leased meanwhile is fenced."""
    limits = {"LEASE_S": 0.6, "LEASE_RENEW_S": 0.2, "POLL_S": 0.3}
    with serving("ledger", tmp_path / "data", limits=limits) as engine:
        for life in range(2):
            with ThreadPoolExecutor(12) as threads:
                names = [f"s-{life}-{one}" for one in range(12)]
                sent = threads.map(lambda name: place(engine, name, 0.3), names)
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
