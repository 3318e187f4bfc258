"""Schedules that fire, and what a person has paused."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Fire(Struct, frozen=True, array_like=True, tag="fire"):
    """Make messages of up to `limit` schedules that are due. Answered by `Fired`.

    Safe to ask at any time and from several places: each firing happens once. More may be due
    than one answer takes; `next_ms` says so.
    """

    limit: int


class Skipped(Struct, frozen=True, array_like=True):
    """Firings of a schedule that did not run, and why.

    missed: they are too old by its policy. overlap: a message of it waits or runs still. paused: a
    person has paused its function. invalid: its expression or time zone cannot be read here, and
    will be looked at again later. From `limits.SCHEDULE_SKIPPED_COUNTED` on it is so many or more.
    """

    schedule: str
    queue: str
    count: int
    why: Literal["missed", "overlap", "paused", "invalid"]


class Fired(Struct, frozen=True, array_like=True, tag="fired"):
    """What was done: queues with new messages (and when the first is due), how many firings ran.

    `next_ms`: when to ask again (None: no schedule will fire); it may be over already.
    """

    queued: dict[str, int]
    next_ms: int | None
    fired: int
    skipped: list[Skipped]


class ListSchedules(Struct, frozen=True, array_like=True, tag="listschedules"):
    """List the activated release's schedules by name. Answered by `ScheduleRows`."""

    limit: int
    after: str = ""


class ScheduleRow(Struct, frozen=True, array_like=True):
    """A schedule: when it fires next (None: never again) and has fired last, and how often.

    `fired` and `skipped` count since its expression was last changed.
    """

    name: str
    queue: str
    expression: str
    timezone: str
    next_ms: int | None
    fired_ms: int | None
    fired: int
    skipped: int
    paused: bool


class ScheduleRows(Struct, frozen=True, array_like=True, tag="schedulerows"):
    """Schedules; `after` continues where more follow."""

    rows: list[ScheduleRow]
    after: str | None


class Pause(Struct, frozen=True, array_like=True, tag="pause"):
    """Pause a function, or let it go on; "" is the whole app. Answered by `Count` or `Rejected`.

    Its queue's messages wait (their retention too), its schedules skip. What runs goes on. The
    app and each of its functions are paused one by one: a function that was paused by itself
    stays so when the app goes on. `Count` is 0 where it was so already.
    """

    function: str
    paused: bool
    actor: str


class ListPaused(Struct, frozen=True, array_like=True, tag="listpaused"):
    """List what is paused. Answered by `Paused`."""


class PausedRow(Struct, frozen=True, array_like=True):
    """A paused function ("": the app): since when, and by whom."""

    function: str
    since_ms: int
    actor: str


class Paused(Struct, frozen=True, array_like=True, tag="paused"):
    """What is paused."""

    rows: list[PausedRow]
