"""Pages of items, by key or by index, bounded by count and by bytes."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.platforms.shared.pages import index_bounds, index_cursor, key_bounds, query_limit
from wherry.platforms.shared.tables import Index, Table
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session
from wherry.ports import NotReady, Page, QueryItems, Row


class Queries:
    """Queries by key and by index."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog

    def page(self, function: str, query: QueryItems, table: Table) -> Page | NotReady:
        """Answer one query. Expired items are not there.

        Raises:
            msgspec.MsgspecError: The cursor is not one of an index query.
        """
        limit = query_limit(query)
        if query.index is None:
            return self._by_key(query, table, limit)
        index = self._catalog.index(function, query.table, query.index)
        if index is None or not index.ready:
            return NotReady(query.table, query.index)
        return self._by_index(query, index, limit)

    def _by_key(self, query: QueryItems, table: Table, limit: int) -> Page:
        low, high = key_bounds(query)
        name = "items_page_descending" if query.descending else "items_page"
        values = (table.id, query.pk, low, high, self._session.now_ms, limit + 1)
        rows, more = self._read(name, values, limit)
        last = rows[-1] if rows and more else None
        return Page([Row(*row[:4]) for row in rows], last[1] if last else None)

    def _by_index(self, query: QueryItems, index: Index, limit: int) -> Page:
        low, high = index_bounds(query)
        now = self._session.now_ms
        if query.descending:
            name = "entries_page_descending"
            values = (index.id, query.pk, low[0], *high, now, limit + 1)
        else:
            name = "entries_page"
            values = (index.id, query.pk, *low, high[0], now, limit + 1)
        rows, more = self._read(name, values, limit)
        last = rows[-1] if rows and more else None
        cursor = index_cursor((last[4], last[0], last[1])) if last else None
        return Page([Row(*row[:4]) for row in rows], cursor)

    def _read(self, name: str, values: tuple[object, ...], limit: int) -> tuple[list[Any], bool]:
        """Return rows up to the limit and the bytes of a page, and whether more follow."""
        found: list[Any] = []
        size = 0
        for row in self._session.run(self._session.sql[name], values):
            size += len(row[0]) + len(row[1]) + len(row[2])
            if len(found) == limit or (found and size > limits.QUERY_BYTES):
                return found, True
            found.append(row)
        return found, False
