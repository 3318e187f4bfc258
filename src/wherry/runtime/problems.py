"""Errors as they leave the system: RFC 9457 problem details, without internals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry.codec import to_json
from wherry.errors import FateUnknown, StoreFull, Unavailable
from wherry.invocation import Reply
from wherry.runtime.failures import tellable

if TYPE_CHECKING:
    from wherry.errors import Problem

MEDIA_TYPE = "application/problem+json"
_THEIRS = {"type", "title"}  # RFC 9457 lets an app name its types of problems


def problem_document(problem: Problem, correlation_id: str) -> dict[str, Any]:
    """Return what is said of a problem: a stable `code`, the correlation ID, what is wrong.

    Raises:
        ValueError: Its `extra` has a member that is not for it to say.
    """
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.code.replace("_", " ").capitalize(),
        "status": problem.status,
        "code": problem.code,
        "detail": tellable(problem.message),
        "correlation_id": correlation_id,
    }
    if problem.faults:
        document["faults"] = problem.faults
    taken = document.keys() & problem.extra.keys() - _THEIRS
    if taken:
        raise ValueError(f"extra= has {sorted(taken)}, which the problem itself says")
    document.update(problem.extra)
    return document


def problem_headers(problem: Problem) -> dict[str, str]:
    """Return the headers of the answer for a problem, their names in lower case."""
    headers = {"content-type": MEDIA_TYPE}
    if problem.status == 401:  # it has to have a challenge (RFC 9110, section 15.5.2)
        headers["www-authenticate"] = "Bearer"
    return headers | {name.lower(): value for name, value in problem.headers.items()}


def problem_reply(problem: Problem, correlation_id: str) -> Reply:
    """Return the answer for a problem of wherry's own; a handler's may be impossible to encode."""
    headers = list(problem_headers(problem).items())
    return Reply(problem.status, headers, to_json(problem_document(problem, correlation_id)))


def store_trouble(code: str) -> Problem:
    """Return what a caller is told when the store cannot be used; `code` is that of `Broken`."""
    if code == FateUnknown.code:
        return FateUnknown(
            "It is not known whether this was applied: the store cannot tell now. Ask again with "
            "the same Idempotency-Key.",
            headers={"retry-after": "5"},
        )
    problem = Unavailable(
        "Nothing was applied: the store cannot be used now.", headers={"retry-after": "5"}
    )
    if code == StoreFull.code:
        problem.status, problem.code = 507, code
        problem.message = "Nothing was applied: the store is full."
    return problem
