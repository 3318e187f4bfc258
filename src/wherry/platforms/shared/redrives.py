"""Redrives, of one message or of a whole queue: what may be asked, their pace, where to."""

from __future__ import annotations

from collections.abc import Iterable
from math import ceil
from typing import NamedTuple

from wherry import limits
from wherry.platforms.shared.shapes import Queue
from wherry.ports import Redrive, RedriveAll, RedriveJob, Rejected

BURST_MS = 1_000  # a job that nobody has moved on for long catches up with so much of its rate


class Job(NamedTuple):
    """A row of `redrives`: `through` is the last failure that is part of it."""

    queue: int
    through: int
    per_s: float
    next_ms: float
    done: int
    begun_ms: int
    actor: str

    def shown(self, queue: str, left: int) -> RedriveJob:
        """Return it as it is shown: `left` messages are still to go back."""
        return RedriveJob(queue, self.per_s, self.actor, self.begun_ms, self.done, left)

    def summary(self) -> str:
        """Say for the audit what has come of it."""
        return f"{self.done} messages, begun by {self.actor}"

    def allowance(self, now_ms: int, most: int) -> tuple[int, float]:
        """Return how many messages may go back by now, and from when on they are counted."""
        step_ms = 1000 / self.per_s
        next_ms = max(self.next_ms, now_ms - BURST_MS)
        if next_ms > now_ms + step_ms:  # the clock was set back
            next_ms = now_ms
        if next_ms > now_ms:
            return 0, next_ms
        return min(most, int((now_ms - next_ms) / step_ms) + 1), next_ms


def all_fault(request: RedriveAll, queue: int | None) -> Rejected | None:
    """Say why a whole queue cannot be redriven so (`queue`: its number, if there is one)."""
    if queue is None:
        return Rejected(f"There is no queue {request.queue!r}.")
    if not 0 < request.per_s <= limits.REDRIVE_RATE_MAX_PER_S:
        return Rejected(
            f"A redrive goes at up to {limits.REDRIVE_RATE_MAX_PER_S} messages a second, not "
            f"at {request.per_s}."
        )
    return None


def nothing_left(request: RedriveAll, now_ms: int) -> RedriveJob:
    """Return the job of a queue in which nothing has failed."""
    return RedriveJob(request.queue, request.per_s, request.actor, now_ms, 0, 0)


def beginning(job: RedriveJob) -> str:
    """Say for the audit what a job is going to do."""
    return f"{job.remaining} messages at {job.per_s:g} a second"


def next_tick_ms(jobs: Iterable[Job]) -> int | None:
    """Return when the first of these jobs goes on."""
    first = min((job.next_ms for job in jobs), default=None)
    return None if first is None else ceil(first)


def edit_fault(request: Redrive, body: bytes) -> Rejected | None:
    """Say why work cannot be edited so."""
    if len(request.ids) != 1 or not request.new_id:
        return Rejected("An edited redrive takes one ID and the new ID.")
    if len(body) > limits.MESSAGE_BYTES:
        return Rejected(f"A message has at most {limits.MESSAGE_BYTES} bytes.")
    return None


def not_editable() -> Rejected:
    """Say why what happened to an execution cannot be edited: its body is ours."""
    return Rejected(
        "What failed is an execution of a workflow: it goes on with what it was given. "
        "Redrive it without a payload, or start another one."
    )


def id_taken(request: Redrive) -> Rejected:
    """Say that edited work cannot have its new ID."""
    return Rejected(f"The new ID {request.new_id} is taken.")


class Back(NamedTuple):
    """Where failed work goes: when it is due, whether its group counts, and its place there."""

    due_ms: int
    in_group: bool
    place: int
    retention_ms: int


def way_back(
    queue: Queue | None, redrives: int, place: int | None, *, edited: bool, now_ms: int, seq: int
) -> Back:
    """Return where failed work goes in its queue.

    Args:
        queue: None: there is no such queue any more.
        redrives: How often it has gone back before.
        place: Where it kept its group waiting.
        edited: It becomes another message, which does not wait.
        seq: The number that it is to have.
    """
    due_ms = now_ms if edited else now_ms + _waits_ms(redrives)
    retention_ms = queue.retention_ms if queue else limits.MESSAGE_RETENTION_S * 1000
    if queue is None or queue.fifo:
        # What blocks its group goes back to its head, anything else to its end.
        return Back(due_ms, True, seq if place is None else place, retention_ms)
    return Back(due_ms, queue.fair, due_ms, retention_ms)


def _waits_ms(redrives: int) -> int:
    """Return how long a message waits that goes back after so many redrives that failed."""
    if redrives == 0:
        return 0
    wait_s = limits.REDRIVE_BASE_S * 2.0 ** min(redrives - 1, 30)
    return int(1000 * min(wait_s, limits.REDRIVE_MAX_S))
