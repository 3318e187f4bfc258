"""An error of a state machine, with AWS's name and cause."""

from __future__ import annotations

from wherry.errors import Refused, WherryError

TIMEOUT = "States.Timeout"
HEARTBEAT_TIMEOUT = "States.HeartbeatTimeout"
TASK_FAILED = "States.TaskFailed"
RUNTIME = "States.Runtime"
DATA_LIMIT = "States.DataLimitExceeded"
QUERY = "States.QueryEvaluationError"
TOLERANCE = "States.ExceedToleratedFailureThreshold"
RESULT_PATH = "States.ResultPathMatchFailure"
READER = "States.ItemReaderFailed"
ALL = "States.ALL"


class StatesError(WherryError):
    """What makes a state fail.

    Args:
        error: AWS's name, or the team's; None where a Fail state gives none.
        cause: For people. None where AWS writes none (timeouts).
        final: The cause is written as it is; other causes are preceded by the state's name.
        location: The field whose JSONata failed.
        also: A further name under which Retry and Catch know it.
    """

    code = "states_error"

    def __init__(
        self,
        error: str | None,
        cause: str | None,
        *,
        final: bool = False,
        location: str = "",
        also: str = "",
    ) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.final = final or cause is None
        self.location = location
        self.also = also

    @property
    def is_runtime(self) -> bool:
        """Whether nothing can retry or catch it."""
        return self.error == RUNTIME


def runtime(cause: str) -> StatesError:
    """Return an error that ends the execution: it cannot be retried nor caught."""
    return StatesError(RUNTIME, cause)


def too_large(what: str) -> StatesError:
    """Return the error of a result above 256 KiB; `what` is a state, a service or an ARN."""
    return StatesError(
        DATA_LIMIT,
        f"The state/task '{what}' returned a result with a size exceeding the maximum number"
        " of bytes service limit.",
        final=True,
    )


class InvalidDefinition(Refused):
    """A definition that AWS would not take; `findings` lists every fault."""

    code = "invalid_definition"

    def __init__(self, findings: list[object]) -> None:
        lines = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(f"The definition has {len(findings)} fault(s):\n{lines}")
        self.findings = findings
