"""Redrive of a whole queue: a stored job, which goes on at its own rate until all has gone back.

What fails again comes behind the job's end, so that a job ends however its messages fare.
"""

from __future__ import annotations

from wherry import limits
from wherry.platforms.shared.queues import note_all_due, note_due
from wherry.platforms.shared.redrives import Job, all_fault, beginning, next_tick_ms, nothing_left
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Failed, Inbox
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.redrive import Exits
from wherry.platforms.sql.session import Session
from wherry.ports import (
    Count,
    RedriveAll,
    RedriveJob,
    RedriveJobs,
    Redriven,
    RedriveTick,
    Rejected,
    StopRedrive,
)


class Bulk:
    """The jobs, one for each queue at most."""

    def __init__(
        self, session: Session, catalog: Catalog, inbox: Inbox, messages: Messages, exits: Exits
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox
        self._messages = messages
        self._exits = exits

    def begin(self, request: RedriveAll) -> RedriveJob | Rejected:
        """Begin a job, or change the rate and the end of the one that there is. Audited."""
        session, now = self._session, self._session.now_ms
        number = self._catalog.find("queue", request.queue)
        fault = all_fault(request, number)
        if fault is not None:
            return fault
        newest = session.row("failure_newest_of", number)
        if newest is None:
            return nothing_left(request, now)
        rate = float(request.per_s)
        session.write("redrive_put", number, newest[0], rate, float(now), now, request.actor)
        job = self._shown(Job(*(session.row("redrive_get", number) or ())))
        self._inbox.note(request.actor, "redrive all", job.queue, beginning(job))
        return job

    def stop(self, request: StopRedrive) -> Count:
        """End a job. Audited."""
        number = self._catalog.find("queue", request.queue)
        row = None if number is None else self._session.row("redrive_get", number)
        if row is None:
            return Count(0)
        self._end(Job(*row), request.actor, "redrive stopped")
        return Count(1)

    def show(self) -> RedriveJobs:
        """List the jobs."""
        return RedriveJobs([self._shown(job) for job in self._jobs()])

    def tick(self, request: RedriveTick) -> Redriven:
        """Move the jobs on, the one first that has waited longest."""
        left = max(1, min(request.limit, limits.REDRIVE_BATCH))
        count, queued = 0, dict[str, int]()
        for job in self._jobs():
            if left == 0:
                break
            moved = self._move(job, left, queued)
            left -= moved
            count += moved
        note_all_due(queued, self._messages.take_woken().items())
        return Redriven(count, queued, next_tick_ms(self._jobs()))

    def _move(self, job: Job, most: int, queued: dict[str, int]) -> int:
        """Give back what a job's rate allows by now."""
        wanted, next_ms = job.allowance(self._session.now_ms, most)
        if not wanted:
            return 0
        rows = self._session.rows("failures_through", job.queue, job.through, wanted)
        for row in rows:
            failed = Failed(*row)
            due_ms = self._exits.put_back(failed, failed.id, failed.body)
            note_due(queued, self._catalog.name(job.queue), due_ms)
        self._session.write(
            "redrive_moved", next_ms + len(rows) * 1000 / job.per_s, len(rows), job.queue
        )
        if len(rows) < wanted:
            self._end(job._replace(done=job.done + len(rows)), "wherry", "redrive done")
        return len(rows)

    def _end(self, job: Job, actor: str, action: str) -> None:
        self._session.write("redrive_delete", job.queue)
        name = self._catalog.name(job.queue)
        self._inbox.note(actor, action, name, job.summary())

    def _jobs(self) -> list[Job]:
        return [Job(*row) for row in self._session.rows("redrives_all")]

    def _shown(self, job: Job) -> RedriveJob:
        row = self._session.row("count_through", job.queue, job.through)
        return job.shown(self._catalog.name(job.queue), row[0] if row else 0)
