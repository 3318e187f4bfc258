"""Clients that read while things fail, from whichever node.

R: a read that follows an acknowledgement shows what was acknowledged, on every node; never what was
refused; and no count that it showed before goes back.
"""

from __future__ import annotations

from collections.abc import Callable

from wherry.codec import from_json
from wherry.testing.client import TestReply, Waiting

from .cluster import Cluster, Node
from .oracle import Operation, Oracle

HOT = 2  # tallies that are counted up by many at once
Check = Callable[[TestReply], str | None]  # what is wrong with an answer, or None


class Readers:
    """Send reads, and hold each answer against what was known when it was asked for."""

    def __init__(self, cluster: Cluster, oracle: Oracle) -> None:
        self._cluster = cluster
        self._oracle = oracle
        self._shown: dict[str, int] = {}  # the most that a read has shown of each tally

    def read(self) -> None:
        """Read an order that somebody has sent, or a tally."""
        serving = self._cluster.serving
        if not serving:
            self._cluster.at(0.5, self.read)
            return
        chance, orders = self._cluster.chance, self._oracle.orders
        node = chance.choice(serving)
        if orders and chance.random() < 0.6:
            order = chance.choice(orders)
            path, check = f"/orders/{order.name}", self._order(order)
        else:
            name = f"hot-{chance.randrange(HOT)}"
            path, check = f"/tallies/{name}", self._tally(name)
        self._look(path, check, node, node.client.send("GET", path))

    def _look(
        self, path: str, check: Check, node: Node, waiting: Waiting, wait_s: float = 0.1
    ) -> None:
        """Look for the answer now and then; of a machine that is gone none comes."""
        if node.loop.dead:
            return
        if waiting.response is None:
            self._cluster.at(wait_s, self._look, path, check, node, waiting, 2 * wait_s)
            return
        reply = waiting.reply()
        wrong = check(reply) if reply.status in (200, 404) else self._oracle.untold(reply)
        if wrong is not None:
            self._oracle.wrong.append(f"{wrong} (GET {path})")

    def _order(self, order: Operation) -> Check:
        accepted = order.fate == "ok"

        def check(reply: TestReply) -> str | None:
            if reply.status == 404:
                return "R: it was accepted and is not shown" if accepted else None
            refused = order.fate == "refused" and not order.unsure and not order.keyed
            return "R: it was refused and is shown" if refused else None

        return check

    def _tally(self, name: str) -> Check:
        bumps = [bump for bump in self._oracle.bumps if bump.kind == name]
        least = max(sum(bump.fate == "ok" for bump in bumps), self._shown.get(name, 0))

        def check(reply: TestReply) -> str | None:
            count = int(from_json(reply.body))
            self._shown[name] = max(count, self._shown.get(name, 0))
            if count < least:
                return f"R: {count} is shown, it was {least} before"
            most = sum(bump.kind == name for bump in self._oracle.bumps)
            return f"R: {count} is shown after {most} bumps" if count > most else None

        return check
