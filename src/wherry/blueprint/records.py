"""The blueprint: one frozen description of an app, which everything else reads.

Closed unions, no I/O, no code of the team's. `canonical` gives it a byte form and a digest.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import field

from wherry import limits
from wherry.blueprint.parts import AuthSpec, Cors, Grant, Place, Record, Throttle

# --- resources ----------------------------------------------------------------------------------


class IndexSpec(Record, frozen=True):
    """A second way to query a table. An item without the fields is absent from it."""

    name: str
    key: str
    sort: str | None = None


class TableSpec(Record, frozen=True):
    """Typed items under a partition key and, if given, a sort key.

    `expires` names the field that holds the moment from which an item is never read again:
    seconds since the epoch, or a date and time.
    """

    name: str
    item: str
    schema: dict[str, Any]
    key: str
    sort: str | None = None
    indexes: tuple[IndexSpec, ...] = ()
    expires: str | None = None
    # of key, sort and index fields
    kinds: dict[str, Literal["text", "number", "moment"]] = field(default_factory=dict)
    place: Place | None = None


class QueueSpec(Record, frozen=True):
    """Messages of one type for one consumer, with bounded attempts."""

    name: str
    payload: str
    schema: dict[str, Any]
    max_attempts: int = limits.MAX_ATTEMPTS
    retry_base_s: float = limits.RETRY_BASE_S
    retry_max_s: float = limits.RETRY_MAX_S
    retention_s: int = limits.MESSAGE_RETENTION_S
    fifo: bool = False  # in order within a group, one at a time
    on_failure: Literal["skip", "block"] = "skip"  # what a dead message does to its group
    fair: bool = False  # keys take turns
    claim_check: bool = False  # a large payload travels as an object
    place: Place | None = None


class BucketSpec(Record, frozen=True):
    """Objects under keys."""

    name: str
    max_bytes: int = limits.OBJECT_BYTES
    media_types: tuple[str, ...] = ()
    place: Place | None = None


class SecretSpec(Record, frozen=True):
    """A value that is read when it is used and is never logged."""

    name: str
    place: Place | None = None


class EventSpec(Record, frozen=True):
    """A type of event on the bus. Consumers of an old version keep theirs while both are there.

    `downgrades`: who listens to an older version gets it too, in that version's form. `serializes`:
    the class has serializers of its own, so that it may write other JSON than `schema` says it
    reads.
    """

    name: str
    version: int
    payload: str
    schema: dict[str, Any]
    downgrades: bool = False
    serializes: bool = False
    place: Place | None = None


class WorkflowSpec(Record, frozen=True):
    """A state machine in Amazon States Language, and what happens to its executions.

    Everything that happens to one is a message in the queue of the workflow's name. `definition`
    is JSON text with the keys in the team's order. `grants` are for what its states do themselves
    (service integrations); the functions that it calls have their own.
    """

    name: str
    definition: str
    input: str | None = None  # the type of its input, where one is declared
    schema: dict[str, Any] | None = None
    grants: tuple[Grant, ...] = ()
    functions: tuple[str, ...] = ()  # that its states call
    place: Place | None = None


# --- sources: what puts messages into a queue besides who sends them -----------------------------


class EventSource(Record, frozen=True, tag="event"):
    """Events of a type whose detail matches the pattern (None: all).

    The pattern is JSON text that `wherry.patterns` compiles: the order of its keys may matter.
    """

    queue: str
    event: str
    version: int
    pattern: str | None = None
    place: Place | None = None


class ScheduleSource(Record, frozen=True, tag="schedule"):
    """Moments of an expression of EventBridge Scheduler (`wherry.schedules`)."""

    queue: str
    name: str
    expression: str
    timezone: str = "UTC"
    window_s: int = 0  # each firing is spread over so long
    overlap: Literal["queue", "skip"] = "queue"
    missed: Literal["latest", "skip", "all"] = "latest"
    missed_max: int = limits.SCHEDULE_MISSED_MAX
    place: Place | None = None


class ObjectSource(Record, frozen=True, tag="object"):
    """Objects of a bucket that appear or go."""

    queue: str
    bucket: str
    kind: Literal["created", "removed"]
    prefix: str = ""
    suffix: str = ""
    place: Place | None = None


class ChangeSource(Record, frozen=True, tag="change"):
    """Changes of a table's items, in order per key: its queue is FIFO."""

    queue: str
    table: str
    place: Place | None = None


