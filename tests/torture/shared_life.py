"""One life of two or three engines on one Postgres: as life.py, one fault after another.

The clocks of their machines are minutes apart from the beginning. One of them reaches the database
through a network that can be cut. Clients ask any of them, whether it is well or not.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from pathlib import Path

from wherry.runtime.process.trees import descendants

from ..engine.server_kit import WAIT_S, Engine, rss_mb, running, tries, until
from ..postgres_kit import Server, loop
from .judge import Ledger, Verdict, look
from .life import HERE, SETTLE_S, SO_RCVBUFFORCE, Sample, Strike, Told, grown
from .shared_faults import KINDS
from .wire import Wire

CLIENTS = 8
APART_S = (0, 240, -180)  # by so much the engines' clocks are off
SETTINGS = ("shared_buffers=32MB", "max_connections=80")
SHIPPED = {"LEASE_S": 12.0, "POSTGRES_ANSWER_S": 12.0}  # what the faults have to know of it
SHORT = {
    "LEASE_S": 2.0,
    "LEASE_RENEW_S": 0.5,
    "POLL_S": 0.4,
    "POLL_SHARED_S": 0.4,
    "NODE_LEASE_S": 2.5,
    "POSTGRES_PROBE_S": 0.3,
    "POSTGRES_IDLE_S": 1.0,
    "POSTGRES_LOCK_S": 2.0,
    "POSTGRES_ANSWER_S": 3.0,
}
CHECKED = """
SELECT bt_index_check(pg_index.indexrelid, true) FROM pg_index
    JOIN pg_class ON pg_class.oid = pg_index.indexrelid
    JOIN pg_am ON pg_am.oid = pg_class.relam AND amname = 'btree'
