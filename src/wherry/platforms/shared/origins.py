"""What a message comes from: a run, or something that no run has done."""

from __future__ import annotations

from typing import Protocol

from wherry import limits
from wherry.codec import digest


class Cause:
    """A message that no run has sent. It begins a correlation and a trace of its own.

    Args:
        id: The message's ID, which is the correlation ID too.
    """

    __slots__ = ("correlation_id", "traceparent")

    def __init__(self, id: str) -> None:
        self.correlation_id = id[: limits.CORRELATION_ID_LENGTH]
        self.traceparent = f"00-{digest('trace', id)}-{digest('span', id)[:16]}-01"


class Origin(Protocol):
    """What a message comes from: the record of a run, or a schedule."""

    @property
    def correlation_id(self) -> str: ...
    @property
    def traceparent(self) -> str: ...
