"""The ways out of the failure inbox: back to the queue, edited back to the queue, or given up."""

from __future__ import annotations

from wherry.platforms.shared.redrives import edit_fault, id_taken, not_editable, way_back
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.inbox import Failed, Inbox
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.rows import Message
from wherry.platforms.sql.session import Session
from wherry.ports import Count, Discard, Redrive, Rejected


class Exits:
    """Redrive and discard. Each is audited: who, when, what."""

    def __init__(
        self, session: Session, catalog: Catalog, inbox: Inbox, messages: Messages
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._inbox = inbox
        self._messages = messages

    def redrive(self, request: Redrive) -> Count | Rejected:
        """Give work back to its queue: attempts begin again, redrives are counted.

        What has failed after a redrive waits before the next one, longer each time; an edited
        message is a new one, and does not.
        """
        if request.body is None:
            rows = self._inbox.choose(request.ids, request.queue, request.limit)
            for row in rows:
                self.put_back(row, row.id, row.body)
                self._inbox.note(request.actor, "redrive", row.id, self._catalog.name(row.queue))
            return Count(len(rows))
        fault = edit_fault(request, request.body)
        if fault is not None:
            return fault
        found = self._inbox.find(request.ids[0])
        if found is None:
            return Count(0)
        if self._catalog.is_workflow(found.queue):
            return not_editable()
        if self._messages.find(request.new_id) or self._inbox.find(request.new_id):
            return id_taken(request)
        self.put_back(found, request.new_id, request.body)
        if request.body != found.body:
            self._inbox.payloads.remove(found.queue, found.body)
        self._inbox.note(request.actor, "edit", found.id, request.new_id)
        return Count(1)

    def put_back(self, row: Failed, id: str, body: bytes) -> int:
        """Put failed work back into its queue; return when it is due.

        Args:
            id: Its own, or that of the edited message that it becomes.
        """
        now = self._session.now_ms
        queue = self._catalog.queues_by_id.get(row.queue)
        seq, edited = self._session.next(), id != row.id
        back = way_back(queue, row.redrives, row.place, edited=edited, now_ms=now, seq=seq)
        self._inbox.remove(row)
        # The same invocation key keeps its first start, so that a run repeats itself.
        started = 0 if edited else row.started_ms
        message = Message(
            seq,
            id,
            row.queue,
            back.due_ms,
            row.queue,
            0,
            0,
            row.redrives + 1,
            row.sent_ms,
            started,
            back.due_ms + back.retention_ms,
            row.correlation,
            row.traceparent,
            row.error,
            body,
            row.grp if back.in_group else None,
            back.place,
        )
        self._messages.put_back(message)
        return back.due_ms

    def discard(self, request: Discard) -> Count:
        """Give work up, with a reason."""
        rows = self._inbox.choose(request.ids, request.queue, request.limit)
        for row in rows:
            self._inbox.remove(row)
            self._inbox.gone(row.queue, row.body)
            self._inbox.note(request.actor, "discard", row.id, request.reason)
            self._messages.settle(row.queue, row.grp)
        return Count(len(rows))
