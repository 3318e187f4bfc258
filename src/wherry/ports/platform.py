"""The Platform protocol: the closed unions of all requests and answers."""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

from wherry.ports.commits import Already, Commit, Committed, Conflicted, LeaseLost, Rejected, Unmet
from wherry.ports.executions import (
    Definition,
    Execution,
    ExecutionRow,
    ExecutionRows,
    FindExecution,
    GetDefinition,
    GetExecution,
    GetHistory,
    History,
    ListExecutions,
    WakeExecutions,
    Woken,
)
from wherry.ports.failures import (
    Count,
    Depths,
    Discard,
    Failures,
    GetTimeline,
    ListFailures,
    QueueDepths,
    RecentRecords,
    Redrive,
    TimelineRows,
)
from wherry.ports.messages import (
    Bury,
    Claim,
    Claims,
    Note,
    Poll,
    Polled,
    Recover,
    Release,
    Renew,
)
from wherry.ports.reads import (
    Denied,
    GetItem,
    GetObject,
    GetReply,
    Item,
    ListObjects,
    Nothing,
    NotReady,
    ObjectPage,
    ObjectRow,
    Page,
    QueryItems,
    SecretValue,
    SignedUrl,
    StoredReply,
)
from wherry.ports.redrives import (
    ListRedrives,
    RedriveAll,
    RedriveJob,
    RedriveJobs,
    Redriven,
    RedriveTick,
    StopRedrive,
)
from wherry.ports.schedules import (
    Fire,
    Fired,
    ListPaused,
    ListSchedules,
    Pause,
    Paused,
    ScheduleRows,
)
from wherry.ports.upkeep import (
    Broken,
    Configure,
    Configured,
    Done,
    FindOrphans,
    GetState,
    ListUndeclared,
    Orphans,
    PutState,
    Reindex,
    ReleaseRows,
    Releases,
    State,
    Sweep,
    Swept,
    Undeclared,
)

REFUSED_STATUS = 3  # with which a store process exits that cannot be a store of what it finds

Request: TypeAlias = (
    GetItem
    | QueryItems
    | GetObject
    | ListObjects
    | GetReply
    | Commit
    | Claim
    | Poll
    | Renew
    | Recover
    | Release
    | Bury
    | Note
    | ListFailures
    | Redrive
    | Discard
    | GetTimeline
    | RecentRecords
    | QueueDepths
    | Configure
    | Reindex
    | GetState
    | PutState
    | Sweep
    | FindOrphans
    | Releases
    | ListUndeclared
    | Fire
    | ListSchedules
    | Pause
    | ListPaused
    | RedriveAll
    | StopRedrive
    | ListRedrives
    | RedriveTick
    | GetExecution
    | GetDefinition
    | WakeExecutions
    | FindExecution
    | ListExecutions
    | GetHistory
)

ReadAnswer: TypeAlias = (
    Item
    | Page
    | ObjectRow
    | ObjectPage
    | StoredReply
    | SecretValue
    | SignedUrl
    | ExecutionRow
    | ExecutionRows
    | Nothing
    | NotReady
    | Denied
    | Done
    | Broken
)
CommitAnswer: TypeAlias = (
    Committed | Already | Conflicted | Unmet | LeaseLost | Denied | Rejected | Broken
)
Answer: TypeAlias = (
    Item
    | Page
    | ObjectRow
    | ObjectPage
    | StoredReply
    | Nothing
    | NotReady
    | Denied
    | Committed
    | Already
    | Conflicted
    | Unmet
    | LeaseLost
    | Rejected
    | Claims
    | Polled
    | Failures
    | Count
    | TimelineRows
    | Depths
    | Configured
    | State
    | Swept
    | Orphans
    | ReleaseRows
    | Undeclared
    | Fired
    | ScheduleRows
    | Paused
    | RedriveJob
    | RedriveJobs
    | Redriven
    | Execution
    | Definition
    | Woken
    | ExecutionRow
    | ExecutionRows
    | History
    | Done
    | Broken
)


class Platform(Protocol):
    """A place where state lives. `run` answers requests in order; writes of one call share a sync.

    Requests of a function carry its name so that its grants are checked: (function, request);
    the empty name is the engine's own and may do everything.
    """

    def run(self, requests: list[tuple[str, Request]]) -> list[Any]:
        """Answer each request. What it says is durable when this returns."""
        ...
