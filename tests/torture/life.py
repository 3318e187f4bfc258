"""One life of one engine on a disk that can be full or lose its power."""

from __future__ import annotations

import os
from pathlib import Path

from wherry.runtime.process.trees import descendants

from ..engine.server_kit import Engine, rss_mb, tries, until
from .course import Course, Sample, is_ready
from .disks import Disk
from .faults import KINDS
from .judge import check_store

PARCELS = 10
LIMITS = {"LEASE_S": 0.9, "LEASE_RENEW_S": 0.3, "POLL_S": 0.4}


class Life(Course):
    """One life; of `kinds` those that its disk lets us have."""

    def __init__(
        self, root: Path, seed: str, number: int, disk: str, kinds: list[str], clients: int
    ) -> None:
        self.disk = Disk(root, disk)
        offers = ("strace", "", *self.disk.offers)
        plan = [kind for kind in kinds if KINDS[kind].needs in offers]
        super().__init__(
            root, seed, number, plan, disk, repeats=False, parcels=PARCELS, clients=clients
        )
        self._off_s = 0

    @property
    def engine(self) -> Engine:
        """The only one."""
        return self.engines[0]

    def jump(self, seconds: int) -> None:
        """Set the wall's clock of all processes forward, or back."""
        self._off_s += seconds
        self.set_clock("clock", self._off_s)

    def ready(self) -> bool:
        """Whether the engine says that it is ready."""
        return is_ready(self.engine)

    def begin(self) -> None:
        """Mount the disk and start the engine."""
        self.disk.mount()
        engine = Engine(
            "harbour",
            self.disk.folder / "data",
            folder=self.app("app"),
            arguments=["--no-access-log"],
            limits=LIMITS,
            clock=self.set_clock("clock", 0),
            output=self.root / "log",
        )
        self.engines.append(engine)
        engine.start()

    def strike(self, kind: str) -> int | None:
        """Do it."""
        return KINDS[kind].do(self)

    def check(self) -> str:
        """Ask SQLite."""
        return check_store(self.disk.folder / "data" / "store.sqlite")

    def let_go(self, keep: bool) -> None:
        """Unmount the disk; what lies on it may be wanted."""
        if keep:
            self.disk.keep()
        self.disk.unmount()

    def sample(self) -> Sample:
        """See what the engine and its store hold."""
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
