"""Redrive of a whole queue: a stored job, which goes on at its own rate until all has gone back."""

from __future__ import annotations

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.hints import Seen
from wherry.platforms.postgres.inbox import Inbox, lock_groups, note
from wherry.platforms.shared.queues import note_due
from wherry.platforms.shared.redrives import Job, all_fault, beginning, next_tick_ms, nothing_left
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
    """The jobs, one for each queue at most. Who moves one on has its row locked."""

    def __init__(self, database: Database, catalog: Catalog, inbox: Inbox, seen: Seen) -> None:
        self._database = database
        self._catalog = catalog
        self._inbox = inbox
        self._seen = seen

    async def begin(self, request: RedriveAll) -> RedriveJob | Rejected:
        """Begin a job, or change the rate and the end of the one that there is. Audited."""
        number = self._catalog.find("queue", request.queue)
        fault = all_fault(request, number)
        if fault is not None:
            return fault

        async def put(session: Session) -> RedriveJob:
            newest = await session.value("failure_newest_of", number)
            if newest is None:
                return nothing_left(request, await session.value("now"))
            rate = float(request.per_s)
            await session.run("redrive_put", number, newest, rate, request.actor)
            job = await self._shown(session, Job(*(await session.row("redrive_get", number) or ())))
            await note(session, request.actor, "redrive all", job.queue, beginning(job))
            return job

        return await self._database.run(put, atomic=True)

    async def stop(self, request: StopRedrive) -> Count:
        """End a job. Audited."""
        number = self._catalog.find("queue", request.queue)

        async def end(session: Session) -> Count:
            row = None if number is None else await session.row("redrive_get", number)
            if row is None:
                return Count(0)
            await self._end(session, Job(*row), request.actor, "redrive stopped")
            return Count(1)

        return await self._database.run(end, atomic=True)

    async def show(self) -> RedriveJobs:
        """List the jobs."""

        async def look(session: Session) -> RedriveJobs:
            rows = await session.rows("redrives_all")
            return RedriveJobs([await self._shown(session, Job(*row)) for row in rows])

        return await self._database.run(look, atomic=True)

    async def tick(self, request: RedriveTick) -> Redriven:
        """Move the jobs on, the one first that has waited longest."""
        if not await self._database.rows("redrives_all"):
            return Redriven(0, {}, None)
        answer = await self._database.run(lambda session: self._tick(session, request), atomic=True)
        self._seen.tell(answer.queued, self._catalog)
        return answer

    async def _tick(self, session: Session, request: RedriveTick) -> Redriven:
        left = max(1, min(request.limit, limits.REDRIVE_BATCH))
        count, queued = 0, dict[str, int]()
        for row in await session.rows("redrives_locked"):
            if left == 0:
                break
            moved = await self._move(session, Job(*row), left, queued)
            left -= moved
            count += moved
        jobs = [Job(*row) for row in await session.rows("redrives_all")]
        return Redriven(count, queued, next_tick_ms(jobs))

    async def _move(self, session: Session, job: Job, most: int, queued: dict[str, int]) -> int:
        """Give back what a job's rate allows by now."""
        wanted, next_ms = job.allowance(await session.value("now"), most)
        if not wanted:
            return 0
        seen = await session.rows("failures_through", job.queue, job.through, wanted)
        await lock_groups(session, seen)
        rows = await session.rows("failures_chosen", [row["id"] for row in seen]) if seen else []
        for row in rows:
            due_ms = await self._inbox.put_back(session, row, row["id"], row["body"])
            note_due(queued, self._catalog.name(job.queue), due_ms)
        next_ms += len(rows) * 1000 / job.per_s
        await session.run("redrive_moved", next_ms, len(rows), job.queue)
        if len(rows) < wanted:
            done = job._replace(done=job.done + len(rows))
            await self._end(session, done, "wherry", "redrive done")
        return len(rows)

    async def _end(self, session: Session, job: Job, actor: str, action: str) -> None:
        await session.run("redrive_delete", job.queue)
        name = self._catalog.name(job.queue)
        await note(session, actor, action, name, job.summary())

    async def _shown(self, session: Session, job: Job) -> RedriveJob:
        left = await session.value("count_through", job.queue, job.through)
        return job.shown(self._catalog.name(job.queue), left)
