"""The failure inbox, and the ways out of it: redriven, edited, given up. Each is audited."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.executions import give_up
from wherry.platforms.postgres.messages import plain
from wherry.platforms.postgres.swept import Sums
from wherry.platforms.shared.failures import chosen_most, failures_from
from wherry.platforms.shared.redrives import edit_fault, id_taken, not_editable, way_back
from wherry.ports import (
    Count,
    Discard,
    FailedWork,
    Failures,
    ListFailures,
    Redrive,
    Rejected,
)


class Inbox:
    """What has failed, per queue."""

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    def show(self, row: Any) -> FailedWork:
        """Return failed work as it is shown."""
        return FailedWork(
            row["id"],
            self._catalog.name(row["queue"]),
            row["function"],
            row["body"],
            row["code"],
            row["error"],
            row["attempts"],
            row["sent_ms"],
            row["failed_ms"],
            row["correlation"],
            row["traceparent"],
            row["redrives"],
            row["note"],
            row["place"] is not None,
        )

    async def page(self, request: ListFailures) -> Failures:
        """Answer a page, newest first."""
        database = self._database
        if request.id is not None:
            found = await database.row("failure_row", request.id)
            return Failures([self.show(found)] if found else [], None, 1 if found else 0)
        before, limit = failures_from(request)
        counts = {row["queue"]: row["count"] for row in await database.rows("count_failures")}
        if request.queue is None:
            rows = await database.rows("failures_page", before, limit + 1)
            total = sum(counts.values())
        else:
            number = self._catalog.find("queue", request.queue) or 0
            rows = await database.rows("failures_page_of", number, before, limit + 1)
            total = counts.get(number, 0)
        page = rows[:limit]
        more = str(page[-1]["seq"]) if len(rows) > limit else None
        return Failures([self.show(row) for row in page], more, total)

    async def choose(
        self, session: Session, ids: list[str], queue: str | None, limit: int
    ) -> list[Any]:
        """Return the work with these IDs, without IDs the oldest of a queue (or of all).

        It is locked, and so are its groups.
        """
        limit = chosen_most(limit)
        number = 0 if queue is None else self._catalog.find("queue", queue) or 0
        # First the groups, then the rows: as who buries, and settles, does it.
        if ids:
            seen = await session.rows("failures_rows", ids)
        elif queue is None:
            seen = await session.rows("failures_page_up", limit)
        else:
            seen = await session.rows("failures_page_up_of", number, limit)
        await lock_groups(session, seen)
        if ids:
            return await session.rows("failures_chosen", list(dict.fromkeys(ids)))
        return await session.rows("failures_chosen", [row["id"] for row in seen])

    # -- exits -------------------------------------------------------------------------------

    async def redrive(self, request: Redrive) -> Count | Rejected:
        """Give work back to its queue: attempts begin again, redrives are counted."""
        if request.body is None:

            async def again(session: Session) -> Count:
                rows = await self.choose(session, request.ids, request.queue, request.limit)
                for row in rows:
                    await self.put_back(session, row, row["id"], row["body"])
                    queue = self._catalog.name(row["queue"])
                    await note(session, request.actor, "redrive", row["id"], queue)
                return Count(len(rows))

            return await self._database.run(again, atomic=True)
        fault = edit_fault(request, request.body)
        if fault is not None:
            return fault
        return await self._database.run(lambda session: self._edit(session, request), atomic=True)

    async def _edit(self, session: Session, request: Redrive) -> Count | Rejected:
        rows = await self.choose(session, request.ids, None, 1)
        if not rows:
            return Count(0)
        found, body = rows[0], request.body
        assert body is not None
        if self._catalog.is_workflow(found["queue"]):
            return not_editable()
        taken = await session.row("message_there", request.new_id)
        if taken or await session.row("failure_row", request.new_id):
            return id_taken(request)
        await self.put_back(session, found, request.new_id, body)
        if body != found["body"]:
            await session.value("drop_payload", found["queue"], found["body"])
        await note(session, request.actor, "edit", found["id"], request.new_id)
        return Count(1)

    async def put_back(self, session: Session, row: Any, id: str, body: bytes) -> int:
        """Put failed work back into its queue; return when it is due. Its group is locked.

        Args:
            id: Its own, or that of the edited message that it becomes.
        """
        now = await session.value("now")
        queue = self._catalog.queues_by_id.get(row["queue"])
        seq, edited = await session.value("next_number"), id != row["id"]
        before, place = row["redrives"], row["place"]
        back = way_back(queue, before, place, edited=edited, now_ms=now, seq=seq)
        grouped = back.in_group and row["grp"] is not None
        values = (id, body, back.due_ms, back.retention_ms, grouped, back.place, seq, now)
        await session.value("put_back", row["seq"], *values)
        return back.due_ms

    async def discard(self, request: Discard) -> Count:
        """Give work up, with a reason."""

        async def leave(session: Session) -> Count:
            rows = await self.choose(session, request.ids, request.queue, request.limit)
            await self._lose(session, rows)
            for row in rows:
                await session.run("failure_delete", row["seq"])
                await session.value("drop_payload", row["queue"], row["body"])
                await note(session, request.actor, "discard", row["id"], request.reason)
                if row["grp"] is not None:
                    await session.value("settle", row["queue"], row["grp"])
            return Count(len(rows))

        return await self._database.run(leave, atomic=True)

    async def _lose(self, session: Session, rows: list[Any]) -> None:
        """End executions to which this was to happen."""
        is_workflow = self._catalog.is_workflow
        bodies = [row["body"] for row in rows if is_workflow(row["queue"])]
        await give_up(session, self._catalog, bodies)

    # -- sweeping ----------------------------------------------------------------------------

    async def remove_old(self, session: Session, limit: int, swept: Sums) -> None:
        """Remove what nobody has looked after for FAILURES_S, and audit rows past their time."""
        seen = await session.rows("failures_old", limits.FAILURES_S * 1000, limit)
        await lock_groups(session, seen)
        rows = await session.rows("failures_chosen", [row["id"] for row in seen]) if seen else []
        await self._lose(session, rows)
        for row in rows:
            if row["queue"] in self._catalog.claiming:
                await session.value("drop_payload", row["queue"], row["body"])
            await session.run("failure_delete", row["seq"])
            await note(session, "wherry", "expire", row["id"], "its retention in the inbox ended")
            name = self._catalog.name(row["queue"])
            swept.given_up[name] = swept.given_up.get(name, 0) + 1
        await self._settle(session, rows, swept)
        audit = await session.rows("audit_old", limits.AUDIT_S * 1000, limit)
        swept.count += len(rows) + len(audit)

    async def unblock(self, session: Session, limit: int, swept: Sums) -> None:
        """Let failures block no more where their queue's `on_failure` is "skip" by now."""
        rows = await session.rows("failures_freed", limit)
        if rows:
            await lock_groups(session, rows)
            await session.run("failures_unblock", [row["seq"] for row in rows])
            await self._settle(session, rows, swept)
            swept.count += len(rows)

    async def _settle(self, session: Session, rows: list[Any], swept: Sums) -> None:
        for queue, group in {(row["queue"], row["grp"]): None for row in rows if row["grp"]}:
            swept.turn(self._catalog.name(queue), await session.value("settle", queue, group))


async def lock_groups(session: Session, rows: list[Any]) -> None:
    """Lock the groups of these rows, in order."""
    groups = {(row["queue"], row["grp"]) for row in rows if row["grp"] is not None}
    if groups:
        queues, names = zip(*groups, strict=True)
        await session.value("lock_groups", list(queues), list(names))


async def note(session: Session, actor: str, action: str, subject: str, detail: str) -> None:
    """Write an audit row."""
    await session.run("audit_add", plain(actor), action, subject, plain(detail))
