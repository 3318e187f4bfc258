"""A message as it is stored, and its lease as it is kept in memory."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct

from wherry import limits


class Message(NamedTuple):
    """A row of `messages`, in the order of its columns. `grp` and `place`: see `parking`.

    `seq` is negative while a message is leased that was born so.
    """

    seq: int
    id: str
    slot: int
    due_ms: int
    queue: int
    token: int
    attempts: int
    redrives: int
    sent_ms: int
    started_ms: int
    expires_ms: int
    correlation: str
    traceparent: str
    error: str
    body: bytes
    grp: str | None = None
    place: int | None = None


class Lease(Struct, frozen=True, gc=False):
    """Who holds a message, until when on the steady clock, and where it is."""

    until_s: float
    owner: int
    seq: int
    token: int
    queue: int
    grp: str | None = None


def fitting(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Return the first of these claimed rows whose bodies fit into one answer, at least one."""
    size = 0
    for number, row in enumerate(rows):
        size += len(row[8])
        if size > limits.CLAIMED_BYTES:
            return rows[: max(1, number)]
    return rows