WHERE pg_class.relkind = 'i' AND pg_class.relnamespace = 'wherry'::regnamespace
"""


class SharedLife:
    """One life. `kinds` are struck once each, in an order that chance draws.

    Args:
        shipped: Leases last as long as users have them, not as short as tests want them.
    """

    def __init__(
        self, root: Path, seed: str, number: int, kinds: list[str], shipped: bool = False
    ) -> None:
        self.root = root
        self.number = number
        self.chance = random.Random(f"{seed}/{number}")
        self.strikes: list[Strike] = []
        self.engines: list[Engine] = []
        self.limits = {} if shipped else SHORT
        self.lease_s = (self.limits or SHIPPED)["LEASE_S"]
        self.answer_s = (self.limits or SHIPPED)["POSTGRES_ANSWER_S"]
        self.version = ""
        self._seed = f"{seed}/{number}"
        self._plan = list(kinds)
        self.chance.shuffle(self._plan)
        self._count = 2 + number % 2
        self._off_s = list(APART_S[: self._count])
        self._seen: set[int] = set()
        self._accepted = 0
        self._read = 0

    # -- what faults may touch ---------------------------------------------------------------------

    def jump(self, number: int, seconds: int) -> None:
        """Set the wall's clock of an engine off by so much."""
        self._off_s[number] += seconds
        off_ns = self._off_s[number] * 1_000_000_000
        with (self.root / f"clock-{number}").open("r+b") as file:
            file.write(off_ns.to_bytes(8, "little", signed=True))

    def grows(self, by: int) -> None:
        """Wait until so many more orders are accepted."""
        wanted = self._orders() + by
        until(lambda: self._orders() >= wanted, f"{by} more orders", 2 * WAIT_S)

    def _orders(self) -> int:
        """Read on in the ledger; return how many orders were accepted."""
        with (self.root / "ledger").open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        self._accepted += sum(line.startswith(b"ok ") for line in whole.splitlines())
        return self._accepted

    # -- its course --------------------------------------------------------------------------------

    def play(self) -> Told:
        """Live it; whatever goes wrong is told, not raised."""
        began_s = time.monotonic()
        ledger = verdict = before = after = None
        wrong: list[str] = []
        dead = present = effects = 0
        integrity = "not looked at"
        oracle: subprocess.Popen[bytes] | None = None
        try:
            oracle = self._begin()
            self.grows(30)
            before = self._sample()
            for kind in self._plan:
                self.grows(self.chance.randrange(3, 25))
                self._strike(kind)
            self.grows(30)
            after = self._sample_after(before)
            self._settle(oracle)
            found = look(self.chance.choice(self.engines), CLIENTS)
            dead, present, effects = len(found.dead), len(found.present), len(found.effects)
            codes = self._end(oracle)
            ledger = Ledger(self.root / "ledger", self.root / "runs")
            verdict = Verdict(ledger, found, repeats=True)
            wrong += verdict.wrong
            if any(codes):
                wrong.append(f"the engines ended with {codes} when they were told to stop")
            left = [pid for pid in self._seen if running(pid)]
            if left:
                wrong.append(f"I9 processes are left behind: {left}")
            integrity = check_indexes(self.server.dsn)
            if integrity != "ok":
                wrong.append(f"I8 {integrity}")
            wrong += grown(before, after)
        except Exception as error:
            last = self.strikes[-1].kind if self.strikes else "nothing"
            wrong.append(f"after {last}: {type(error).__name__}: {error}")
            (self.root / "traceback").write_text(traceback.format_exc())
        finally:
            self._close(oracle, keep=bool(wrong))
        seconds = time.monotonic() - began_s
        return Told(
            self.number, f"postgres, {self._count} engines", self.strikes, wrong, ledger, verdict,
            dead, integrity, before, after, present, effects, seconds,
        )  # fmt: skip

    def _begin(self) -> subprocess.Popen[bytes]:
        """Start the database, the engines, and their oracle."""
        collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        collector.bind(("127.0.0.1", 0))
        try:
            collector.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        except OSError:
            collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        shutil.copytree(HERE / "app", self.root / "app", ignore=shutil.ignore_patterns("__*"))
        (self.root / "app" / "collector").write_text(str(collector.getsockname()[1]))
        (self.root / "ledger").touch()
        (self.root / "runs").touch()
        self.server = Server(*SETTINGS)
        self.version = version(self.server.dsn)
        self.wire = Wire(self.server.folder / ".s.PGSQL.5432")
        for number in range(self._count):
            self._launch(number)
        for engine in self.engines:
            until(lambda: tries(lambda: ready(engine)), "ready")  # noqa: B023
        command = [sys.executable, str(HERE / "oracle.py")]
        command += [",".join(str(engine.port) for engine in self.engines)]
        command += [str(self.root / "ledger"), str(self.root / "runs"), str(collector.fileno())]
        command += [self._seed, str(CLIENTS)]
        oracle = subprocess.Popen(command, pass_fds=[collector.fileno()])
        collector.close()
        return oracle

    def _launch(self, number: int) -> None:
        clock = self.root / f"clock-{number}"
        clock.write_bytes(bytes(8))
        self.jump(number, 0)
        far = f"postgres://wherry@{self.wire.address}/postgres"
        address = far if number == 0 else self.server.dsn
        engine = Engine(
            "harbour",
            self.root / f"data-{number}",
            folder=self.root / "app",
            arguments=["--store", address, "--objects-local", "--no-access-log"],
            limits=self.limits,
            clock=clock,
            output=self.root / f"log-{number}",
        )
        self.engines.append(engine)
        engine.launch()

    def _strike(self, kind: str) -> None:
        self._see()
        began_ns = time.monotonic_ns()
        self.strikes.append(Strike(kind, began_ns, None))
        at_ns = KINDS[kind].do(self)
        self.strikes[-1] = Strike(kind, began_ns, at_ns)
        self._see()

    def _see(self) -> None:
        for engine in self.engines:
            self._seen |= {engine.pid, *descendants(engine.pid)}

    def _settle(self, oracle: subprocess.Popen[bytes]) -> None:
        """Let the clients settle what is open, and the engines run what is left."""
        oracle.send_signal(signal.SIGTERM)

        def ended() -> bool:
            return (self.root / "ledger").read_bytes().rpartition(b"\nend ")[1] != b""

        def empty(engine: Engine) -> bool:
            return all(engine.drained(queue) for queue in ("jobs", "tight"))

        until(ended, "the end of the clients", SETTLE_S + 30)
        for engine in self.engines:
            until(lambda: tries(lambda: ready(engine)), "ready, after all")  # noqa: B023
            until(lambda: tries(lambda: empty(engine)), "empty queues", SETTLE_S)  # noqa: B023

    def _end(self, oracle: subprocess.Popen[bytes]) -> list[int]:
        oracle.send_signal(signal.SIGTERM)
        oracle.wait(20)
        self._see()
        codes = [engine.stop() for engine in self.engines]
        tries(lambda: until(lambda: not any(map(running, self._seen)), "the end of all"))
        return codes

    def _close(self, oracle: subprocess.Popen[bytes] | None, keep: bool) -> None:
        if oracle is not None and oracle.poll() is None:
            oracle.kill()
            oracle.wait()
        for engine in self.engines:
            engine.close()
        if hasattr(self, "wire"):
            self.wire.close()
        if hasattr(self, "server"):
            if keep:
                shutil.copy(self.server.folder / "log", self.root / "log-postgres")
            self.server.remove()

    def _sample(self) -> Sample:
        """What all engines hold together; the biggest stands for each, as they come and go."""
        states = [until(lambda: tries(each.status), "the status") for each in self.engines]  # noqa: B023
        pids = [engine.pid for engine in self.engines]
        environments = {
            one
            for state in states
            for pool in state["functions"].values()
            for one in pool["pids"]
            if one
        }
        zygotes = {one for state in states for one in state["zygotes"]}
        below = {pid for each in pids for pid in descendants(each)}
        others = len(below - zygotes - environments) + len(zygotes) - len(pids)
        files = sum(len(os.listdir(f"/proc/{one}/fd")) for one in pids)
        biggest = max(map(rss_mb, pids))
        return Sample(max(pids), max(pids), biggest, biggest, files, len(environments), others)

    def _sample_after(self, before: Sample) -> Sample:
        """Look again for a while: what is just starting or ending is no growth, a leak stays."""
        give_up_s = time.monotonic() + WAIT_S
        while grown(before, sample := self._sample()) and time.monotonic() < give_up_s:
            time.sleep(0.1)
        return sample


def ready(engine: Engine) -> bool:
    """Whether an engine says that it is ready."""
    return engine.once("GET", "/readyz").status == 200


def version(dsn: str) -> str:
    """Return the version of the server."""
    import asyncpg

    async def ask() -> str:
        connection = await asyncpg.connect(dsn)
        try:
            return str(await connection.fetchval("SHOW server_version"))
        finally:
            await connection.close()

    return loop().run(ask())


def check_indexes(dsn: str) -> str:
    """Hold each index against its table, both ways (I8); return what is wrong, or ok."""
    import asyncpg

    async def check() -> str:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("CREATE EXTENSION amcheck")
            await connection.fetch(CHECKED)
        except asyncpg.PostgresError as error:
            return f"{type(error).__name__}: {error}"
        finally:
            await connection.close()
        return "ok"

    return loop().run(check())
