"""Which message of a group may be claimed; the others are parked until it is their turn.

FIFO: the first of a group is active (it waits, or is leased) until it is done; then the next one
comes. A message that has died in a queue with on_failure="block" keeps what is behind it parked.

Keys that take turns: of each key only the first waits, and when it is claimed the next one comes,
due from that moment: behind what other keys have waiting by then.

A queue may be of another kind in the next release. What is parked then comes as its new kind says,
and where a queue is of neither kind, or gone, one after the other: nothing stays parked for ever.
"""

from __future__ import annotations

from typing import Any, Literal

from wherry import limits
from wherry.effects import SendMessage
from wherry.platforms.shared.origins import Origin
from wherry.platforms.shared.shapes import PARKED, Queue
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.rows import Message
from wherry.platforms.sql.session import Session


class Parking:
    """The groups of all queues."""

    def __init__(self, session: Session, catalog: Catalog, inbox: Inbox) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox

    def takes_turns(self, number: int) -> bool:
        """Whether several messages of a group of this queue may be active."""
        queue = self._catalog.queues_by_id.get(number)
        return queue is not None and not queue.fifo

    def held(self, row: Message) -> Literal["", "behind", "paused"]:
        """Say why a message that waits is not handed out, whether it is due or not."""
        if row.slot < 0:
            return ""
        queue = self._catalog.queues_by_id.get(row.queue)
        if queue is not None and queue.paused:
            return "paused"
        return "behind" if row.slot > PARKED else ""

    def admit(self, queue: Queue, message: SendMessage, origin: Origin) -> Message | None:
        """Return the row of a new message; None: it is the repeat of another one.

        The transaction is open.
        """
        session, number = self._session, queue.id
        if queue.fifo:
            dedup = queue.dedup(message)
            if dedup and self._is_repeat(number, dedup):
                return None
        now, seq = session.now_ms, session.next()
        due = now + message.delay_ms
        slot, group, place = number, None, None
        if queue.grouped:
            group = message.group
            slot, place = self._position(queue, group, seq, due)
        return Message(
            seq, message.id, slot, due, number, 0, 0, 0, now, 0, due + queue.retention_ms,
            origin.correlation_id, origin.traceparent, "", message.body, group, place,
        )  # fmt: skip

    def _is_repeat(self, queue: int, dedup: str) -> bool:
        """Whether a message with this deduplication ID was sent lately; else remember it."""
        session = self._session
        now = session.now_ms
        session.write("dedup_take", queue, dedup, now + limits.DEDUP_S * 1000, now)
        return not session.changes()

    def _position(self, queue: Queue, group: str, seq: int, due_ms: int) -> tuple[int, int]:
        """Return the slot and the place of a new message of a group."""
        session, number = self._session, queue.id
        if queue.fifo:
            behind = session.row("group_live", number, group) or self._blocked(number, group, seq)
            return number + PARKED if behind else number, seq
        head = session.row("group_first", number, group, number)
        if head is not None and head[1] <= due_ms:
            return number + PARKED, due_ms
        if head is not None:
            session.write("park", head[0])
        return number, due_ms

    def settle(self, number: int, group: str) -> int | None:
        """Let the next message of a group come, if it may; return when it is due."""
        session = self._session
        turns = self.takes_turns(number)
        if not turns and session.row("group_active", number, group):
            return None
        first = session.row("group_first", number, group, number + PARKED)
        if first is None:
            return None
        seq, place, due = first
        if not turns:
            if self._blocked(number, group, place):
                return None
            session.write("unpark", seq, due, seq)
            return int(due)
        head = session.row("group_first", number, group, number)
        if head is not None:
            if head[1] <= place:
                return None
            session.write("park", head[0])
        # Under a number of its own, so that it comes behind what is due at the same moment.
        due = max(due, session.now_ms)
        session.write("unpark", session.next(), due, seq)
        return int(due)

    def followers(self, number: int, group: str, limit: int, size: int) -> list[tuple[Any, ...]]:
        """Return what may come with the active ones of a FIFO group: due, in order, one by one.

        Args:
            size: How many bytes their bodies may have.
        """
        session = self._session
        rows: list[tuple[Any, ...]] = []
        for row in session.rows("group_next", number, group, number + PARKED, limit):
            size -= len(row[8])
            if row[2] > session.now_ms or size < 0 or self._blocked(number, group, row[10]):
                break
            rows.append(row[:10])
        return rows

    def _blocked(self, number: int, group: str, place: int) -> bool:
        """Whether one that has died keeps this place of a group waiting."""
        if not self._inbox.counts().get(number):
            return False
        return self._session.row("group_blocked", number, group, place) is not None

    # -- sweeping ----------------------------------------------------------------------------

    def remove_old(self, limit: int) -> int:
        """Forget deduplication IDs whose time is over."""
        session = self._session
        rows = session.rows("dedups_expired", session.now_ms, limit)
        for queue, dedup in rows:
            session.write("dedup_delete", queue, dedup)
        return len(rows)

    def unblock(self, limit: int) -> list[tuple[int, str]]:
        """Let failures block no more where their queue's `on_failure` is "skip" by now.

        Returns:
            The groups (queue, group) that are to be settled.
        """
        freed: list[tuple[int, str]] = []
        for number in self._inbox.counts():
            queue = self._catalog.queues_by_id.get(number)
            if queue is None or not queue.active or queue.blocks or len(freed) >= limit:
                continue
            for seq, group in self._session.rows("failures_blocking", number, limit - len(freed)):
                self._session.write("failure_unblock", seq)
                freed.append((number, group))
        return freed
