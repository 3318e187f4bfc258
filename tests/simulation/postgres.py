"""The simulated cluster on a real Postgres, whose clock is the simulation's.

Each node has a store of its own on one schema, as each engine has: what it keeps of the catalog and
of queues is its own. Connections break before a statement or behind it, and the store does it
again. In every second life what arrives within two milliseconds is asked at once, and Postgres says
what is first: such a life repeats its operations and its faults, not their interleaving. The others
ask one after the other and repeat themselves exactly.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from random import Random
from typing import Any

from tests.postgres_kit import Schema, Window, loop, server
from wherry.app import App
from wherry.errors import Passing
from wherry.platforms.postgres.database import Database
from wherry.platforms.postgres.store import PostgresStore
from wherry.ports import Answer, Configure, Request
from wherry.world import Chance, ManualClock

from .cluster import Cluster, Node, NodeLoop, Shared, Weather, Wire

REPEATED = 0.01  # of all requests, also in good weather: a life has few here, and each is to repeat
TOGETHER_S = 0.002
SIZE = 4  # connections of a node
HINTS_LOST = 0.2
LIVES_EACH = 50  # of a schema; then its tables have grown
TRUNCATED = """
DO $$ BEGIN
    EXECUTE (SELECT 'TRUNCATE ' || string_agg(quote_ident(relname), ', ') FROM pg_class
        WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
        AND relname NOT IN ('wherry', 'catalog', 'test_clock'));
END $$
"""


class Hasty(Chance):
    """Chance that lets nobody wait: the time of these stores stands still while they work."""

    def between(self, low: float, high: float) -> float:
        return 0.0


class Break:
    """When connections break: as often as the weather says."""

    def __init__(self) -> None:
        self.weather = Weather()
        self.random = Random()
        self.count = 0

    def begin(self, weather: Weather, seed: int) -> None:
        """Break those of another life."""
        self.weather, self.random, self.count = weather, Random(seed), 0

    def strikes(self) -> bool:
        """Whether a connection breaks now."""
        struck = self.random.random() < self.weather.lose / 2
        self.count += struck
        return struck


class Frail:
    """A connection of asyncpg's that breaks, and what it has prepared."""

    def __init__(self, connection: Any, breaks: Break) -> None:
        self._connection = connection
        self._breaks = breaks

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def prepare(self, sql: str) -> Any:
        return FrailStatement(self, await self._connection.prepare(sql))

    async def execute(self, *asked: Any) -> Any:
        return await self.through(self._connection.execute, asked)

    async def through(self, ask: Any, asked: tuple[Any, ...]) -> Any:
        """Ask, and break perhaps before it or behind it."""
        self._perhaps()
        answer = await ask(*asked)
        self._perhaps()
        return answer

    def _perhaps(self) -> None:
        if self._breaks.strikes():
            self._connection.terminate()
            raise ConnectionResetError("the network is broken")


class FrailStatement:
    """A statement that it has prepared."""

    def __init__(self, connection: Frail, prepared: Any) -> None:
        self._connection = connection
        self._prepared = prepared

    async def fetchrow(self, *values: Any) -> Any:
        return await self._connection.through(self._prepared.fetchrow, values)

    async def fetch(self, *values: Any) -> Any:
        return await self._connection.through(self._prepared.fetch, values)

    async def fetchval(self, *values: Any) -> Any:
        return await self._connection.through(self._prepared.fetchval, values)


class FrailDatabase(Database):
    """A node's connections, kept from life to life: what they have prepared is dear."""

    def __init__(self, schema: str) -> None:
        self.breaks = Break()
        super().__init__(server().dsn, schema, SIZE, ManualClock(), Hasty(0))

    async def connect(self) -> Any:
        return Frail(await super().connect(), self.breaks)


class Place:
    """A schema and the nodes' connections to it."""

    def __init__(self, nodes: int) -> None:
        self.schema = Schema()
        self.databases = [FrailDatabase(self.schema.name) for _ in range(nodes)]
        self.lives = 0


_places: list[Place] = []


class SharedWindow(Window):
    """The schema of a life, empty, asked one request after the other, and never cut off."""

    def __init__(self, schema: Schema, clock: Any) -> None:
        self._path = ":memory:"
        self._schema = schema
        database = schema.store.store.database
        super(Window, self).__init__(PostgresStore(database, clock), clock)
        self.execute(TRUNCATED)

    def show(self) -> None:
        """Set the database's clock to what the simulation's shows."""
        self._show()

    def integrity(self) -> list[str]:
        """Entries of indexes, and messages of executions, that belong to nothing."""
        lost = self.query(
            "SELECT 'an entry of no item' FROM entries e WHERE NOT EXISTS (SELECT 1 FROM items i"
            " WHERE (i.pk, i.sk) = (e.pk, e.sk) AND (e.idx, e.key, e.sort)::entry = ANY (entries))"
            " UNION ALL SELECT 'parts of no execution' FROM execution_parts p"
            " WHERE NOT EXISTS (SELECT 1 FROM executions x WHERE x.id = p.execution)"
        )
        return [row[0] for row in lost] or ["ok"]

    def close(self) -> None:
        """Nothing: the connections are kept."""


