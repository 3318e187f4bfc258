"""Messages under lease.

A message waits in the slot of its queue or is leased in the slot of its owner, for LEASE_S unless
the owner renews it by name.
Every change of a leased message compares its token, so that nobody who was paused past a lease
can overwrite what came after.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from wherry import limits
from wherry.effects import SendMessage
from wherry.platforms.shared.origins import Origin, Thread
from wherry.platforms.shared.queues import note_due
from wherry.platforms.shared.shapes import PARKED, Queue
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.owners import Owners
from wherry.platforms.sql.parking import Parking
from wherry.platforms.sql.prefixes import with_followers
from wherry.platforms.sql.rows import Lease, Message, fitting
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.tallies import Tallies
from wherry.platforms.sql.tasks import given_up
from wherry.ports import Claim, Claimed, Claims, Poll, Polled, Recover, Release, Renew

FAR_MS = 1 << 60


class Messages:
    """The messages of all queues, and who leases them."""

    def __init__(self, session: Session, catalog: Catalog, inbox: Inbox) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox
        self._payloads = inbox.payloads
        self.tallies = Tallies(session)
        self._count = self.tallies.change
        self.parking = Parking(session, catalog, inbox)
        self._insert, self._delete = session.sql["message_insert"], session.sql["message_delete"]
        self._cancel = session.sql["message_cancel"]
        self._claimed = session.sql["claimed"]
        self._owners = Owners(session)
        self._leases: dict[str, Lease] = {}
        self.forget()

    def forget(self) -> None:
        """Read anew what is kept in memory (after a rollback, or at the start)."""
        session = self._session
        # Queues where a message's turn has come, and when it is due: a hint, for who may claim it.
        self.woken: dict[str, int] = {}
        self._owners.forget()
        # By message ID, in the order in which they end: all that `leased` must know.
        until = session.steady_s + limits.LEASE_S
        before = self._leases
        leases = [
            (id, Lease(before[id].until_s if id in before else until, *row))
            for id, *row, _ in session.rows("leases_all")
        ]
        self._leases = dict(sorted(leases, key=lambda lease: lease[1].until_s))
        # A lower bound of when the first waiting message of a queue falls due.
        self._first_due: dict[int, int] = {}
        self.tallies.forget()

    # -- sending -----------------------------------------------------------------------------

    def send(
        self, queue: Queue, message: SendMessage, record: Origin, owner: str
    ) -> Claimed | int | None:
        """Add a message; return when it falls due. One that waits or has failed is not added.

        With an `owner` it is born leased to it, if nothing of the queue is due before it.
        The transaction is open.

        Args:
            record: The run that sends it.
        """
        if queue.special:
            return self._send_apart(queue, message, record, owner)
        session, id, body = self._session, message.id, message.body
        if self._inbox.has(id):
            return None
        now, number, first_due = session.now_ms, queue.id, self.first_due(queue.id)
        due = now + message.delay_ms
        expires = due + queue.retention_ms
        correlation, traceparent = record.correlation_id, record.traceparent
        seq = session.next()
        if owner and due == now < first_due:
            holder = self._owners.number(owner)
            row = (-seq, id, -holder, due, number, seq, 1, 0, now, now, expires)
            session.run(self._insert, (*row, correlation, traceparent, "", body))
            if not session.changes():
                return None
            self._count(number, 0, 1)
            self._leases[id] = Lease(session.steady_s + limits.LEASE_S, holder, -seq, seq, number)
            return Claimed(queue.name, id, seq, 1, body, now, now, now, correlation, traceparent)
        row = (seq, id, number, due, number, 0, 0, 0, now, 0, expires)
        session.run(self._insert, (*row, correlation, traceparent, "", body))
        if not session.changes():
            return None
        self._count(number, 1, 0)
        if due < first_due:
            self._first_due[number] = due
        return due

    def _send_apart(
        self, queue: Queue, message: SendMessage, record: Origin, owner: str
    ) -> Claimed | int | None:
        """Add a message of a queue with groups, or of a paused one."""
        session, number, now = self._session, queue.id, self._session.now_ms
        if self._inbox.has(message.id) or self.find(message.id) is not None:
            return None
        row = self.parking.admit(queue, message, record)
        if row is None:
            self._payloads.remove(number, message.body)
            return None
        first_due = self.first_due(number)
        if owner and row.due_ms == now < first_due and row.slot == number and not queue.paused:
            seq, holder = row.seq, self._owners.number(owner)
            row = row._replace(slot=-holder, token=seq, attempts=1, started_ms=now)
            session.run(session.sql["grouped_insert"], row)
            self._count(number, 0, 1)
            until = session.steady_s + limits.LEASE_S
            self._leases[row.id] = Lease(until, holder, seq, seq, number, row.grp)
            if not queue.fifo:  # it has had its turn: the next one of its key comes
                self.settle(number, row.grp)
            return Claimed(queue.name, row.id, seq, 1, row.body, now, now, now, *row[11:13])
        session.run(session.sql["grouped_insert"], row)
        self._count(number, 1, 0)
        if row.slot != number:
            return None  # nobody can claim it before its turn
        self._first_due[number] = min(first_due, row.due_ms)
        return None if queue.paused else row.due_ms

    def tell(self, message: SendMessage, origin: Origin) -> None:
        """Send what no commit sends; who claims its queue learns of it soon."""
        queue = self._catalog.queue(message.queue)
        if queue is not None:
            self._session.begin()
            due = self.send(queue, message, origin, "")
            if isinstance(due, int):
                self.wake(queue.name, due)

    def cancel(self, queue: int, id: str) -> None:
        """Remove a message if it waits in this queue. The transaction is open."""
        row = self._session.run(self._cancel, (id, queue, queue + PARKED)).fetchone()
        if row is not None:
            self._count(queue, -1, 0)
            self._payloads.remove(queue, row[1])
            self.settle(queue, row[0])

    def put_back(self, row: Message) -> None:
        """Put a message into its queue as it stands (a redrive)."""
        session = self._session
        session.begin()
        self._count(row.queue, 1, 0)
        if row.grp is None:
            session.run(self._insert, row[:15])
            self._first_due[row.queue] = min(self.first_due(row.queue), row.due_ms)
        else:
            session.run(session.sql["grouped_insert"], row._replace(slot=row.queue + PARKED))
            self.settle(row.queue, row.grp)

    def take_woken(self) -> dict[str, int]:
        """Return the queues where a message's turn has come, once."""
        woken, self.woken = self.woken, {}
        return woken

    def wake(self, queue: str, due_ms: int) -> None:
        """Let who claims a queue know that a message of it falls due."""
        note_due(self.woken, queue, due_ms)

    def wake_all(self) -> None:
        """Look at every queue anew: what waits there may have become due."""
        self._first_due.clear()
        self.woken.update(dict.fromkeys(self._catalog.queues, self._session.now_ms))

    def settle(self, queue: int, group: str | None) -> None:
        """After a change of a group (None: of none): let its next message come if it may."""
        if group is None:
            return
        due = self.parking.settle(queue, group)
        if due is not None:
            self._first_due[queue] = min(self.first_due(queue), due)
            self.wake(self._catalog.name(queue), due)

    def first_due(self, queue: int) -> int:
        """Return when the first waiting message of a queue falls due, or an earlier moment."""
        due = self._first_due.get(queue)
        if due is None:
            row = self._session.row("next_due", queue)
            due = self._first_due[queue] = row[0] if row else FAR_MS
        return due

    # -- leases ------------------------------------------------------------------------------

    def renew(self, request: Renew) -> None:
        """Extend the leases that the owner names and still holds."""
        owner = self._owners.find(request.owner)
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
        owner, known = self._owners.find(request.owner), set(request.ids)
        for id in [id for id, lease in self._leases.items() if lease.owner == owner]:
            row = None if id in known else self.find(id)
            if row is not None:
                self._give_back(row, row.due_ms, "", counted=False)

    def free_others(self, owner: str) -> None:
        """Give back what everybody else held, the attempt counted."""
        keep = self._owners.find(owner)
        for id in [id for id, lease in self._leases.items() if lease.owner != keep]:
            self._end_lease(id)
        self._owners.remove_others(keep)

    def _end_lease(self, id: str) -> None:
        row = self.find(id)
        assert row is not None
        queue = self._catalog.queues_by_id.get(row.queue)
        if queue is not None and row.attempts >= queue.max_attempts:
            error = "The lease of the last attempt ended without an answer."
            self.bury(row, queue.consumer, "lease_expired", error)
        else:
            self._give_back(row, row.due_ms, "The lease ended without an answer.", counted=True)
            self.wake(self._catalog.name(row.queue), row.due_ms)

    # -- claiming ----------------------------------------------------------------------------

    def poll(self, request: Poll) -> Polled:
        """Say in which queues something is due, or when."""
        self.end_leases()
        found = ((name, self._catalog.find("queue", name)) for name in request.queues)
        due = {name: self.first_due(queue) for name, queue in found if queue is not None}
        queued = {name: due_ms for name, due_ms in due.items() if due_ms != FAR_MS}
        return Polled(queued, self._session.now_ms)

    def claim(self, request: Claim) -> Claims:
        """Lease what is due, in the order in which it fell due."""
        session = self._session
        self.end_leases()
        queue = self._catalog.find("queue", request.queue)
        declared = None if queue is None else self._catalog.queues_by_id.get(queue)
        if queue is None or (declared is not None and declared.paused):
            return Claims([], None, now_ms=self._session.now_ms)
        now = session.now_ms
        claimed: list[Claimed] = []
        if self.first_due(queue) <= now:
            limit = max(0, min(request.limit, limits.CLAIM_BATCH))
            while rows := session.rows("claim", queue, now, limit - len(claimed)):
                session.begin()
                rows = fitting(rows)
                claimed += self.take(rows, queue, request)
                if not self._come_forward(queue, rows) or len(claimed) == limit:
                    break
            if request.prefix > 1 and declared is not None and declared.fifo:
                claimed = with_followers(self, claimed, limit, request)
            row = session.row("next_due", queue)
            self._first_due[queue] = row[0] if row else FAR_MS
        due = self._first_due[queue]
        self.woken.pop(request.queue, None)  # who claims learns it from the answer
        return Claims(claimed, None if due == FAR_MS else due, now_ms=self._session.now_ms)

    def take(self, rows: list[tuple[Any, ...]], queue: int, request: Claim) -> list[Claimed]:
        """Lease these rows. The transaction is open."""
        session, name, leases = self._session, request.queue, self._leases
        owner, until = self._owners.number(request.owner), session.steady_s + limits.LEASE_S
        claimed: list[Claimed] = []
        changes: list[tuple[int, int, int, int, int]] = []
        for seq, id, due, attempts, sent, begun, correlation, traceparent, body, grp in rows:
            token, attempt, started = session.next(), attempts + 1, begun or session.now_ms
            changes.append((-owner, token, attempt, started, seq))
            leases[id] = Lease(until, owner, seq, token, queue, grp)
            claimed.append(
                Claimed(
                    name, id, token, attempt, body, sent, due, started, correlation, traceparent
                )
            )
        session.many(self._claimed, changes)
        self._count(queue, -len(rows), len(rows))
        return claimed

    def _come_forward(self, queue: int, rows: list[tuple[Any, ...]]) -> bool:
        """Let the next message of each key come whose turn was just taken; whether any did."""
        keys = {row[-1]: None for row in rows if row[-1] is not None}
        if not keys or not self.parking.takes_turns(queue):
            return False
        for key in keys:
            self.settle(queue, key)
        return True

    # -- ending ------------------------------------------------------------------------------

    def leased(self, id: str, token: int) -> Lease | None:
        """Return the lease of a message that is held under this token."""
        lease = self._leases.get(id)
        return lease if lease is not None and lease.token == token else None

    def acknowledge(self, id: str) -> None:
        """Delete a leased message. The transaction is open."""
        lease = self._leases.pop(id)
        if lease.queue in self._catalog.claiming and (row := self.find(id)) is not None:
            self._payloads.remove(lease.queue, row.body)
        self._session.run(self._delete, (lease.seq,))
        self._count(lease.queue, 0, -1)
        if lease.grp is not None:
            self.settle(lease.queue, lease.grp)

    def take_leased(self, id: str, token: int) -> Message | None:
        """Return a message that is leased under this token."""
        return self.find(id) if self.leased(id, token) else None

    def withdraw(self, queue: str, id: str) -> None:
        """Remove a message of this queue ("": any), waiting or leased. The transaction is open."""
        row = self.find(id)
        if row is not None and queue in ("", self._catalog.name(row.queue)):
            self._remove(row)
            self._payloads.remove(row.queue, row.body)
            self.settle(row.queue, row.grp)

    def _remove(self, row: Message) -> None:
        self._leases.pop(row.id, None)
        self._session.write("message_delete", row.seq)
        self._count(row.queue, *((-1, 0) if row.slot > 0 else (0, -1)))

    def bury(self, row: Message, function: str, code: str, error: str) -> None:
        """Move a message to the failure inbox. A task's failure is its execution's to deal with."""
        self._remove(row)
        queue = self._catalog.queues_by_id.get(row.queue)
        if queue is not None and queue.tasks and (told := given_up(row, code, error)) is not None:
            self.tell(told, Thread(row.correlation, row.traceparent))
            return
        place = row.place if queue is not None and queue.blocks else None
        self._inbox.add(
            row.id, row.queue, function, code, error, row.attempts, row.redrives, row.sent_ms,
            row.started_ms, row.correlation, row.traceparent, row.body, row.grp, place,
        )  # fmt: skip
        self.settle(row.queue, row.grp)

    def release(self, request: Release) -> bool:
        """Give a message back; what outlived its queue's retention is buried. False: not ours."""
        row = self.take_leased(request.id, request.token)
        if row is None:
            return False
        now = self._session.now_ms
        queue = self._catalog.queues_by_id.get(row.queue)
        if queue is not None and queue.is_over(row.expires_ms, now):
            self.expire(row, queue)
        else:
            delay = max(0, request.delay_ms)
            self._give_back(row, now + delay, request.error, counted=request.counted)
        return True

    def _give_back(self, row: Message, due_ms: int, error: str, *, counted: bool) -> None:
        attempts = row.attempts if counted else max(0, row.attempts - 1)
        self._leases.pop(row.id, None)
        self._count(row.queue, 1, -1)
        if row.grp is not None:  # others of its group may be active: who is next, is settled
            turns = self.parking.takes_turns(row.queue)
            how = "give_back_parked" if turns else "give_back_behind"
            self._session.write(how, due_ms, attempts, error or row.error, row.seq)
            self.settle(row.queue, row.grp)
            return
        self._session.write("give_back", due_ms, attempts, error or row.error, row.seq)
        self._first_due[row.queue] = min(self.first_due(row.queue), due_ms)

    def expire(self, row: Message, queue: Queue) -> None:
        """Bury a message that has outlived its queue's retention."""
        error = row.error or "The message was not done within its queue's retention."
        self.bury(row, queue.consumer, "expired", error)

    # -- looking -----------------------------------------------------------------------------

    def find(self, id: str) -> Message | None:
        """Return a message by its ID."""
        row = self._session.row("message_row", id)
        return Message(*row) if row else None
