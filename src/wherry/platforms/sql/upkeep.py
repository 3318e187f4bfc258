"""What the engine asks of the store for itself: releases, small values, sweeping, overviews."""

from __future__ import annotations

import msgspec

from wherry import limits
from wherry.errors import Refused
from wherry.platforms.shared.changes import Key
from wherry.platforms.shared.origins import Cause
from wherry.platforms.shared.shapes import PARKED, read_release
from wherry.platforms.shared.tables import Table
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.executions import Executions
from wherry.platforms.sql.expiry import Expiry
from wherry.platforms.sql.firings import Firings
from wherry.platforms.sql.inbox import Inbox
from wherry.platforms.sql.items import Items
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.pauses import Pauses
from wherry.platforms.sql.records import Records
from wherry.platforms.sql.replies import Replies
from wherry.platforms.sql.retirement import Retirement
from wherry.platforms.sql.session import Session
from wherry.platforms.sql.sources import Sources
from wherry.ports import (
    Configure,
    Configured,
    Count,
    Nothing,
    PutState,
    Reindex,
    Rejected,
    ReleaseRow,
    ReleaseRows,
    State,
    Sweep,
    Swept,
    TimelineRows,
    Undeclared,
    UndeclaredRow,
    Waiting,
)
from wherry.telemetry import by_source, cause_of


