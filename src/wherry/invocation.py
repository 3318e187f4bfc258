"""One run of a handler, as data: what goes into an environment and what comes out.

    Invocation -> Outcome(reply, effects)

The same records serve the engine's environments, the test kit and AWS Lambda.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Raw, Struct

from wherry.effects import Guard


class CallerClaims(Struct, frozen=True, array_like=True):
    """Who calls, after the edge has verified the token."""

    subject: str
    roles: tuple[str, ...]
    scopes: tuple[str, ...]
    issuer: str
    claims: dict[str, Any]


class HttpEvent(Struct, frozen=True, array_like=True, tag="http"):
    """A request for one route of the function."""

    endpoint: str
    method: str
    path: str
    path_parameters: dict[str, str]
    query: str
    headers: dict[str, str]
    body: bytes
    caller: CallerClaims | None
    client: str
    idempotency_key: str | None = None  # as the caller sent it


class MessageEvent(Struct, frozen=True, array_like=True, tag="message"):
    """A message for a consumer."""

    endpoint: str
    queue: str
    id: str
    body: bytes
    sent_at_ms: int


class BatchMessage(Struct, frozen=True, array_like=True):
    """One message of a batch. What an invocation says of its only message is here for each.

    `number` is this attempt's own, and the primary key of the record of its commit.
    """

    number: int
    id: str
    body: bytes
    sent_at_ms: int
    attempt: int
    started_ms: int
    correlation_id: str
    traceparent: str
    group: str | None = None  # of a FIFO queue: those behind one that fails are not handed over


class BatchEvent(Struct, frozen=True, array_like=True, tag="batch"):
    """Several messages of a queue for a consumer that takes them at once."""

    endpoint: str
    queue: str
    messages: list[BatchMessage]


class TaskEvent(Struct, frozen=True, array_like=True, tag="task"):
    """A task of a workflow: `payload` is JSON, and the reply's body will be the result's JSON."""

    endpoint: str
    workflow: str
    execution: str
    state: str
    payload: bytes


Event: TypeAlias = HttpEvent | MessageEvent | BatchEvent | TaskEvent


class Invocation(Struct, frozen=True, array_like=True):
    """One attempt at an event.

    `key` is the same on every attempt of the same event, here and on AWS; `number` is this
    attempt's own, and the primary key of its record. `started_ms` is the first attempt's start.
    `kept` is what calls to the outside gave an earlier run of this attempt (`Outcome.kept`).
    """

    number: int
    function: str
    key: str
    request_id: str
    correlation_id: str
    traceparent: str
    attempt: int
    started_ms: int
    deadline_ms: int
    event: Event
    kept: dict[str, bytes] = {}


class Reply(Struct, frozen=True, array_like=True):
    """An HTTP answer, encoded."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class Failure(Struct, frozen=True, array_like=True):
    """Why a run ended without an outcome to commit.

    `retry`: whether another attempt may help. `trace` is for the team and never leaves the system.
    The code `ANSWERED` is no fault: the handler has answered its caller with a problem.
    """

    code: str
    error: str
    message: str
    retry: bool = True
    trace: str = ""


class Once(Struct, frozen=True, array_like=True):
    """A key of the consumer's choosing: its commit stores it, and whoever comes later is done."""

    key: str
    keep_s: int


class ItemOutcome(Struct, frozen=True, array_like=True):
    """What became of one message of a batch, in the order of the event.

    With a `failure` it is given back, or buried. Else it is acknowledged: with `own` in a commit of
    its own, with these effects and guards and its `BatchMessage.number`; without it in the one
    commit of the outcome's effects and guards, together with all the others that are not `own`.
    A failure that is not `own` is the run's: which of its messages is to blame is not known.
    """

    id: str
    own: bool
    failure: Failure | None = None
    effects: Raw = Raw(b"\x90")
    effect_count: int = 0
    guards: list[Guard] = []
    marks: list[str] = []
    once: Once | None = None
    replayed: bool = False  # it was done before, under its `once_per` key
    again: bool = False  # ... or will be by another one of its batch: to be given back till then


class Outcome(Struct, frozen=True, array_like=True):
    """What a run of a handler came to.

    `effects` is the encoded list (the engine passes it on unread); `effect_count` its length.
    `marks` says in words what was read and is to be written, for the timeline.
    A `failure` means that nothing is committed; an HTTP caller still gets `reply`.
    `kept` is what calls to the outside gave (JSON, by their key): a re-run of this attempt, in
    whatever environment, gets it with its invocation.
    `once` is stored by the commit as a reply under its key, empty; where one is there already, the
    message was done before. `items` has one entry for each message of a batch, and nothing else.
    """

    reply: Reply | None
    effects: Raw
    effect_count: int
    guards: list[Guard]
    marks: list[str]
    failure: Failure | None = None
    fingerprint: str = ""  # of the request's body, where an Idempotency-Key was sent
    replayed: bool = False  # an earlier run has done it; the reply is the stored one
    kept: dict[str, bytes] = {}
    once: Once | None = None
    items: list[ItemOutcome] = []


class Spent(Struct, frozen=True, array_like=True):
    """What a run's own time went into; without waiting for the engine, the store, a processor."""

    cpu_s: float
    away_s: float  # waiting for something outside


EMPTY = Raw(b"\x90")  # no effects
ANSWERED = "answered"
MEMORY_LIMIT = "memory_limit"
FILES_LIMIT = "files_limit"
WORN = frozenset((MEMORY_LIMIT, FILES_LIMIT))  # the next run begins in a fresh environment