class SharedWire(Wire):
    """A node's own store: what breaks on the way to the database, it does again by itself."""

    def __init__(self, cluster: SharedCluster, node: NodeLoop, database: FrailDatabase) -> None:
        super().__init__(cluster, node)
        self._shared = cluster
        self.store = PostgresStore(database, cluster.clock)
        # A look at a whole queue is rare in some lives: the time that it takes says nothing here.
        self.store.seen.slow_us = 0 if cluster.seed % 3 == 0 else 1 << 60
        self.store.seen.told = lambda: cluster.told(self.store.seen.pending)
        loop().run(self._begin())

    async def _begin(self) -> None:
        """As an engine that is started until it can start."""
        while True:
            with suppress(Passing):
                return await self.store.begin()

    def _arrived(self, number: int, asked: tuple[str, Request], life: int) -> None:
        refused = self._refused(asked[0])
        if refused is not None:
            self.answered(number, refused)
            return
        self._shared.ask(self, number, asked)

    def answered(self, number: int, answer: Any) -> None:
        """Bring an answer to the node."""
        self._cluster.loop.call_later(self._latency_s(), self._answered, number, self._life, answer)


class SharedCluster(Cluster):
    """Nodes on one Postgres."""

    def __init__(self, app: App, random: Random, nodes: int, shared: Shared) -> None:
        self.seed = random.randrange(1 << 30)
        self.together = self.seed % 2 == 1
        if not _places or _places[0].lives == LIVES_EACH:
            _places[:] = [Place(nodes)]
        [self.place] = _places
        self.place.lives += 1
        self._waiting: list[tuple[SharedWire, int, tuple[str, Request]]] = []
        self._said: set[str] = set()
        super().__init__(app, random, nodes, shared)

    def opened(self) -> SharedWindow:
        for number, database in enumerate(self.place.databases):
            database.clock = self.clock
            database.retry_s = 0.0 if self.seed % 5 == 0 else 8.0  # 0: nobody looks what came of it
            database.breaks.begin(self.weather, self.seed + number)
        return SharedWindow(self.place.schema, self.clock)

    def wire(self, node: Node) -> SharedWire:
        return SharedWire(self, node.loop, self.place.databases[node.number])

    def ask(self, wire: SharedWire, number: int, asked: tuple[str, Request]) -> None:
        """Something has arrived; it waits for what comes at the same time."""
        self._waiting.append((wire, number, asked))
        if len(self._waiting) == 1:
            self.loop.call_later(TOGETHER_S if self.together else 0.0, self._ask)

    def _ask(self) -> None:
        waiting, self._waiting = self._waiting, []
        for wire, number, asked in waiting:
            if not isinstance(asked[1], Configure) and self.chance.random() < max(
                self.weather.repeat, REPEATED
            ):
                self.hit("repeat")
                waiting = [*waiting, (wire, -number, asked)]
        self.platform.show()
        answers = loop().run(self._answers(waiting))
        for (wire, number, asked), answer in zip(waiting, answers, strict=True):
            if self.watch is not None:
                self.watch(*asked, answer)
            if number > 0:
                wire.answered(number, answer)
        self._count()
        self._tell()

    async def _answers(
        self, asked: list[tuple[SharedWire, int, tuple[str, Request]]]
    ) -> list[Answer]:
        asking = [wire.store.answer(*request) for wire, _, request in asked]
        if self.together:
            return list(await asyncio.gather(*asking))
        return [await one for one in asking]

    def _count(self) -> None:
        for database in self.place.databases:
            for _ in range(database.breaks.count):
                self.hit("lose")
            database.breaks.count = 0

    # -- hints -----------------------------------------------------------------------------------

    def told(self, queues: set[str]) -> None:
        """A store has something to say to the others; it is being asked on another thread."""
        self._said |= queues
        queues.clear()

    def _tell(self) -> None:
        """Let nodes hear of queues, most of the time."""
        names, self._said = sorted(self._said), set()
        for node in self.nodes if names else ():
            if self.chance.random() >= HINTS_LOST:
                self.loop.call_later(TOGETHER_S, self._hear, node, names)

    def _hear(self, node: Node, names: list[str]) -> None:
        node.loop.call_soon(node.core.feeds.heard, names)
