"""Errors, each with a stable code that leaves the system, and whose fault it is.

A `Problem` is an answer: a handler may raise one, the gateway turns it into RFC 9457
problem details. A `Refused` is a mistake in the app or its configuration: it is shown to
the developer with the line to change. A `Passing` fault may be tried again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class WherryError(Exception):
    """Every error that wherry raises on purpose."""

    code = "internal_error"

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".rstrip()


class Problem(WherryError):
    """An error that is an answer to the caller (RFC 9457).

    Args:
        message: One sentence for the caller. It leaves the system: no secrets, no internals.
        faults: For bad input, what is wrong: `{"at": "$.lines[0].count", "fault": "..."}`.
        extra: Further members of the problem document; of its own it may change `type`, `title`.
        headers: Of the answer.
    """

    code = "problem"
    status = 500

    def __init__(
        self,
        message: str = "",
        *,
        faults: Sequence[Mapping[str, str]] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        advice: str = "",
    ) -> None:
        said = str(message or (type(self).__doc__ or "").split("\n")[0])
        super().__init__(said, advice=advice)
        self.faults = list(faults)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class BadRequest(Problem):
    """The request cannot be read."""

    code, status = "bad_request", 400


class Invalid(Problem):
    """The request is well formed and breaks its contract."""

    code, status = "invalid", 422


class Unauthenticated(Problem):
    """The request carries no valid token."""

    code, status = "unauthenticated", 401


class Forbidden(Problem):
    """The caller may not do this."""

    code, status = "forbidden", 403


class NotFound(Problem):
    """There is no such thing: `NotFound("order", order_id)`."""

    code, status = "not_found", 404

    def __init__(self, kind: str = "resource", key: object = None, **more: Any) -> None:
        super().__init__(
            f"There is no {kind} {key}." if key is not None else f"There is no such {kind}.", **more
        )


class MethodNotAllowed(Problem):
    """The path exists, the method does not: `MethodNotAllowed(["GET", "HEAD"])`."""

    code, status = "method_not_allowed", 405

    def __init__(self, allowed: Sequence[str] = (), **more: Any) -> None:
        headers = {"allow": ", ".join(allowed)} if allowed else {}
        message = f"This path takes {headers['allow']}." if allowed else ""
        super().__init__(message, headers=headers, **more)


class Conflict(Problem):
    """The request clashes with the present state."""

    code, status = "conflict", 409


class ConditionFailed(Conflict):
    """A condition of a write did not hold; nothing was applied."""

    code = "condition_failed"

    def __init__(self, table: str, key: str, why: str = "", **more: Any) -> None:
        super().__init__(
            f"{unmet(table, key, why)}; nothing was applied.",
            extra={"table": table, "key": key},
            **more,
        )
        self.table = table
        self.key = key


_REDRIVEN = "only one that has failed, was stopped or ran out of time can go on"
UNMET_ORDERS = {  # what does not hold of an execution, or of a task's token ("foreign")
    "absent": "does not exist",
    "input": "has begun with another input",
    "nested": "was started by another execution",
    "ended": "has ended",
    "running": f"is still running; {_REDRIVEN}",
    "succeeded": f"has succeeded; {_REDRIVEN}",
    "full": "has no room for more events in its history, and cannot go on",
    "old": "began a year ago or more, and cannot go on",
    "late": "ended more than 14 days ago, and cannot go on",
    "foreign": "it is a task of another workflow that does",
}


def unmet(table: str, key: str, why: str) -> str:
    """Say what does not hold; "workflow NAME" stands for the executions of one."""
    kind, _, workflow = table.partition(" ")
    if kind != "workflow" or not workflow:
        return f"A condition on {table} {key} does not hold"
    if key == "token":
        told = f"No task of the workflow {workflow!r} waits for this token"
        return f"{told}: {UNMET_ORDERS[why]}" if why else f"{told} (any more)"
    told = UNMET_ORDERS.get(why, "does not allow this")
    return f"The execution {key!r} of the workflow {workflow!r} {told}"


class TooLarge(Problem):
    """The content is larger than this endpoint takes."""

    code, status = "too_large", 413


class UnsupportedMediaType(Problem):
    """The content is of a type that this endpoint does not take."""

    code, status = "unsupported_media_type", 415


class TooManyRequests(Problem):
    """The caller is over its rate."""

    code, status = "too_many_requests", 429


class HandlerFailed(Problem):
    """The function failed; nothing of it was applied."""

    code, status = "handler_failed", 500


class EnvironmentDied(Problem):
    """The function's process ended before it answered; nothing of it was applied."""

    code, status = "environment_died", 502


