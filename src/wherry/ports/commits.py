"""The commit: effects and acknowledgement in one atomic step."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Raw, Struct

from wherry.effects import Guard
from wherry.ports.executions import Advance, Execution, First
from wherry.ports.messages import Claimed
from wherry.ports.reads import StoredReply
from wherry.telemetry import InvocationRecord


class MessageAck(Struct, frozen=True, array_like=True, tag="ack"):
    """The message is deleted in the commit, if the lease is still ours."""

    id: str
    token: int


class ReplyAck(Struct, frozen=True, array_like=True, tag="reply"):
    """The reply (or a step's value) is stored in the commit under a key, once."""

    key: str
    fingerprint: str
    body: bytes
    keep_s: int


Ack: TypeAlias = MessageAck | ReplyAck


class Commit(Struct, frozen=True, array_like=True, tag="commit"):
    """Apply all effects and the acknowledgements in one atomic step, or nothing.

    Sending the same commit again is harmless: `record.number` is unique, and one that is there
    already answers `Already`. `leases` names the queues whose new messages may be born leased to
    this engine, with how many of each it has room for. `others` are the records of the further
    messages that it acknowledges: one for each. `advances` are steps of executions, and `firsts`
    those with which executions begin; only the engine makes them.
    """

    function: str
    effects: Raw
    guards: list[Guard]
    acks: list[Ack]
    record: InvocationRecord
    leases: dict[str, int]
    owner: str = ""
    key: str = ""
    others: list[InvocationRecord] = []
    advances: list[Advance] = []
    firsts: list[First] = []


class StepCommit(Struct, frozen=True, array_like=True):
    """A named step, as an environment asks the engine to commit it with its value."""

    key: str
    fingerprint: str
    value: bytes
    effects: Raw
    effect_count: int
    guards: list[Guard]
    marks: list[str]


class Committed(Struct, frozen=True, array_like=True, tag="committed"):
    """Applied and durable.

    `leased` are messages sent by this commit and leased to the engine; `queued` says when the
    earliest of the others falls due, per queue (epoch ms). `begun` are the executions whose first
    message is among `leased`, that which begins them or a task of their first step: who is to go on
    with them need not look for them.
    """

    leased: list[Claimed]
    queued: dict[str, int] = {}
    begun: list[Execution] = []


class Already(Struct, frozen=True, array_like=True, tag="already"):
    """An earlier commit under the same key stands; its reply is the answer.

    `key` is that of the reply that was there; empty: this very commit was applied before. A commit
    of one message is done with it: the message is deleted, its record says "duplicate". Of several
    messages nothing is deleted: they were not all of them done under this key. `queued`: queues
    where a message's turn has come, and when the first is due.
    """

    stored: StoredReply | None
    key: str = ""
    queued: dict[str, int] = {}


class Conflicted(Struct, frozen=True, array_like=True, tag="conflicted"):
    """A key that was read has changed. Nothing was applied; run again."""

    table: str
    key: str
    winner_function: str
    winner_request_id: str


class Unmet(Struct, frozen=True, array_like=True, tag="unmet"):
    """A condition does not hold. Nothing was applied; running again is of no use.

    `why`: of an order to an execution what does not hold of it, one of `errors.UNMET_ORDERS`; empty
    where nothing more is to be said.
    """

    table: str
    key: str
    why: str = ""


class LeaseLost(Struct, frozen=True, array_like=True, tag="leaselost"):
    """These messages are no longer ours. Nothing was applied."""

    ids: list[str] = []


class Rejected(Struct, frozen=True, array_like=True, tag="rejected"):
    """The commit breaks a bound (or what `code` says). Nothing was applied."""

    message: str
    code: str = "bound_exceeded"
