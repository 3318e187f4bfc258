"""What a commit is going to do: its effects, checked as far as needs no reading, and sorted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, assert_never

import msgspec

from wherry import limits
from wherry.codec import ENCODED_PARTITION_KEY_BYTES, ENCODED_SORT_KEY_BYTES, from_json
from wherry.effects import (
    CancelMessage,
    DeleteItem,
    DeleteObject,
    Effect,
    EndTask,
    Guard,
    PublishEvent,
    PutItem,
    PutObject,
    RedriveExecution,
    SendMessage,
    StartExecution,
    StopExecution,
    UpdateItem,
)
from wherry.platforms.shared.changes import Change, ItemEffect, describe_key
from wherry.platforms.shared.origins import Origin, Standing
from wherry.platforms.shared.rights import Rights
from wherry.platforms.shared.shapes import Queue
from wherry.platforms.shared.tables import Table
from wherry.ports import Commit, Denied, Execution, First, Rejected, ReplyAck

TOLD_SHOWN = 100  # of what a step sends: a map's children begin in thousands
REPLY_BYTES = limits.REPLY_BODY_BYTES + limits.HEADER_BYTES

_effects = msgspec.msgpack.Decoder(list[Effect])
Order: TypeAlias = StartExecution | StopExecution | RedriveExecution | EndTask
_ACTIONS: dict[type[Order], str] = {
    StartExecution: "start",
    StopExecution: "stop",
    RedriveExecution: "redrive",
    EndTask: "complete",
}


def effects_of(commit: Commit) -> list[Effect] | Rejected:
    """Read the effects of a commit; return what is wrong with their size, form or number."""
    length = memoryview(commit.effects).nbytes
    if length > limits.COMMIT_BYTES:
        return Rejected(f"A commit takes at most {limits.COMMIT_BYTES} bytes, these are {length}.")
    try:
        effects = _effects.decode(commit.effects)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Rejected(f"The effects cannot be read: {error}")
    if len(effects) > limits.COMMIT_EFFECTS:
        return Rejected(
            f"A commit takes at most {limits.COMMIT_EFFECTS} effects, these are {len(effects)}."
        )
    return effects


def reply_fault(ack: ReplyAck) -> Rejected | None:
    """Return what is wrong with a reply that is to be stored."""
    if len(ack.body) > REPLY_BYTES:
        return Rejected(f"A reply has at most {REPLY_BYTES} bytes.")
    return None


def inapplicable(error: Exception) -> Rejected:
    """Say that the database has refused what a commit does."""
    return Rejected(f"The commit cannot be applied: {type(error).__name__}: {error}"[:1000])


class Wanted:
    """An order, what its messages belong to (None: the commit's run), and what it is on."""

    __slots__ = ("effect", "found", "origin")

    def __init__(self, effect: Order, origin: Origin | None) -> None:
        self.effect = effect
        self.origin = origin
        self.found: Standing | None = None


class Plan:
    """The effects of one commit, each with what it is on.

    Args:
        rights: What the function may do.
        firsts: First steps of executions that it starts.
    """

    __slots__ = (
        "begun",
        "changes",
        "count",
        "execution",
        "firsts",
        "guards",
        "keys",
        "noted",
        "orders",
        "others",
        "rights",
        "sends",
        "spread_bytes",
        "told",
    )

    def __init__(self, rights: Rights, firsts: Iterable[First] = ()) -> None:
        self.rights = rights
        self.firsts = {first.start: first for first in firsts}
        self.count = 0  # of all effects
        self.keys: set[object] = set()
        self.guards: list[tuple[Guard, Table]] = []
        self.changes: list[Change] = []
        self.sends: list[tuple[SendMessage, Queue]] = []
        self.others: list[CancelMessage | PutObject | DeleteObject | PublishEvent] = []
        self.orders: list[Wanted] = []
        self.execution: Standing | None = None  # whose effects are being added
        self.begun: dict[str, Execution] = {}  # by the ID of the message that begins it
        self.told: list[tuple[SendMessage, Queue, Origin]] = []  # sent besides, for executions
        self.noted: list[str] = []  # IDs of what a timeline shows too
        self.spread_bytes = 0  # what events send to their listeners

    def add(self, effects: list[Effect]) -> Denied | Rejected | None:
        """Take over the effects; return what is wrong with them.

        Checked are the bounds, and that all that is named exists and may be used.
        """
        keys, rights = self.keys, self.rights
        for effect in effects:
            match effect:
                case SendMessage():
                    queue = rights.queues.get(effect.queue)
                    if queue is None:
                        return rights.refusal("queue", effect.queue, "send")
                    fault = message_fault(effect)
                    if fault:
                        return Rejected(f"message {effect.id} to {effect.queue}: {fault}")
                    keys.add(effect.id)
                    self.sends.append((effect, queue))
                case PutItem() | UpdateItem() | DeleteItem():
                    table = rights.writable.get(effect.table)
                    if table is None:
                        return rights.refusal("table", effect.table, "write")
                    if (
                        not 0 < len(effect.pk) <= ENCODED_PARTITION_KEY_BYTES
                        or len(effect.sk) > ENCODED_SORT_KEY_BYTES
                    ):
                        return _key_fault(effect)
                    change = Change(table, effect)
                    keys.add(change.key)
                    self.changes.append(change)
                case CancelMessage():
                    if effect.queue not in rights.queues:
                        return rights.refusal("queue", effect.queue, "send")
                    keys.add(effect.id)
                    self.others.append(effect)
                case PublishEvent():
                    refused = self._add_event(effect)
                    if refused is not None:
                        return refused
                case PutObject() | DeleteObject():
                    refused = self._add_object(effect)
                    if refused is not None:
                        return refused
                case StartExecution() | StopExecution() | RedriveExecution() | EndTask():
                    refused = self._add_order(effect)
                    if refused is not None:
                        return refused
                case _:
                    assert_never(effect)
        self.count += len(effects)
        if len(keys) < self.count:
            return Rejected(f"Two effects of one commit on {_repeated(effects)}.")
        return None

    def adopt(
        self, effects: list[Effect], rights: Rights, execution: Standing
    ) -> Denied | Rejected | None:
        """Take over the effects of an execution's step, which has rights of its own."""
        own, self.rights, self.execution = self.rights, rights, execution
        refused = self.add(effects)
        self.rights, self.execution = own, None
        return refused

    def send(self, message: SendMessage, queue: Queue, origin: Origin) -> None:
        """Send a message besides those of effects and sources."""
        self.told.append((message, queue, origin))

    def shown(self) -> list[str]:
        """Return the IDs of what a timeline shows besides the messages of effects and sources."""
        return self.noted + [message.id for message, _, _ in self.told[:TOLD_SHOWN]]

    def _add_event(self, effect: PublishEvent) -> Denied | Rejected | None:
        rights, event = self.rights, effect.event
        if event not in rights.events or not rights.allows("event", event, "publish"):
            return rights.refusal("event", event, "publish")
        if len(effect.body) > limits.EVENT_BYTES:
            return Rejected(
                f"event {event}: {len(effect.body)} bytes; {limits.EVENT_BYTES} at most."
            )
        # Its messages are named after it and their queue.
        longest = limits.MESSAGE_ID_LENGTH - limits.NAME_LENGTH - 1
        if not 0 < len(effect.id) <= longest:
            return Rejected(f"event {event}: an ID has 1 to {longest} characters.")
        self.keys.add(effect.id)
        self.others.append(effect)
        return None

    def _add_object(self, effect: PutObject | DeleteObject) -> Denied | Rejected | None:
        rights, bucket = self.rights, effect.bucket
        if isinstance(effect, PutObject):
            create = effect.if_absent and rights.allows("bucket", bucket, "create")
            action, size = ("create" if create else "write"), effect.size_bytes
        else:
            # Who may replace an object may remove it.
            replaces = not rights.allows("bucket", bucket, "delete")
            replaces = replaces and rights.allows("bucket", bucket, "write")
            action, size = ("write" if replaces else "delete"), 0
        if bucket not in rights.buckets or not rights.allows("bucket", bucket, action):
            return rights.refusal("bucket", bucket, action)
        if not 0 < len(effect.key.encode()) <= limits.OBJECT_KEY_BYTES:
            return Rejected(f"{bucket}: a key has 1 to {limits.OBJECT_KEY_BYTES} bytes.")
        if not 0 <= size <= limits.OBJECT_BYTES:
            return Rejected(f"{bucket}: an object of {size} bytes.")
        self.keys.add((bucket, effect.key))
        self.others.append(effect)
        return None

    def _add_order(self, effect: Order) -> Denied | Rejected | None:
        action, workflow = _ACTIONS[type(effect)], effect.workflow
        if not self.rights.allows("workflow", workflow, action):
            return Denied(workflow, action)
        fault = _order_fault(effect)
        if fault:
            return Rejected(f"{workflow}: {fault}")
        if isinstance(effect, StartExecution) and effect.parent is not None:
            own = self.execution is not None and self.execution.id == effect.parent
            if not own:
                return Rejected(f"{workflow}: only an execution's own step begins one for it.")
        what = effect.token if isinstance(effect, EndTask) else effect.name
        self.keys.add(("workflow", workflow, what))  # one order for an execution or a task
        thread = None if self.execution is None else self.execution.thread
        self.orders.append(Wanted(effect, thread))
        return None

    def guard(self, guards: list[Guard]) -> Denied | Rejected | None:
        """Take over what has been read, after the effects; return what is wrong with it."""
        keys, rights = self.keys, self.rights
        for guard in guards:
            table = rights.readable.get(guard.table)
            if table is None:
                return rights.refusal("table", guard.table, "read")
            keys.add((table.id, guard.pk, guard.sk))
            self.guards.append((guard, table))
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
            case SendMessage() | CancelMessage() | PublishEvent():
                shown = f"message {effect.id}"
            case PutObject() | DeleteObject():
                shown = f"{effect.bucket} {effect.key}"
            case StartExecution() | StopExecution() | RedriveExecution():
                shown = f"workflow {effect.workflow} {effect.name}"
            case EndTask():
                shown = f"workflow {effect.workflow} {effect.token}"
            case _:
                assert_never(effect)
        if shown in seen:
            return shown
        seen.add(shown)
    return "one key"


def _key_fault(effect: ItemEffect) -> Rejected:
    fault = f"a sort key has at most {limits.SORT_KEY_BYTES} bytes."
    if not 0 < len(effect.pk) <= ENCODED_PARTITION_KEY_BYTES:
        fault = f"a partition key has 1 to {limits.PARTITION_KEY_BYTES} bytes."
    return Rejected(f"{effect.table} {describe_key(effect.pk, effect.sk)}: {fault}")


def _order_fault(effect: Order) -> str:
    if not 0 < len(effect.id) <= limits.MESSAGE_ID_LENGTH:
        return f"an ID has 1 to {limits.MESSAGE_ID_LENGTH} characters."
    if isinstance(effect, EndTask):
        if not 0 < len(effect.token) <= limits.STATE_TOKEN_LENGTH:
            return f"a token has 1 to {limits.STATE_TOKEN_LENGTH} characters."
        return _why_fault(effect.error, effect.cause) or _data_fault("the output", effect.output)
    if not 0 < len(effect.name) <= limits.EXECUTION_NAME_LENGTH:
        return f"a name has 1 to {limits.EXECUTION_NAME_LENGTH} characters."
    if isinstance(effect, StopExecution):
        return _why_fault(effect.error, effect.cause)
    return _data_fault("the input", effect.input) if isinstance(effect, StartExecution) else ""


def _why_fault(error: str | None, cause: str | None) -> str:
    if len(error or "") > limits.STATE_ERROR_LENGTH:
        return f"an error has at most {limits.STATE_ERROR_LENGTH} characters."
    if len(cause or "") > limits.STATE_CAUSE_LENGTH:
        return f"a cause has at most {limits.STATE_CAUSE_LENGTH} characters."
    return ""


def _data_fault(what: str, data: bytes) -> str:
    if len(data) > limits.STATE_DATA_BYTES:
        return f"{what} has {len(data)} bytes; {limits.STATE_DATA_BYTES} at most."
    try:
        from_json(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return f"{what} is no JSON: {error}"
    return ""


def message_fault(effect: SendMessage) -> str:
    """Say which bound a message breaks; empty: none."""
    if len(effect.body) > limits.MESSAGE_BYTES:
        return f"a message has at most {limits.MESSAGE_BYTES} bytes, this one {len(effect.body)}."
    if not 0 < len(effect.id) <= limits.MESSAGE_ID_LENGTH:
        return f"an ID has 1 to {limits.MESSAGE_ID_LENGTH} characters."
    if not 0 <= effect.delay_ms <= limits.DELAY_MAX_S * 1000:
        return f"a delay has 0 to {limits.DELAY_MAX_S} seconds."
    if (effect.group or effect.dedup) and max(
        len(effect.group), len(effect.dedup)
    ) > limits.GROUP_LENGTH:
        return f"a group and a deduplication ID have at most {limits.GROUP_LENGTH} characters."
    return ""
