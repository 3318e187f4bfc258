"""The platform on SQLite: a batch of requests is one transaction and one sync.

Requests are answered in their order, each against what those before it did. Nothing counts as
done before the transaction has been committed and synced. Where that fails, the whole batch is
undone and every request is tried by itself, so that one that cannot be done harms no other.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from wherry.errors import FateUnknown, Passing
from wherry.platforms.shared.orders import Orders
from wherry.platforms.shared.plans import inapplicable
from wherry.platforms.shared.queues import note_all_due
from wherry.platforms.sql.bulk import Bulk
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.commits import Commits
from wherry.platforms.sql.depths import QueueOverview
from wherry.platforms.sql.dialect import damaged_connection, passing_fault, request_fault
from wherry.platforms.sql.executionpages import ExecutionPages
from wherry.platforms.sql.executions import Executions
from wherry.platforms.sql.firings import Firings
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.items import Items
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.pauses import Pauses
from wherry.platforms.sql.queries import Queries
from wherry.platforms.sql.reads import Reads
from wherry.platforms.sql.records import Records
from wherry.platforms.sql.redrive import Exits
from wherry.platforms.sql.replies import Replies
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.setbacks import Setbacks
from wherry.platforms.sql.sources import Sources
from wherry.platforms.sql.touched import Touched
from wherry.platforms.sql.upkeep import Upkeep
from wherry.platforms.sql.wakes import Wakes
from wherry.ports import (
    Already,
    Answer,
    Broken,
    Bury,
    Claim,
    Claims,
    Commit,
    Committed,
    Configure,
    Denied,
    Discard,
    Done,
    FindExecution,
    FindOrphans,
    Fire,
    Fired,
    GetDefinition,
    GetExecution,
    GetHistory,
    GetItem,
    GetObject,
    GetReply,
    GetState,
    GetTimeline,
    LeaseLost,
    ListExecutions,
    ListFailures,
    ListObjects,
    ListPaused,
    ListRedrives,
    ListSchedules,
    ListUndeclared,
    Note,
    Pause,
    Poll,
    Polled,
    PutState,
    QueryItems,
    QueueDepths,
    RecentRecords,
    Recover,
    Redrive,
    RedriveAll,
    Redriven,
    RedriveTick,
    Reindex,
    Release,
    Releases,
    Renew,
    Request,
    StopRedrive,
    Sweep,
    Swept,
    TimelineRows,
    WakeExecutions,
)
from wherry.world import Clock

TELLING = (Commit, Claim, Poll, Release, Bury, Renew, Sweep, Fire, RedriveTick)
Told = Already | Claims | Committed | Done | Fired | Polled | Redriven | Swept


class SqlStore:
    """The state of one installation, in one SQLite file with one owner.

    Args:
        path: The database file (made if it is missing), or ":memory:".
        clock: Tells the time.
        vfs: The name of an apsw VFS, for tests that make the disk fail.

    Raises:
        Refused, Passing: As `dialect.open_database` says.
    """

    def __init__(self, path: str, clock: Clock, vfs: str | None = None) -> None:
        self._session = session = Session(path, clock, vfs)
        self._catalog = Catalog(session)
        self._inbox = Inbox(session, self._catalog)
        self._messages = Messages(session, self._catalog, self._inbox)
        self._items = Items(session, self._catalog)
        self._objects = Objects(session, self._catalog)
        self._records = Records(session, self._catalog)
        self._replies = Replies(session)
        self._setbacks = Setbacks(session, self._messages)
        self._exits = Exits(session, self._catalog, self._inbox, self._messages)
        self._bulk = Bulk(session, self._catalog, self._inbox, self._messages, self._exits)
        reading = (self._items, self._objects, self._replies)
        self._reads = Reads(self._catalog, Queries(session, self._catalog), *reading)
        rooms = (self._items, self._messages, self._objects, self._records, self._replies)
        sources = Sources(session, self._catalog)
        executions = Executions(session, self._catalog, self._inbox, self._messages)
        orders = Orders(self._catalog, executions)
        self._commits = Commits(session, self._catalog, *rooms, sources, executions, orders)
        self._executions = executions
        self._pages = ExecutionPages(session, self._catalog, executions)
        self._wakes = Wakes(session, self._catalog, self._messages, executions)
        self._firings = Firings(session, self._catalog, self._messages)
        self._pauses = Pauses(session, self._catalog, self._inbox)
        lately = (self._firings, self._pauses, executions)
        self._upkeep = Upkeep(session, self._catalog, *rooms, self._inbox, sources, *lately)
        counted = (self._messages, self._inbox, self._pauses)
        self._overview = QueueOverview(session, self._catalog, *counted)
        self.is_open = True  # a disk that fails keeps it from being opened again

    def run(self, requests: list[tuple[str, Request]], tidy: bool = True) -> list[Answer]:
        """Answer each request, in order. What an answer says is durable when this returns.

        Args:
            requests: Pairs of the asking function ("" is the engine itself, which may do
                everything; "name@release" names its release) and what it asks for.
            tidy: Write the log back if it has grown long. Who sends answers may do so after.
        """
        try:
            answers = self.apply(requests)
            self.commit()
        except Exception as error:  # whatever it was: nothing of the batch may stay
            return self.rescue(error, requests)
        if tidy:
            self._tidy(idle=False)
        return answers

    def apply(self, requests: list[tuple[str, Request]]) -> list[Answer]:
        """Answer each request in a transaction that stays open.

        What the answers say is neither durable nor certain yet. Where this or `commit` fails with
        whatever exception, `rescue` has to be asked for all that was applied since the last one.
        """
        self._session.tick()
        if not self.is_open:
            self._reopen()
        if self._session.set_back_ms:
            self._setbacks.repair()
        commit, answer = self._commits.commit, self._answer
        answers: list[Answer] = [  # most are commits
            commit(function, request) if isinstance(request, Commit) else answer(function, request)
            for function, request in requests
        ]
        if self._messages.woken:
            self._tell(requests, answers)
        return answers

    def commit(self) -> bool:
        """Commit what was applied; return whether there was anything that has to be synced."""
        self._records.before_commit()
        return self._session.commit()

    @property
    def session(self) -> Session:
        """The open database."""
        return self._session

    def watch(self, touched: Touched | None) -> None:
        """Have somebody told what commits change."""
        self._commits.touched = touched

    def rescue(
        self, error: Exception, requests: list[tuple[str, Request]], committed: bool = False
    ) -> list[Answer]:
        """Undo what failed, and answer each request by itself.

        Args:
            committed: It was the sync that failed. What it left is written again by opening the
                database again: the system takes it for written.
        """
        committing = committed or self._session.committing
        self._undo(error, again=committed)
        if committing and not self.is_open:
            return [_in_doubt(request, error) for _, request in requests]
        if len(requests) == 1:
            return [self._failed(requests[0][1], error)]
        return [self.run([request])[0] for request in requests]

    def _tell(self, requests: list[tuple[str, Request]], answers: list[Answer]) -> None:
        """Say in an answer whose reader looks for it which messages' turn has come."""
        for at, ((_, request), answer) in enumerate(zip(requests, answers, strict=True)):
            if isinstance(request, TELLING) and isinstance(answer, Told):
                queued = self._messages.take_woken()
                note_all_due(queued, answer.queued.items())
                answers[at] = replace(answer, queued=queued)
                return

    def _failed(self, request: Request, error: Exception) -> Answer:
        """Say what became of a request that failed. A commit may have arrived all the same: what
        a failed sync left in the log is written again when the store is opened again."""
        if self.is_open and isinstance(request, Commit) and self._is_there(request):
            return Already(None)
        if isinstance(request, Commit) and request_fault(error):
            return inapplicable(error)
        fault = passing_fault(error)
        return Broken(fault.code, str(fault))

    def _is_there(self, commit: Commit) -> bool:
        try:
            return self._commits.applied(commit)
        except Exception as error:
            self._undo(error)
            return False

    def close(self) -> None:
        """Write the log back and close the file."""
        if self.is_open:
            self.is_open = False
            self._session.finish()

    def tidy(self) -> None:
        """Called after the answers of a batch are sent: write the log back if it is long."""
        self._tidy(idle=False)

    def idle(self) -> None:
        """Called when nothing is asked for: write the log back, so that no commit must wait."""
        self._tidy(idle=True)

    def _tidy(self, idle: bool) -> None:
        if self.is_open:
            try:
                self._session.tidy(idle)
            except Exception as error:  # what was answered stays true: it is in the log
                self._undo(error)

    def _undo(self, error: BaseException, again: bool = False) -> None:
        """Undo the batch. After a failed write or sync the connection is not used again.

        Args:
            again: It is not, whatever the error is.
        """
        if not self.is_open:
            return
        try:
            if again or damaged_connection(error):
                self.is_open = False
                self._session.close()
                self._reopen()
            else:
                self._session.rollback()
                self._forget()
        except Exception:
            if self.is_open:
                self.is_open = False
                self._session.abandon()

    def _reopen(self) -> None:
        self._session.open()
        try:
            self._forget()
        except BaseException:
            self._session.abandon()
            raise
        self.is_open = True

    def _forget(self) -> None:
        self._catalog.forget_unless_stored()
        self._inbox.forget()
        self._messages.forget()
        self._objects.forget()
        self._records.forget()
        self._executions.forget()

    # -- answering ---------------------------------------------------------------------------

    def _answer(self, function: str, request: Request) -> Any:
        match request:
            case GetItem() | QueryItems() | GetObject() | ListObjects() | GetReply():
                return self._reads.read(function, request)
            case FindExecution() | ListExecutions():
                return self._pages.look(function, request)
        if function:
            return Denied("engine", type(request).__name__)
        match request:
            case Claim():
                return self._messages.claim(request)
            case Poll():
                return self._messages.poll(request)
            case Note():
                for record in request.records:
                    self._records.add(record)
                return Done()
            case Release():
                return Done() if self._messages.release(request) else LeaseLost()
            case Bury():
                return self._bury(request)
            case Renew():
                self._messages.renew(request)
                return Done()
            case Recover():
                self._messages.recover(request)
                return Done()
            case GetExecution() | GetDefinition() | GetHistory():
                return self._pages.read(request)
            case WakeExecutions():
                return self._wakes.wake(request)
        return self._manage(request)

    def _bury(self, request: Bury) -> Done | LeaseLost:
        row = self._messages.take_leased(request.id, request.token)
        if row is None:
            return LeaseLost()
        self._messages.bury(row, request.function, request.code, request.error)
        if request.record is not None:
            self._records.add(request.record)
        return Done()

    def _manage(self, request: Request) -> Any:
        match request:
            case ListFailures():
                return self._inbox.page(request)
            case Redrive():
                return self._exits.redrive(request)
            case Discard():
                discarded = self._exits.discard(request)
                self._executions.give_up()
                return discarded
            case GetTimeline():
                return self._upkeep.timeline(request.correlation_id)
            case RecentRecords():
                return TimelineRows(self._records.newest(request.function, request.limit), [], [])
            case QueueDepths():
                return self._overview.show()
            case Configure():
                return self._upkeep.configure(request)
            case Reindex():
                return self._upkeep.reindex(request)
            case GetState():
                return self._upkeep.get_state(request.key)
            case PutState():
                return self._upkeep.put_state(request)
            case FindOrphans():
                return self._objects.orphans(request)
            case Sweep():
                return self._upkeep.sweep(request)
            case ListUndeclared():
                return self._upkeep.undeclared()
            case Releases():
                return self._upkeep.releases()
            case Fire():
                return self._firings.fire(request)
            case ListSchedules():
                return self._firings.page(request)
            case Pause():
                return self._pauses.change(request)
            case ListPaused():
                return self._pauses.show()
            case RedriveTick():
                return self._bulk.tick(request)
            case RedriveAll():
                return self._bulk.begin(request)
            case StopRedrive():
                return self._bulk.stop(request)
            case ListRedrives():
                return self._bulk.show()
        raise Passing(f"This store does not know {type(request).__name__}.")


def _in_doubt(request: Request, error: Exception) -> Broken:
    """A write or sync of the log failed, and it cannot be looked at: a commit may yet be in it."""
    fault = passing_fault(error)
    return Broken(FateUnknown.code if isinstance(request, Commit) else fault.code, str(fault))
