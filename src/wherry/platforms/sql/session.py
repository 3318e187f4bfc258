"""The open database, its transaction, and the one counter from which everything is numbered."""

from __future__ import annotations

from contextlib import suppress
from math import ceil
from typing import Any

from wherry import limits
from wherry.platforms.shared.statements import load_statements
from wherry.platforms.sql.dialect import CHECKPOINT_PAGES, FOLDER, open_database
from wherry.world import Clock

IDLE_CHECKPOINT_PAGES = 250
CLOCK = "clock_ms"  # the counter that says how late it was when the store last wrote
RESERVED = 100_000  # numbers set aside at once: a crash skips the rest, so none is used twice


class Session:
    """One connection. `now_ms` stands still during a batch; a transaction begins at need.

    Args:
        path: The database file, or ":memory:".
        vfs: The name of an apsw VFS (tests make it fail).
    """

    def __init__(self, path: str, clock: Clock, vfs: str | None = None) -> None:
        self.path = path
        self.clock = clock
        self.vfs = vfs
        self.sql = load_statements(FOLDER)
        self.now_ms, self.steady_s = clock.now_ms(), clock.steady_s()
        self.writing = False
        self.committing = False  # from the beginning of COMMIT on it may be in the log
        self.commit_s = 0.0  # what a commit that syncs has taken, on a moving average
        self.set_back_ms = self._repaired_ms = 0
        self.open()
        seen = self.row("counter_get", CLOCK)
        self._noted_ms: int = seen[0] if seen else 0
        # By how much the wall clock was set back, until what waits was put right for that.
        back_ms = self._noted_ms - self.now_ms
        self.set_back_ms = back_ms if back_ms > limits.CLOCK_BACK_MS else 0

    def tick(self) -> None:
        """Read the clocks, once for a batch."""
        now_ms, steady_s = self.clock.now_ms(), self.clock.steady_s()
        back_ms = self.now_ms + (steady_s - self.steady_s) * 1000 - now_ms
        if back_ms > limits.CLOCK_BACK_MS:
            self.set_back_ms += ceil(back_ms)
        self.now_ms, self.steady_s = now_ms, steady_s

    def repaired(self) -> None:
        """What waits was put right in the open transaction; it is not to be done twice in it."""
        self._repaired_ms += self.set_back_ms
        self.set_back_ms = 0

    def _undo_repair(self) -> None:
        self.set_back_ms += self._repaired_ms
        self._repaired_ms = 0

    def open(self) -> None:
        """Open the database (again)."""
        self.db = open_database(self.path, self.vfs)
        cursor = self.db.cursor()
        self.run = cursor.execute
        self.many = cursor.executemany
        self.changes = self.db.changes
        self.db.set_wal_hook(self._logged)
        self._log_pages = 0
        self._checkpoint_at = CHECKPOINT_PAGES
        self.writing = self.committing = False
        self.syncs = True
        self._last = self._reserved = 0
        self._undo_repair()
        if self.path != ":memory:":
            try:
                # What a failed sync may have left only in the page cache is written again here.
                self.checkpoint(truncate=False)
            except BaseException:
                self.abandon()
                raise

    def close(self) -> None:
        """Close the database. What is not committed is gone; the log stays as it is."""
        self.writing, self.syncs = False, True  # the next one does
        self.db.close(True)

    def abandon(self) -> None:
        """Close it whatever that says."""
        with suppress(Exception):
            self.close()

    def finish(self) -> None:
        """Write the log back, which marks a clean end, and close."""
        try:
            self.checkpoint(truncate=True)
        finally:
            self.close()

    def _logged(self, _db: object, _name: str, pages: int) -> int:
        self._log_pages = pages
        return 0

    def tidy(self, idle: bool = False) -> None:
        """Write the log back where it has grown long; sooner when there is nothing else to do."""
        if self._log_pages >= (IDLE_CHECKPOINT_PAGES if idle else self._checkpoint_at):
            self._checkpoint_at = self._log_pages + CHECKPOINT_PAGES  # if it fails
            self.checkpoint(truncate=False)
            self._log_pages = 0
            self._checkpoint_at = CHECKPOINT_PAGES

    def begin(self) -> None:
        """Begin the batch's transaction, unless it is open."""
        if not self.writing:
            self.run("BEGIN IMMEDIATE")
            self.writing = True

    def sync_commits(self, syncs: bool) -> None:
        """Have commits sync, or not: then somebody else does. No transaction may be open.

        They do in any case after something has failed. Whether they sync or not, a checkpoint syncs
        the log before it begins, and the database before the log is used again.
        """
        if syncs is not self.syncs:
            # https://www.sqlite.org/pragma.html#pragma_synchronous
            self.run(f"PRAGMA synchronous = {'FULL' if syncs else 'NORMAL'}").fetchall()
            self.syncs = syncs

    def commit(self) -> bool:
        """Commit, and sync unless others do; return whether there was anything to commit.

        Only when it is synced is anything of the batch done.
        """
        if self.writing:
            noted_ms = self._noted_ms
            if not 0 <= self.now_ms - noted_ms < limits.CLOCK_NOTED_MS:
                noted_ms = self.now_ms
                self.run(self.sql["counter_put"], (CLOCK, noted_ms))
            self.committing = True
            began_s = self.clock.steady_s()
            self.run("COMMIT")
            if self.syncs:
                took_s = self.clock.steady_s() - began_s
                self.commit_s += limits.SYNC_SHARE * (took_s - self.commit_s)
            self.committing = self.writing = False
            self._noted_ms, self._repaired_ms = noted_ms, 0
            return True
        return False

    def rollback(self) -> None:
        """Undo the batch. SQLite may have done so already."""
        self.writing = self.committing = False
        self._last = self._reserved = 0
        self._undo_repair()
        if self.db.in_transaction:
            self.run("ROLLBACK")
        self.sync_commits(True)

    def next(self) -> int:
        """Return the next number; it is never returned again."""
        if self._last == self._reserved:
            self._reserve()
        self._last += 1
        return self._last

    def _reserve(self) -> None:
        self.begin()
        row = self.run(self.sql["counter_get"], ("sequence",)).fetchone()
        self._last = row[0] if row else 0
        self._reserved = self._last + RESERVED
        self.run(self.sql["counter_put"], ("sequence", self._reserved))

    def row(self, name: str, *values: Any) -> tuple[Any, ...] | None:
        """Run a named statement and return its first row."""
        found: tuple[Any, ...] | None = self.run(self.sql[name], values).fetchone()
        return found

    def rows(self, name: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a named statement and return its rows."""
        found: list[tuple[Any, ...]] = self.run(self.sql[name], values).fetchall()
        return found

    def write(self, name: str, *values: Any) -> None:
        """Run a named statement that changes something."""
        self.begin()
        self.run(self.sql[name], values)

    def checkpoint(self, truncate: bool) -> None:
        """Write the log back into the database file."""
        # Through the one cursor, so that no read of it is still open.
        mode = "TRUNCATE" if truncate else "PASSIVE"
        self.run(f"PRAGMA wal_checkpoint({mode})").fetchall()
