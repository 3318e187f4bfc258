"""Several engines on one store, in one process, on one manual clock: everything is the engine's
own but the network, the processes and the time, and these are as bad as the seed says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from random import Random
from typing import Any

import msgspec

from tests.simulation.environments import Host
from wherry import limits
from wherry.app import App
from wherry.blueprint import Blueprint, digest
from wherry.codec import to_msgpack
from wherry.engine.core import Core, Settings
from wherry.engine.offload import Inline
from wherry.engine.owed import Owed
from wherry.engine.store import Then, When
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.sigv4 import SigningKey
from wherry.platforms.sql import session as sessions
from wherry.ports import (
    Broken,
    Configure,
    Depths,
    ExecutionRows,
    ListExecutions,
    QueueDepths,
    Request,
)
from wherry.runtime.invoke import Runner
from wherry.testing.client import Client
from wherry.testing.stores import KitStore
from wherry.world import Chance, ManualClock, ManualLoop, Timer

CHECK_S = 0.5  # between two looks at deadlines
SWEEP_S = 10.0
_request = msgspec.msgpack.Decoder(Request)


class Spare:
    """A database that has had a life, empty again: opening one parses its schema and statements.

    Only what ended well is kept: a life that broke an invariant may have broken the database.
    """

    def __init__(self) -> None:
        self._spare: Any = None

    @contextmanager
    def at_hand(self) -> Iterator[None]:
        """Let the store that is opened meanwhile have the spare one, if there is one."""
        spare, self._spare = self._spare, None
        right = vars(sessions)["open_database"]
        if spare is not None:
            vars(sessions)["open_database"] = lambda path, vfs: spare
        try:
            yield
        finally:
            vars(sessions)["open_database"] = right

    def keep(self, database: Any) -> None:
        """Keep a database for the next life, without anything of this one."""
        tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        with database:
            for (name,) in tables:
                database.execute(f"DELETE FROM {name}")
        self._spare = database


class Store(KitStore):
    """The store that all nodes share."""

    def leave(self, spare: Spare) -> None:
        """End as `close` does, but for the database."""
        self._open = False
        spare.keep(self._session.db)

    def integrity(self) -> list[str]:
        """What SQLite finds when it checks itself: "ok"."""
        return [str(row[0]) for row in self._session.run("PRAGMA integrity_check").fetchall()]


class Weather:
    """How bad things are. All zero: a calm network and machines that live for ever."""

    def __init__(self) -> None:
        self.slow = 0.0  # a request takes up to a second
        self.refuse = 0.0  # the store says that it cannot
        self.lose = 0.0  # the connection breaks after the request was applied
        self.repeat = 0.0  # a request is applied twice
        self.die = 0.0  # an environment ends in the middle of a run

    def calm(self) -> None:
        """Let nothing go wrong any more."""
        self.__init__()  # type: ignore[misc]


class NodeClock:
    """A node's clocks, or the store's: its wall clock may be wrong."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.steady_s = clock.steady_s
        self.skew_ms = 0

    def now_ms(self) -> int:
        return self._clock.now_ms() + self.skew_ms


