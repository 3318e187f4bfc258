"""Running a state machine in the test's process, on a clock that jumps."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from wherry import limits
from wherry.handles.shapes import to_json
from wherry.statemachine.faults import InvalidDefinition, StatesError
from wherry.statemachine.functions import uuid4
from wherry.statemachine.history import shown
from wherry.statemachine.machine import Machine, compile_machine
from wherry.statemachine.records import (
    Begin,
    Call,
    Commands,
    Event,
    Failed,
    HistoryEvent,
    Run,
    Started,
    Submitted,
    Succeeded,
    TokenFailed,
    TokenSucceeded,
    Wake,
)
from wherry.statemachine.resources import Resource
from wherry.statemachine.text import to_text
from wherry.statemachine.validation import validate
from wherry.statemachine.writers import answer as answer_of_writer
from wherry.world import Chance, ManualClock

if TYPE_CHECKING:
    from wherry import asl
    from wherry.handles.workflows import Workflow

_STATE_MS = 20  # what a state takes on the manual clock where a run never waits


class _Never:
    def __repr__(self) -> str:
        return "NEVER"


NEVER = _Never()
"""What a task returns that does not answer: its timeout or its heartbeat must find it."""


class TaskFailed(Exception):
    """A task's failure, with the names that Retry and Catch see."""

    def __init__(self, error: str | None = None, cause: str | None = None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


class TaskCall(msgspec.Struct, frozen=True):
    """One attempt of a task.

    Attributes:
        state: The state's name.
        resource: Its Resource, as the definition has it.
        arguments: The effective arguments.
        attempt: 1, then one more for each retry.
        token: The task's token, where it waits for one.
    """

    state: str
    resource: str
    arguments: Any
    attempt: int
    token: str | None = None


class WorkflowResult(msgspec.Struct, frozen=True):
    """How a run ended. `history` holds events as boto3's `get_execution_history` gives them."""

    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    output: Any
    error: str | None
    cause: str | None
    history: list[dict[str, Any]]


Tasks: TypeAlias = Mapping[str, Callable[[Any], Any]] | Callable[[TaskCall], Any]


def run_workflow(
    definition: str | bytes | dict[str, Any] | asl.Machine | Workflow[Any],
    input: Any = msgspec.UNSET,
    tasks: Tasks | None = None,
    *,
    type: Literal["STANDARD", "EXPRESS"] = "STANDARD",
    account: str = "123456789012",
    region: str = "eu-central-1",
    name: str = "run",
    machine_name: str = "workflow",
    role_arn: str | None = None,
    clock: ManualClock | None = None,
    seed: int = 0,
) -> WorkflowResult:
    """Run a state machine to its end; waits and retries take no time.

        result = run_workflow(definition, {"id": "o-1"}, tasks={"charge": lambda payload: {...}})
        assert result.status == "SUCCEEDED"

    Args:
        definition: Amazon States Language, as text or as what it decodes to; what `wherry.asl`
            built; or a workflow of an app, with the definition that it has.
        input: The execution's input: any JSON value; without one `{}`, as on AWS.
        tasks: What tasks do. Either by the name of a state or a function, or by a Resource: a
            function gets its payload, anything else the arguments of the call; what it returns
            is the result, and where the task waits for its token, what the token brings. Or one
            callable for all, which gets a `TaskCall` and returns the whole answer. A task that
            fails raises `TaskFailed`; one that does not answer returns `NEVER`.
        type: An express workflow may run for five minutes.
        account, region, name, machine_name, role_arn: What the context object tells.
        clock: A `ManualClock` to share with the tasks; a task that moves it takes that long.
        seed: Of chance: jitter, `States.UUID`, `$random`.

    Raises:
        InvalidDefinition: AWS would not take the definition.
        LookupError: There is no callable for a task.
    """
    if not isinstance(definition, str | bytes | dict):
        from wherry.app.definitions import definition_of

        definition = definition_of(definition)
    findings = validate(definition, type=type, functions=None)
    if findings:
        raise InvalidDefinition(list(findings))
    machine = compile_machine(definition)
    chance = Chance(seed)
    place = f"arn:aws:states:{region}:{account}"
    arn = f"{place}:execution:{machine_name}:{name}"
    if type == "EXPRESS":
        arn = f"{place}:express:{machine_name}:{name}:{uuid4(chance)}"
    run = machine.new_run(
        arn=arn,
        name=name,
        machine_arn=f"{place}:stateMachine:{machine_name}",
        machine_name=machine_name,
        type=type,
        role_arn=f"arn:aws:iam::{account}:role/{machine_name}" if role_arn is None else role_arn,
        input=_as_json({} if input is msgspec.UNSET else input),
    )
    return _Driver(machine, tasks or {}, clock or ManualClock(), chance).drive(run)


class _Driver:
    def __init__(self, machine: Machine, tasks: Tasks, clock: ManualClock, chance: Chance) -> None:
        self._machine = machine
        self._tasks = tasks
        self._clock = clock
        self._chance = chance
        self._runs: dict[int, Run] = {}
        self._parents: dict[int, tuple[int, Call]] = {}
        self._wakes: dict[int, int] = {}
        self._work: deque[tuple[int, Call]] = deque()
        self._history: list[HistoryEvent] = []
        self._next = 0

    def drive(self, run: Run) -> WorkflowResult:
        self._begin(run)
        while self._runs[0].status == "RUNNING":
            if self._work:
                self._answer(*self._work.popleft())
            else:
                self._sleep()
        ended = self._runs[0]
        assert ended.status != "RUNNING"
        return WorkflowResult(
            status=ended.status,
            output=_as_json(ended.output),
            error=ended.error,
            cause=ended.cause,
            history=[shown(event) for event in self._history],
        )

    def _begin(self, run: Run, parent: tuple[int, Call] | None = None) -> None:
        number = self._next
        self._next += 1
        self._runs[number] = run
        if parent is not None:
            self._parents[number] = parent
        self._advance(number, Begin())

    def _sleep(self) -> None:
        number = min(self._wakes, key=lambda one: (self._wakes[one], one))
        wake_ms = self._wakes[number]
        if self._runs[number].ready:
            self._clock.advance(limits.STATE_STEPS * _STATE_MS / 1000)
        while (missing_ms := wake_ms - self._clock.now_ms()) > 0:
            self._clock.advance(missing_ms / 1000)
        self._advance(number, Wake())

    def _advance(self, number: int, event: Event) -> None:
        if number not in self._runs:
            return
        now_ms = self._clock.now_ms()
        run, commands = self._machine.advance(
            self._runs[number], event, now_ms, self._chance, reuse=True
        )
        self._runs[number] = run
        if number == 0:
            self._history += commands.history
        self._wakes.pop(number, None)
        if commands.wake_ms is not None:
            self._wakes[number] = commands.wake_ms
        self._stop(number, commands)
        self._work += [(number, call) for call in commands.calls]
        if commands.finished and number in self._parents:
            self._report(number, run)

    def _stop(self, number: int, commands: Commands) -> None:
        stopped = set(commands.stopped)
        if not stopped:
            return
        self._work = deque(
            one for one in self._work if one[0] != number or one[1].id not in stopped
        )
        for child, (parent, call) in list(self._parents.items()):
            if parent == number and call.id in stopped:
                self._forget(child)

    def _forget(self, number: int) -> None:
        for child, (parent, _) in list(self._parents.items()):
            if parent == number:
                self._forget(child)
        for kept in (self._runs, self._parents, self._wakes):
            kept.pop(number, None)
        self._work = deque(one for one in self._work if one[0] != number)

    def _report(self, number: int, run: Run) -> None:
        parent, call = self._parents[number]
        self._forget(number)
        if run.status == "SUCCEEDED":
            self._advance(parent, Succeeded(call.id, run.output))
        else:
            self._advance(parent, Failed(call.id, run.error or "States.Timeout", run.cause))

    def _answer(self, number: int, call: Call) -> None:
        if call.kind == "child":
            name = uuid4(self._chance)
            child = self._machine.child(self._runs[number], call, name)
            self._begin(child, (number, call))
            return
        if call.kind == "results" and not self._stands_for(call):
            try:
                written: Event = Succeeded(call.id, answer_of_writer(call))
            except StatesError as error:
                written = Failed(call.id, error.error, error.cause)
            self._advance(number, written)
            return
        resource = Resource(call.resource)
        if resource.family == "Activity":
            self._advance(number, Started(call.id))
        try:
            answer = self._ask(call, resource)
        except TaskFailed as failure:
            self._overdue(number)
            self._submit(number, call, resource)
            if call.token is not None:
                event: Event = TokenFailed(call.token, failure.error, failure.cause)
            else:
                event = Failed(call.id, failure.error, failure.cause)
            self._advance(number, event)
            return
        self._overdue(number)
        self._submit(number, call, resource)
        if answer is NEVER:
            return
        if call.token is not None:
            self._advance(number, TokenSucceeded(call.token, answer))
        else:
            self._advance(number, Succeeded(call.id, answer))

    def _stands_for(self, call: Call) -> bool:
        tasks = self._tasks
        return isinstance(tasks, Mapping) and (call.state in tasks or call.resource in tasks)

    def _submit(self, number: int, call: Call, resource: Resource) -> None:
        """Answer a call that only begins something: a message sent, a job started."""
        answer = {"SdkHttpMetadata": {"HttpStatusCode": 200}}
        if resource.pattern == "waitForTaskToken":
            self._advance(number, Succeeded(call.id, answer))
        elif resource.pattern == "sync":
            self._advance(number, Submitted(call.id, answer))

    def _overdue(self, number: int) -> None:
        if self._wakes.get(number, self._clock.now_ms() + 1) <= self._clock.now_ms():
            self._advance(number, Wake())

    def _ask(self, call: Call, resource: Resource) -> Any:
        arguments = _as_json(call.arguments)
        if not isinstance(self._tasks, Mapping):
            asked = TaskCall(call.state, call.resource, arguments, call.attempt, call.token)
            answer = self._tasks(asked)
            return answer if answer is NEVER else _as_json(answer)
        function = _function_name(resource, arguments)
        task = _find(self._tasks, [call.state, call.resource, resource.name, *_names(function)])
        if task is None:
            raise LookupError(
                f"No task for state {call.state!r}: give one under the name of the state, of the"
                f" function or of the resource {call.resource!r}"
            )
        if function is None:
            answer = task(arguments)
            return answer if answer is NEVER else _as_json(answer)
        payload = arguments.get("Payload") if resource.is_lambda_invoke else arguments
        answer = self._invoke(task, payload)
        if answer is NEVER or not resource.is_lambda_invoke or call.token is not None:
            return answer
        return {
            "ExecutedVersion": "$LATEST",
            "Payload": answer,
            "SdkHttpMetadata": {"HttpStatusCode": 200},
            "SdkResponseMetadata": {"RequestId": uuid4(self._chance)},
            "StatusCode": 200,
        }

    def _invoke(self, task: Callable[[Any], Any], payload: Any) -> Any:
        """Call a function; an exception becomes what Lambda makes of it."""
        try:
            answer = task(payload)
            return answer if answer is NEVER else _as_json(answer)
        except TaskFailed:
            raise
        except Exception as error:
            cause = {
                "errorMessage": str(error),
                "errorType": error.__class__.__name__,
                "requestId": uuid4(self._chance),
                "stackTrace": [],
            }
            raise TaskFailed(error.__class__.__name__, to_text(cause)) from error


def _function_name(resource: Resource, arguments: Any) -> str | None:
    if resource.is_lambda_invoke and isinstance(arguments, dict):
        return str(arguments.get("FunctionName", ""))
    return resource.name if resource.family == "LambdaFunction" else None


def _names(function: str | None) -> list[str]:
    """Return the names under which a function may be given: as it is, and without its ARN."""
    if function is None:
        return []
    parts = function.split(":")
    if "function" in parts:
        return [function, parts[parts.index("function") + 1]]
    return [function, parts[0]]


def _find(tasks: Mapping[str, Callable[[Any], Any]], names: list[str]) -> Any:
    return next((tasks[name] for name in names if name in tasks), None)


def _as_json(value: Any) -> Any:
    """Return a copy of a value as JSON has it; nobody else's changes show in it."""
    return msgspec.json.decode(to_json(value))
