"""What the server itself answers: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from msgspec import structs

from wherry.codec import from_json, to_json
from wherry.errors import Problem

from .messages import Response

PROBLEM = ("content-type", "application/problem+json")
CORRELATION = "x-correlation-id"
PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Refusal(Exception):
    """The request is refused with `response`, and its connection is closed."""

    def __init__(
        self, status: int, code: str, detail: str, headers: list[tuple[str, str]] | None = None
    ) -> None:
        super().__init__(detail)
        self.response = problem(status, code, detail, headers)


def malformed(detail: str) -> Refusal:
    """Return the refusal of a request that cannot be read in one way only."""
    return Refusal(400, "bad_request", detail)


def busy(detail: str) -> Refusal:
    """Return the refusal of what there is no room for now; soon there may be."""
    return Refusal(503, "unavailable", detail, [("retry-after", "1")])


def problem(
    status: int, code: str, detail: str = "", headers: list[tuple[str, str]] | None = None
) -> Response:
    """Return problem details; without `detail` only what the status says."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": PHRASES.get(status, "Error"),
        "status": status,
        "code": code,
    }
    if detail:
        document["detail"] = detail
    fields = [PROBLEM, *(headers or [])]
    return Response(status, fields, to_json(document))


def is_nameless(response: Response) -> bool:
    """Whether these are problem details without a correlation ID."""
    return PROBLEM in response.headers and all(name != CORRELATION for name, _ in response.headers)


def named(response: Response, correlation: str, more: Iterable[tuple[str, str]] = ()) -> Response:
    """Return problem details with the correlation ID that a client may ask about.

    Args:
        more: Further headers.
    """
    assert isinstance(response.body, bytes), "problem details are no file"
    document = {**from_json(response.body), "correlation_id": correlation}
    headers = [*response.headers, (CORRELATION, correlation), *more]
    return structs.replace(response, headers=headers, body=to_json(document))


def answer_to(fault: Exception) -> Response:
    """Return what a client may learn of an exception: a `Problem` as it is, else only 500."""
    if isinstance(fault, Problem):
        return problem(fault.status, fault.code, fault.message, list(fault.headers.items()))
    return problem(500, "internal_error")
