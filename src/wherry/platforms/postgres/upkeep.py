"""What the engine asks of the store for itself: releases, small values, records, sweeping."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from wherry import limits
from wherry.effects import SendMessage
from wherry.errors import Refused
from wherry.platforms.postgres.catalog import Catalog, Stale
from wherry.platforms.postgres.database import Database, Session
from wherry.platforms.postgres.firings import Firings
from wherry.platforms.postgres.hints import Seen
from wherry.platforms.postgres.keys import in_order, indexed, lock
from wherry.platforms.postgres.making import SEEN, record_row, send_row
from wherry.platforms.postgres.nodes import RELEASE_PREFIX, serve
from wherry.platforms.shared.listeners import check_sources
from wherry.platforms.shared.origins import Cause
from wherry.platforms.shared.shapes import Queue, read_release
from wherry.platforms.shared.spread import change_body, closed, to_followers
from wherry.platforms.shared.tables import Entry, Table
from wherry.ports import (
    Configure,
    Configured,
    Count,
    Done,
    FindOrphans,
    Note,
    Nothing,
    Orphans,
    PutState,
    Reindex,
    Rejected,
    ReleaseRow,
    ReleaseRows,
    State,
    Undeclared,
    UndeclaredRow,
)


class Upkeep:
    """Everything that no function asks for."""

    def __init__(self, database: Database, catalog: Catalog, firings: Firings, seen: Seen) -> None:
        self._database = database
        self._catalog = catalog
        self._firings = firings
        self._seen = seen

    # -- releases ----------------------------------------------------------------------------

    async def configure(self, request: Configure) -> Configured | Rejected:
        """Take over a release, and the messages of engines before this one."""
        catalog = self._catalog
        try:
            shape = read_release(request.blueprint)
            check_sources(shape)
        except msgspec.MsgspecError as error:
            return Rejected(f"The blueprint of release {request.digest} cannot be read: {error}")
        except Refused as error:
            return Rejected(str(error))

        async def take_over(session: Session) -> Configured:
            what = (request.digest, request.blueprint, request.activate, request.chosen)
            if request.engine:
                await serve(session, request.engine, request.digest)
            beside = await catalog.configure(session, *what)
            if request.activate and not beside:
                await self._firings.adopt(session, shape.sources)
            if request.owner:
                await session.run("free_others", request.owner)
            return Configured(await catalog.unready(session), beside)

        try:
            async with catalog.changing():
                answer = await self._database.run(take_over, atomic=True)
        except Refused as error:
            return Rejected(str(error))
        self._seen.forget()
        return answer

    async def releases(self) -> ReleaseRows:
        """List releases, the last activated first."""
        rows = await self._database.rows("releases_list")
        return ReleaseRows([ReleaseRow(*row) for row in rows])

    async def undeclared(self) -> Undeclared:
        """List what is kept and the activated release does not declare."""
        await self._catalog.refresh()
        value, most = self._database.value, limits.UNDECLARED_COUNTED
        rows = [
            UndeclaredRow("table", name, await value("items_some", number, most))
            for name, number in self._catalog.undeclared("table")
        ]
        rows += [
            UndeclaredRow("queue", name, await value("waiting_some", number, most))
            for name, number in self._catalog.undeclared("queue")
        ]
        return Undeclared([row for row in rows if row.count])

    async def reindex(self, request: Reindex) -> Count | Rejected:
        """Fill the next items into an index; 0: it is ready."""
        await self._catalog.refresh()
        found = self._catalog.unfilled(request)
        if found is None or isinstance(found, Rejected):
            return found or Count(0)
        table, index = found
        limit = max(1, min(request.limit, limits.REINDEX_BATCH))
        fill = partial(self._fill, table, index.id, limit)
        count = await self._database.run(fill, atomic=True)
        if count < limit:
            await self._database.run(partial(self._ready, index.id), atomic=True)
            await self._catalog.refresh()
        return Count(count)

    async def _fill(self, table: Table, index: int, limit: int, session: Session) -> int:
        """Add the entries of the next items; return of how many.

        Their keys are locked as a commit locks them, and they are read again under the locks.
        """
        await session.run("take_locks", in_order([]))
        at = tuple(await session.row("index_position", index) or (b"", b""))
        walked = await session.rows("items_walk", table.id, *at, limit)
        keys = [(lock(b"item", table.id, row["whole"], row["sk"]), True) for row in walked]
        await session.run("take_locks", in_order(keys))
        last = _end(walked) if walked else at
        # What has come to lie between them since has its entries: its commit knew of the index.
        locked = {(row["pk"], row["sk"]) for row in walked}
        found = [
            (row["pk"], row["sk"], row["version"], indexed(entry[1]), entry[2])
            for row in await session.rows("items_between", table.id, *at, *last)
            if (row["pk"], row["sk"]) in locked
            for entry in table.entries(row["body"])
            if entry[0] == index
        ]
        if found:
            columns = map(list, zip(*found, strict=True))
            await session.run("index_fill", *columns, index, table.id)
        await session.run("index_moved", *last, index)
        return len(walked)

    async def _ready(self, index: int, session: Session) -> None:
        """Let an index be asked. By itself: who changes the catalog must hold no other lock."""
        await self._catalog.change(session)
        await session.run("index_ready", index)

    # -- small values, records ---------------------------------------------------------------

    async def get_state(self, key: str) -> State | Nothing:
        """Read a small value."""
        row = await self._database.row("state_get", key)
        return State(row["value"]) if row else Nothing()

    async def put_state(self, request: PutState) -> Count:
        """Write a small value."""
        expires = None if request.expires_at_s is None else request.expires_at_s * 1000
        values = (request.key, request.value, expires)
        if request.if_absent:
            return Count(0 if await self._database.row("state_add", *values) is None else 1)
        await self._database.row("state_put", *values)
        return Count(1)

    async def note(self, request: Note) -> Done:
        """Remember invocations that committed nothing."""
        rows = [record_row(record) for record in request.records]
        await self._database.run(lambda session: session.run("note", rows))
        return Done()

    async def orphans(self, request: FindOrphans) -> Orphans:
        """Return the blobs that no object names. Garbage is named: it goes in its own time."""
        number = self._catalog.find("bucket", request.bucket) or 0
        rows = await self._database.rows("orphans", number, request.bucket, request.blobs)
        return Orphans([row["blob"] for row in rows])

    # -- sweeping ----------------------------------------------------------------------------

    async def remove_entries(self, limit: int) -> int:
        """Remove the rows of dropped indexes."""
        count = 0
        for index in list(self._catalog.dropped):
            delete = partial(_delete_entries, index, limit - count)
            removed = await self._database.run(delete)
            count += removed
            if not removed:
                await self._database.run(partial(self._forget, index), atomic=True)
            if count >= limit:
                break
        return count

    async def _forget(self, index: int, session: Session) -> None:
        await self._catalog.change(session)
        await session.run("index_forget", index)

    async def remove_releases(self) -> int:
        """Remove the oldest beyond RELEASES_KEPT, never the activated one."""
        if len(await self._database.rows("releases_digests")) <= limits.RELEASES_KEPT:
            return 0
        return await self._database.run(self._remove_releases, atomic=True)

    async def _remove_releases(self, session: Session) -> int:
        await self._catalog.change(session)
        rows = await session.rows("releases_list")
        served = {row[0] for row in await session.rows("releases_served", RELEASE_PREFIX)}
        served.add(rows[0][0] if rows else "")
        old = [row[0] for row in rows[limits.RELEASES_KEPT :] if row[0] not in served]
        for digest in old:
            await session.run("release_delete", digest)
        return len(old)

    async def remove_expired(self, limit: int) -> int:
        """Remove items that have expired, as a commit does it: who follows their table is told."""
        rows = list(await self._database.rows("items_expired", limit))
        while rows:
            stale = await self._database.run(lambda one: self._expire(one, rows), atomic=True)
            if stale is None:
                break
            del rows[stale]  # it was written meanwhile
        return len(rows)

    async def _expire(self, session: Session, rows: list[Any]) -> int | None:
        """Delete these items; return the number of the first that is not what it was."""
        locks: list[tuple[int, bool]] = []
        changes: list[Any] = []
        for tbl, pk, sk, version, _ in rows:
            table = self._catalog.tables_by_id.get(tbl)
            locks.append((lock(b"item", tbl, pk, sk), True))
            entries: list[Entry] | None = [] if table is not None and table.indexes else None
            changes.append((tbl, indexed(pk), sk, None, SEEN, version, None, None, entries))
        nothing: list[Any] = []
        locks = in_order(locks)
        values = (
            self._catalog.version, locks, nothing, changes, nothing, nothing, nothing, nothing,
            nothing, nothing, None, nothing, None, nothing, "", 0, False,
        )  # fmt: skip
        row = await session.row("commit", *values)
        assert row is not None
        if row["verdict"] == "catalog":
            raise Stale
        if row["verdict"] == "stale":
            return int(row["at_number"]) - 1
        sends: list[tuple[SendMessage, Queue]] = []
        for tbl, pk, sk, _, body in rows:
            table = self._catalog.tables_by_id.get(tbl)
            if table is not None and table.followers:
                version = await session.value("next_number")
                text = closed(
                    change_body(table, b"remove", (pk, sk), body, None), row["a_now"], version
                )
                sends += to_followers(table, (pk, sk), f"change.expired.{version}.r", text)
        await self._send(session, sends)
        return None

    async def _send(self, session: Session, sends: list[tuple[SendMessage, Queue]]) -> None:
        """Send messages that no run has sent."""
        grouped = [(queue.id, message.group) for message, queue in sends if queue.grouped]
        if grouped:
            await session.value("lock_groups", *map(list, zip(*grouped, strict=True)))
        for message, queue in sends:
            cause = Cause(message.id)
            send = send_row(message, queue)
            await session.row("send_one", send, cause.correlation_id, cause.traceparent)


async def _delete_entries(index: int, limit: int, session: Session) -> int:
    return await session.run("entries_delete", index, limit)


def _end(rows: list[Any]) -> tuple[bytes, bytes]:
    """Return the position behind these rows."""
    return rows[-1]["pk"], rows[-1]["sk"]