class Upkeep:
    """Everything that no function asks for."""

    def __init__(
        self,
        session: Session,
        catalog: Catalog,
        items: Items,
        messages: Messages,
        objects: Objects,
        records: Records,
        replies: Replies,
        inbox: Inbox,
        sources: Sources,
        firings: Firings,
        pauses: Pauses,
        executions: Executions,
    ) -> None:
        self._session = session
        self._catalog = catalog
        self._items = items
        self._messages = messages
        self._objects = objects
        self._records = records
        self._replies = replies
        self._inbox = inbox
        self._sources = sources
        self._expiry = Expiry(session, catalog, inbox, messages)
        self._firings = firings
        self._pauses = pauses
        self._executions = executions
        self._retirement = Retirement(session, catalog)

    def configure(self, request: Configure) -> Configured | Rejected:
        """Take over a release, and the messages of engines before this one."""
        try:
            unready = self._catalog.configure(
                request.digest, request.blueprint, request.activate, request.chosen
            )
        except msgspec.MsgspecError as error:
            return Rejected(f"The blueprint of release {request.digest} cannot be read: {error}")
        except Refused as error:
            return Rejected(str(error))
        if request.activate:
            self._firings.adopt(read_release(request.blueprint).sources)
        if request.owner:
            self._messages.free_others(request.owner)
        return Configured(unready)

    def reindex(self, request: Reindex) -> Count | Rejected:
        """Fill the next items into an index; 0: it is ready."""
        found = self._catalog.unfilled(request)
        if found is None or isinstance(found, Rejected):
            return found or Count(0)
        table, index = found
        limit = max(1, min(request.limit, limits.REINDEX_BATCH))
        count = self._items.fill_index(table, index.id, limit)
        if count < limit:
            self._catalog.reload()
        return Count(count)

    # -- small values ------------------------------------------------------------------------

    def get_state(self, key: str) -> State | Nothing:
        """Read a small value."""
        row = self._session.row("state_get", key, self._session.now_ms)
        return State(row[0]) if row else Nothing()

    def put_state(self, request: PutState) -> Count:
        """Write a small value."""
        session = self._session
        if request.if_absent and session.row("state_get", request.key, session.now_ms):
            return Count(0)
        expires = None if request.expires_at_s is None else request.expires_at_s * 1000
        session.write("state_put", request.key, request.value, expires)
        return Count(1)

    def _remove_state(self, limit: int) -> int:
        rows = self._session.rows("state_expired", self._session.now_ms, limit)
        for (key,) in rows:
            self._session.write("state_delete", key)
        return len(rows)

    def releases(self) -> ReleaseRows:
        """List releases, the last activated first."""
        return ReleaseRows([ReleaseRow(*row) for row in self._session.rows("releases_list")])

    def undeclared(self) -> Undeclared:
        """List what is kept and the activated release does not declare."""
        session, most = self._session, limits.UNDECLARED_COUNTED
        rows = []
        for name, number in self._catalog.undeclared("table"):
            found = session.rows("items_some", number, most)
            rows.append(UndeclaredRow("table", name, len(found)))
        for name, number in self._catalog.undeclared("queue"):
            slots = (number, number + PARKED)
            count = sum(len(session.rows("parked", slot, most)) for slot in slots)
            rows.append(UndeclaredRow("queue", name, min(count, most)))
        return Undeclared([row for row in rows if row.count])

    # -- overviews ---------------------------------------------------------------------------

    def timeline(self, correlation_id: str) -> TimelineRows:
        """Return all that is known of a correlation ID."""
        records, sent = self._records.correlated(correlation_id)
        sent = [correlation_id, *sent]  # what no run has sent begins a correlation: a firing
        waiting: list[Waiting] = []
        failures = []
        for id in sent:
            message, failed = self._messages.find(id), self._inbox.find(id)
            if message is not None:
                waiting.append(
                    Waiting(
                        id,
                        self._catalog.name(message.queue),
                        message.attempts,
                        message.sent_ms,
                        message.due_ms,
                        message.slot < 0,
                        message.error,
                        self._messages.parking.held(message),
                        cause_of(message.body) if by_source(id) else "",
                    )
                )
            if failed is not None:
                failures.append(self._inbox.show(failed))
            if message is None and failed is None:
                # An edited redrive has an ID of its own, which may have been edited again.
                edited = [row[0] for row in self._session.rows("audit_edited", id)]
                sent += [one for one in edited if one not in sent]  # it may have its old ID again
        return TimelineRows(records, waiting, failures)

    # -- sweeping ----------------------------------------------------------------------------

    def sweep(self, request: Sweep) -> Swept:
        """Remove a small batch of everything that has outlived its retention."""
        limit = max(1, min(request.limit, limits.SWEEP_BATCH))
        count = self._expiry.sweep(limit)
        count += self._items.remove_expired(limit, self._item_gone)
        count += self._replies.remove_old(limit)
        count += self._records.remove_old(limit)
        count += self._inbox.remove_old(limit)
        self._executions.give_up()
        count += self._expiry.settle(limit)
        count += self._retirement.remove_old(limit)
        count += self._pauses.remove_old()
        count += self._remove_entries(limit)
        count += self._remove_state(limit)
        count += self._remove_releases()
        removed, blobs = self._objects.garbage(limit)
        return Swept(count + removed, blobs, given_up=self._inbox.take_outlived())

    def _item_gone(self, table: Table, key: Key, body: bytes) -> None:
        """Tell who follows a table of an item that has expired."""
        prefix = f"change.expired.{self._session.next()}"
        for message, queue in self._sources.gone(table, key[1], key[2], body, prefix):
            self._messages.send(queue, message, Cause(message.id), "")

    def _remove_entries(self, limit: int) -> int:
        session = self._session
        count = 0
        for index in list(self._catalog.dropped):
            rows = session.rows("entries_of", index, limit - count)
            for entry in rows:
                session.write("entry_delete", index, *entry)
            count += len(rows)
            if not rows:
                session.write("index_forget", index)
                self._catalog.dropped.remove(index)
            if count >= limit:
                break
        return count

    def _remove_releases(self) -> int:
        """Remove the oldest beyond RELEASES_KEPT; one configured but never activated may yet be."""
        rows = self._session.rows("releases_list")
        old = [row[0] for row in rows[limits.RELEASES_KEPT :] if not self._catalog.in_use(row[0])]
        for digest in old:
            self._session.write("release_delete", digest)
        return len(old)
