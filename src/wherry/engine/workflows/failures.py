"""How a task that failed is told to its state machine: the names and causes that AWS Lambda gives.

What the handler raised goes by its class; Retry and Catch name it so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wherry import errors, limits
from wherry.statemachine.records import Failed
from wherry.statemachine.text import to_text

if TYPE_CHECKING:
    from wherry.engine.work import Task, Work
    from wherry.invocation import Failure
    from wherry.statemachine.records import Call
    from wherry.telemetry import Ending

TIMED_OUT = "Sandbox.Timedout"
DIED = "Runtime.ExitError"
NOT_FOUND = "Lambda.ResourceNotFoundException"
UNDONE = "undone"  # of a message: no attempt was made, or nobody knows what came of it

# What the platform could not do is no failure of the task: its message comes again.
PASSING = frozenset((errors.Passing.code, errors.StoreFull.code, errors.FateUnknown.code))


def failed_of(work: Work, task: Task, ending: Ending, error: str) -> Failed:
    """Return what the state machine is told of a run that came to nothing."""
    request = work.request_id
    if ending == "timeout":
        seconds = work.function.spec.timeout_s
        said = f"RequestId: {request} Error: Task timed out after {seconds:.2f} seconds"
        return _failed(task.call, TIMED_OUT, {"errorType": TIMED_OUT, "errorMessage": said})
    if ending == "died":
        why = task.failure.message if task.failure is not None else error
        said = f"RequestId: {request} Error: Runtime exited with error: {why}"
        return _failed(task.call, DIED, {"errorType": DIED, "errorMessage": said})
    failure = task.failure
    if failure is not None:
        return _failed(task.call, failure.error, _raised(failure, request))
    name = {"condition": "ConditionFailed", "conflict": "Conflict"}.get(ending, "HandlerFailed")
    cause = {"errorMessage": error, "errorType": name, "requestId": request, "stackTrace": []}
    return _failed(task.call, name, cause)


def not_found(call: Call, function: str, request_id: str) -> Failed:
    """Return what a state machine is told that calls a function which there is not."""
    cause = (
        f"Function not found: {function} (Service: AWSLambda; Status Code: 404; "
        f"Error Code: ResourceNotFoundException; Request ID: {request_id}; Proxy: null)"
    )
    return Failed(call.id, NOT_FOUND, cause)


def _raised(failure: Failure, request: str) -> dict[str, object]:
    lines = [line + "\n" for line in failure.trace.splitlines()]
    return {
        "errorMessage": failure.message,
        "errorType": failure.error,
        "requestId": request,
        "stackTrace": lines,
    }


def _failed(call: int, error: str, cause: Mapping[str, object]) -> Failed:
    text = to_text(cause)
    if len(text) > limits.STATE_CAUSE_LENGTH and "stackTrace" in cause:
        text = to_text({**cause, "stackTrace": []})
    return Failed(call, error, text)
