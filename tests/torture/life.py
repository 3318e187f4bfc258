"""One life of an engine: orders all the while, one fault after another, then everything counted.

What happens is drawn from the seed and the life's number alone, so it can be done again; when
exactly a fault meets which system call is the machine's own chance.
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
from typing import NamedTuple

from wherry.runtime.process.trees import descendants

from ..engine.server_kit import WAIT_S, Engine, rss_mb, running, tries, until
from .disks import Disk
from .faults import KINDS
from .judge import Ledger, Verdict, check_store, look

HERE = Path(__file__).parent
CLIENTS = 8
LIMITS = {"LEASE_S": 0.9, "LEASE_RENEW_S": 0.3, "POLL_S": 0.4}
SETTLE_S = 60.0
SO_RCVBUFFORCE = 33
GROWN_FILES = 16  # I9: of the engine and its store, beside 8 for each environment more
GROWN_MB = 32.0  # of the engine, and of the store, where it is the same process


class Strike(NamedTuple):
    """A fault: from when on it was done, and from when its recovery counts (None: not reached)."""

    kind: str
    began_ns: int
    at_ns: int | None


class Sample(NamedTuple):
    """What an engine holds, under load."""

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
    disk: str
    strikes: list[Strike]
    wrong: list[str]
    ledger: Ledger | None
    verdict: Verdict | None
    dead: int
    integrity: str
    before: Sample | None
    after: Sample | None
    present: int
    effects: int
    seconds: float


class Life:
    """One life. `kinds` are struck once each, in an order that chance draws."""

    def __init__(self, root: Path, seed: str, number: int, disk: str, kinds: list[str]) -> None:
        self.root = root
        self.number = number
        self.chance = random.Random(f"{seed}/{number}")
        self.disk = Disk(root, disk)
        self.strikes: list[Strike] = []
        self._seed = f"{seed}/{number}"
        offers = ("strace", "", *self.disk.offers)
        self._plan = [kind for kind in kinds if KINDS[kind].needs in offers]
        self.chance.shuffle(self._plan)
        self._off_s = 0
        self._seen: set[int] = set()
        self._counts = {"ok": 0, "507": 0}
        self._read = 0

    # -- what faults may touch ---------------------------------------------------------------------

    def jump(self, seconds: int) -> None:
        """Set the wall's clock of all processes forward, or back."""
        self._off_s += seconds
        off_ns = self._off_s * 1_000_000_000
        with (self.root / "clock").open("r+b") as file:
            file.write(off_ns.to_bytes(8, "little", signed=True))

    def refused(self) -> int:
        """How many requests were answered that there is no room."""
        return self._count("507")

    def ready(self) -> bool:
        """Whether the engine says that it is ready."""
        return self.engine.once("GET", "/readyz").status == 200

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

    def _grows(self, by: int) -> None:
        wanted = self._count("ok") + by
        until(lambda: self._count("ok") >= wanted, f"{by} more orders", 30.0)

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
            self.disk.mount()
            oracle = self._begin()
            self._grows(30)
            before = self._sample()
            for kind in self._plan:
                self._grows(self.chance.randrange(3, 25))
                self._strike(kind)
            self._grows(30)
            after = self._sample_after(before)
            self._settle(oracle)
            found = look(self.engine, CLIENTS)
            dead, present, effects = len(found.dead), len(found.present), len(found.effects)
            code = self._end(oracle)
            ledger = Ledger(self.root / "ledger", self.root / "runs")
            verdict = Verdict(ledger, found)
            wrong += verdict.wrong
            if code != 0:
                wrong.append(f"the engine ended with {code} when it was told to stop")
            left = [pid for pid in self._seen if running(pid)]
            if left:
                wrong.append(f"I9 processes are left behind: {left}")
            integrity = check_store(self.disk.folder / "data" / "store.sqlite")
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
            self.number, self.disk.what, self.strikes, wrong, ledger, verdict, dead, integrity,
            before, after, present, effects, seconds,
        )  # fmt: skip

    def _begin(self) -> subprocess.Popen[bytes]:
        """Start the engine and its oracle."""
        collector = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        collector.bind(("127.0.0.1", 0))
        try:
            collector.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        except OSError:
            collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        shutil.copytree(HERE / "app", self.root / "app", ignore=shutil.ignore_patterns("__*"))
        (self.root / "app" / "collector").write_text(str(collector.getsockname()[1]))
        (self.root / "clock").write_bytes(bytes(8))
        (self.root / "ledger").touch()
        (self.root / "runs").touch()
        self.engine = Engine(
            "harbour",
            self.disk.folder / "data",
            folder=self.root / "app",
            arguments=["--no-access-log"],
            limits=LIMITS,
            clock=self.root / "clock",
            output=self.root / "log",
        )
        self.engine.start()
        command = [sys.executable, str(HERE / "oracle.py"), str(self.engine.port)]
        command += [str(self.root / "ledger"), str(self.root / "runs"), str(collector.fileno())]
        command += [self._seed, str(CLIENTS)]
        oracle = subprocess.Popen(command, pass_fds=[collector.fileno()])
        collector.close()
        return oracle

    def _strike(self, kind: str) -> None:
        self._seen |= {self.engine.pid, *descendants(self.engine.pid)}
        began_ns = time.monotonic_ns()
        self.strikes.append(Strike(kind, began_ns, None))
        at_ns = KINDS[kind].do(self)
        self.strikes[-1] = Strike(kind, began_ns, at_ns)
        self._seen |= {self.engine.pid, *descendants(self.engine.pid)}

    def _settle(self, oracle: subprocess.Popen[bytes]) -> None:
        """Let the clients settle what is open, and the engine run what is left."""
        oracle.send_signal(signal.SIGTERM)

        def ended() -> bool:
            return (self.root / "ledger").read_bytes().rpartition(b"\nend ")[1] != b""

        until(ended, "the end of the clients", SETTLE_S + 30)
        until(
            lambda: all(self.engine.drained(queue) for queue in ("jobs", "tight")),
            "empty queues",
            SETTLE_S,
        )

    def _end(self, oracle: subprocess.Popen[bytes]) -> int:
        oracle.send_signal(signal.SIGTERM)
        oracle.wait(20)
        self._seen |= {self.engine.pid, *descendants(self.engine.pid)}
        code = self.engine.stop()
        tries(lambda: until(lambda: not any(map(running, self._seen)), "the end of all"))
        return code

    def _close(self, oracle: subprocess.Popen[bytes] | None, keep: bool) -> None:
        if oracle is not None and oracle.poll() is None:
            oracle.kill()
            oracle.wait()
        if hasattr(self, "engine"):
            self.engine.close()
        if keep:
            self.disk.keep()
        self.disk.unmount()

    def _sample(self) -> Sample:
        state = until(lambda: tries(self.engine.status), "the status")
        store, pid = state["store"]["pid"], self.engine.pid
        environments = {one for pool in state["functions"].values() for one in pool["pids"] if one}
        known = {store, *state["zygotes"], *environments}
        below = set(descendants(pid))
        return Sample(
            pid,
            store,
            rss_mb(pid),
            rss_mb(store),
            sum(len(os.listdir(f"/proc/{one}/fd")) for one in (pid, store)),
            len(environments),
            len(below - known) + len(state["zygotes"]) - 1,
        )

    def _sample_after(self, before: Sample) -> Sample:
        """Look again for a while: what is just starting or ending is no growth, a leak stays."""
        give_up_s = time.monotonic() + WAIT_S
        while grown(before, sample := self._sample()) and time.monotonic() < give_up_s:
            time.sleep(0.1)
        return sample


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
