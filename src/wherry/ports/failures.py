"""The failure inbox, and the timeline."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from wherry.ports.schedules import PausedRow
from wherry.telemetry import InvocationRecord


class FailedWork(Struct, frozen=True, array_like=True, tag="failed"):
    """Work that waits in the failure inbox. `blocks`: the rest of its group waits for its end."""

    id: str
    queue: str
    function: str
    body: bytes
    code: str
    error: str
    attempts: int
    sent_at_ms: int
    failed_at_ms: int
    correlation_id: str
    traceparent: str
    redrives: int
    note: str
    blocks: bool = False


class ListFailures(Struct, frozen=True, array_like=True, tag="listfailures"):
    """List what waits, newest first. Answered by `Failures`."""

    queue: str | None
    limit: int
    after: str | None
    id: str | None = None


class Failures(Struct, frozen=True, array_like=True, tag="failures"):
    """Work in the inbox; `after` continues where more follow."""

    rows: list[FailedWork]
    after: str | None
    total: int


class Redrive(Struct, frozen=True, array_like=True, tag="redrive"):
    """Give failed work back to its queue (its ID is kept). Answered by `Count`.

    With no `ids`, all of `queue`. `body` edits one message; it then gets the ID `new_id`.
    """

    ids: list[str]
    queue: str | None
    actor: str
    body: bytes | None = None
    new_id: str = ""
    limit: int = 100


class Discard(Struct, frozen=True, array_like=True, tag="discard"):
    """Give failed work up, with a reason. Answered by `Count`."""

    ids: list[str]
    queue: str | None
    reason: str
    actor: str
    limit: int = 100


class Count(Struct, frozen=True, array_like=True, tag="count"):
    """How many rows it was."""

    count: int


class GetTimeline(Struct, frozen=True, array_like=True, tag="timeline"):
    """All that is known of a correlation ID. Answered by `TimelineRows`."""

    correlation_id: str


class Waiting(Struct, frozen=True, array_like=True, tag="waiting"):
    """A message that waits or runs. `held`: why it is not handed out, due or not.

    behind: others of its group, or of its key, come first. paused: its function is paused.
    `cause`: what it is of, where a source has sent it (`telemetry.cause_of`).
    """

    id: str
    queue: str
    attempt: int
    sent_at_ms: int
    visible_at_ms: int
    leased: bool
    error: str
    held: Literal["", "behind", "paused"] = ""
    cause: str = ""


class TimelineRows(Struct, frozen=True, array_like=True, tag="timelinerows"):
    """Records in order, and what still waits, runs or has failed."""

    records: list[InvocationRecord]
    waiting: list[Waiting]
    failures: list[FailedWork]


class RecentRecords(Struct, frozen=True, array_like=True, tag="recent"):
    """The newest records, of one function if given. Answered by `TimelineRows`."""

    function: str | None
    limit: int


class QueueDepths(Struct, frozen=True, array_like=True, tag="depths"):
    """How much waits, per queue. Answered by `Depths`."""


class BlockedGroup(Struct, frozen=True, array_like=True):
    """A group of a FIFO queue that waits until a failure is redriven or discarded.

    `group` is as a person reads it; that of a table's changes is `table/key`. `behind`: how many
    messages wait for it, counted up to `limits.HELD_COUNTED`.
    """

    group: str
    failure: str
    failed_at_ms: int
    behind: int


class Depth(Struct, frozen=True, array_like=True, tag="depth"):
    """One queue: waiting (due or not), leased, failed; the age of the oldest that is due.

    Of a FIFO queue, and so of a table's changes, it is the age of the oldest that waits, due or
    behind another one of its group, since it was sent.

    Attributes:
        pauses: Who has paused its consumer, or the app.
        behind: Of those that wait, how many do so behind others of their group, or of their key.
        blocked_groups: How many groups wait for a failure. This and `behind` are counted up to
            `limits.HELD_COUNTED`, which then means so many or more.
        blocked: The first `limits.BLOCKED_SHOWN` of these groups.
        declared: Whether the activated release has this queue; else nobody takes what waits.
    """

    queue: str
    waiting: int
    leased: int
    failed: int
    oldest_ms: int
    paused: bool = False
    pauses: list[PausedRow] = []
    behind: int = 0
    blocked_groups: int = 0
    blocked: list[BlockedGroup] = []
    declared: bool = True


class Depths(Struct, frozen=True, array_like=True, tag="depthslist"):
    """One row per queue that the store knows."""

    rows: list[Depth]