class NodeLoop:
    """A node's loop: nothing is called while the node is paused, nor ever after its end."""

    def __init__(self, loop: ManualLoop) -> None:
        self._loop = loop
        self.paused = False
        self.dead = False
        self._held: list[tuple[Callable[..., object], tuple[Any, ...]]] = []

    def call_soon(self, callback: Callable[..., object], *args: Any) -> Timer:
        return self._loop.call_soon(self._call, callback, args)

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        return self._loop.call_later(delay, self._call, callback, args)

    def _call(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        if self.dead:
            return
        if self.paused:
            self._held.append((callback, args))
        else:
            callback(*args)

    def resume(self) -> None:
        """Go on: what should have been called meanwhile is called now."""
        self.paused = False
        held, self._held = self._held, []
        for callback, args in held:
            self._loop.call_soon(self._call, callback, args)


def _as_it_is(answer: Any) -> Any:
    """An answer comes as a record here, not as bytes."""
    return answer


class Wire:
    """A node's connection to the store (`engine.store.Store`): it delays, breaks and repeats.

    What it does after a break is the engine's own (`engine.owed`), as with a store process.
    """

    gathers = True

    def __init__(self, cluster: Cluster, loop: NodeLoop) -> None:
        self._cluster = cluster
        self._loop = loop
        self._owed: Owed[tuple[str, Request]] = Owed(loop, self._ask, _as_it_is)
        self._number = 0
        self._life = 0  # of the connection: what was on its way in another one is lost
        self.recover: Callable[[], Request] | None = None

    def send(self, function: str, request: Request, then: Then, when: When = "soon") -> None:
        self._number += 1
        self._owed.put(self._number, (function, request), then)
        self._ask(self._number, (function, request))

    def forward(self, function: str, payload: bytes, then: Callable[[bytes], None]) -> None:
        self.send(function, _request.decode(payload), lambda answer: then(to_msgpack(answer)))

    def _ask(self, number: int, asked: tuple[str, Request]) -> None:
        self._cluster.loop.call_later(self._latency_s(), self._arrived, number, asked, self._life)

    def _latency_s(self) -> float:
        chance, weather = self._cluster.chance, self._cluster.weather
        if chance.random() < weather.slow:
            return chance.uniform(0.01, 1.0)
        return chance.uniform(0.0001, 0.002)

    def _arrived(self, number: int, asked: tuple[str, Request], life: int) -> None:
        if life != self._life:
            return
        cluster = self._cluster
        chance, weather = cluster.chance, cluster.weather
        function, request = asked
        answer = self._refused(function)
        if answer is None:
            answer = cluster.apply(function, request)
            if not isinstance(request, Configure) and chance.random() < weather.repeat:
                cluster.hit("repeat")
                cluster.apply(function, request)
        if chance.random() < weather.lose:
            cluster.hit("lose")
            self._break()
            return
        self._loop.call_later(self._latency_s(), self._answered, number, life, answer)

    def _refused(self, function: str) -> Broken | None:
        cluster = self._cluster
        if not function or cluster.chance.random() >= cluster.weather.refuse:
            return None
        cluster.hit("refuse")
        return Broken("passing", "the store cannot now")

    def _answered(self, number: int, life: int, answer: Any) -> None:
        if life == self._life:
            self._owed.answered(number, answer)

    def _break(self) -> None:
        self._life += 1
        if self._loop.dead:
            return
        if self.recover is not None:
            self._cluster.apply("", self.recover())
        self._owed.lost(self._number)


class Engine(Core):
    """The engine's core. What it tells the store of the release is worked out once."""

    shared: Shared

    def configuration(self, blueprint: Blueprint, digest: str, chosen: bool = False) -> Configure:
        if self.shared.configuration is None:
            self.shared.configuration = super().configuration(blueprint, digest)
        name = self.settings.name
        return msgspec.structs.replace(self.shared.configuration, chosen=chosen, engine=name)


class Node:
    """One engine."""

    def __init__(self, cluster: Cluster, number: int, life: int) -> None:
        self._cluster = cluster
        self.number = number
        self.life = life
        self.clock = NodeClock(cluster.clock)
        self.loop = NodeLoop(cluster.loop)
        wire = cluster.wire(self)
        self.core: Engine = Engine(
            Settings(
                public_url="https://simulated",
                owner=f"node-{number}-{life}",
                access_log=False,
                node=number,
                name=f"node-{number}",
                alone=False,
            ),
            self.loop,
            self.clock,
            Chance(cluster.chance.getrandbits(32)),
            wire,
            Inline(self.loop),
            cluster.blobs,
            cluster.key,
            lambda request: cluster.platform.run([("", request)])[0],
            lambda lines: None,
            lambda blueprint: {},
            cluster.app.name,
        )
        self.core.shared = cluster.shared
        wire.recover = self.core.feeds.recover
        self.host = Host(cluster, self)
        core, blueprint = self.core, cluster.blueprint
        release = core.prepare(blueprint, cluster.digest, self.host.start, lambda kept_mb: True)
        self.host.release = release
        core.activate(release, lambda answer: None)
        self.client = Client(core.gateway, "https://simulated")
        self._every(CHECK_S, self._check)
        self._every(limits.LEASE_RENEW_S, core.feeds.renew)
        self._every(limits.POLL_S, core.feeds.poll)
        self._every(SWEEP_S, core.sweep)

    @property
    def serves(self) -> bool:
        """Whether a load balancer would send requests here."""
        return not (self.loop.dead or self.loop.paused) and self.core.active is not None

    def _every(self, seconds: float, call: Callable[[], None]) -> None:
        def again() -> None:
            self.loop.call_later(seconds, again)
            call()

        self.loop.call_later(seconds, again)

    def _check(self) -> None:
        dispatcher = self.core.dispatcher
        dispatcher.deadlines.check()
        for release in self.core.releases:
            for function in release.functions.values():
                if function.pool.pending:
                    dispatcher.deadlines.expire(function.pool.pending)

    def crash(self) -> None:
        """End it as a power switch would."""
        self.loop.dead = True


class Cluster:
    """Nodes on one store.

    Args:
        app: A frozen app.
        random: All chance of a run comes from here.
    """

    def __init__(self, app: App, random: Random, nodes: int, shared: Shared) -> None:
        self.app = app
        self.chance = random
        self.weather = Weather()
        self.clock = ManualClock()
        self.loop = ManualLoop(self.clock)
        self.blueprint = shared.blueprint
        self.digest = shared.digest
        self.runners = shared.runners
        self.blobs = shared.blobs
        self.key = shared.key
        self.store_clock = NodeClock(self.clock)
        self.shared = shared
        self.platform = self.opened()
        self.apply = self._apply
        self.watch: Callable[[str, Request, Any], None] | None = None  # sees what is answered
        self.hits: dict[str, int] = {}
        self.mistaken: list[str] = []  # what the engine took for something else
        self.nodes = [Node(self, number, 0) for number in range(nodes)]

    def _apply(self, function: str, request: Request) -> Any:
        answer = self.platform.run([(function, request)])[0]
        if self.watch is not None:
            self.watch(function, request, answer)
        return answer

    @property
    def serving(self) -> list[Node]:
        """The nodes to which a load balancer would send requests now."""
        return [node for node in self.nodes if node.serves]

    def hit(self, fault: str) -> None:
        """Count a fault that struck."""
        self.hits[fault] = self.hits.get(fault, 0) + 1

    def opened(self) -> Any:
        """Return the store of this life, empty."""
        with self.shared.spare.at_hand():
            return Store(":memory:", self.store_clock)

    def wire(self, node: Node) -> Wire:
        """Return a node's way to the store."""
        return Wire(self, node.loop)

    def idle(self) -> bool:
        """Whether no message waits or is leased, and every execution has ended."""
        depths = self.platform.run([("", QueueDepths())])[0]
        assert isinstance(depths, Depths)
        if any(row.waiting or row.leased for row in depths.rows):
            return False
        running = self.platform.run([("", ListExecutions(None, "RUNNING", 1))])[0]
        assert isinstance(running, ExecutionRows)
        return not running.rows

    def at(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        """Call so many seconds from now."""
        self.loop.call_later(seconds, call, *args)

    def replace(self, node: Node) -> None:
        """Start a node again that has crashed."""
        self.nodes[node.number] = Node(self, node.number, node.life + 1)

    def close(self, well: bool = False) -> None:
        """Let go of the store; after a life that ended well, another one may have its database."""
        if well and self.shared.keeps and isinstance(self.platform, Store):
            self.platform.leave(self.shared.spare)
        else:
            self.platform.close()


class Shared:
    """What all runs of one process share: nothing in it changes, but what a life leaves empty."""

    def __init__(self, app: App, folder: str) -> None:
        self.blueprint = app.freeze()
        self.digest = digest(self.blueprint)[:16]
        self.runners = {name: Runner.prepare(app, name) for name in app.endpoints}
        self.blobs = Blobs(folder)
        self.key = SigningKey("simulated", "0" * 64)
        self.spare = Spare()
        self.keeps = True
        self.configuration: Configure | None = None

    def apart(self) -> Shared:
        """Return the same for lives that may spoil a database: each opens one of its own."""
        other = copy(self)
        other.spare, other.keeps = Spare(), False
        return other
