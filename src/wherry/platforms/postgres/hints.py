"""Hints: what an engine has seen of queues, and what engines tell each other.

Nothing depends on them. A queue is searched from its beginning as often as that is cheap, and a
notification that is lost costs the time until the next poll.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import json

from wherry import limits
from wherry.platforms.postgres.pool import rest

if TYPE_CHECKING:
    from wherry.platforms.postgres.catalog import Catalog
    from wherry.platforms.postgres.database import Database

MARGIN_MS = 50  # a message may be there that much later than it is due: its commit took so long
TOLD_AFTER_S = 0.002  # so that what many commits have to say is said at once
TOLD_AGAIN_S = 0.02  # ... while more and more is to be said: then the others are awake
TOKENS = 100_000  # of leases, whose messages are known to be of no group
KNOWN = 10_000  # of leases at least are told from those whose answer was lost
NAMES = 50  # queues of one notification, which has 8,000 bytes at most


class Seen:
    """From when on a message that waits may be found, per queue.

    Rows that are done stay in the index until they are vacuumed, which a long transaction anywhere
    in the database prevents. So what was searched before is mostly left out.
    """

    def __init__(self) -> None:
        self._plain: set[int] = set()
        self.slow_us = limits.CLAIM_SLOW_US
        self._since: dict[int, int] = {}
        self._whole_at_s: dict[int, float] = {}  # when to search from the beginning again
        self._dear: set[int] = set()  # queues where that has taken long
        self._polled_s: dict[int, float] = {}  # when a poll has looked at a queue
        self.newest = 0  # of the tokens that are known here
        self._known: set[int] = set()  # the last ones of those, whatever has become of them
        self._known_before: set[int] = set()
        self._lost: dict[int, int] = {}  # queues of which a lease may be ours unknown, and `newest`
        self.pending: set[str] = set()  # queues whose consumers are to be told
        self.told: Callable[[], None] = self.pending.clear

    def since(self, queue: int) -> int:
        """Return from when on to look whether something waits."""
        return self._since.get(queue, 0)

    def searched_from(self, queue: int, now_s: float, polls: bool = False) -> int:
        """Return from when on to search: for a poll, or for a claim.

        Nobody waits for a poll. So a claim leaves to it what is dear, while the queue is polled.
        """
        if polls:
            self._polled_s[queue] = now_s
        elif queue in self._dear:
            polled_s = self._polled_s.get(queue)
            if polled_s is not None and now_s - polled_s < limits.CLAIM_LEAVES_S:
                return self.since(queue)
        whole = self._whole_at_s.get(queue, 0.0) <= now_s
        return 0 if whole else self.since(queue)

    def none_before(self, queue: int, now_ms: int, since: int) -> None:
        """Nothing waits that was due by now; it was searched from `since` on.

        Who was asked before one turned up that is older has not seen it, and says nothing of it.
        """
        if since <= self._since.get(queue, 0):
            self._since[queue] = now_ms - MARGIN_MS

    def one_waits(self, queue: int, due_ms: int) -> None:
        """One waits that falls due then, which may be before what is searched."""
        if due_ms < self.since(queue):
            self._since[queue] = due_ms

    def searched(self, queue: int, since: int, took_us: int, now_s: float) -> None:
        """It was searched from there on, for so long."""
        if since == 0:
            took_s, pause_s = took_us / 1e6, 0.0
            self._dear.discard(queue)
            if took_us >= self.slow_us:
                self._dear.add(queue)
                # Ended leases are found so: not more seldom than needed, nor most of the time.
                often_s = max(limits.POLL_S, took_s * limits.CLAIM_SLOW_LEAST)
                pause_s = min(took_s * limits.CLAIM_SLOW_FACTOR, often_s)
            self._whole_at_s[queue] = now_s + pause_s

    def leased(self, token: int, plain: bool) -> None:
        """A message is leased under this token; `plain`: it is of no group."""
        self.newest = max(self.newest, token)
        self._known.add(token)
        if len(self._known) > KNOWN:
            self._known_before, self._known = self._known, set()
        if not plain:
            return
        if len(self._plain) > TOKENS:  # of leases that were lost: to look a group up is cheap
            self._plain.clear()
        self._plain.add(token)

    def are_plain(self, tokens: Iterable[int]) -> bool:
        """Whether all that is leased under these tokens is of no group; it ends now."""
        plain = self._plain
        known = plain.issuperset(tokens)
        plain.difference_update(tokens)
        return known

    def lose(self, queue: int, newest: int) -> None:
        """An answer of this queue was lost, with leases that are newer than this token."""
        self._lost[queue] = min(newest, self._lost.get(queue, newest))

    def lost(self, queue: int) -> tuple[int, list[int]] | None:
        """Return behind which token leases are ours unknown, and which of those are known."""
        newest = self._lost.get(queue)
        if newest is None:
            return None
        known = (*self._known_before, *self._known)
        return newest, [token for token in known if token > newest]

    def recovered(self, queue: int) -> None:
        """What was leased to us unknown has been given back."""
        self._lost.pop(queue, None)

    def forget(self) -> None:
        """Search everything from the beginning again."""
        self._since.clear()
        self._whole_at_s.clear()
        self._dear.clear()
        self._polled_s.clear()

    def tell(self, queued: Mapping[str, int], catalog: Catalog) -> None:
        """Tell the other engines that something waits in these queues, due then.

        It may be older than what is searched here: it is seen only since its commit is over.
        """
        for name, due_ms in queued.items():
            number = catalog.find("queue", name)
            if number is not None:
                self.one_waits(number, due_ms)
        self.pending.update(queued)
        self.told()


class Hints:
    """Notifications between engines.

    Args:
        heard: Called with the names of queues where another engine, or this one, has put something.
    """

    def __init__(self, database: Database, seen: Seen, heard: Callable[[list[str]], None]) -> None:
        self._database = database
        self._seen = seen
        self._heard = heard
        self._channel = f"wherry_{database.schema}"[:63]
        self._telling: asyncio.Task[None] | None = None
        self._listening = asyncio.create_task(self._listen())
        seen.told = self._tell

    def _tell(self) -> None:
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_soon())

    async def _tell_soon(self) -> None:
        pause_s = TOLD_AFTER_S
        while self._seen.pending:
            await rest(pause_s)
            pause_s = TOLD_AGAIN_S
            names = sorted(self._seen.pending)
            self._seen.pending.clear()
            for start in range(0, len(names), NAMES):
                said = json.encode(names[start : start + NAMES]).decode()
                try:
                    await self._database.value("tell", self._channel, said)
                except Exception:  # they will poll
                    break

    async def _listen(self) -> None:
        while True:
            try:
                connection = await self._database.connect()
                try:
                    lost = asyncio.Event()
                    connection.add_termination_listener(lambda _, lost=lost: lost.set())
                    await connection.add_listener(self._channel, self._received)
                    await lost.wait()
                finally:
                    connection.terminate()
            except Exception:
                pass  # they are hints: what was not heard is found by the next poll
            await rest(limits.POSTGRES_CONNECT_S / 10)

    def _received(self, _connection: object, _pid: int, _channel: str, said: object) -> None:
        self._heard(json.decode(str(said), type=list[str]))

    async def close(self) -> None:
        """Listen and tell no more."""
        self._seen.told = self._seen.pending.clear
        for task in (self._listening, self._telling):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
