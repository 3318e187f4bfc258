"""Reads: items, pages, objects, replies. What they say is committed."""

from __future__ import annotations

from typing import Any

import msgspec

from wherry import limits
from wherry.platforms.postgres.catalog import Catalog
from wherry.platforms.postgres.database import Database
from wherry.platforms.postgres.keys import indexed
from wherry.platforms.shared.pages import (
    index_bounds,
    index_cursor,
    key_bounds,
    object_bounds,
    object_page,
    object_row,
    query_limit,
    reply_unread,
    table_unread,
    unread,
    wrong_cursor,
)
from wherry.platforms.shared.tables import Index, Table
from wherry.ports import (
    Broken,
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
    Row,
    StoredReply,
)


class Reads:
    """What handlers ask for. Each answer is checked by the rights of the function that asks.

    Everything raises `Stale` where the catalog has changed.
    """

    def __init__(self, database: Database, catalog: Catalog) -> None:
        self._database = database
        self._catalog = catalog

    async def item(self, function: str, request: GetItem) -> Item | Nothing | Denied | Broken:
        """Read an item."""
        rights = self._catalog.rights(function)
        table = rights.readable.get(request.table)
        if table is None:
            await self._check()
            return table_unread(rights, request.table) or Nothing()
        row = await self._database.row("item_get", table.id, indexed(request.pk), request.sk)
        assert row is not None
        catalog, body, version = row
        self._catalog.check(catalog)
        return Nothing() if body is None else Item(body, version)

    async def _check(self) -> None:
        """Raise `Stale` if what is in memory is not the truth any more."""
        self._catalog.check(await self._database.value("catalog_version"))

    # -- pages -------------------------------------------------------------------------------

    async def page(self, function: str, request: QueryItems) -> Page | NotReady | Denied | Broken:
        """Read a page of items."""
        rights = self._catalog.rights(function)
        table = rights.readable.get(request.table)
        if table is None:
            await self._check()
            return table_unread(rights, request.table) or Page([], None)
        try:
            return await self._page(function, request, table)
        except msgspec.MsgspecError:
            return wrong_cursor()

    async def _page(self, function: str, query: QueryItems, table: Table) -> Page | NotReady:
        limit = query_limit(query)
        if query.index is None:
            return await self._by_key(query, table, limit)
        index = self._catalog.index(function, query.table, query.index)
        if index is None or not index.ready:
            await self._check()  # another node may have filled it
            return NotReady(query.table, query.index)
        page = await self._by_index(query, table, index, limit)
        if not page.rows:
            await self._check()  # ... or have dropped it
        return page

    async def _by_key(self, query: QueryItems, table: Table, limit: int) -> Page:
        low, high = key_bounds(query)
        name = "items_page_descending" if query.descending else "items_page"
        values = (table.id, indexed(query.pk), low, high, limit + 1, limits.QUERY_BYTES)
        rows, more = _cut(await self._database.rows(name, *values), limit)
        page = [_row(row) for row in rows]
        return Page(page, page[-1].sk if more else None)

    async def _by_index(self, query: QueryItems, table: Table, index: Index, limit: int) -> Page:
        low, high = index_bounds(query)
        end = (limit + 1, limits.QUERY_BYTES, table.id)
        if query.descending:
            name, values = "entries_page_descending", (*high, low[0])
        else:
            name, values = "entries_page", (*low, high[0])
        found = await self._database.rows(name, index.id, indexed(query.pk), *values, *end)
        rows, more = _cut(found, limit)
        last = rows[-1] if more else None
        cursor = index_cursor((last["sort"], last["pk"], last["sk"])) if last else None
        return Page([_row(row) for row in rows], cursor)

    # -- objects, replies --------------------------------------------------------------------

    async def object(self, function: str, request: GetObject) -> ObjectRow | Nothing | Denied:
        """Read what an object is, besides its content."""
        denied = unread(self._catalog.rights(function), "bucket", request.bucket)
        if denied is not None:
            return denied
        number = self._catalog.find("bucket", request.bucket)
        if number is None:
            await self._check()
            return Nothing()
        row = await self._database.row("object_get", number, request.key.encode())
        return object_row(request.bucket, row) if row else Nothing()

    async def objects(self, function: str, request: ListObjects) -> ObjectPage | Denied:
        """Read a page of objects."""
        denied = unread(self._catalog.rights(function), "bucket", request.bucket)
        if denied is not None:
            return denied
        number = self._catalog.find("bucket", request.bucket)
        *bounds, read = object_bounds(request)
        rows = await self._database.rows("objects_page", number or 0, *bounds, read)
        return object_page(request, rows, read)

    async def reply(self, function: str, request: GetReply) -> StoredReply | Nothing | Denied:
        """Read a stored reply."""
        denied = reply_unread(function, request.key)
        if denied is not None:
            return denied
        row = await self._database.row("reply_get", request.key)
        return StoredReply(row[0], row[1]) if row else Nothing()


def _row(row: Any) -> Row:
    return Row(row["pk_whole"] or row["pk"], row["sk"], row["body"], row["version"])


def _cut(rows: list[Any], limit: int) -> tuple[list[Any], bool]:
    """Return the rows of a page, and whether more follow."""
    kept = rows[:limit]
    return kept, bool(rows) and rows[0]["total"] > len(kept)
