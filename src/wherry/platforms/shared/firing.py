"""Schedules: how a release's are stored, and what one that is due does. Decided without I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from wherry import limits
from wherry.codec import to_json
from wherry.effects import SendMessage
from wherry.errors import Refused
from wherry.platforms.shared.declared import Declared
from wherry.platforms.shared.shapes import Queue, SourceShape
from wherry.ports import ScheduleRow, ScheduleRows, Skipped
from wherry.schedules import All, Latest, Missed, Skip, due, jittered, next_after


class Row(NamedTuple):
    """A row of `schedules`, as far as firing needs it."""

    name: str
    id: int
    queue: int
    expression: str
    timezone: str
    window_s: int
    overlap: str
    missed: str
    missed_max: int
    start_ms: int
    handled_ms: int | None
    next_ms: int | None


class Firing:
    """What is to become of a schedule that is due.

    Args:
        queue: That of its function, whose messages its firings are.
        now_ms: The time.

    Attributes:
        run: The moments that fire, which `overlap` may leave out.

    Raises:
        Refused, ValueError, OverflowError: Its expression or time zone cannot be read here.
    """

    def __init__(self, row: Row, queue: Queue, now_ms: int) -> None:
        when = (row.expression, row.timezone)
        offset_ms = jittered(0, row.window_s, row.name)
        found = due(*when, row.handled_ms, now_ms - offset_ms, row.start_ms, _policy(row))
        self._row = row
        self.queue = queue
        # What the IDs of its messages begin with, before a point; it is their group, too.
        self.prefix = f"schedule.{row.name}"
        self._handled_ms = found.handled_ms
        next_ms = next_after(*when, found.handled_ms, row.start_ms)
        self._next_ms = None if next_ms is None else next_ms + offset_ms
        self.run: tuple[int, ...] = tuple(found.run)
        self._skipped: dict[Literal["missed", "overlap", "paused"], int] = {"missed": found.skipped}
        if queue.paused:
            self._skipped = {"paused": found.skipped + len(self.run)}
            self.run = ()

    @property
    def may_overlap(self) -> bool:
        """Whether it counts if a message of this schedule waits or runs (`overlap`)."""
        return bool(self.run) and self._row.overlap == "skip"

    @property
    def ids(self) -> tuple[str, str]:
        """Between what the IDs of all its messages lie: they stand together."""
        return f"{self.prefix}.", f"{self.prefix}/"

    def overlap(self, alive: bool) -> None:
        """Leave out what would overlap. Several at once would, too: the last stands for all."""
        left = () if alive else self.run[-1:]
        self._skipped["overlap"] = len(self.run) - len(left)
        self.run = left

    def told(self) -> list[Skipped]:
        """Return what did not run, and why."""
        return [
            Skipped(self._row.name, self.queue.name, count, why)
            for why, count in self._skipped.items()
            if count
        ]

    def message(self, at_ms: int) -> SendMessage:
        """Return the message of one firing."""
        body = to_json({"schedule": self._row.name, "at_ms": at_ms})
        return SendMessage(self.queue.name, f"{self.prefix}.{at_ms}", body, 0, self.prefix)

    def fired(self) -> tuple[int | None, ...]:
        """Return the values of `schedule_fired`, which moves it on."""
        last_ms, skipped = self.run[-1] if self.run else None, sum(self._skipped.values())
        return self._handled_ms, self._next_ms, last_ms, len(self.run), skipped, self._row.id


def look(row: Row, queue: Queue | None, now_ms: int) -> Firing | Skipped:
    """Return what is to become of a schedule that is due; `Skipped`: it is looked at later.

    It is not ours to lose: perhaps this machine's time zones will be repaired.
    """
    if queue is not None:
        try:
            return Firing(row, queue, now_ms)
        except (Refused, ValueError, OverflowError):
            pass
    return Skipped(row.name, "" if queue is None else queue.name, 1, "invalid")


def kept(
    source: SourceShape, row: Row | None, queue: int, now_ms: int
) -> tuple[str, tuple[object, ...]] | None:
    """Return what stores a release's schedule: a statement and its values; None: it is stored.

    Args:
        row: The schedule of this name that there is. It begins anew where its expression is
            another, and keeps its place otherwise.
        queue: The number of its queue.
    """
    policy = (source.window_s, source.overlap, source.missed, source.missed_max)
    when = (source.expression, source.timezone)
    if row is None or (row.expression, row.timezone) != when:
        next_ms = _spread(source, next_after(*when, now_ms - 1, now_ms))
        return "schedule_add", (source.name, queue, *when, *policy, now_ms, next_ms)
    if (row.queue, *row[5:9]) == (queue, *policy):
        return None
    handled_ms = row.start_ms - 1 if row.handled_ms is None else row.handled_ms
    next_ms = _spread(source, next_after(*when, handled_ms, row.start_ms))
    return "schedule_keep", (queue, *policy, next_ms, row.id)


def schedules_page(catalog: Declared, found: Sequence[Any], limit: int) -> ScheduleRows:
    """Return a page of so many rows of `schedules_page`, which has read one more."""
    rows = []
    for name, number, *rest in found[:limit]:
        queue = catalog.queues_by_id.get(number)
        paused = queue is not None and queue.paused
        expression, timezone, next_ms, fired_ms, fired, skipped = rest
        what = (name, catalog.name(number), expression, timezone)
        rows.append(ScheduleRow(*what, next_ms, fired_ms, fired, skipped, paused))
    return ScheduleRows(rows, rows[-1].name if len(found) > limit else None)


def later_ms(now_ms: int) -> int:
    """Return when to look again at a schedule that cannot be read."""
    return now_ms + limits.SCHEDULE_INVALID_S * 1000


def _spread(source: SourceShape, at_ms: int | None) -> int | None:
    """Return when a schedule with a window is to be looked at for a firing."""
    return None if at_ms is None else jittered(at_ms, source.window_s, source.name)


def _policy(row: Row) -> Missed:
    match row.missed:
        case "skip":
            return Skip()
        case "all":
            return All(row.missed_max)
    return Latest()
