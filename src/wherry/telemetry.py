"""What is remembered of every invocation, for the timeline, the logs and the dashboard."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

Ending: TypeAlias = Literal[
    "ok", "refused", "failed", "died", "timeout", "conflict", "condition", "duplicate"
]


class InvocationRecord(Struct, frozen=True, array_like=True):
    """One attempt. Times in milliseconds; `at_ms` is when it began to wait.

    `cause` is the message or request that led here: the ID of the message that was consumed, or
    empty for a request. `marks` are the reads and effects in words.
    """

    number: int
    correlation_id: str
    function: str
    trigger: str  # "POST /orders", "queue exports"
    request_id: str
    traceparent: str
    parent: str
    release: str
    attempt: int
    at_ms: int
    waited_ms: float
    ran_ms: float
    cold: bool
    ending: Ending
    status: int
    error: str
    cause: str
    marks: list[str]
    memory_bytes: int = 0
