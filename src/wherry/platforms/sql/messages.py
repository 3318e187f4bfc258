"""Messages under lease.

A message waits in the slot of its queue or is leased in the slot of its owner, for LEASE_S unless
the owner renews it by name.
Every change of a leased message compares its token, so that nobody who was paused past a lease
can overwrite what came after.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from wherry import limits
from wherry.effects import SendMessage
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.shapes import Queue
from wherry.ports import Claim, Claimed, Claims, Recover, Release, Renew
from wherry.telemetry import InvocationRecord

FAR_MS = 1 << 60


class Message(NamedTuple):
    """A row of `messages`, in the order of its columns."""

    seq: int
    id: str
    slot: int
    due_ms: int
    queue: int
    token: int
    attempts: int
    redrives: int
    sent_ms: int
    started_ms: int
    expires_ms: int
    correlation: str
    traceparent: str
    error: str
    body: bytes


class Lease(Struct, frozen=True, gc=False):
    """Who holds a message, until when on the steady clock, and where it is."""

    until_s: float
    owner: int
    seq: int
    token: int
    queue: int


class Messages:
    """The messages of all queues, and who leases them."""

    def __init__(self, session: Session, catalog: Catalog, inbox: Inbox) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox
        self._insert, self._delete = session.sql["message_insert"], session.sql["message_delete"]
        self._cancel = session.sql["message_cancel"]
        self._claimed = session.sql["claimed"]
        self._leases: dict[str, Lease] = {}
        self.forget()

    def forget(self) -> None:
        """Read anew what is kept in memory (after a rollback, or at the start)."""
        session = self._session
        self._owners: dict[str, int] = dict(session.rows("owners_all"))
        # By message ID, in the order in which they end: all that `leased` must know.
        until = session.steady_s + limits.LEASE_S
        before = self._leases
        leases = [
            (id, Lease(before[id].until_s if id in before else until, *row))
            for id, *row in session.rows("leases_all")
        ]
        self._leases = dict(sorted(leases, key=lambda lease: lease[1].until_s))
        # A lower bound of when the first waiting message of a queue falls due.
        self._first_due: dict[int, int] = {}
        self._counts: dict[int, list[int]] | None = None  # queue: waiting, leased

    # -- sending -----------------------------------------------------------------------------

    def send(
        self, queue: Queue, message: SendMessage, record: InvocationRecord, owner: str
    ) -> Claimed | int | None:
        """Add a message; return when it falls due. One that waits or has failed is not added.

        With an `owner` it is born leased to it, if nothing of the queue is due before it.
        The transaction is open.

        Args:
            record: The run that sends it.
        """
        session, id, body = self._session, message.id, message.body
        if self._inbox.has(id):
            return None
        now, number, first_due = session.now_ms, queue.id, self.first_due(queue.id)
        due = now + message.delay_ms
        expires = due + queue.retention_ms
        correlation, traceparent = record.correlation_id, record.traceparent
        seq = session.next()
        if owner and due == now < first_due:
            holder = self._owner(owner)
            row = (seq, id, -holder, due, number, seq, 1, 0, now, now, expires)
            session.run(self._insert, (*row, correlation, traceparent, "", body))
            if not session.changes():
                return None
            if self._counts is not None:
                self._count(number, 0, 1)
            self._leases[id] = Lease(session.steady_s + limits.LEASE_S, holder, seq, seq, number)
            return Claimed(queue.name, id, seq, 1, body, now, now, now, correlation, traceparent)
        row = (seq, id, number, due, number, 0, 0, 0, now, 0, expires)
        session.run(self._insert, (*row, correlation, traceparent, "", body))
        if not session.changes():
            return None
        if self._counts is not None:
            self._count(number, 1, 0)
        if due < first_due:
            self._first_due[number] = due
        return due

    def cancel(self, queue: int, id: str) -> None:
        """Remove a message if it waits in this queue. The transaction is open."""
        self._session.run(self._cancel, (id, queue))
        if self._session.changes():
            self._count(queue, -1, 0)

    def put_back(self, row: Message) -> None:
        """Put a message into its queue as it stands (a redrive)."""
        self._session.begin()
        self._session.run(self._insert, row)
        self._count(row.queue, 1, 0)
        self._first_due[row.queue] = min(self.first_due(row.queue), row.due_ms)

    def first_due(self, queue: int) -> int:
        """Return when the first waiting message of a queue falls due, or an earlier moment."""
        due = self._first_due.get(queue)
        if due is None:
            row = self._session.row("next_due", queue)
            due = self._first_due[queue] = row[0] if row else FAR_MS
        return due

    # -- leases ------------------------------------------------------------------------------

    def _owner(self, name: str) -> int:
        number = self._owners.get(name)
        if number is None:
            self._session.begin()
            row = self._session.row("owner_add", name)
            assert row is not None
            number = self._owners[name] = row[0]
        return number

    def renew(self, request: Renew) -> None:
        """Extend the leases that the owner names and still holds."""
        owner = self._owners.get(request.owner)
        until = self._session.steady_s + limits.LEASE_S
        for id in request.ids:
            lease = self._leases.get(id)
            if lease is not None and lease.owner == owner:
                del self._leases[id]  # so that it comes last
                self._leases[id] = replace(lease, until_s=until)

    def end_leases(self) -> int:
        """Give back what nobody has renewed in time, the attempt counted; return how many."""
        now = self._session.steady_s
        ended: list[str] = []
        for id, lease in self._leases.items():
            if lease.until_s > now:
                break
            ended.append(id)
        for id in ended:
            self._end_lease(id)
        return len(ended)

    def recover(self, request: Recover) -> None:
        """Give back what the owner holds without knowing it: no attempt has begun."""
        owner, known = self._owners.get(request.owner), set(request.ids)
        for id in [id for id, lease in self._leases.items() if lease.owner == owner]:
            row = None if id in known else self.find(id)
            if row is not None:
                self._give_back(row, row.due_ms, "", counted=False)

    def free_others(self, owner: str) -> None:
        """Give back what everybody else held, the attempt counted."""
        keep = self._owners.get(owner)
        for id in [id for id, lease in self._leases.items() if lease.owner != keep]:
            self._end_lease(id)
        for name, number in list(self._owners.items()):
            if number != keep:
                self._session.write("owner_forget", number)
                del self._owners[name]

    def _end_lease(self, id: str) -> None:
        row = self.find(id)
        assert row is not None
        queue = self._catalog.queues_by_id.get(row.queue)
        if queue is not None and row.attempts >= queue.max_attempts:
            error = "The lease of the last attempt ended without an answer."
            self.bury(row, queue.consumer, "lease_expired", error)
        else:
            self._give_back(row, row.due_ms, "The lease ended without an answer.", counted=True)

    # -- claiming ----------------------------------------------------------------------------

    def claim(self, request: Claim) -> Claims:
        """Lease what is due, in the order in which it fell due."""
        session = self._session
        self.end_leases()
        queue = self._catalog.find("queue", request.queue)
        if queue is None:
            return Claims([], None)
        now = session.now_ms
        claimed: list[Claimed] = []
        if self.first_due(queue) <= now:
            limit = max(0, min(request.limit, limits.CLAIM_BATCH))
            rows = session.rows("claim", queue, now, limit)
            if rows:
                session.begin()
                claimed = self._take(rows, queue, request)
            row = session.row("next_due", queue)
            self._first_due[queue] = row[0] if row else FAR_MS
        due = self._first_due[queue]
        return Claims(claimed, None if due == FAR_MS else due)

    def _take(self, rows: list[tuple[Any, ...]], queue: int, request: Claim) -> list[Claimed]:
        session, name, leases = self._session, request.queue, self._leases
        owner, until = self._owner(request.owner), session.steady_s + limits.LEASE_S
        claimed: list[Claimed] = []
        changes: list[tuple[int, int, int, int, int]] = []
        for seq, id, due, attempts, sent, begun, correlation, traceparent, body in rows:
            token, attempt, started = session.next(), attempts + 1, begun or session.now_ms
            changes.append((-owner, token, attempt, started, seq))
            leases[id] = Lease(until, owner, seq, token, queue)
            claimed.append(
                Claimed(
                    name, id, token, attempt, body, sent, due, started, correlation, traceparent
                )
            )
        session.many(self._claimed, changes)
        self._count(queue, -len(rows), len(rows))
        return claimed

    # -- ending ------------------------------------------------------------------------------

    def leased(self, id: str, token: int) -> Lease | None:
        """Return the lease of a message that is held under this token."""
        lease = self._leases.get(id)
        return lease if lease is not None and lease.token == token else None

    def acknowledge(self, id: str) -> None:
        """Delete a leased message. The transaction is open."""
        lease = self._leases.pop(id)
        self._session.run(self._delete, (lease.seq,))
        self._count(lease.queue, 0, -1)

    def take_leased(self, id: str, token: int) -> Message | None:
        """Return a message that is leased under this token."""
        return self.find(id) if self.leased(id, token) else None

    def _remove(self, row: Message) -> None:
        self._leases.pop(row.id, None)
        self._session.write("message_delete", row.seq)
        self._count(row.queue, *((-1, 0) if row.slot > 0 else (0, -1)))

    def bury(self, row: Message, function: str, code: str, error: str) -> None:
        """Move a message to the failure inbox."""
        self._remove(row)
        self._inbox.add(
            row.id,
            row.queue,
            function,
            code,
            error,
            row.attempts,
            row.redrives,
            row.sent_ms,
            row.started_ms,
            row.correlation,
            row.traceparent,
            row.body,
        )

    def release(self, request: Release) -> bool:
        """Give a message back; what outlived its queue's retention is buried. False: not ours."""
        row = self.take_leased(request.id, request.token)
        if row is None:
            return False
        now = self._session.now_ms
        queue = self._catalog.queues_by_id.get(row.queue)
        if queue is not None and queue.active and row.expires_ms <= now:
            self._expire(row, queue)
        else:
            delay = max(0, request.delay_ms)
            self._give_back(row, now + delay, request.error, counted=request.counted)
        return True

    def _give_back(self, row: Message, due_ms: int, error: str, *, counted: bool) -> None:
        attempts = row.attempts if counted else max(0, row.attempts - 1)
        self._leases.pop(row.id, None)
        self._session.write("give_back", due_ms, attempts, error or row.error, row.seq)
        self._count(row.queue, 1, -1)
        self._first_due[row.queue] = min(self.first_due(row.queue), due_ms)

    def expire(self, limit: int) -> int:
        """Bury what has waited longer than its queue's retention."""
        expired = 0
        for queue in self._catalog.queues.values():
            if expired >= limit or not queue.active:
                continue
            before = self._session.now_ms - queue.retention_ms
            if self.first_due(queue.id) > before:
                continue
            for row in self._rows("outlived", queue.id, before, limit - expired):
                self._expire(row, queue)
                expired += 1
        return expired

    def _expire(self, row: Message, queue: Queue) -> None:
        self.bury(
            row,
            queue.consumer,
            "expired",
            row.error or "The message was not done within its queue's retention.",
        )

    # -- looking -----------------------------------------------------------------------------

    def find(self, id: str) -> Message | None:
        """Return a message by its ID."""
        rows = self._rows("message_row", id)
        return rows[0] if rows else None

    def counts(self) -> dict[int, list[int]]:
        """Return, per queue, how many messages wait and how many are leased."""
        if self._counts is None:
            counts: dict[int, list[int]] = {}
            for slot, count in self._session.rows("count_slots"):
                if slot > 0:
                    counts.setdefault(slot, [0, 0])[0] = count
            for queue, count in self._session.rows("count_leased"):
                counts.setdefault(queue, [0, 0])[1] = count
            self._counts = counts
        return self._counts

    def _count(self, queue: int, waiting: int, leased: int) -> None:
        if self._counts is not None:
            row = self._counts.setdefault(queue, [0, 0])
            row[0] += waiting
            row[1] += leased

    def _rows(self, name: str, *values: object) -> list[Message]:
        return [Message(*row) for row in self._session.rows(name, *values)]
