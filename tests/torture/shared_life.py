"""One life of two or three engines on one Postgres.

The clocks of their machines are minutes apart from the beginning. One of them reaches the database
through a network that can be cut. Clients ask any of them, whether it is well or not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from wherry.runtime.process.trees import descendants

from ..engine.server_kit import Engine, rss_mb, tries, until
from ..engine.shared_kit import ALONE, Wire, asked
from ..postgres_kit import Server, loop
from .course import Course, Sample, is_ready
from .faults import now_ns
from .shared_faults import KINDS

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


class SharedLife(Course):
    """One life.

    Args:
        shipped: Leases last as long as users have them, not as short as tests want them.
    """

    def __init__(
        self, root: Path, seed: str, number: int, kinds: list[str], shipped: bool = False
    ) -> None:
        count = 2 + number % 2
        super().__init__(root, seed, number, kinds, f"postgres, {count} engines", repeats=True)
        self.limits = {} if shipped else SHORT
        self.lease_s = (self.limits or SHIPPED)["LEASE_S"]
        self.answer_s = (self.limits or SHIPPED)["POSTGRES_ANSWER_S"]
        self.version = ""
        self._off_s = list(APART_S[:count])

    def jump(self, number: int, seconds: int) -> None:
        """Set the wall's clock of an engine off by so much."""
        self._off_s[number] += seconds
        self.set_clock(f"clock-{number}", self._off_s[number])

    def forgive(self, since_ns: int) -> None:
        """What was accepted from then on until now may be lost."""
        self.forgiven.append((since_ns, now_ns()))

    def begin(self) -> None:
        """Start the database, and the engines."""
        self.server = Server(*SETTINGS)
        [(self.version,)] = asked(self.server.dsn, "SHOW server_version")
        self.standby = Server(*SETTINGS, empty=True)
        self.wire = Wire(self.server, self.standby)
        self._near = f"postgres://wherry@/postgres?host={self.server.folder},{self.standby.folder}"
        for number in range(len(self._off_s)):
            self._launch(number)
        for engine in self.engines:
            until(lambda: tries(lambda: is_ready(engine)), "ready")  # noqa: B023

    def _launch(self, number: int) -> None:
        far = f"postgres://wherry@{self.wire.address}/postgres"
        address = far if number == 0 else self._near
        engine = Engine(
            "harbour",
            self.root / f"data-{number}",
            folder=self.app(f"app-{number}"),
            arguments=["--store", address, ALONE, "--no-access-log"],
            limits=self.limits,
            clock=self.set_clock(f"clock-{number}", self._off_s[number]),
            output=self.root / f"log-{number}",
        )
        self.engines.append(engine)
        engine.launch()

    def strike(self, kind: str) -> int | None:
        """Do it."""
        return KINDS[kind].do(self)

    def check(self) -> str:
        """Hold each index against its table, both ways."""
        import asyncpg

        async def check() -> str:
            connection = await asyncpg.connect(self.server.dsn)
            try:
                await connection.execute("CREATE EXTENSION amcheck")
                await connection.fetch(CHECKED)
            except asyncpg.PostgresError as error:
                return f"{type(error).__name__}: {error}"
            finally:
                await connection.close()
            return "ok"

        return loop().run(check())

    def let_go(self, keep: bool) -> None:
        """End the database; what it has said may be wanted."""
        if hasattr(self, "wire"):
            self.wire.close()
        for name in ("server", "standby"):
            server: Server | None = getattr(self, name, None)
            if server is not None:
                if keep and (server.folder / "log").exists():
                    shutil.copy(server.folder / "log", self.root / f"log-{name}")
                server.remove()

    def sample(self) -> Sample:
        """What all engines hold together; the biggest stands for each, as they come and go."""
        states = [until(lambda: tries(each.status), "the status") for each in self.engines]  # noqa: B023
        pids = [engine.pid for engine in self.engines]
        pools = [pool for state in states for pool in state["functions"].values()]
        environments = {one for pool in pools for one in pool["pids"] if one}
        zygotes = {one for state in states for one in state["zygotes"]}
        below = {pid for each in pids for pid in descendants(each)}
        others = len(below - zygotes - environments) + len(zygotes) - len(pids)
        files = sum(len(os.listdir(f"/proc/{one}/fd")) for one in pids)
        biggest = max(map(rss_mb, pids))
        return Sample(max(pids), max(pids), biggest, biggest, files, len(environments), others)
