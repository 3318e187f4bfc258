"""The course of a life: orders all the while, one fault after another, then everything counted.

What happens is drawn from the seed and the life's number alone, so it can be done again; when
exactly a fault meets which system call is the machine's own chance.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from wherry.runtime.process.trees import descendants

from ..engine.server_kit import WAIT_S, Engine, running, tries, until
from .judge import Found, Ledger, Verdict, look

HERE = Path(__file__).parent
CLIENTS = 8
SETTLE_S = 60.0
SO_RCVBUFFORCE = 33
GROWN_FILES = 16  # I9: of the engine and its store, beside 8 for each environment more
GROWN_MB = 32.0  # of the engine, and of the store, where it is the same process
QUEUES = ("jobs", "tight", "audits")


class Strike(NamedTuple):
    """A fault: from when on it was done, and from when its recovery counts (None: not reached)."""

    kind: str
    began_ns: int
    at_ns: int | None


class Sample(NamedTuple):
    """What the engines hold, under load."""

    engine: int
    store: int
    engine_mb: float
    store_mb: float
    files: int  # of the engine and the store
    environments: int
    others: int  # processes below the engine that are none of its store, zygote, environments


class Told(NamedTuple):
    """What a life came to."""

    number: int
    where: str
    strikes: list[Strike]
    wrong: list[str]
    ledger: Ledger | None
    verdict: Verdict | None
    found: Found | None
    integrity: str
    before: Sample | None
    after: Sample | None
    seconds: float


class Course(ABC):
    """One life.

    Args:
        root: Its folder.
        plan: The faults, struck once each, in an order that chance draws.
        where: What its engines run on, for who reads of it.
        repeats: An attempt may be run again (`judge.Verdict`).
        parcels: So many in a hundred orders more put an object.
        clients: So many place orders, each one after another.
    """

    def __init__(
        self,
        root: Path,
        seed: str,
        number: int,
        plan: Iterable[str],
        where: str,
        *,
        repeats: bool,
        parcels: int,
        clients: int,
    ) -> None:
        self.root = root
        self.number = number
        self.chance = random.Random(f"{seed}/{number}")
        self.strikes: list[Strike] = []
        self.engines: list[Engine] = []
        self.forgiven: list[tuple[int, int]] = []  # what was accepted then (ns) may be lost
        self._seed = f"{seed}/{number}"
        self._plan = list(plan)
        self.chance.shuffle(self._plan)
        self._where = where
        self._repeats = repeats
        self._parcels = parcels
        self._clients = clients
        self._seen: set[int] = set()
        self._counts = {"ok": 0, "507": 0}
        self._read = 0

    # -- what differs ------------------------------------------------------------------------------

    @abstractmethod
    def begin(self) -> None:
        """Start the engines; `app` gives each its code."""

    @abstractmethod
    def strike(self, kind: str) -> int | None:
        """Do it; return from when on its recovery counts."""

    @abstractmethod
    def sample(self) -> Sample:
        """See what the engines hold."""

    @abstractmethod
    def check(self) -> str:
        """Return what the store's own check says when the engines have ended (I8)."""

    @abstractmethod
    def let_go(self, keep: bool) -> None:
        """Leave nothing behind, but what helps to see what went wrong."""

    # -- what faults may ask -----------------------------------------------------------------------

    def grows(self, by: int) -> None:
        """Wait until so many more orders are accepted."""
        wanted = self._count("ok") + by
        until(lambda: self._count("ok") >= wanted, f"{by} more orders", 2 * WAIT_S)

    def refused(self) -> int:
        """How many requests were answered that there is no room."""
        return self._count("507")

    def _count(self, word: str) -> int:
        """Read on in the ledger; return how many orders were accepted, or answered with a 507."""
        with (self.root / "ledger").open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            parts = line.split(b" ")
            self._counts["ok"] += parts[0] == b"ok"
            self._counts["507"] += parts[0] == b"heard" and parts[3] == b"507"
        return self._counts[word]

    # -- its course --------------------------------------------------------------------------------

    def play(self) -> Told:
        """Live it; whatever goes wrong is told, not raised."""
        began_s = time.monotonic()
        ledger = verdict = found = before = after = None
        wrong: list[str] = []
        integrity = "not looked at"
        oracle: subprocess.Popen[bytes] | None = None
        try:
            oracle = self._begin()
            self.grows(30)
            before = self.sample()
            for kind in self._plan:
                self.grows(self.chance.randrange(3, 25))
                self._strike(kind)
            self.grows(30)
            after = self._sample_after(before)
            self._settle(oracle)
            found = look(self.chance.choice(self.engines), self._clients)
            codes = self._end(oracle)
            ledger = Ledger(self.root / "ledger", self.root / "runs")
            verdict = Verdict(ledger, found, self._repeats, self.forgiven)
            wrong += verdict.wrong
            if any(codes):
                wrong.append(f"the engines ended with {codes} when they were told to stop")
            left = [pid for pid in self._seen if running(pid)]
            if left:
                wrong.append(f"I9 processes are left behind: {left}")
            integrity = self.check()
            if integrity != "ok":
                wrong.append(f"I8 {integrity}")
            wrong += grown(before, after)
        except Exception as error:
            last = self.strikes[-1].kind if self.strikes else "nothing"
            wrong.append(f"after {last}: {type(error).__name__}: {error}")
            (self.root / "traceback").write_text(traceback.format_exc())
        finally:
            self._close(oracle, keep=bool(wrong))
        return Told(
            self.number, self._where, self.strikes, wrong, ledger, verdict, found, integrity,
            before, after, time.monotonic() - began_s,
        )  # fmt: skip

    def _begin(self) -> subprocess.Popen[bytes]:
        """Start the engines and their oracle."""
        collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        collector.bind(("127.0.0.1", 0))
        try:
            collector.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        except OSError:
            collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        (self.root / "collector").write_text(str(collector.getsockname()[1]))
        (self.root / "ledger").touch()
        (self.root / "runs").touch()
        self.begin()
        ports = ",".join(str(engine.port) for engine in self.engines)
        command = [sys.executable, str(HERE / "oracle.py"), ports]
        command += [str(self.root / "ledger"), str(self.root / "runs"), str(collector.fileno())]
        command += [self._seed, str(self._clients), str(self._parcels)]
        oracle = subprocess.Popen(command, pass_fds=[collector.fileno()])
        collector.close()
        return oracle

    def app(self, name: str) -> Path:
        """Make a folder with the code of an engine."""
        folder = self.root / name
        shutil.copytree(HERE / "app", folder, ignore=shutil.ignore_patterns("__*"))
        shutil.copy(self.root / "collector", folder)
        return folder

    def set_clock(self, name: str, off_s: int) -> Path:
        """Set the wall's clock in a file (`Engine`) off by so much."""
        file = self.root / name
        if not file.exists():
            file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            opened.write((off_s * 1_000_000_000).to_bytes(8, "little", signed=True))
        return file

    def _strike(self, kind: str) -> None:
        self._see()
        began_ns = time.monotonic_ns()
        self.strikes.append(Strike(kind, began_ns, None))
        at_ns = self.strike(kind)
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
            return is_ready(engine) and all(engine.drained(queue) for queue in QUEUES)

        until(ended, "the end of the clients", SETTLE_S + 30)
        for engine in self.engines:
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
        self.let_go(keep)

    def _sample_after(self, before: Sample) -> Sample:
        """Look again for a while: what is just starting or ending is no growth, a leak stays."""
        give_up_s = time.monotonic() + WAIT_S
        while grown(before, sample := self.sample()) and time.monotonic() < give_up_s:
            time.sleep(0.1)
        return sample


def is_ready(engine: Engine) -> bool:
    """Whether an engine says that it is ready."""
    return engine.once("GET", "/readyz").status == 200


def grown(before: Sample, after: Sample) -> list[str]:
    """Return what has grown beyond what a warm engine may (I9)."""
    found = []
    more = max(0, after.environments - before.environments)
    if after.files > before.files + GROWN_FILES + 8 * more:
        found.append(f"I9 open files grew from {before.files} to {after.files}")
    if after.others > before.others + 4:
        found.append(f"I9 other processes grew from {before.others} to {after.others}")
    if after.engine == before.engine and after.engine_mb > before.engine_mb + GROWN_MB:
        found.append(f"I9 the engine grew from {before.engine_mb:.0f} to {after.engine_mb:.0f} MiB")
    if after.store == before.store and after.store_mb > before.store_mb + GROWN_MB:
        found.append(f"I9 the store grew from {before.store_mb:.0f} to {after.store_mb:.0f} MiB")
    return found
