"""One life of two or three engines on one Postgres.

The clocks of their machines are minutes apart from the beginning. One of them reaches the database
through a network that can be cut. Clients ask any of them, whether it is well or not.
"""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from pathlib import Path

from wherry import limits
from wherry.runtime.process.trees import descendants

from ..engine.server_kit import Engine, rss_mb, tries, until
from ..engine.shared_kit import ALONE, Wire, asked
from ..postgres_kit import Server, loop
from ..s3_kit import KEYS, Proxy, moto
from .course import Course, Sample, is_ready
from .faults import now_ns
from .shared_faults import KINDS

APART_S = (0, 240, -180)  # by so much the engines' clocks are off
SETTINGS = ("shared_buffers=32MB", "max_connections=80")
PARCELS = 15
# What the faults have to know of it.
SHIPPED = {
    name: getattr(limits, name) for name in ("LEASE_S", "POSTGRES_ANSWER_S", "POSTGRES_LOCK_S")
}
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
    "S3_READ_S": 2.0,
    "S3_CALL_S": 5.0,
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
        self,
        root: Path,
        seed: str,
        number: int,
        kinds: list[str],
        clients: int,
        shipped: bool = False,
    ) -> None:
        count = 2 + number % 2
        self._with_s3 = any(KINDS[kind].needs == "s3" for kind in kinds)
        where = f"postgres{' and s3' if self._with_s3 else ''}, {count} engines"
        parcels = PARCELS if self._with_s3 else 0
        super().__init__(
            root, seed, number, kinds, where, repeats=True, parcels=parcels, clients=clients
        )
        self._open = ExitStack()
        self._servers: list[Server] = []
        self.limits = {} if shipped else SHORT
        self.lease_s = self.limits.get("LEASE_S", limits.LEASE_S)
        self.lock_s = self.limits.get("POSTGRES_LOCK_S", limits.POSTGRES_LOCK_S)
        self.answer_s = self.limits.get("POSTGRES_ANSWER_S", limits.POSTGRES_ANSWER_S)
        self.version = ""
        self._off_s = list(APART_S[:count])

    def jump(self, number: int, seconds: int) -> None:
        """Set the wall's clock of an engine off by so much."""
        self._off_s[number] += seconds
        self.set_clock(f"clock-{number}", self._off_s[number])

    def code_of(self, engine: Engine) -> Path:
        """Return where an engine has its code."""
        return self.root / f"app-{self.engines.index(engine)}"

    def forgive(self, since_ns: int) -> None:
        """What was accepted from then on until now may be lost."""
        self.forgiven.append((since_ns, now_ns()))

    def begin(self) -> None:
        """Start the database, S3 if it is wanted, and the engines."""
        self.server = self._made(Server(*SETTINGS))
        [(self.version,)] = asked(self.server.dsn, "SHOW server_version")
        self.standby = self._made(Server(*SETTINGS, empty=True))
        self.wire = Wire(self.server, self.standby)
        self._open.callback(self.wire.close)
        hosts = f"{self.server.folder},{self.standby.folder}"
        addresses = [f"postgres://wherry@{self.wire.address}/postgres"]
        addresses += [f"postgres://wherry@/postgres?host={hosts}"] * (len(self._off_s) - 1)
        objects = self._objects()
        for number, address in enumerate(addresses):
            engine = Engine(
                "harbour",
                self.root / f"data-{number}",
                folder=self.app(f"app-{number}"),
                arguments=["--store", address, *objects, "--no-access-log"],
                limits=self.limits,
                clock=self.set_clock(f"clock-{number}", self._off_s[number]),
                output=self.root / f"log-{number}",
                variables=KEYS,
            )
            self.engines.append(engine)
            engine.launch()
        for engine in self.engines:
            until(lambda: tries(lambda: is_ready(engine)), "ready")  # noqa: B023

    def _made(self, server: Server) -> Server:
        self._open.callback(server.remove)
        self._servers.append(server)
        return server

    def _objects(self) -> list[str]:
        """Return where objects lie, as arguments."""
        if not self._with_s3:
            return [ALONE]
        there = self._open.enter_context(moto())
        self.s3 = Proxy(there.endpoint)
        self._open.callback(self.s3.close)
        return ["--objects", f"s3://{there.bucket()}/life", "--objects-endpoint", self.s3.endpoint]

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
        """End the database and S3; what the servers have said may be wanted."""
        for number, server in enumerate(self._servers):
            log = server.folder / "log"
            if keep and log.exists():
                shutil.copy(log, self.root / f"log-postgres-{number}")
        self._open.close()

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
