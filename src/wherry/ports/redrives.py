"""Redrive of all that has failed in a queue: a stored job, moved on a few messages at a time."""

from __future__ import annotations

from msgspec import Struct


class RedriveAll(Struct, frozen=True, array_like=True, tag="redriveall"):
    """Begin to give back all that has failed in a queue so far, so many a second.

    Answered by `RedriveJob` or `Rejected`. A queue has one job: asked again, its rate changes, and
    what has failed meanwhile is part of it.
    """

    queue: str
    per_s: float
    actor: str


class RedriveJob(Struct, frozen=True, array_like=True, tag="redrivejob"):
    """A job: messages given back, and those that are left."""

    queue: str
    per_s: float
    actor: str
    begun_ms: int
    done: int
    remaining: int


class StopRedrive(Struct, frozen=True, array_like=True, tag="stopredrive"):
    """End a queue's job; the rest stays in the inbox. Answered by `Count` (0: there was none)."""

    queue: str
    actor: str


class ListRedrives(Struct, frozen=True, array_like=True, tag="listredrives"):
    """List the jobs. Answered by `RedriveJobs`."""


class RedriveJobs(Struct, frozen=True, array_like=True, tag="redrivejobs"):
    """The jobs that there are."""

    rows: list[RedriveJob]


class RedriveTick(Struct, frozen=True, array_like=True, tag="redrivetick"):
    """Move the jobs on by what their rates allow, at most `limit` messages. Answered by `Redriven`.

    Safe to ask at any time and from several places: the rate is the job's.
    """

    limit: int


class Redriven(Struct, frozen=True, array_like=True, tag="redriven"):
    """How many messages went back, when the first of each queue is due, when to ask again.

    `next_ms` None: there is no job.
    """

    count: int
    queued: dict[str, int]
    next_ms: int | None