class CallerGone(Problem):
    """The caller hung up before its request was begun: it was not run. Only logs show this."""

    code, status = "caller_gone", 499  # as nginx says it


class Unavailable(Problem):
    """There is no capacity for this now; try again."""

    code, status = "unavailable", 503

    def __init__(self, message: str = "", **more: Any) -> None:
        super().__init__(message, **more)
        if all(name.lower() != "retry-after" for name in self.headers):
            self.headers["retry-after"] = "1"


class FateUnknown(Problem):
    """The store died and its successor cannot tell whether this was applied; ask again."""

    code, status = "fate_unknown", 503


class DeadlineExceeded(Problem):
    """The function did not answer in its time; nothing of it was applied."""

    code, status = "deadline_exceeded", 504


class Refused(WherryError):
    """The app asks for what it may not have, or what this platform cannot do."""

    code = "refused"


class GrantMissing(Refused):
    """A function used a resource without the grant for it."""

    code = "grant_missing"

    def __init__(self, function: str, resource: str, action: str, line: str = "") -> None:
        """`line`: how the grant is written in the team's code, where that is known."""
        super().__init__(
            f"Function {function!r} may not {action} {resource!r}.",
            advice=f"Add {line or f'{resource}.{action}'} to the grants of {function}.",
        )
        self.function, self.resource, self.action = function, resource, action


class BoundExceeded(Refused):
    """A bound of one commit would be passed."""

    code = "bound_exceeded"


class AppInvalid(Refused):
    """The description of an app has faults; `findings` lists all of them."""

    code = "app_invalid"

    def __init__(self, findings: Sequence[Any]) -> None:
        lines = "\n".join(f"  {finding}" for finding in findings)
        super().__init__(f"The app has {len(findings)} fault(s):\n{lines}")
        self.findings = list(findings)


class PatternInvalid(Refused):
    """An event pattern that EventBridge would refuse; `faults` lists every reason with its path."""

    code = "pattern_invalid"

    def __init__(self, faults: Sequence[Any]) -> None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"The event pattern has {len(faults)} fault(s):\n{lines}")
        self.faults = list(faults)


class StoredItemUnreadable(WherryError):
    """A stored item is not of its table's type: it is of an older form, or damaged."""

    code = "stored_item_unreadable"

    @classmethod
    def of(cls, key: str, kind: str, fault: str) -> StoredItemUnreadable:
        """Return the error of one item: table and key, what it should be, what is wrong."""
        return cls(
            f"The stored item {key} cannot be read as {kind}: {fault}.",
            advice="Give the type what it had when the item was stored (a new field needs a "
            "default), write upgrade= on the table, or put the item anew.",
        )


def rejection(code: str, message: str) -> WherryError:
    """Return the error of a commit that a platform has rejected: for a bound, or as `code` says."""
    unreadable = code == StoredItemUnreadable.code
    return StoredItemUnreadable(message) if unreadable else BoundExceeded(message)


class DoNotRetry(WherryError):
    """Raised by a consumer: trying again is of no use. The message waits in the failure inbox."""

    code = "do_not_retry"


class Passing(WherryError):
    """A fault of the moment: the store is restarting, a lease was lost. May be tried again."""

    code = "passing"


class StoreFull(Passing):
    """The disk under the store is full. Reads are served, writes wait for room."""

    code = "store_full"
