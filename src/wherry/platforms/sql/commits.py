"""The commit: everything is checked, then everything is applied.

Nothing is written before the last check has passed, so that a commit that fails undoes only
itself and needs no savepoint. Every check sees what the commits before it in the batch did.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from wherry.effects import CancelMessage, PublishEvent, PutObject, SendMessage
from wherry.platforms.shared.orders import Orders
from wherry.platforms.shared.origins import Origin
from wherry.platforms.shared.plans import Plan, effects_of, reply_fault
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.shared.steps import Move
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.executions import Executions
from wherry.platforms.sql.items import Items, Rows
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.records import Records
from wherry.platforms.sql.replies import Replies
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.sources import Sources
from wherry.platforms.sql.touched import Touched
from wherry.ports import (
    Ack,
    Already,
    Broken,
    Claimed,
    Commit,
    CommitAnswer,
    Committed,
    Conflicted,
    Denied,
    LeaseLost,
    MessageAck,
    Rejected,
    ReplyAck,
    StoredReply,
    Unmet,
)


class Commits:
    """Commits, one after the other, in the batch's transaction."""

    def __init__(
        self,
        session: Session,
        catalog: Catalog,
        items: Items,
        messages: Messages,
        objects: Objects,
        records: Records,
        replies: Replies,
        sources: Sources,
        executions: Executions,
        orders: Orders,
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._items = items
        self._messages = messages
        self._objects = objects
        self._records = records
        self._replies = replies
        self._sources = sources
        self._executions = executions
        self._orders = orders
        self.touched: Touched | None = None  # where somebody wants to know what is changed

    def commit(self, caller: str, commit: Commit) -> CommitAnswer:
        """Check and apply one commit. What it says holds once the batch is committed."""
        function, record = commit.function, commit.record
        if caller and caller.partition("@")[0] != function:
            return Denied(function, "commit")
        if self._records.known(record.number):
            return self._again(commit)
        effects = effects_of(commit)
        if isinstance(effects, Rejected):
            return effects
        rights = self._catalog.rights(f"{function}@{record.release}" if function else "")
        plan = Plan(rights, commit.firsts)
        # What needs no reading comes first, then whether the work is still ours and what it saw
        # still holds; only then can a condition be judged.
        moves: list[Move] = []
        stopped = (
            plan.add(effects)
            or (self._executions.load(commit.advances, plan, moves) if commit.advances else None)
            or (plan.guard(commit.guards) if commit.guards else None)
            or (self._check_acks(commit.acks) if commit.acks else None)
            or self._check_state(plan, moves)
        )
        if stopped is not None:
            if isinstance(stopped, Already):
                self._delete_done(commit)
            return stopped
        return self._apply(commit, plan, moves)

    def _delete_done(self, commit: Commit) -> None:
        """Delete the message of a commit whose key has been there before."""
        acks = [ack for ack in commit.acks if isinstance(ack, MessageAck)]
        if len(acks) == 1:
            self._session.begin()
            self._messages.acknowledge(acks[0].id)
            self._records.add_new(replace(commit.record, ending="duplicate"), None)

    def _again(self, commit: Commit) -> Already | Broken:
        """Answer a commit whose number is there: asked for again, or another one's by mistake."""
        if self.applied(commit):
            return Already(self._stored(commit))
        return Broken("passing", f"The number {commit.record.number} is that of another run.")

    def applied(self, commit: Commit) -> bool:
        """Whether this very commit is there."""
        record = commit.record
        if not self._records.known(record.number):
            return False
        found = self._records.get(record.number)
        return found is None or found.request_id == record.request_id

    def _stored(self, commit: Commit) -> StoredReply | None:
        for ack in commit.acks:
            if isinstance(ack, ReplyAck):
                return self._replies.get(ack.key)
        return None

    # -- checks ------------------------------------------------------------------------------

    def _check_acks(self, acks: list[Ack]) -> Already | LeaseLost | Rejected | None:
        already: Already | None = None
        lost: list[str] = []
        for ack in acks:
            match ack:
                case MessageAck():
                    if self._messages.leased(ack.id, ack.token) is None:
                        lost.append(ack.id)
                case ReplyAck():
                    fault = reply_fault(ack)
                    if fault is not None:
                        return fault
                    stored = self._replies.get(ack.key)
                    if stored is not None:
                        already = already or Already(stored, ack.key)
                case _:
                    assert_never(ack)
        return LeaseLost(lost) if lost else already

    def _check_state(self, plan: Plan, moves: list[Move]) -> Conflicted | Unmet | Rejected | None:
        """Check what was seen, then the conditions, against the present state."""
        rows: Rows = {}
        for guard, table in plan.guards:
            lost = self._items.check_guard(guard, table, rows)
            if lost is not None:
                key, number = lost
                winner = self._records.get(number) if number else None
                names = (winner.function, winner.request_id) if winner else ("", "")
                return Conflicted(guard.table, key, *names)
        late = self._executions.check(moves) if moves else None
        if late is not None:
            return late
        for change in plan.changes:
            stopped = self._items.plan(change, rows)
            if stopped is not None:
                return stopped
        unmet = self._orders.check(plan) if plan.orders else None
        if unmet is not None:
            return unmet
        for effect in plan.others:
            if (
                isinstance(effect, PutObject)
                and effect.if_absent
                and self._objects.is_there(effect.bucket, effect.key)
            ):
                return Unmet(effect.bucket, effect.key)
            if isinstance(effect, PublishEvent):
                refused = self._sources.publish(effect, plan)
                if refused is not None:
                    return refused
        return None

    # -- applying ----------------------------------------------------------------------------

    def _apply(self, commit: Commit, plan: Plan, moves: list[Move]) -> Committed:
        record = commit.record
        self._session.begin()
        for ack in commit.acks:
            if isinstance(ack, MessageAck):
                self._messages.acknowledge(ack.id)
            else:
                self._replies.add(ack)
        for change in plan.changes:
            self._items.apply(change, record.number)
            if change.table.followers:
                self._sources.changed(change, record.number, plan)
        for effect in plan.others:
            if isinstance(effect, CancelMessage):
                self._messages.cancel(self._catalog.queues[effect.queue].id, effect.id)
            elif not isinstance(effect, PublishEvent):
                old = self._objects.apply(effect)
                if self._catalog.listeners.objects:
                    self._sources.object(effect, old, record.number, plan)
        if self.touched is not None:
            self.touched.add(commit, plan)
        if moves:
            self._executions.apply(moves, plan)
        if plan.orders:
            self._orders.apply(plan, record)
        for other in commit.others:
            self._records.add_new(other, None)
        if not plan.sends and not plan.told:
            self._records.add_new(record, plan.noted or None)
            return Committed([], self._messages.take_woken() if self._messages.woken else {})
        sent = [message.id for message, _ in plan.sends]
        if plan.told or plan.noted:
            sent += plan.shown()
        self._records.add_new(record, sent)
        return self._send(commit, plan)

    def _send(self, commit: Commit, plan: Plan) -> Committed:
        record, owner = commit.record, commit.owner
        free = commit.leases.copy()
        sends: Iterable[tuple[SendMessage, Queue, Origin]] = [
            *((message, queue, record) for message, queue in plan.sends),
            *plan.told,
        ]
        leased: list[Claimed] = []
        queued = self._messages.take_woken() if self._messages.woken else {}
        for message, queue, origin in sends:
            name = message.queue
            lessee = owner if free.get(name, 0) > 0 else ""
            sent = self._messages.send(queue, message, origin, lessee)
            if isinstance(sent, Claimed):
                leased.append(sent)
                free[name] -= 1
            elif sent is not None:
                queued[name] = min(sent, queued.get(name, sent))  # as `note_due`, sooner
        if not plan.begun:
            return Committed(leased, queued)
        begun = [plan.begun[one.id] for one in leased if one.id in plan.begun]
        return Committed(leased, queued, begun)