Source: TypeAlias = EventSource | ScheduleSource | ObjectSource | ChangeSource

# --- functions ----------------------------------------------------------------------------------


class Parameter(Record, frozen=True):
    """One argument of a routed handler and where it comes from."""

    name: str
    source: Literal["path", "query", "header", "body", "caller", "form", "raw"]
    alias: str
    schema: dict[str, Any]
    required: bool = True


ReplyKind: TypeAlias = Literal["json", "bytes", "none", "reply", "redirect"]


class HttpTrigger(Record, frozen=True, tag="http"):
    """A route. `endpoint` is the handler's name inside its function.

    `reply` is the schema of what it returns as JSON; `replies` are all kinds of what it returns,
    none where it does not say. A "reply" chooses its status, headers and body itself.
    """

    endpoint: str
    method: str
    path: str
    auth: str | None = None
    roles: tuple[str, ...] = ()
    status: int = 200
    parameters: tuple[Parameter, ...] = ()
    reply: dict[str, Any] | None = None
    replies: tuple[ReplyKind, ...] = ()
    throttle: Throttle | None = None
    body_max_bytes: int = limits.REQUEST_BODY_BYTES
    summary: str = ""
    description: str = ""
    place: Place | None = None


class QueueTrigger(Record, frozen=True, tag="queue"):
    """The consumer of a queue: called once per message, or with up to `batch` of them at once.

    A batch is begun when it is full, or when its first message has waited `window_s`. `once_s`:
    messages of one key (`once_per` of the handler) are done once within so long.
    """

    endpoint: str
    queue: str
    batch: int = 1
    window_s: float = 0
    once_s: int | None = None
    place: Place | None = None


class TaskTrigger(Record, frozen=True, tag="task"):
    """A state of a workflow calls the handler with a payload; what it returns is the result.

    Its tasks are messages in the queue of the function's name. `schema` is that of the payload,
    `reply` of what it returns.
    """

    endpoint: str
    queue: str
    schema: dict[str, Any] | None = None
    reply: dict[str, Any] | None = None
    place: Place | None = None


Trigger: TypeAlias = HttpTrigger | QueueTrigger | TaskTrigger


class FunctionSpec(Record, frozen=True):
    """A unit of permission, limits, logs and failure: a handler, or the routes of a bundle."""

    name: str
    module: str
    triggers: tuple[Trigger, ...]
    grants: tuple[Grant, ...] = ()
    timeout_s: float = limits.FUNCTION_TIMEOUT_S
    memory_mb: int = limits.MEMORY_MB
    concurrency: int = limits.CONCURRENCY
    reserved: int = 0  # environments that no other function may take
    reads: Literal["versioned", "checked"] = "versioned"
    plain: bool = False  # handler(event, context) with AWS's shapes
    description: str = ""
    place: Place | None = None


class Blueprint(Record, frozen=True):
    """The whole app."""

    app: str
    functions: tuple[FunctionSpec, ...] = ()
    tables: tuple[TableSpec, ...] = ()
    queues: tuple[QueueSpec, ...] = ()
    buckets: tuple[BucketSpec, ...] = ()
    secrets: tuple[SecretSpec, ...] = ()
    auths: tuple[AuthSpec, ...] = ()
    events: tuple[EventSpec, ...] = ()
    sources: tuple[Source, ...] = ()
    workflows: tuple[WorkflowSpec, ...] = ()
    cors: Cors | None = None
    throttle: Throttle | None = None  # per client
    version: Literal[1] = 1
