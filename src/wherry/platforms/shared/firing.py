"""What a schedule that is due does: decided from its row and the time, without I/O."""

from __future__ import annotations

from typing import Literal, NamedTuple

from wherry.codec import to_json
from wherry.effects import SendMessage
from wherry.ports import Skipped
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
        now_ms: The time.
        paused: Its function is paused.

    Raises:
        Refused, ValueError, OverflowError: Its expression or time zone cannot be read here.
    """

    def __init__(self, row: Row, now_ms: int, paused: bool) -> None:
        when = (row.expression, row.timezone)
        offset_ms = jittered(0, row.window_s, row.name)
        found = due(*when, row.handled_ms, now_ms - offset_ms, row.start_ms, _policy(row))
        self._row = row
        self.handled_ms = found.handled_ms
        next_ms = next_after(*when, found.handled_ms, row.start_ms)
        self.next_ms = None if next_ms is None else next_ms + offset_ms
        self.run: tuple[int, ...] = tuple(found.run)
        self.skipped: dict[Literal["missed", "overlap", "paused"], int] = {"missed": found.skipped}
        if paused:
            self.skipped = {"paused": found.skipped + len(self.run)}
            self.run = ()

    @property
    def may_overlap(self) -> bool:
        """Whether it counts if a message of this schedule waits or runs (`overlap`)."""
        return bool(self.run) and self._row.overlap == "skip"

    def overlap(self, alive: bool) -> None:
        """Leave out what would overlap. Several at once would, too: the last stands for all."""
        left = () if alive else self.run[-1:]
        self.skipped["overlap"] = len(self.run) - len(left)
        self.run = left

    def told(self, queue: str) -> list[Skipped]:
        """Return what did not run, and why."""
        return [
            Skipped(self._row.name, queue, count, why)
            for why, count in self.skipped.items()
            if count
        ]

    def message(self, queue: str, at_ms: int) -> SendMessage:
        """Return the message of one firing."""
        name = self._row.name
        body = to_json({"schedule": name, "at_ms": at_ms})
        return SendMessage(queue, f"{prefix(name)}.{at_ms}", body, 0, prefix(name))


def prefix(name: str) -> str:
    """Return what the IDs of a schedule's messages begin with, before a point."""
    return f"schedule.{name}"


def spread(at_ms: int | None, window_s: int, name: str) -> int | None:
    """Return when a schedule with a window is to be looked at for a firing."""
    return None if at_ms is None else jittered(at_ms, window_s, name)


def _policy(row: Row) -> Missed:
    match row.missed:
        case "skip":
            return Skip()
        case "all":
            return All(row.missed_max)
    return Latest()
