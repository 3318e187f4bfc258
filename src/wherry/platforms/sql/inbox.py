"""The failure inbox: work that waits for a person."""

from __future__ import annotations

from typing import NamedTuple

from wherry import limits
from wherry.platforms.shared.failures import chosen_most, failures_from
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.payloads import Payloads
from wherry.platforms.sql.session import Session
from wherry.ports import FailedWork, Failures, ListFailures


class Failed(NamedTuple):
    """A row of `failures`, in the order of its columns."""

    seq: int
    id: str
    queue: int
    function: str
    code: str
    error: str
    attempts: int
    redrives: int
    sent_ms: int
    started_ms: int
    failed_ms: int
    correlation: str
    traceparent: str
    note: str
    body: bytes
    grp: str | None
    place: int | None


class Inbox:
    """What has failed, per queue."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog
        self.payloads = Payloads(session, catalog)
        self.forget()

    def forget(self) -> None:
        """Read anew what is kept in memory (after a rollback)."""
        self.freed: list[tuple[int, str]] = []  # groups that `remove_old` may have unblocked
        self.lost: list[bytes] = []  # what happened to executions and was given up
        self._outlived: dict[int, int] = {}  # what `remove_old` has removed, per queue
        self._counts: dict[int, int] | None = None

    def counts(self) -> dict[int, int]:
        """Return how much has failed, per queue."""
        if self._counts is None:
            self._counts = dict(self._session.rows("count_failures"))
        return self._counts

    def has(self, id: str) -> bool:
        """Whether this message waits here."""
        return bool(self.counts()) and self._session.row("failure_there", id) is not None

    def add(
        self,
        id: str,
        queue: int,
        function: str,
        code: str,
        error: str,
        attempts: int,
        redrives: int,
        sent_ms: int,
        started_ms: int,
        correlation: str,
        traceparent: str,
        body: bytes,
        grp: str | None = None,
        place: int | None = None,
    ) -> None:
        """Add failed work. With a `place` it keeps what is behind it in its group waiting."""
        session = self._session
        session.begin()
        row = Failed(
            session.next(),
            id,
            queue,
            function,
            code,
            error,
            attempts,
            redrives,
            sent_ms,
            started_ms,
            session.now_ms,
            correlation,
            traceparent,
            "",
            body,
            grp,
            place,
        )
        session.run(session.sql["failure_insert"], row)
        self._count(queue, 1)

    def remove(self, row: Failed) -> None:
        """Remove failed work."""
        self._session.write("failure_delete", row.seq)
        self._count(row.queue, -1)

    def gone(self, queue: int, body: bytes) -> None:
        """See to what else goes when failed work is given up."""
        self.payloads.remove(queue, body)
        if self._catalog.is_workflow(queue):
            self.lost.append(body)

    def _count(self, queue: int, change: int) -> None:
        counts = self._counts
        if counts is None:  # they will be read with this change in them
            return
        counts[queue] = counts.get(queue, 0) + change
        if not counts[queue]:
            del counts[queue]

    def find(self, id: str) -> Failed | None:
        """Return failed work by its ID."""
        row = self._session.row("failure_row", id)
        return Failed(*row) if row else None

    def choose(self, ids: list[str], queue: str | None, limit: int) -> list[Failed]:
        """Return the work with these IDs, without IDs the oldest of a queue (or of all)."""
        if ids:
            return [row for row in map(self.find, dict.fromkeys(ids)) if row is not None]
        limit = chosen_most(limit)
        if queue is None:
            rows = self._session.rows("failures_oldest", limit)
        else:
            number = self._catalog.find("queue", queue)
            rows = self._session.rows("failures_oldest_of", number, limit)
        return [Failed(*row) for row in rows]

    def page(self, request: ListFailures) -> Failures:
        """Answer a page, newest first."""
        if request.id is not None:
            found = self.find(request.id)
            return Failures([self.show(found)] if found else [], None, 1 if found else 0)
        before, limit = failures_from(request)
        counts = self.counts()
        if request.queue is None:
            rows = self._session.rows("failures_page", before, limit + 1)
            total = sum(counts.values())
        else:
            number = self._catalog.find("queue", request.queue)
            rows = self._session.rows("failures_page_of", number, before, limit + 1)
            total = counts.get(number or 0, 0)
        page = [Failed(*row) for row in rows[:limit]]
        more = str(page[-1].seq) if len(rows) > limit else None
        return Failures([self.show(row) for row in page], more, total)

    def show(self, row: Failed) -> FailedWork:
        """Return failed work as it is shown."""
        return FailedWork(
            row.id,
            self._catalog.name(row.queue),
            row.function,
            row.body,
            row.code,
            row.error,
            row.attempts,
            row.sent_ms,
            row.failed_ms,
            row.correlation,
            row.traceparent,
            row.redrives,
            row.note,
            row.place is not None,
        )

    def remove_old(self, limit: int) -> int:
        """Remove what nobody has looked after for FAILURES_S."""
        before = self._session.now_ms - limits.FAILURES_S * 1000
        rows = self._session.rows("failures_aged", limit)  # in the order in which they failed
        old = [row for row in rows if row[3] <= before]
        for seq, id, queue, _, group in old:
            special = queue in self._catalog.claiming or self._catalog.is_workflow(queue)
            if special and (row := self.find(id)) is not None:
                self.gone(queue, row.body)
            self._session.write("failure_delete", seq)
            self._count(queue, -1)
            self._outlived[queue] = self._outlived.get(queue, 0) + 1
            if group is not None:
                self.freed.append((queue, group))
            self.note("wherry", "expire", id, "its retention in the inbox ended")
        before = self._session.now_ms - limits.AUDIT_S * 1000
        notes = [row for row in self._session.rows("audit_oldest", limit) if row[1] <= before]
        for id, _ in notes:
            self._session.write("audit_delete", id)
        return len(old) + len(notes)

    def take_outlived(self) -> dict[str, int]:
        """Return how much of each queue `remove_old` has removed, once."""
        found, self._outlived = self._outlived, {}
        return {self._catalog.name(queue): count for queue, count in found.items()}

    def note(self, actor: str, action: str, subject: str, detail: str) -> None:
        """Write an audit row."""
        self._session.write("audit_add", self._session.now_ms, actor, action, subject, detail)
