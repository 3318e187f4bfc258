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
REFERENCE_PATH = "States.ReferencePathConflict"
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
        terminal: Only a clause that names it means it; States.ALL does not.
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
        terminal: bool = False,
    ) -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause
        self.final = final or cause is None
        self.location = location
        self.also = also
        self.terminal = terminal

    def within(self, state: str, entered: int) -> StatesError:
        """Return the error as the innermost state tells it: its cause says where it occurred."""
        if self.final:
            return self
        where = f"'{state}' (entered at the event id #{entered})"
        cause = f"An error occurred while executing the state {where}. {self.cause}"
        return StatesError(self.error, cause, final=True, location=self.location, also=self.also)

    @property
    def is_runtime(self) -> bool:
        """Whether nothing can retry or catch it."""
        return self.error == RUNTIME


def runtime(cause: str) -> StatesError:
    """Return an error that ends the execution: it cannot be retried nor caught."""
    return StatesError(RUNTIME, cause)


def too_large(what: str, terminal: bool = True) -> StatesError:
    """Return the error of a result above 256 KiB; `what` is a state, a service or an ARN.

    AWS documents it as terminal; that of a task was recorded to be caught by States.ALL.
    """
    return StatesError(
        DATA_LIMIT,
        f"The state/task '{what}' returned a result with a size exceeding the maximum number"
        " of bytes service limit.",
        final=True,
        terminal=terminal,
    )


def conflict(cause: str) -> StatesError:
    """Return the error of a ResultPath or an ItemsPath that cannot be followed.

    AWS documents States.ResultPathMatchFailure, and raises another, which does not tell the state.
    """
    return StatesError(REFERENCE_PATH, cause, final=True)


class InvalidDefinition(Refused):
    """A definition that AWS would not take; `findings` lists every fault."""

    code = "invalid_definition"

    def __init__(self, findings: list[object]) -> None:
        lines = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(f"The definition has {len(findings)} fault(s):\n{lines}")
        self.findings = findings
