"""Executions of workflows: what is kept of them, and the one step by which they move.

An execution is never held by anybody: all that happens to it is a message in its workflow's queue,
or the end of a task that is a message too, and each commit that moves it compares its version. So a
machine's death returns its messages, and whoever gets them goes on from what is stored.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from wherry.effects import Effect, SendMessage

ExecutionStatus: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


# --- moving (the engine's own) ------------------------------------------------------------------


class Part(Struct, frozen=True, array_like=True):
    """A part of an execution's state that is kept apart, so that a step writes only what changed.

    `kind`: "f" a frame, "c" a cell. `body` None: it is gone.
    """

    kind: Literal["f", "c"]
    key: str
    body: bytes | None


class Ended(Struct, frozen=True, array_like=True):
    """How an execution ended. `output` is JSON (None: it has none)."""

    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    output: bytes | None = None
    error: str | None = None
    cause: str | None = None


class Inboxed(Struct, frozen=True, array_like=True):
    """Failed work for the inbox, in the workflow's queue: a redrive sends `body` to it again."""

    id: str
    code: str
    error: str
    body: bytes


class ChildExecution(Struct, frozen=True, array_like=True):
    """A child of a distributed Map. It begins at once; its end is a message to its parent.

    Its definition and workflow are its parent's. `head` is its state before it has begun, `input`
    (JSON) what it begins with. `first` is its first step, as that of a `First`.
    """

    name: str
    call: int
    head: bytes
    input: bytes = b"null"
    first: Advance | None = None


class Advance(Struct, frozen=True, array_like=True):
    """One step of an execution, as a part of a commit; all of it or nothing.

    A `version` that is not the stored one makes the whole commit `Conflicted` with
    "workflow NAME" as the table and the execution's name as the key. The new version is one more.

    Attributes:
        execution: Its number.
        version: The version that this step was worked out from.
        head: The new state, without its parts (msgpack).
        parts: Parts that changed.
        history: Events (number, msgpack) that are added.
        wake_ms: When it wants to be woken (None: never). The store sends the message then.
        tokens: Tokens of tasks that began to wait for one; and of those that wait no more.
        sends: Messages to any queue: tasks to their functions' queues.
        cancels: Messages (queue or "", ID) that are removed, leased or not: tasks nobody waits for.
            What is not there is no fault.
        effects: What a service integration does, with the workflow's own grants.
        children: Children that begin.
        ended: Set by the step that ends it. With a `parent` the end is sent to it.
        redriven: It had ended and goes on: its end is forgotten.
        inboxed: What the failure inbox gets, for an end that is a failure.
        stops: Calls whose children, or executions begun by them, nobody waits for any more: those
            that run get a `stop` message. One that ends stops all of its own.
        states: The names of the states where it is now, for people.
    """

    execution: int
    version: int
    head: bytes
    parts: list[Part] = []
    history: list[tuple[int, bytes]] = []
    wake_ms: int | None = None
    tokens: list[str] = []
    tokens_over: list[str] = []
    sends: list[SendMessage] = []
    cancels: list[tuple[str, str]] = []
    effects: list[Effect] = []
    children: list[ChildExecution] = []
    ended: Ended | None = None
    redriven: bool = False
    inboxed: Inboxed | None = None
    stops: list[int] = []
    states: list[str] = []


class First(Struct, frozen=True, array_like=True):
    """The first step of an execution that a `StartExecution` of the same commit begins.

    So that what begins need not wait for a message that says so. Whoever works it out does not know
    the execution's number: the step says 0, in its messages too (`0.call.N`, and "execution" comes
    first in their bodies), and the store puts the number in. It takes the step where it may: not
    where the workflow is paused or declared otherwise by now, nor where the name is taken. Else the
    message is sent.

    Attributes:
        start: The ID of the StartExecution.
        definition: The digest of the definition that the step was worked out with.
        step: It calls functions and the engine, and may end; it does nothing else.
    """

    start: str
    definition: str
    step: Advance


class GetExecution(Struct, frozen=True, array_like=True, tag="getexecution"):
    """Ask for all that `advance` needs of an execution. Answered by `Execution` or `Nothing`."""

    execution: int


class Execution(Struct, frozen=True, array_like=True, tag="execution"):
    """An execution's state. `head` is empty before its first step; `input` is JSON.

    Who gave its first step with its start is told the number with version 1, and both are empty.
    """

    id: int
    workflow: str
    name: str
    version: int
    definition: str  # digest
    status: ExecutionStatus
    head: bytes
    parts: list[Part]
    input: bytes
    started_ms: int
    parent: int | None
    parent_call: int
    correlation_id: str
    traceparent: str
    redrives: int = 0


