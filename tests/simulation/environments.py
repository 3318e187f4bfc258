"""Environments of a simulated node: they take time, die, and go on to what waits in front of them.

As a process does, one takes its next run before the engine has heard of the last one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from wherry.codec import to_msgpack
from wherry.engine.inline import InlineEnvironment, InlineHost
from wherry.engine.mailbox import Mailbox
from wherry.engine.work import Work
from wherry.invocation import Invocation
from wherry.runtime.invoke import Runner

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster, Node

_invocation = msgspec.msgpack.Decoder(Invocation)

HEARD_AFTER_S = 0.0003  # what an environment says is on its way for so long


class MemoryChannel:
    """What waits in front of an environment (`engine.mailbox.Channel`)."""

    def __init__(self, woken: Callable[[], None]) -> None:
        self._payloads: deque[bytes] = deque()
        self._woken = woken

    def put(self, payload: bytes) -> None:
        self._payloads.append(payload)
        self._woken()

    def first(self) -> bytes | None:
        return self._payloads[0] if self._payloads else None

    def take(self) -> bytes | None:
        return self._payloads.popleft() if self._payloads else None


class SimulatedEnvironment(InlineEnvironment):
    """An environment that runs one invocation at a time, and sleeps in between if none waits."""

    def __init__(self, host: Host, runner: Runner, node: Node) -> None:
        super().__init__(host, runner)
        self._own = host
        self._loop = node.loop
        self._channel = MemoryChannel(self._wake)
        self._box = Mailbox(self._channel, node.loop)
        self.mailbox = self._box
        self._runs = False

    def run(self, payload: bytes, at_once: bool) -> None:
        self._box.begin(payload, at_once)

    def _wake(self) -> None:
        chance = self._own.chance
        late = chance.random() < 0.05  # the machine has no processor for it just now
        self._loop.call_later(chance.uniform(0.005, 1.0) if late else 0.0, self._go_on)

    def _go_on(self) -> None:
        payload = None if self._runs or self.end else self._channel.take()
        if payload is not None:
            self._runs = True
            self._own.execute(self, _invocation.decode(payload))

    def of(self, number: int) -> Work | None:
        """Return the work that this run is of. None: the engine thinks that it waits elsewhere."""
        ours = (self.work, *self._box.works)
        return next((work for work in ours if work is not None and work.number == number), None)

    def done(self) -> None:
        """Its run has ended: the next one, if one waits."""
        self._runs = False
        self._go_on()

    def kill(self, why: str) -> None:
        self.end = why
        self._own.lost(self)


class Host(InlineHost):
    """Environments of a node."""

    def __init__(self, cluster: Cluster, node: Node) -> None:
        self.core = node.core
        self.platform = cluster.platform
        self.release = None
        self._runners = cluster.runners
        self.chance = cluster.chance
        self._cluster = cluster
        self._node = node

    def start(self, function: str, memory_mb: int) -> None:
        environment = SimulatedEnvironment(self, self._runners[function], self._node)
        self._node.loop.call_later(
            self._cluster.chance.uniform(0.001, 0.02), self._ready, environment
        )

    def execute(self, environment: SimulatedEnvironment, invocation: Invocation) -> None:
        """Run a handler; what it came to is known a while later, if nobody dies meanwhile."""
        work = environment.of(invocation.number)
        if work is None:
            self._cluster.mistaken.append(f"A: {invocation.key} runs, and nobody waits for it")
            return
        chance, loop = self.chance, self._node.loop
        outcome = to_msgpack(self.run(environment, work, invocation))
        run_s = chance.uniform(0.0001, 0.001)
        if chance.random() < 0.1:  # long enough to be caught in the middle by a fault
            run_s = 40.0 if chance.random() < 0.01 else chance.uniform(0.002, 4.0)
        if chance.random() < self._cluster.weather.die:
            self._cluster.hit("die")
            loop.call_later(run_s, self._died, environment)
        else:
            loop.call_later(run_s, self._finished, environment, work, outcome)

    def _finished(self, environment: SimulatedEnvironment, work: Work, outcome: bytes) -> None:
        if not environment.end:
            self._node.loop.call_later(HEARD_AFTER_S, self._heard, environment, work, outcome)
            environment.done()

    def _heard(self, environment: SimulatedEnvironment, work: Work, outcome: bytes) -> None:
        if environment.end:
            return
        if environment.work is not work:
            self._cluster.mistaken.append(f"A: the outcome of {work.key} is taken for another's")
        self.core.dispatcher.outcome(environment, outcome)

    def _died(self, environment: SimulatedEnvironment) -> None:
        if not environment.end:
            environment.end = "it was killed"
            self.lost(environment)

    def lost(self, environment: SimulatedEnvironment) -> None:
        """A process has ended: its pool and whoever waits for what it ran are told."""
        assert self.release is not None
        self.release.functions[environment.function].pool.lost(environment, started=True)
        self.core.dispatcher.ended(environment)
