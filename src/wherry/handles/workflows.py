"""Workflows: state machines whose executions a handler starts, looks at and moves on.

What changes an execution is recorded, and happens with the commit of the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from msgspec import Struct

from wherry import limits
from wherry.blueprint.parts import Grant
from wherry.errors import BoundExceeded, Refused
from wherry.handles.late import Late
from wherry.handles.scope import scope_for
from wherry.handles.shapes import FINITE, Shape, to_json

if TYPE_CHECKING:
    from wherry import effects, ports
    from wherry.blueprint.parts import Place
    from wherry.handles.scope import Scope
    from wherry.handles.tables import Page
    from wherry.ports.executions import ExecutionRow
else:
    effects, ports = Late("wherry.effects", globals()), Late("wherry.ports", globals())

T = TypeVar("T")
Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


class Execution(Struct, frozen=True):
    """An execution of a workflow, as it was when it was looked at.

    Attributes:
        name: Its name within the workflow.
        started_ms, ended_ms: Milliseconds since 1970; None as long as it runs.
        input, output: JSON values; None in a list, where they are left out.
        error, cause: Of one that has failed, that was stopped or ran out of time. The cause of a
            function's failure is its message, "ValueError: not now": where it was raised is for the
            history, and not for whoever a route hands this on to.
        states: The names of the states that it is in now.
        redrives: How often it has gone on after a failure.
    """

    workflow: str
    name: str
    status: Status
    started_ms: int
    ended_ms: int | None = None
    input: Any = None
    output: Any = None
    error: str | None = None
    cause: str | None = None
    states: tuple[str, ...] = ()
    redrives: int = 0


class Workflow(Generic[T]):
    """A state machine in Amazon States Language, as `app.workflow(...)` declared it.

    `refund.start`, `.stop` and `.redrive` are called in a handler, and are grants among
    `grants=[...]`. `refund.read` is the grant to `describe` and `list`; `refund.complete` that to
    `succeed`, `fail` and `heartbeat` a task that waits for its token.
    """

    def __init__(
        self,
        name: str,
        definition: Any,
        input_type: type[T] | None = None,
        *,
        grants: tuple[Any, ...] = (),
        folder: str = "",
        place: Place | None = None,
    ) -> None:
        self.name = name
        self.definition = definition  # a path below `folder`, or what is the definition itself
        self.input_type = input_type
        self.grants = grants
        self.folder = folder
        self.place = place
        self.read = Grant(kind="workflow", resource=name, action="read")
        self.complete = Grant(kind="workflow", resource=name, action="complete")
        self.start = _Starter(self)
        self.stop = _Stopper(self)
        self.redrive = _Redriver(self)
        self.shape: Shape[T] = Shape(input_type or Any)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Workflow({self.name!r})"

    # -- looking -----------------------------------------------------------------------------------

    def describe(self, name: str) -> Execution | None:
        """Return the execution of this name, or None; one that has been committed."""
        scope = self._scope("read")
        row = scope.ask(ports.FindExecution(self.name, _named(name)))
        found = isinstance(row, ports.ExecutionRow)
        scope.marks.append(f"describe {self.name} {name}" + ("" if found else " (absent)"))
        return _execution(row) if found else None

    def list(
        self,
        *,
        status: Status | None = None,
        limit: int = limits.QUERY_LIMIT,
        cursor: str | None = None,
    ) -> Page[Execution]:
        """Return executions, the newest first; without what they were given and gave."""
        from wherry.handles.cursors import read_cursor, write_cursor
        from wherry.handles.tables import Page

        scope = self._scope("read")
        if not 1 <= limit <= limits.QUERY_LIMIT_MAX:
            raise Refused(f"limit={limit} is not in 1..{limits.QUERY_LIMIT_MAX}.")
        if status is not None and status not in get_args(Status):
            raise Refused(f"status={status!r} is none of {', '.join(get_args(Status))}.")
        bound = ("executions", self.name, status)
        after = read_cursor(cursor, bound, _number)
        page = scope.ask(ports.ListExecutions(self.name, status, limit, after))
        scope.marks.append(f"list {self.name} ({len(page.rows)})")
        further = None if page.after is None else str(page.after).encode()
        return Page([_execution(row) for row in page.rows], write_cursor(further, bound))

    # -- tasks that wait for their token -----------------------------------------------------------

    def succeed(self, token: str, output: Any = None) -> None:
        """End the task that waits for this token; `output` (any JSON value) is its result.

        The commit checks that a task of this workflow waits for it: else it is a 409, as it is for
        whoever comes second.
        """
        body = self._json("output", output)
        self._end(token, "succeeded", body)

    def fail(self, token: str, error: str, cause: str = "") -> None:
        """Fail the task that waits for this token; its state may retry or catch `error`."""
        _check_error(error, cause)
        self._end(token, "failed", b"null", error, cause)

    def heartbeat(self, token: str) -> None:
        """Say that the task of this token goes on: its `HeartbeatSeconds` begin anew."""
        self._end(token, "heartbeat")

    def _end(
        self,
        token: str,
        kind: Literal["succeeded", "failed", "heartbeat"],
        output: bytes = b"null",
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        scope = self._scope("complete")
        if not 0 < len(token) <= limits.STATE_TOKEN_LENGTH:
            from wherry.errors import BadRequest

            raise BadRequest(f"A task's token has 1 to {limits.STATE_TOKEN_LENGTH} characters.")
        effect_id = scope.next_id(f"{kind} {self.name}")
        scope.charge(len(output) + len(cause or ""))
        scope.messages[effect_id] = effects.EndTask(
            self.name, token, effect_id, kind, output, error, cause
        )
        scope.marks.append(f"{kind} {self.name}: a task that waited")

    # -- what the handles share --------------------------------------------------------------------

    def _scope(self, action: str) -> Scope:
        return scope_for(f"The workflow {self.name!r}", (self.name, action))

    def _input(self, value: T) -> bytes:
        """Return an input as JSON, held against its type: no state could say what is wrong."""
        if self.input_type is None:
            return self._json("input", value)
        return self._bounded("input", self.shape.encode(value, f"The workflow {self.name!r}"))

    def _json(self, what: str, value: Any) -> bytes:
        from wherry.codec import NotFinite

        try:
            return self._bounded(what, to_json(value))
        except NotFinite as error:
            raise Refused(f"The {what} for {self.name!r}: {error}.", advice=FINITE) from None

    def _bounded(self, what: str, body: bytes) -> bytes:
        if len(body) > limits.STATE_DATA_BYTES:
            raise BoundExceeded(
                f"The {what} for {self.name!r} has {len(body)} bytes; "
                f"{limits.STATE_DATA_BYTES} are allowed.",
                advice="Put the content into a bucket or a table and pass its key.",
            )
        return body


class _Verb(Generic[T]):
    """What is called, and among `grants=[...]` is the grant to call it."""

    def __init__(self, workflow: Workflow[T]) -> None:
        self._workflow = workflow
        self.grant = Grant(kind="workflow", resource=workflow.name, action=self._action)

    _action: Literal["start", "stop", "redrive"]


class _Starter(_Verb[T]):
    """`refund.start`."""

    _action = "start"

    def __call__(self, input: T, *, name: str | None = None) -> str:
        """Start an execution with the commit, and return its name.

        Args:
            input: Of the workflow's input type, where it has one, else any JSON value; up to
                256 KiB of JSON.
            name: One name is one execution: a second start with the same input starts nothing
                more, with another it is a 409. 1 to 80 characters as AWS allows them. Without one
                it is made of the invocation's key, so that a run that is repeated starts it once.
        """
        workflow = self._workflow
        scope = workflow._scope("start")
        body = workflow._input(input)
        effect_id = scope.next_id(f"start {workflow.name}")
        name = effect_id if name is None else _named(name)
        scope.charge(len(body))
        scope.messages[effect_id] = effects.StartExecution(workflow.name, name, effect_id, body)
        scope.marks.append(f"start {workflow.name} {name}")
        return name


class _Stopper(_Verb[T]):
    """`refund.stop`."""

    _action = "stop"

    def __call__(self, name: str, *, error: str = "", cause: str = "") -> None:
        """End an execution with the commit, as ABORTED; one that has ended stays as it is."""
        _check_error(error, cause)
        workflow = self._workflow
        scope = workflow._scope("stop")
        effect_id = scope.next_id(f"stop {workflow.name}")
        scope.charge(len(name))
        scope.messages[effect_id] = effects.StopExecution(
            workflow.name, _named(name), effect_id, error or None, cause or None
        )
        scope.marks.append(f"stop {workflow.name} {name}")


class _Redriver(_Verb[T]):
    """`refund.redrive`."""

    _action = "redrive"

    def __call__(self, name: str) -> None:
        """Let an execution that has failed go on from where it failed, with the commit.

        The commit checks that it has failed, was stopped or ran out of time, not more than 14 days
        ago, and that its history has room: else it is a 409.
        """
        workflow = self._workflow
        scope = workflow._scope("redrive")
        effect_id = scope.next_id(f"redrive {workflow.name}")
        scope.charge(len(name))
        scope.messages[effect_id] = effects.RedriveExecution(workflow.name, _named(name), effect_id)
        scope.marks.append(f"redrive {workflow.name} {name}")


def _named(name: str) -> str:
    from wherry.names import check_execution_name

    return check_execution_name(name)


def _check_error(error: str, cause: str) -> None:
    for what, text, most in (
        ("error", error, limits.STATE_ERROR_LENGTH),
        ("cause", cause, limits.STATE_CAUSE_LENGTH),
    ):
        if len(text) > most:
            raise BoundExceeded(f"{what}= has {len(text)} characters; {most} are allowed.")


def _number(after: bytes) -> int:
    """Return where a list goes on. Raises `ValueError` for what is no number of an execution."""
    number = int(after)
    if not 0 <= number < 1 << 63:
        raise ValueError(number)
    return number


def _execution(row: ExecutionRow) -> Execution:
    from msgspec.json import decode

    return Execution(
        workflow=row.workflow,
        name=row.name,
        status=row.status,
        started_ms=row.started_ms,
        ended_ms=row.ended_ms,
        input=None if row.input is None else decode(row.input),
        output=None if row.output is None else decode(row.output),
        error=row.error,
        cause=_message(row.cause),
        states=tuple(row.states),
        redrives=row.redrives,
    )


def _message(cause: str | None) -> str | None:
    """Return a cause without a stack trace: of a function's failure its class and message.

    Also where the function is one of an execution that this one had started, and waited for.
    """
    from msgspec import DecodeError
    from msgspec.json import decode

    while cause is not None and cause.startswith("{"):
        try:
            found = decode(cause)
        except DecodeError:
            break
        if "errorMessage" in found and "errorType" in found:
            return f"{found['errorType']}: {found['errorMessage']}"
        if "ExecutionArn" not in found or not isinstance(found.get("Cause"), str):
            break
        cause = found["Cause"]
    return cause