class GetDefinition(Struct, frozen=True, array_like=True, tag="getdefinition"):
    """Ask for a definition by its digest. Answered by `Definition` or `Nothing`."""

    digest: str


class Definition(Struct, frozen=True, array_like=True, tag="definition"):
    """A workflow as some release declared it: the JSON of its blueprint's `WorkflowSpec`."""

    digest: str
    body: bytes


class WakeExecutions(Struct, frozen=True, array_like=True, tag="wakeexecutions"):
    """Send `{"event": "wake"}` to up to `limit` executions whose time has come.

    Answered by `Woken`. Safe to ask at any time and from several places, as `Fire` is.
    """

    limit: int


class Woken(Struct, frozen=True, array_like=True, tag="woken"):
    """Queues with new messages, and when to ask again (None: nobody waits).

    `now_ms`: the store's time, by which all that waits is woken.
    """

    queued: dict[str, int]
    next_ms: int | None
    now_ms: int = 0


# --- looking ------------------------------------------------------------------------------------


class FindExecution(Struct, frozen=True, array_like=True, tag="findexecution"):
    """Look for an execution by workflow and name. Answered by `ExecutionRow` or `Nothing`.

    A function needs the workflow's `read` grant, else `Denied`. The engine may give the number
    instead, by which children are found too.
    """

    workflow: str
    name: str
    id: int | None = None


class ListExecutions(Struct, frozen=True, array_like=True, tag="listexecutions"):
    """List executions of a workflow (or of all: the engine only), newest first, without children.

    Answered by `ExecutionRows`. `after` is the last number of the page before. With a `parent`:
    its children instead, the engine only.
    """

    workflow: str | None
    status: ExecutionStatus | None
    limit: int
    after: int | None = None
    parent: int | None = None


class ExecutionRow(Struct, frozen=True, array_like=True, tag="executionrow"):
    """An execution as people see it. In a list `input` and `output` are left out (None)."""

    id: int
    workflow: str
    name: str
    status: ExecutionStatus
    started_ms: int
    ended_ms: int | None
    input: bytes | None
    output: bytes | None
    error: str | None
    cause: str | None
    events: int
    correlation_id: str
    definition: str
    states: list[str] = []  # where it is now
    redrives: int = 0


class ExecutionRows(Struct, frozen=True, array_like=True, tag="executionrows"):
    """Executions; `after` continues where more follow."""

    rows: list[ExecutionRow]
    after: int | None


class GetHistory(Struct, frozen=True, array_like=True, tag="gethistory"):
    """A page of an execution's history, in order, from the event behind `after` on.

    Answered by `History`. The engine only.
    """

    execution: int
    limit: int
    after: int = 0


class History(Struct, frozen=True, array_like=True, tag="history"):
    """Events (msgpack of `statemachine.records.HistoryEvent`); `after` continues."""

    events: list[bytes]
    after: int | None


# --- what messages to a workflow say ------------------------------------------------------------


class Happened(Struct, frozen=True, omit_defaults=True):
    """The body (JSON) of a message in a workflow's queue: something happened to an execution.

    begin, wake, redrive: no more is said. call: the engine is to do `call` itself (an integration).
    succeeded, failed: a child or a started execution ended (`child` is its number), or a task was
    given up: `call` with `output` or error, cause.
    token_succeeded, token_failed, heartbeat: with `token`. stop: with error and cause.
    """

    execution: int
    event: Literal[
        "begin", "wake", "call", "succeeded", "failed", "token_succeeded", "token_failed",
        "heartbeat", "stop", "redrive",
    ]  # fmt: skip
    call: int = 0
    token: str = ""
    output: object | UnsetType = UNSET
    error: str | None = None
    cause: str | None = None
    child: int = 0


class TaskBody(Struct, frozen=True, omit_defaults=True):
    """The body (JSON) of a message that is a workflow's task, in its function's queue.

    `waits`: when it has ended, its state goes on waiting for its token. `entered`: the event with
    which its state was entered, the same for each retry and after a redrive.
    """

    execution: int
    call: int
    workflow: str
    name: str  # of the execution
    state: str
    payload: object
    attempt: int = 1
    waits: bool = False
    entered: int = 0
