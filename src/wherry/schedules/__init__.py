"""Schedules: when a rate, cron or at expression of EventBridge Scheduler fires, as pure functions.

Nothing here looks at a clock; a moment is milliseconds since 1970 in UTC. Only the rules of a time
zone are read from the machine, or from the package `tzdata` where the machine has none.
"""

from wherry.schedules.checking import faults
from wherry.schedules.firing import firings, last_within, next_after
from wherry.schedules.jitter import jittered
from wherry.schedules.missed import All, Due, Latest, Missed, Overlap, Skip, due
from wherry.schedules.reading import ScheduleInvalid, compiled
from wherry.schedules.records import At, Cron, Rate, Schedule

__all__ = [
    "faults",
    "compiled",
    "next_after",
    "last_within",
    "firings",
    "jittered",
    "due",
    "Due",
    "Latest",
    "Skip",
    "All",
    "Missed",
    "Overlap",
    "Rate",
    "Cron",
    "At",
    "Schedule",
    "ScheduleInvalid",
]
