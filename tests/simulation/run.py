"""One seed: operations of clients, faults, and at the end peace and the oracle's questions."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from wherry.testing.client import Waiting

from .cluster import Cluster, Node, Shared
from .oracle import Operation, Oracle
from .readers import HOT, Readers

OPERATIONS = 200
NODES = 3
FAULTS = 20
SPAN_S = 30.0  # operations and faults fall into this time
PEACE_S = 600.0  # by then everything is done or dead
PATIENCE_S = 35.0  # a client's, for one answer
# The shares of reads and of bumps among operations; the others are orders, with all that follows
# them. A life in four is a busy one.
BUSY, QUIET = (0.25, 0.2), (0.75, 0.1)
KINDS_OF_ORDER = {
    "plain": 50,
    "flaky": 8,
    "poison": 4,
    "hopeless": 3,
    "step": 20,
    "event": 15,
    "picture": 4,
    "shipped": 10,
    "declined": 4,
}
STORE_SKEWS_MS = {
    -3_600_000: -3_600_000, -300_000: 3_600_000, -50: 0, 50: 60_000, 300_000: 14_400_000,
}  # fmt: skip
KINDS = ("pause", "crash", "storm", "deaths", "clock")


@contextmanager
def _left_lying() -> Iterator[None]:
    """Look for garbage once, and only in what was made meanwhile: a life makes little of it.

    What was there before stays frozen: it is the worker's, or of the next life, too.
    """
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


class Result:
    """What came of a seed."""

    def __init__(self, seed: int, faults: list[str], hits: dict[str, int], oracle: Oracle) -> None:
        self.seed = seed
        self.faults = faults
        self.hits = hits
        self.oracle = oracle


class Scenario:
    """A seed's life.

    Args:
        kinds: How often each kind of order comes.
        cluster: What is simulated.
    """

    def __init__(
        self,
        seed: int,
        shared: Shared,
        app: Any,
        kinds: dict[str, int] = KINDS_OF_ORDER,
        cluster: Callable[..., Cluster] = Cluster,
    ) -> None:
        self.random = Random(seed)
        self.kinds = kinds
        self.seed = seed
        # A store's clock that is set back holds the waits of workflows: none of them runs there.
        self.sets_the_stores_clock = seed % 4 == 3
        self.reads, self.bumps = BUSY if seed % 4 == 1 else QUIET
        self.cluster = cluster(app, self.random, NODES, shared)
        self.oracle = Oracle()
        self.readers = Readers(self.cluster, self.oracle)

    def play(self) -> Result:
        """Run it to its end."""
        with _left_lying():
            return self._play()

    def _play(self) -> Result:
        cluster, random = self.cluster, self.random
        for number in range(OPERATIONS):
            cluster.at(random.uniform(0.1, SPAN_S), self._operate, number)
        for number in range(FAULTS):
            # Each kind at least once; which comes when is chance.
            kind = KINDS[number % len(KINDS)]
            cluster.at(random.uniform(0.5, SPAN_S), self._strike, kind)
        cluster.loop.advance(SPAN_S)
        cluster.weather.calm()
        cluster.store_clock.skew_ms = 0
        for node in cluster.nodes:
            node.clock.skew_ms = 0
            if node.loop.dead:
                cluster.replace(node)
            elif node.loop.paused:
                node.loop.resume()
        self._quiet()
        found = [*cluster.mistaken, *self.oracle.check(cluster.platform, cluster.blobs)]
        cluster.close(well=not found)
        return Result(self.seed, found, cluster.hits, self.oracle)

    def _quiet(self) -> None:
        """Let time pass until nothing waits, at most `PEACE_S`."""
        cluster = self.cluster
        end_s = cluster.clock.steady_s() + PEACE_S
        while cluster.clock.steady_s() < end_s:
            cluster.loop.advance(2.0)
            open_ = any(node.core.dispatcher.open for node in cluster.nodes)
            asked = any(one.fate == "asked" for one in self.oracle.orders + self.oracle.bumps)
            if not open_ and not asked and cluster.idle():
                return

    # -- clients ---------------------------------------------------------------------------------

    def _operate(self, number: int) -> None:
        random = self.random
        what = random.random()
        if what < self.reads:
            self.readers.read()
            return
        if what < self.reads + self.bumps:
            operation = Operation(number, f"bump-{number}", f"hot-{random.randrange(HOT)}", False)
            self.oracle.bumps.append(operation)
            self._send(operation, None)
            return
        kind = random.choices(list(self.kinds), list(self.kinds.values()))[0]
        if self.sets_the_stores_clock:
            kind = {"shipped": "step", "declined": "event"}.get(kind, kind)
        operation = Operation(number, f"order-{number}", kind, random.random() < 0.7)
        self.oracle.orders.append(operation)
        delay_s = random.uniform(0.0, 20.0) if random.random() < 0.1 else 0.0
        self._send(operation, {"order_id": operation.name, "kind": kind, "delay_s": delay_s})

    def _send(self, operation: Operation, body: dict[str, Any] | None) -> None:
        serving = self.cluster.serving
        if not serving:
            self.cluster.at(0.5, self._send, operation, body)
            return
        node = self.random.choice(serving)
        headers = {"idempotency-key": f'"{operation.name}"'} if operation.keyed else {}
        if body is None:
            waiting = node.client.send("POST", f"/bump/{operation.kind}", headers=headers)
        else:
            waiting = node.client.send("POST", "/orders", json=body, headers=headers)
        if operation.keyed and self.random.random() < 0.05:  # an impatient client asks twice
            self.cluster.at(0.01, self._send_again, operation, body, node)
        self._look(operation, body, node, waiting, self.cluster.clock.steady_s() + PATIENCE_S)

    def _send_again(self, operation: Operation, body: dict[str, Any], node: Node) -> None:
        if node.serves:
            self.cluster.hit("asked twice")
            operation.unsure = True  # nobody looks at this one's answer
            headers = {"idempotency-key": f'"{operation.name}"'}
            node.client.send("POST", "/orders", json=body, headers=headers)

    def _look(
        self,
        operation: Operation,
        body: dict[str, Any] | None,
        node: Node,
        waiting: Waiting,
        give_up_s: float,
        wait_s: float = 0.03,
    ) -> None:
        """Look for the answer now and then; without one, ask again where that is safe."""
        if waiting.response is not None and not node.loop.dead:
            self.oracle.answered(operation, waiting.reply())
            if operation.fate == "refused" and operation.keyed and self.random.random() < 0.7:
                operation.fate = "asked"
                self.cluster.at(self.random.uniform(0.1, 2.0), self._send, operation, body)
        elif node.loop.dead or self.cluster.clock.steady_s() > give_up_s:
            operation.unsure = True
            if operation.keyed:
                self.cluster.at(self.random.uniform(0.1, 2.0), self._send, operation, body)
            else:
                operation.fate = "unknown"
        else:
            self.cluster.at(
                wait_s, self._look, operation, body, node, waiting, give_up_s, 2 * wait_s
            )

    # -- faults ----------------------------------------------------------------------------------

    def _strike(self, kind: str) -> None:
        cluster, random = self.cluster, self.random
        node = random.choice(cluster.nodes)
        cluster.hit(kind)
        match kind:
            case "pause":  # often for longer than a lease
                if not node.loop.paused:
                    node.loop.paused = True
                    cluster.at(random.uniform(1.0, 25.0), node.loop.resume)
            case "crash":
                node.crash()
                cluster.at(random.uniform(0.2, 5.0), self._start_again, node)
            case "storm":
                weather = cluster.weather
                weather.slow = random.choice((0.0, 0.1, 0.5))
                weather.refuse = random.choice((0.0, 0.02, 0.2))
                weather.lose = random.choice((0.0, 0.01, 0.05))
                weather.repeat = random.choice((0.0, 0.05, 0.3))
                cluster.at(random.uniform(0.5, 6.0), cluster.weather.calm)
            case "deaths":
                cluster.weather.die = random.choice((0.05, 0.3))
                cluster.at(random.uniform(0.5, 3.0), cluster.weather.calm)
            case "clock":
                node.clock.skew_ms = random.choice((-3_600_000, -300_000, -50, 50, 300_000))
                if node.number == 0 and self.sets_the_stores_clock:  # further: by hours
                    cluster.store_clock.skew_ms = STORE_SKEWS_MS[node.clock.skew_ms]

    def _start_again(self, node: Node) -> None:
        if self.cluster.nodes[node.number] is node:
            self.cluster.replace(node)
