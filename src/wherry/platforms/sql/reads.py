"""Reads of items, objects and stored replies, with the rights of who asks."""

from __future__ import annotations

import msgspec

from wherry.platforms.shared.pages import reply_unread, table_unread, unread, wrong_cursor
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.items import Items
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.queries import Queries
from wherry.platforms.sql.replies import Replies
from wherry.ports import (
    Answer,
    GetItem,
    GetObject,
    GetReply,
    ListObjects,
    Nothing,
    Page,
    QueryItems,
)


class Reads:
    """What handlers ask for."""

    def __init__(
        self, catalog: Catalog, queries: Queries, items: Items, objects: Objects, replies: Replies
    ) -> None:
        self._catalog = catalog
        self._queries = queries
        self._items = items
        self._objects = objects
        self._replies = replies

    def read(
        self, function: str, request: GetItem | QueryItems | GetObject | ListObjects | GetReply
    ) -> Answer:
        """Answer a read of a function; "" is the engine itself, which may read everything."""
        rights = self._catalog.rights(function)
        match request:
            case GetItem():
                table = rights.readable.get(request.table)
                if table is None:
                    return table_unread(rights, request.table) or Nothing()
                return self._items.get(table, request.pk, request.sk)
            case QueryItems():
                table = rights.readable.get(request.table)
                if table is None:
                    return table_unread(rights, request.table) or Page([], None)
                try:
                    return self._queries.page(function, request, table)
                except msgspec.MsgspecError:
                    return wrong_cursor()
            case GetObject():
                return unread(rights, "bucket", request.bucket) or self._objects.get(request)
            case ListObjects():
                return unread(rights, "bucket", request.bucket) or self._objects.page(request)
            case GetReply():
                denied = reply_unread(function, request.key)
                return denied or self._replies.get(request.key) or Nothing()
