"""Messages under lease: claim, renew, give back, bury."""

from __future__ import annotations

from msgspec import Struct

from wherry.telemetry import InvocationRecord


class Claimed(Struct, frozen=True, array_like=True, tag="claimed"):
    """A message under a lease. `attempt` counts this one; `token` fences every change of it.

    `group` is that of a FIFO queue where more than one of a group was asked for.
    """

    queue: str
    id: str
    token: int
    attempt: int
    body: bytes
    sent_at_ms: int
    visible_at_ms: int
    started_ms: int
    correlation_id: str
    traceparent: str
    group: str | None = None


class Claim(Struct, frozen=True, array_like=True, tag="claim"):
    """Lease up to `limit` messages of a queue that are due. Answered by `Claims`.

    `prefix`: of each group of a FIFO queue up to so many, from its first one on, in order and one
    behind the other in the answer. Who leases them has to keep their order: none may be done
    before those that stand before it.
    """

    queue: str
    limit: int
    owner: str
    prefix: int = 1


class Claims(Struct, frozen=True, array_like=True, tag="claims"):
    """The messages leased, and when the next one of the queue falls due (None: none waits).

    `queued`: other queues where a message's turn has come, and when the first is due. `now_ms`: the
    store's time, by which messages fall due.
    """

    messages: list[Claimed]
    next_due_ms: int | None
    queued: dict[str, int] = {}
    now_ms: int = 0


class Poll(Struct, frozen=True, array_like=True, tag="poll"):
    """Ask in which of these queues something is due, or when. Answered by `Polled`; leases nothing.

    One question for all queues of an engine: most of them are empty most of the time.
    """

    queues: list[str]


class Polled(Struct, frozen=True, array_like=True, tag="polled"):
    """The queues in which a claim may find something, and when the first message falls due there.

    A hint: a moment may be too early, and a queue that is paused is named as well. `now_ms`: the
    store's time.
    """

    queued: dict[str, int]
    now_ms: int


class Renew(Struct, frozen=True, array_like=True, tag="renew"):
    """Extend the leases of these messages where `owner` still holds them. Answered by `Done`.

    Named one by one, so that a lease whose answer got lost runs out instead of living for ever.
    """

    owner: str
    ids: list[str]


class Recover(Struct, frozen=True, array_like=True, tag="recover"):
    """Give back what `owner` holds beyond `ids`, the attempt not counted. Answered by `Done`.

    For answers that got lost with a store's process: what they leased, nobody has begun.
    """

    owner: str
    ids: list[str]


class Release(Struct, frozen=True, array_like=True, tag="release"):
    """Give a message back, unfinished, to be seen after `delay_ms`. Answered by `Done`/`LeaseLost`.

    `counted`: whether the attempt counts; a conflict, a shutdown or a throttle does not.
    """

    id: str
    token: int
    delay_ms: int
    counted: bool
    error: str


class Bury(Struct, frozen=True, array_like=True, tag="bury"):
    """Move a message to the failure inbox. Answered by `Done` or `LeaseLost`."""

    id: str
    token: int
    function: str
    code: str
    error: str
    record: InvocationRecord | None


class Note(Struct, frozen=True, array_like=True, tag="note"):
    """Remember invocations that committed nothing. Answered by `Done`."""

    records: list[InvocationRecord]
