"""The store of a test: the real one, in memory, with a window to look in."""

from __future__ import annotations

from typing import Any, Protocol

from wherry.platforms.sql.store import SqlStore
from wherry.ports import Answer, Request


class Window(Protocol):
    """A platform of a test, and what is looked at in it."""

    def run(self, requests: list[tuple[str, Request]]) -> list[Answer]: ...
    def close(self) -> None: ...
    def copy(self, path: str) -> Window: ...
    def bodies(self, table: str) -> list[Any]: ...
    def last_error(self, queue: str) -> str: ...
    def sleeping(self) -> list[int]: ...
    def is_stuck(self, queue: str) -> bool: ...
    def payloads(self, queue: str) -> list[Any]: ...


class KitStore(SqlStore):
    """The platform on SQLite; what a test looks at, no handler could read so."""

    def copy(self, path: str) -> KitStore:
        """Return a store of its own with what is here now, in a file that does not exist yet."""
        self._session.run("VACUUM INTO ?", (path,))
        return KitStore(path, self._session.clock)

    def bodies(self, table: str) -> list[Any]:
        """The items of a table in the order of their keys (JSON). Expired ones are not there."""
        rows = self._session.run(
            "SELECT body FROM items JOIN names ON names.id = tbl WHERE kind = 'table' AND name = ?"
            " AND (expires_ms IS NULL OR expires_ms > ?) ORDER BY pk, sk",
            (table, self._session.clock.now_ms()),
        )
        return [row[0] for row in rows.fetchall()]

    def last_error(self, queue: str) -> str:
        """What went wrong with the message of a queue that waits for longest; '' if nothing did."""
        rows = self._session.run(
            "SELECT error FROM messages JOIN names ON names.id = queue"
            " WHERE kind = 'queue' AND name = ? AND error != '' ORDER BY seq LIMIT 1",
            (queue,),
        )
        row = rows.fetchone()
        return "" if row is None else str(row[0])

    def sleeping(self) -> list[int]:
        """The executions that will want to be woken."""
        rows = self._session.run("SELECT id FROM executions WHERE wake_ms IS NOT NULL ORDER BY id")
        return [int(str(row[0])) for row in rows.fetchall()]

    def is_stuck(self, queue: str) -> bool:
        """Whether all that waits in a queue waits behind a message that has died."""
        rows = self._session.run(
            "SELECT 1 FROM messages JOIN names ON names.id = slot"
            " WHERE kind = 'queue' AND name = ? LIMIT 1",
            (queue,),
        )
        return rows.fetchone() is None

    def payloads(self, queue: str) -> list[Any]:
        """The messages of a queue in the order in which they fall due (JSON)."""
        rows = self._session.run(
            "SELECT body FROM messages JOIN names ON names.id = queue"
            " WHERE kind = 'queue' AND name = ? ORDER BY due_ms, abs(seq)",
            (queue,),
        )
        return [row[0] for row in rows.fetchall()]
