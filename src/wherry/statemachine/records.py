"""A run of a state machine as data, what happens to it, and what it asks for.

All of it is serialisable: a platform keeps a `Run` as JSON or MessagePack between two calls of
`advance`. Frames and cells are what a platform may keep apart: `Commands` says which changed.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

Status: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
Type: TypeAlias = Literal["STANDARD", "EXPRESS"]
Phase: TypeAlias = Literal["enter", "attempt", "started", "task", "wait", "retry", "join"]


class Join(msgspec.Struct, omit_defaults=True):
    """How far the branches of a Parallel, the iterations or the children of a Map are."""

    total: int
    at_once: int = 0  # 0: as many as there are
    next: int = 0
    done: int = 0
    failed: int = 0
    failed_items: int = 0
    total_items: int = 0
    size: int = 0
    count_tolerated: int | None = None
    percent_tolerated: float | None = None
    map_run: str = ""
    started: int = 0  # the event that all first branches follow
    again: int = 0  # how many of those that a redrive runs again have begun
    redrives: int = 0
    phase: Literal["", "items", "results"] = ""


class Frame(msgspec.Struct, omit_defaults=True):
    """One line of execution: the machine itself, a branch, or an iteration, in one state."""

    id: int
    block: int
    state: str
    phase: Phase = "enter"
    input: Any = None
    last: int = 0
    entered: int = 0
    entered_ms: int = 0
    parent: int | None = None
    slot: int = 0
    variables: dict[str, Any] = {}
    sizes: dict[str, int] = {}  # of the variables, in bytes
    retried: list[int] = []
    retries: int = 0
    due_ms: int | None = None
    call: int | None = None
    token: str | None = None
    submitted: bool = False
    timeout_s: int | None = None
    timeout_ms: int | None = None
    beat_s: int | None = None
    beat_ms: int | None = None
    join: Join | None = None


class Run(msgspec.Struct, omit_defaults=True):
    """An execution. `advance` never changes one: it returns another.

    One that ended, but has not succeeded, keeps frames and cells for `Machine.redrive`.
    """

    arn: str
    name: str
    machine_arn: str
    machine_name: str
    type: Type = "STANDARD"
    role_arn: str = ""
    input: Any = None
    started_ms: int = 0
    deadline_ms: int | None = None
    redrives: int = 0
    redriven_ms: int | None = None
    status: Status = "RUNNING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    ended_ms: int | None = None
    block: int = 0
    item: Any = msgspec.UNSET
    index: int = 0
    events: int = 0
    variables_bytes: int = 0
    next_frame: int = 0
    next_call: int = 0
    frames: dict[int, Frame] = {}
    cells: dict[str, Any] = {}
    calls: dict[int, int] = {}
    tokens: dict[str, int] = {}
    ready: list[int] = []


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """The first event of a run."""


class Wake(msgspec.Struct, frozen=True, tag="wake"):
    """The moment that `Commands.wake_ms` named has come, or any later one."""


class Started(msgspec.Struct, frozen=True, tag="started"):
    """A worker took an activity's task."""

    call: int
    worker: str = ""


class Submitted(msgspec.Struct, frozen=True, tag="submitted"):
    """What a `.sync` call started is running; its result will come."""

    call: int
    output: Any


class Succeeded(msgspec.Struct, frozen=True, tag="succeeded"):
    """A call answered. Where the task waits for its token, it goes on waiting."""

    call: int
    output: Any


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """A call failed."""

    call: int
    error: str | None
    cause: str | None = None


class Read(msgspec.Struct, frozen=True, tag="read"):
    """A call of kind `items` answered. `sources` says where so many items each came from."""

    call: int
    items: list[Any] | dict[str, Any]
    sources: list[tuple[int, str]] = []


class TokenSucceeded(msgspec.Struct, frozen=True, tag="token_succeeded"):
    """SendTaskSuccess."""

    token: str
    output: Any


class TokenFailed(msgspec.Struct, frozen=True, tag="token_failed"):
    """SendTaskFailure."""

    token: str
    error: str | None = None
    cause: str | None = None


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """SendTaskHeartbeat."""

    token: str


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """StopExecution."""

    error: str | None = None
    cause: str | None = None


Event: TypeAlias = (
    Begin
    | Wake
    | Started
    | Submitted
    | Succeeded
    | Failed
    | Read
    | TokenSucceeded
    | TokenFailed
    | Heartbeat
    | Stop
)
"""What happens to a run. An event of a call or token that is no longer open changes nothing."""


class Call(msgspec.Struct, frozen=True):
    """Something to be done outside, answered with `Succeeded` or `Failed`.

    Attributes:
        id: Of the call, within its run.
        kind: `task`: call `resource` with `arguments`. `child`: start a run of the machine with
            `Machine.child`. `items`: read the items of a distributed Map; answer with `Read`.
            `results`: write the results of one; answer with what replaces the output.
        state: The state's name.
        attempt: 1, then one more for each retry.
        token: What SendTaskSuccess will bring, if the task waits for that.
        map_run: Of a `child`, and of `results`.
        config: ReaderConfig or WriterConfig; MaxItems is a number in it.
        results: What is to be written.
        again: Of a `child`: the call of the child that failed or was stopped, and is redriven.
    """

    id: int
    kind: Literal["task", "child", "items", "results"]
    state: str
    resource: str = ""
    arguments: Any = None
    attempt: int = 1
    token: str | None = None
    credentials: Any = None
    timeout_s: int | None = None
    heartbeat_s: int | None = None
    block: int = 0
    index: int = 0
    item: Any = msgspec.UNSET
    type: Type = "STANDARD"
    map_run: str = ""
    config: Any = None
    results: list[Any] = []
    again: int = 0


class HistoryEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of an execution's history; `details` as GetExecutionHistory names them."""

    id: int
    previous: int
    type: str
    at_ms: int
    details: dict[str, Any] | None = None


class Commands(msgspec.Struct):
    """What one call of `advance` asks for."""

    history: list[HistoryEvent] = []
    calls: list[Call] = []
    stopped: list[int] = []
    frames: set[int] = set()
    cells: set[str] = set()
    wake_ms: int | None = None
    finished: bool = False
