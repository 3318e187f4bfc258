"""What a handler wants to change: frozen records that are committed together, or not at all.

They travel as msgpack arrays from the environment to the store, so fields keep their order.
Keys are the sortable bytes of `codec.key_bytes`; a table without a sort key uses `b""`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Scalar: TypeAlias = str | int | float | bool | None

# --- conditions: an unmet one is an answer (409), never a conflic----------


class _Condition(Struct, frozen=True, array_like=True):
    def __bool__(self) -> bool:
        """Refuse what Python's own `and`, `or`, `not` and `a < b < c` would make of conditions."""
        raise TypeError("join conditions with all_of(...), any_of(...) and negate(...)")


class Absent(_Condition, frozen=True, array_like=True, tag="absent"):
    """No item is there (an expired item is not there)."""


class Present(_Condition, frozen=True, array_like=True, tag="present"):
    """An item is there."""


class HasField(_Condition, frozen=True, array_like=True, tag="has"):
    """The item has the field, and it is not null."""

    field: str


class Compare(_Condition, frozen=True, array_like=True, tag="compare"):
    """The item's field stands in this relation to the value. A missing field never does."""

    field: str
    relation: Literal["==", "!=", "<", "<=", ">", ">=", "begins_with", "contains"]
    value: Scalar


class AllOf(_Condition, frozen=True, array_like=True, tag="all"):
    """Every part holds."""

    parts: tuple[Condition, ...]


class AnyOf(_Condition, frozen=True, array_like=True, tag="any"):
    """At least one part holds."""

    parts: tuple[Condition, ...]


class Negation(_Condition, frozen=True, array_like=True, tag="not"):
    """The part does not hold."""

    part: Condition


Condition: TypeAlias = Absent | Present | HasField | Compare | AllOf | AnyOf | Negation

# --- effects ----------


class PutItem(Struct, frozen=True, array_like=True, tag="put"):
    """Write an item whole. `body` is its JSON."""

    table: str
    pk: bytes
    sk: bytes
    body: bytes
    when: Condition | None = None


class UpdateItem(Struct, frozen=True, array_like=True, tag="update"):
    """Change fields of an item in place, at the moment of the commit.

    `assign` and `add` hold JSON objects. `initial` is the item (JSON) to begin with when none
    is there; without it, an absent item is an unmet condition. So is a sum beyond the bounds of
    its field, a JSON object too: `{"stock": {"ge": 0}}`, with "gt", "le", "lt" and "multiple_of".
    """

    table: str
    pk: bytes
    sk: bytes
    assign: bytes = b"{}"
    add: bytes = b"{}"
    initial: bytes | None = None
    when: Condition | None = None
    bounds: bytes = b"{}"


class DeleteItem(Struct, frozen=True, array_like=True, tag="delete"):
    """Remove an item. Removing one that is not there is no error."""

    table: str
    pk: bytes
    sk: bytes
    when: Condition | None = None


class SendMessage(Struct, frozen=True, array_like=True, tag="send"):
    """Put a message (JSON) into a queue, to be seen `delay_ms` after the commit.

    `group` is the FIFO group or the key that takes turns, by the queue's kind; `dedup` tells a
    message of a FIFO queue from its repeats ("": its ID does). A repeat within `limits.DEDUP_S`
    is dropped.
    """

    queue: str
    id: str
    body: bytes
    delay_ms: int = 0
    group: str = ""
    dedup: str = ""


class CancelMessage(Struct, frozen=True, array_like=True, tag="cancel"):
    """Remove a message that waits. One that is running, done or in the inbox stays as it is."""

    queue: str
    id: str


class PublishEvent(Struct, frozen=True, array_like=True, tag="publish"):
    """Tell everybody who listens that something has happened. `body` is the detail's JSON."""

    event: str
    version: int
    id: str
    body: bytes


class PutObject(Struct, frozen=True, array_like=True, tag="object"):
    """Make a staged blob visible under a key.

    A platform that writes objects at once, and not in the commit, does so for this one too if
    `commit` is set: it stages, and copies after the commit.
    """

    bucket: str
    key: str
    blob: str
    size_bytes: int
    sha256: str
    media_type: str
    metadata: dict[str, str]
    if_absent: bool = False
    commit: bool = False


class DeleteObject(Struct, frozen=True, array_like=True, tag="unobject"):
    """Remove an object. Removing one that is not there is no error."""

    bucket: str
    key: str


class StartExecution(Struct, frozen=True, array_like=True, tag="start"):
    """Begin an execution of a workflow. `input` is JSON.

    One name is one execution: with the same input nothing more begins, with another the condition
    is unmet. `id` is that of the message that begins it. With a `parent` (a number; steps of an
    execution only) its end is told to that execution, as the end of this call.
    """

    workflow: str
    name: str
    id: str
    input: bytes
    parent: int | None = None
    parent_call: int = 0


class StopExecution(Struct, frozen=True, array_like=True, tag="stop"):
    """End an execution that runs as ABORTED. One that has ended stays as it is."""

    workflow: str
    name: str
    id: str
    error: str | None = None
    cause: str | None = None


class RedriveExecution(Struct, frozen=True, array_like=True, tag="redrive"):
    """Let an execution that failed go on from there. One that has not: the condition is unmet."""

    workflow: str
    name: str
    id: str


class EndTask(Struct, frozen=True, array_like=True, tag="endtask"):
    """Say how a task ended that waits for its token, or (heartbeat) that it still goes on.

    `output` is JSON. No task waits for this token (any more): the condition is unmet.
    """

    workflow: str
    token: str
    id: str
    kind: Literal["succeeded", "failed", "heartbeat"]
    output: bytes = b"null"
    error: str | None = None
    cause: str | None = None


Effect: TypeAlias = (
    PutItem
    | UpdateItem
    | DeleteItem
    | SendMessage
    | CancelMessage
    | PublishEvent
    | PutObject
    | DeleteObject
    | StartExecution
    | StopExecution
    | RedriveExecution
    | EndTask
)


class Guard(Struct, frozen=True, array_like=True):
    """The version that was read (0: nothing was there). The commit checks that it still holds."""

    table: str
    pk: bytes
    sk: bytes
    version: int
