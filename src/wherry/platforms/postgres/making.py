"""What a commit hands to the database: its changes as rows, worked out from what was read."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry.codec import to_msgpack
from wherry.effects import (
    Absent,
    DeleteObject,
    Present,
    PutItem,
    PutObject,
    SendMessage,
    UpdateItem,
)
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.keys import indexed, whole
from wherry.platforms.shared.changes import Change
from wherry.platforms.shared.plans import Plan
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.shared.spread import change_body, object_sends, to_followers
from wherry.ports import ObjectRow, Rejected
from wherry.telemetry import InvocationRecord

BLIND, IF_ABSENT, IF_PRESENT, SEEN, UNMET, REJECTED = range(6)  # kinds of `change`
WHOLE, TIME, VERSION = range(3)  # tails of `send`
FAULTS = (ValueError, TypeError, OverflowError, msgspec.MsgspecError)


class Made:
    """One commit's changes and messages.

    Attributes:
        reads: Whether something must be read before it can be made.
        opened: IDs of the messages whose bodies lack the time.
        faults: What is wrong with changes, by their place in the plan.
        sends: All messages with their queues, by their IDs.
        since: From when on queues are searched whose messages may be born leased.
    """

    def __init__(self, catalog: Catalog, number: int, plan: Plan) -> None:
        self._catalog = catalog
        self._number = number
        self.plan = plan
        self.opened: set[str] = set()
        self.faults: dict[int, Rejected] = {}
        self.sends: dict[str, tuple[SendMessage, Queue]] = {}
        self.since: dict[int, int] = {}
        self.objects: dict[tuple[str, str], ObjectRow] = {}
        self.object_effects = [
            one for one in plan.others if isinstance(one, PutObject | DeleteObject)
        ]
        self.all_objects = [self._key(one) for one in self.object_effects]
        heard = catalog.listeners.objects
        self.object_keys = [
            self._key(one)
            for one in self.object_effects
            if isinstance(one, DeleteObject) and one.bucket in heard
        ]
        self._kinds = [BLIND] * len(plan.changes)
        self._seen: list[int | None] = [None] * len(plan.changes)
        self._gone: list[bool] = [False] * len(plan.changes)  # an expired one that is told as gone
        self._extra: list[tuple[SendMessage, Queue, int, int]] = []
        self.reads = bool(self.object_keys) or any(map(self.needs, plan.changes))
        if not self.reads:
            self.work_out()

    def _key(self, effect: PutObject | DeleteObject) -> tuple[int, bytes]:
        return self._catalog.number("bucket", effect.bucket), effect.key.encode()

    def needs(self, change: Change) -> bool:
        """Whether a change can only be worked out from what stands there."""
        when = change.effect.when
        return (
            isinstance(change.effect, UpdateItem)
            or bool(change.table.followers)
            or not (when is None or isinstance(when, Absent | Present))
        )

    def saw(self, change: Change, row: tuple[Any, ...] | None, now_ms: int) -> None:
        """Take over what stands there: version, when it expires, body; None: nothing."""
        at = self.plan.changes.index(change)
        self._seen[at] = row[0] if row else 0
        gone = row is None or row[1] == 0
        change.old = None if gone or row is None else (0, row[0], 0, row[1], row[2])
        self._gone[at] = (
            change.old is not None and row is not None and (row[1] is not None and row[1] <= now_ms)
        )

    def work_out(self) -> None:
        """Work out all changes, and what they send."""
        self._extra = []
        self.faults = {}
        for at, change in enumerate(self.plan.changes):
            change.body = None
            kind = SEEN if self.needs(change) else self._blind(change)
            stored: bytes | None = None
            try:
                met = True
                if kind == SEEN:
                    if change.old is not None and not self._gone[at]:
                        stored = change.old[4]
                    met = change.decide(stored)
                elif isinstance(change.effect, PutItem):
                    change.body = change.effect.body
                if met:
                    change.derive()
                else:
                    kind = UNMET
            except FAULTS as error:
                self.faults[at] = change.refusal(stored, error)
                kind = REJECTED
            self._kinds[at] = kind
            if kind == SEEN and change.table.followers:
                self._follow(change, at)
        for effect in self.object_effects:
            self._spread(effect)

    def _blind(self, change: Change) -> int:
        when = change.effect.when
        if when is None:
            return BLIND
        return IF_ABSENT if isinstance(when, Absent) else IF_PRESENT

    def _follow(self, change: Change, at: int) -> None:
        """Tell who follows the table."""
        old = change.old
        before = None if old is None else old[4]
        prefix = f"change.{self._number}.{len(self.plan.sends) + len(self._extra)}"
        if before is not None and self._gone[at] and change.body is not None:
            # It had expired, unseen by the sweep: it goes, and another one comes.
            self._tell(change, b"remove", before, None, f"{prefix}.r", 0)
            before = None
        if before == change.body:
            return
        if change.body is None:
            self._tell(change, b"remove", before, None, f"{prefix}.r", 0)
            return
        kind = b"insert" if before is None else b"modify"
        self._tell(change, kind, before, change.body, f"{prefix}.w", at + 1)

    def _tell(
        self, change: Change, kind: bytes, old: bytes | None, new: bytes | None, id: str, at: int
    ) -> None:
        body = change_body(change.table, kind, change.key[1:], old, new)
        for message, queue in to_followers(change.table, change.key[1:], id, body):
            self._extra.append((message, queue, VERSION, at))

    def _spread(self, effect: PutObject | DeleteObject) -> None:
        """Tell who listens to a bucket."""
        listeners = self._catalog.listeners.objects.get(effect.bucket, [])
        prefix = f"object.{self._number}.{len(self.plan.sends) + len(self._extra)}"
        old = self.objects.get((effect.bucket, effect.key))
        for message, queue in object_sends(effect, old, listeners, prefix):
            self._extra.append((message, queue, TIME, 0))

    # -- rows --------------------------------------------------------------------------------

    def change_rows(self) -> list[tuple[Any, ...]]:
        """Return the changes as the database takes them."""
        return [
            (
                change.key[0],
                indexed(change.key[1]),
                change.key[2],
                whole(change.key[1]),
                kind,
                seen,
                change.body,
                change.expires_ms if change.body is not None else None,
                _entries(change),
            )
            for change, kind, seen in zip(self.plan.changes, self._kinds, self._seen, strict=True)
        ]

    def object_rows(self) -> list[tuple[Any, ...]]:
        """Return the changes of objects."""
        rows: list[tuple[Any, ...]] = []
        for effect, key in zip(self.object_effects, self.all_objects, strict=True):
            number, name = key[0], effect.bucket
            if isinstance(effect, PutObject):
                rows.append(
                    (
                        number, name, key[1], effect.blob, effect.size_bytes, effect.sha256,
                        effect.media_type, to_msgpack(effect.metadata), effect.if_absent, None,
                    )
                )  # fmt: skip
                continue
            seen = None
            if key in self.object_keys:
                old = self.objects.get((name, effect.key))
                seen = "" if old is None else old.blob
            rows.append((number, name, key[1], None, None, None, None, None, False, seen))
        return rows

    def send_rows(self, leases: dict[str, int]) -> tuple[list[Any], list[Any]]:
        """Return the messages: of queues without groups, and the others.

        Args:
            leases: Places that the engine has, by queue.
        """
        tails = [
            (message, queue, TIME if message.id in self.opened else WHOLE, 0)
            for message, queue in self.plan.sends
        ]
        tails += self._extra
        self.sends = {message.id: (message, queue) for message, queue, _, _ in tails}
        plain: list[Any] = []
        apart: list[Any] = []
        places = dict(leases)
        for message, queue, tail, at in tails:
            wanted = message.delay_ms == 0 and places.get(queue.name, 0) > 0
            if wanted and not queue.special:
                places[queue.name] -= 1
            row = send_row(message, queue, tail, at, wanted)
            (apart if queue.special else plain).append(row)
        return plain, apart


def _entries(change: Change) -> list[Any] | None:
    if not change.table.indexes:
        return None
    if change.body is None:
        return []
    return [(number, indexed(key), sort) for number, key, sort in change.entries]


def send_row(
    message: SendMessage, queue: Queue, tail: int = WHOLE, change: int = 0, wanted: bool = False
) -> tuple[Any, ...]:
    """Return a message as the database takes it."""
    return (
        queue.id,
        message.id,
        message.body,
        message.delay_ms,
        queue.retention_ms,
        message.group if queue.grouped else None,
        queue.dedup(message),
        tail,
        change,
        wanted,
    )


def record_row(record: InvocationRecord) -> tuple[Any, ...]:
    """Return a record as the database takes it."""
    return (
        record.number,
        record.at_ms,
        record.correlation_id,
        record.traceparent,
        record.function,
        record.request_id,
        to_msgpack(record),
        None,
    )


def plain_arguments(arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """Return the arguments of `commit_plain`, made of those of `commit_run`; None: it cannot."""
    (
        catalog, locks, guards, changes, objects, cancels, plain, apart, messages, replies, record,
        others, _, rooms, who, lease_ms, in_groups,
    ) = arguments  # fmt: skip
    if objects or cancels or apart or others or in_groups or len(messages) + len(replies) > 1:
        return None
    for _, _, _, _, kind, _, body, _, entries in changes:
        if kind > IF_PRESENT or body is None or entries is not None:
            return None
    wanted: set[int] = set()
    for queue, _, _, _, _, _, _, tail, _, at_once in plain:
        if tail != WHOLE:
            return None
        if at_once:
            wanted.add(queue)
    free = [room for room in rooms if room[0] in wanted] if wanted else []
    ack = messages[0] if messages else (None, None)
    return (
        catalog, locks, guards, changes, plain, free, *ack, replies, record, who, lease_ms
    )  # fmt: skip
