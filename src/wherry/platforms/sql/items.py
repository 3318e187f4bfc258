"""Items: reading them, and working out what a commit will do to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from wherry.effects import Absent, Guard, Present, PutItem, UpdateItem
from wherry.platforms.shared.changes import Change, Key, Stored, describe_key
from wherry.platforms.shared.tables import Table
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session
from wherry.ports import Item, Nothing, Rejected, Unmet

# What one commit has read already: what is guarded is mostly written too.
Rows: TypeAlias = dict[Key, Stored | None]
REMEMBERED = 1_024  # deletions whose writer a conflict can still name


class Items:
    """The items of all tables."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog
        sql = session.sql
        self._get = sql["item_get"]
        self._row, self._head = sql["item_row"], sql["item_head"]
        self._put, self._update = sql["item_put"], sql["item_update"]
        self._delete = sql["item_delete"]
        self._entry_add, self._entry_delete = sql["entry_add"], sql["entry_delete"]
        self._deleted: dict[Key, int] = {}

    def get(self, table: Table, pk: bytes, sk: bytes) -> Item | Nothing:
        """Read one item; an expired one is not there."""
        session = self._session
        row = session.run(self._get, (table.id, pk, sk)).fetchone()
        if row is None or (row[2] is not None and row[2] <= session.now_ms):
            return Nothing()
        return Item(row[0], row[1])

    def _stored(self, change: Change, rows: Rows) -> Stored | None:
        """Read the row as it is stored, expired or not; its body only where it matters."""
        key, effect = change.key, change.effect
        if key in rows:
            return rows[key]
        blind = change.table.blind and (
            not isinstance(effect, UpdateItem)
            and (effect.when is None or isinstance(effect.when, Absent | Present))
        )
        statement = self._head if blind else self._row
        row: Stored | None = self._session.run(statement, key).fetchone()
        return row

    # -- checking ----------------------------------------------------------------------------

    def check_guard(self, guard: Guard, table: Table, rows: Rows) -> tuple[str, int] | None:
        """Return None where the guard holds, else the key as text and the winner's record."""
        session = self._session
        key = (table.id, guard.pk, guard.sk)
        row: Stored | None = session.run(self._row, key).fetchone()
        rows[key] = row
        if row is None or (row[3] is not None and row[3] <= session.now_ms):
            if guard.version == 0:
                return None
            return describe_key(guard.pk, guard.sk), self._deleted.get(key, 0)
        if row[1] == guard.version:
            return None
        return describe_key(guard.pk, guard.sk), row[2]

    def plan(self, change: Change, rows: Rows) -> Unmet | Rejected | None:
        """Work out a change against the present state, without changing anything."""
        effect, table = change.effect, change.table
        stored: bytes | None = None
        try:
            if isinstance(effect, PutItem) and effect.when is None and table.blind:
                change.body = effect.body  # whatever stands there is replaced: it is not read
            else:
                old = change.old = self._stored(change, rows)
                live = old is not None and (old[3] is None or old[3] > self._session.now_ms)
                stored = old[4] if old and live else None
                if not change.decide(stored):
                    return Unmet(effect.table, describe_key(effect.pk, effect.sk))
                if old is not None and table.indexes:
                    change.old_entries = table.entries(old[4])
            change.derive()
        except (ValueError, TypeError, OverflowError, msgspec.MsgspecError) as error:
            return change.refusal(stored, error)
        return None

    # -- applying ----------------------------------------------------------------------------

    def apply(self, change: Change, writer: int) -> None:
        """Write a planned change. The transaction is open."""
        session = self._session
        old, body = change.old, change.body
        if body is None:
            if old is None:
                return
            item = old[0]
            session.run(self._delete, (item,))
            self._remember_deleted(change.key, writer)
        else:
            version = change.version = session.next()
            if old is None:
                item = version  # unique, and it grows: a row number that costs no search
                row = (item, *change.key, version, writer, change.expires_ms, body)
                session.run(self._put, row)
            else:
                item = old[0]
                session.run(self._update, (version, writer, change.expires_ms, body, item))
        if change.table.indexes:
            self._move_entries(change, item)

    def _move_entries(self, change: Change, item: int) -> None:
        run, (_, pk, sk) = self._session.run, change.key
        for entry in change.old_entries:
            if entry not in change.entries:
                run(self._entry_delete, (*entry, pk, sk))
        for entry in change.entries:
            if entry not in change.old_entries:
                run(self._entry_add, (*entry, pk, sk, item))

    def _remember_deleted(self, key: Key, writer: int) -> None:
        self._deleted[key] = writer
        if len(self._deleted) > REMEMBERED:
            del self._deleted[next(iter(self._deleted))]

    def remove_expired(self, limit: int, gone: Callable[[Table, Key, bytes], None]) -> int:
        """Remove up to `limit` items that have expired; tell `gone` of those that are followed."""
        session, tables = self._session, self._catalog.tables_by_id
        rows = session.rows("items_expired", session.now_ms, limit)
        if not rows:
            return 0
        session.begin()
        entries: list[tuple[Any, ...]] = []
        followed: list[tuple[Table, Key, bytes]] = []
        for _, table_id, pk, sk, body in rows:
            table = tables.get(table_id)
            if table is not None and table.indexes:
                entries += [(*entry, pk, sk) for entry in table.entries(body)]
            if table is not None and table.followers:
                followed.append((table, (table_id, pk, sk), body))
        session.many(self._entry_delete, entries)
        session.many(self._delete, [(row[0],) for row in rows])
        for one in followed:
            gone(*one)
        return len(rows)

    def fill_index(self, table: Table, index: int, limit: int) -> int:
        """Add the entries of the next items to a new index; return of how many (0: all done)."""
        session = self._session
        at = session.row("index_position", index) or (b"", b"")
        rows = session.rows("items_walk", table.id, *at, limit)
        for item, pk, sk, body in rows:
            for entry in table.entries(body):
                if entry[0] == index:
                    session.write("entry_add", *entry, pk, sk, item)
        at = (rows[-1][1], rows[-1][2]) if rows else at
        session.write("index_moved", *at, int(len(rows) < limit), index)
        return len(rows)
