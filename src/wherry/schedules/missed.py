"""What to run when a schedule is looked at: on time, or after firings were missed."""

from __future__ import annotations

from itertools import islice
from typing import Literal, assert_never

import msgspec

from wherry import limits
from wherry.schedules.firing import firings, last_within
from wherry.schedules.reading import compiled

Overlap = Literal["skip", "queue"]
"""A firing while the run of an earlier one is not done: it is left out, or waits for its turn."""


class Latest(msgspec.Struct, frozen=True, tag="latest"):
    """However many firings were missed, the last of them runs, once."""


class Skip(msgspec.Struct, frozen=True, tag="skip"):
    """What was missed is not made up for; only a firing of this minute runs."""


class All(msgspec.Struct, frozen=True, tag="all"):
    """What was missed runs in its order: the last `at_most` of it."""

    at_most: int

    def __post_init__(self) -> None:
        if not 1 <= self.at_most <= limits.SCHEDULE_MISSED_MAX:
            raise ValueError(
                f"at_most is {self.at_most}; 1 to {limits.SCHEDULE_MISSED_MAX} are allowed"
            )


Missed = Latest | Skip | All


class Due(msgspec.Struct, frozen=True):
    """What is to be done at a moment, and what is done with after that."""

    run: tuple[int, ...]
    """Firings to run now, the oldest first."""
    skipped: int
    """Firings that will not run. Counted up to `limits.SCHEDULE_SKIPPED_COUNTED`: so many or more.
    """
    handled_ms: int
    """The last firing that needs no more thought: keep it for the next look."""


def due(
    expression: str, zone: str, handled_ms: int | None, now_ms: int, start_ms: int, policy: Missed
) -> Due:
    """Return which firings to run now. After a clock was set back that is none, until it is past
    what was handled.

    Args:
        expression: `rate(...)`, `cron(...)` or `at(...)`.
        zone: IANA name.
        handled_ms: From the last look (`Due.handled_ms`); None if there was none.
        now_ms: A firing at this very moment is due.
        start_ms: When the schedule begins, see `next_after`.
        policy: What to do with firings that were missed.
    """
    schedule = compiled(expression, zone)
    since_ms = start_ms - 1 if handled_ms is None else handled_ms
    last = last_within(schedule, since_ms, now_ms, start_ms)
    if last == since_ms:
        return Due(run=(), skipped=0, handled_ms=since_ms)
    run: tuple[int, ...]
    match policy:
        case Latest():
            run = (last,)
        case Skip():
            run = (last,) if now_ms - last < limits.SCHEDULE_LATE_S * 1000 else ()
        case All(at_most=at_most):
            back = [last]
            while len(back) < at_most:
                earlier = last_within(schedule, since_ms, back[-1] - 1, start_ms)
                if earlier == since_ms:
                    break
                back.append(earlier)
            run = tuple(reversed(back))
        case _:
            assert_never(policy)
    left = firings(expression, zone, since_ms, run[0] - 1 if run else last, start_ms)
    skipped = sum(1 for _ in islice(left, limits.SCHEDULE_SKIPPED_COUNTED))
    return Due(run=run, skipped=skipped, handled_ms=last)
