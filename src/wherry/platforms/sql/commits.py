"""The commit: everything is checked, then everything is applied.

Nothing is written before the last check has passed, so that a commit that fails undoes only
itself and needs no savepoint. Every check sees what the commits before it in the batch did.
"""

from __future__ import annotations

from typing import assert_never

import msgspec

from wherry import limits
from wherry.effects import (
    CancelMessage,
    DeleteItem,
    DeleteObject,
    Effect,
    PutItem,
    PutObject,
    SendMessage,
    UpdateItem,
)
from wherry.platforms.sql.catalog import Catalog, Grants
from wherry.platforms.sql.items import Change, Items, Rows, describe_key
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.records import Records
from wherry.platforms.sql.replies import Replies
from wherry.platforms.sql.session import Session
from wherry.ports import (
    Already,
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

_effects = msgspec.msgpack.Decoder(list[Effect])
REPLY_BYTES = limits.REPLY_BODY_BYTES + limits.HEADER_BYTES


class Plan:
    """What a commit that has passed its checks will do."""

    __slots__ = ("acknowledged", "cancelled", "changes", "messages", "objects", "replies", "rows")

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.messages: list[SendMessage] = []
        self.cancelled: list[CancelMessage] = []
        self.objects: list[PutObject | DeleteObject] = []
        self.replies: list[ReplyAck] = []
        self.acknowledged: list[str] = []
        self.rows: Rows = {}


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
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._items = items
        self._messages = messages
        self._objects = objects
        self._records = records
        self._replies = replies

    def commit(self, caller: str, commit: Commit) -> CommitAnswer:
        """Check and apply one commit. What it says holds once the batch is committed."""
        if caller and caller.partition("@")[0] != commit.function:
            return Denied(commit.function, "commit")
        if self._records.known(commit.record.number):
            return Already(self._stored(commit))
        try:
            effects = _effects.decode(commit.effects)
        except msgspec.MsgspecError as error:
            return Rejected(f"The effects cannot be read: {error}")
        refused = _out_of_bounds(commit, effects) or self._refused(commit, effects)
        if refused is not None:
            return refused
        plan = Plan()
        stopped = (
            self._check_acks(commit, plan)
            or self._check_guards(commit, plan)
            or self._check_effects(effects, plan)
        )
        if stopped is not None:
            return stopped
        return self._apply(commit, plan)

    def _stored(self, commit: Commit) -> StoredReply | None:
        for ack in commit.acks:
            if isinstance(ack, ReplyAck):
                return self._replies.get(ack.key)
        return None

    # -- checks ------------------------------------------------------------------------------

    def _refused(self, commit: Commit, effects: list[Effect]) -> Denied | Rejected | None:
        """Check that all that is named exists, and that the function may use it."""
        grants: Grants | None = None
        if commit.function:
            grants = self._catalog.grants(f"{commit.function}@{commit.record.release}")
        catalog = self._catalog
        for guard in commit.guards:
            if guard.table not in catalog.tables:
                return Rejected(f"There is no table {guard.table!r}.")
            if grants is not None and ("table", guard.table, "read") not in grants:
                return Denied(guard.table, "read")
        for effect in effects:
            kind, name, action, known = self._use(effect, grants)
            if grants is not None and (kind, name, action) not in grants:
                return Denied(name, action)
            if not known:
                return Rejected(f"There is no {kind} {name!r}.")
        return None

    def _use(self, effect: Effect, grants: Grants | None) -> tuple[str, str, str, bool]:
        """Return kind, name and action of what an effect uses, and whether that exists."""
        catalog = self._catalog
        match effect:
            case PutItem() | UpdateItem() | DeleteItem():
                return "table", effect.table, "write", effect.table in catalog.tables
            case SendMessage() | CancelMessage():
                return "queue", effect.queue, "send", effect.queue in catalog.queues
            case PutObject():
                create = effect.if_absent and ("bucket", effect.bucket, "create") in (grants or ())
                action = "create" if create else "write"
                return "bucket", effect.bucket, action, effect.bucket in catalog.buckets
            case DeleteObject():
                own = ("bucket", effect.bucket, "delete") in (grants or ())
                replaces = ("bucket", effect.bucket, "write") in (grants or ())
                action = "write" if replaces and not own else "delete"
                return "bucket", effect.bucket, action, effect.bucket in catalog.buckets
            case _:
                assert_never(effect)

    def _check_acks(self, commit: Commit, plan: Plan) -> CommitAnswer | None:
        already: Already | None = None
        for ack in commit.acks:
            match ack:
                case MessageAck():
                    if self._messages.leased(ack.id, ack.token) is None:
                        return LeaseLost()
                    plan.acknowledged.append(ack.id)
                case ReplyAck():
                    stored = self._replies.get(ack.key)
                    if stored is not None:
                        already = already or Already(stored)
                    plan.replies.append(ack)
                case _:
                    assert_never(ack)
        return already

    def _check_guards(self, commit: Commit, plan: Plan) -> Conflicted | None:
        for guard in commit.guards:
            lost = self._items.check_guard(guard, self._catalog.tables[guard.table], plan.rows)
            if lost is not None:
                key, number = lost
                winner = self._records.get(number) if number else None
                names = (winner.function, winner.request_id) if winner else ("", "")
                return Conflicted(guard.table, key, *names)
        return None

    def _check_effects(self, effects: list[Effect], plan: Plan) -> Unmet | Rejected | None:
        for effect in effects:
            match effect:
                case PutItem() | UpdateItem() | DeleteItem():
                    change = self._items.plan(effect, self._catalog.tables[effect.table], plan.rows)
                    if not isinstance(change, Change):
                        return change
                    plan.changes.append(change)
                case SendMessage():
                    plan.messages.append(effect)
                case CancelMessage():
                    plan.cancelled.append(effect)
                case PutObject():
                    if effect.if_absent and self._objects.is_there(effect.bucket, effect.key):
                        return Unmet(effect.bucket, effect.key)
                    plan.objects.append(effect)
                case DeleteObject():
                    plan.objects.append(effect)
                case _:
                    assert_never(effect)
        return None

    # -- applying ----------------------------------------------------------------------------

    def _apply(self, commit: Commit, plan: Plan) -> Committed:
        session, record = self._session, commit.record
        session.begin()
        for id in plan.acknowledged:
            self._messages.acknowledge(id)
        if plan.changes:
            version = session.next()
            for change in plan.changes:
                self._items.apply(change, version, record.number)
        for cancelled in plan.cancelled:
            self._messages.cancel(self._catalog.queues[cancelled.queue].id, cancelled.id)
        for effect in plan.objects:
            self._objects.apply(effect)
        for reply in plan.replies:
            self._replies.add(reply)
        done = self._send(commit, plan) if plan.messages else Committed([])
        self._records.add(record, [message.id for message in plan.messages])
        return done

    def _send(self, commit: Commit, plan: Plan) -> Committed:
        record = commit.record
        free = dict(commit.leases) if commit.owner else {}
        leased: list[Claimed] = []
        queued: dict[str, int] = {}
        for message in plan.messages:
            queue = message.queue
            sent = self._messages.send(
                self._catalog.queues[queue],
                message.id,
                message.body,
                message.delay_ms,
                record.correlation_id,
                record.traceparent,
                commit.owner if free.get(queue, 0) > 0 else "",
            )
            if isinstance(sent, Claimed):
                leased.append(sent)
                free[queue] -= 1
            elif sent is not None:
                queued[queue] = min(sent, queued.get(queue, sent))
        return Committed(leased, queued)


def _out_of_bounds(commit: Commit, effects: list[Effect]) -> Rejected | None:
    length = len(memoryview(commit.effects))
    if len(effects) > limits.COMMIT_EFFECTS:
        return Rejected(
            f"A commit takes at most {limits.COMMIT_EFFECTS} effects, these are {len(effects)}."
        )
    if length > limits.COMMIT_BYTES:
        return Rejected(f"A commit takes at most {limits.COMMIT_BYTES} bytes, these are {length}.")
    for ack in commit.acks:
        if isinstance(ack, ReplyAck) and len(ack.body) > REPLY_BYTES:
            return Rejected(f"A reply has at most {REPLY_BYTES} bytes.")
    keys: set[object] = set()
    for effect in effects:
        match effect:
            case PutItem() | UpdateItem() | DeleteItem():
                key: tuple[object, ...] = (effect.table, effect.pk, effect.sk)
            case SendMessage():
                key = (effect.id,)
                fault = _message_fault(effect)
                if fault:
                    return Rejected(f"message {effect.id} to {effect.queue}: {fault}")
            case CancelMessage():
                key = (effect.id,)
            case PutObject() | DeleteObject():
                key = (effect.bucket, effect.key)
                if not 0 < len(effect.key.encode()) <= limits.OBJECT_KEY_BYTES:
                    return Rejected(
                        f"{effect.bucket}: a key has 1 to {limits.OBJECT_KEY_BYTES} bytes."
                    )
                size = effect.size_bytes if isinstance(effect, PutObject) else 0
                if not 0 <= size <= limits.OBJECT_BYTES:
                    return Rejected(f"{effect.bucket}: an object of {size} bytes.")
            case _:
                assert_never(effect)
        keys.add(key)
    if len(keys) < len(effects):
        return Rejected(f"Two effects of one commit on {_repeated(effects)}.")
    if commit.guards:
        keys.update((guard.table, guard.pk, guard.sk) for guard in commit.guards)
        if len(keys) > limits.COMMIT_EFFECTS:
            return Rejected(
                f"A commit takes at most {limits.COMMIT_EFFECTS} distinct keys, written or "
                f"guarded; these are {len(keys)}."
            )
    return None


def _repeated(effects: list[Effect]) -> str:
    """Name what more than one effect is on."""
    seen: set[str] = set()
    for effect in effects:
        match effect:
            case PutItem() | UpdateItem() | DeleteItem():
                shown = f"{effect.table} {describe_key(effect.pk, effect.sk)}"
            case SendMessage() | CancelMessage():
                shown = f"message {effect.id}"
            case PutObject() | DeleteObject():
                shown = f"{effect.bucket} {effect.key}"
            case _:
                assert_never(effect)
        if shown in seen:
            return shown
        seen.add(shown)
    return "one key"


def _message_fault(effect: SendMessage) -> str:
    if len(effect.body) > limits.MESSAGE_BYTES:
        return f"a message has at most {limits.MESSAGE_BYTES} bytes, this one {len(effect.body)}."
    if not 0 < len(effect.id) <= limits.MESSAGE_ID_LENGTH:
        return f"an ID has 1 to {limits.MESSAGE_ID_LENGTH} characters."
    if not 0 <= effect.delay_ms <= limits.DELAY_MAX_S * 1000:
        return f"a delay has 0 to {limits.DELAY_MAX_S} seconds."
    return ""
