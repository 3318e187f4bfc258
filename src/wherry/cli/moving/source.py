"""The folder that is moved: its lock is held, and nothing in it is written."""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import TYPE_CHECKING, Any, Self

from wherry.cli.moving.kinds import OBJECTS, Kind, Position
from wherry.engine.datafolder import DataFolder, FolderInUse, read_private
from wherry.errors import Refused
from wherry.platforms.shared.statements import texts
from wherry.platforms.sql.dialect import APPLICATION_ID, FOLDER, StoreDamaged, refuse_old_sqlite

if TYPE_CHECKING:
    import apsw

BATCH_ROWS = 1_000
OBJECT_ROWS = 64  # of which the content is sent too
BATCH_BYTES = 4 * 1024 * 1024  # a batch is cut behind the row that reaches it
CACHE_KIB = 16_384


class Source:
    """A data folder, with its lock. Close it.

    Raises:
        Refused: It has no state of its own, or that of another version of wherry.
        FolderInUse: An engine, or another process, owns it.
    """

    def __init__(self, path: str) -> None:
        self.data = data = DataFolder.at(path)
        if not os.path.exists(data.store):
            raise Refused(
                f"The state of {data.root} is in a Postgres already.",
                advice="Name the folder that has a store.sqlite with --data.",
            )
        self._lock = _lock(data.root)
        try:
            self.mark = self.digest()
            self._db = _opened(data.store)
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._db.close()
        os.close(self._lock)

    def digest(self) -> str:
        """Return what tells this state from any other: a checksum of its files."""
        found = hashlib.sha256()
        for path in (self.data.store, f"{self.data.store}-wal"):
            try:
                with open(path, "rb") as file:
                    found.update(hashlib.file_digest(file, "sha256").digest())
            except FileNotFoundError:
                found.update(hashlib.sha256().digest())
        return found.hexdigest()

    def signing_key(self) -> bytes | None:
        """Return the file of the key that signs URLs, if there is one."""
        return read_private(os.path.join(self.data.root, "signing.key"))

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        found: list[tuple[Any, ...]] = self._db.execute(sql, values).fetchall()
        return found

    def count(self, kind: Kind) -> int:
        """Return how many rows of a kind there are."""
        return int(self.rows(f"SELECT count(*) FROM {kind.table} WHERE {kind.where}")[0][0])

    def batch(self, kind: Kind, at: Position | None) -> tuple[list[tuple[Any, ...]], Position]:
        """Return the next rows behind a position, and where they end.

        At most BATCH_ROWS, and no more behind BATCH_BYTES; none: there are no more.
        """
        keys = ", ".join(kind.key)
        most = OBJECT_ROWS if kind is OBJECTS else BATCH_ROWS
        behind = "" if at is None else f"AND ({keys}) > ({', '.join('?' * len(at))})"
        sql = (
            f"SELECT {', '.join(kind.read)}, {keys} FROM {kind.table} "
            f"WHERE {kind.where} {behind} ORDER BY {keys} LIMIT {most}"
        )
        found: list[tuple[Any, ...]] = []
        size, wide = 0, len(kind.read)
        cursor = self._db.execute(sql, at or ())
        for row in cursor:
            found.append(row[:wide])
            at = row[wide:]
            size += sum(len(one) for one in row if isinstance(one, bytes | str))
            if size >= BATCH_BYTES:
                break
        cursor.close(True)
        return found, at or ()


def _lock(root: str) -> int:
    """Hold the folder's lock, without a word in it."""
    path = os.path.join(root, "lock")
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(
            f"The lock {path} cannot be held: {error.strerror}.",
            advice="Run this as the user of the engine, on the folder that it used.",
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock, 32).strip()
        os.close(lock)
        raise FolderInUse(root, int(pid) if pid.isdigit() else 0) from None
    return lock


def _opened(path: str) -> apsw.Connection:
    """Open the store for reading, so that no file of it is made, changed or removed.

    The log of a store that was not closed is read where it lies. SQLite must not lock the file for
    that, which it cannot where it may only read: the folder's lock keeps everybody away.
    """
    import apsw

    refuse_old_sqlite(apsw.sqlite_lib_version())
    try:
        unclean = os.stat(f"{path}-wal").st_size > 0
    except FileNotFoundError:
        unclean = False
    from urllib.parse import quote

    how = "mode=ro&vfs=unix-none" if unclean else "mode=ro&immutable=1"
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    try:
        db = apsw.Connection(f"file:{quote(path)}?{how}", flags=flags)
        try:
            db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            for setting in (
                "locking_mode = EXCLUSIVE",
                "query_only = 1",
                "temp_store = MEMORY",
                "trusted_schema = 0",
                "cell_size_check = 1",
                f"cache_size = -{CACHE_KIB}",
            ):
                db.execute(f"PRAGMA {setting}").fetchall()
            _check_version(db, path)
        except BaseException:
            db.close()
            raise
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreDamaged(
            f"The store {path} is damaged ({error}).", advice="Restore it from a backup."
        ) from None
    return db


def _check_version(db: apsw.Connection, path: str) -> None:
    if db.execute("PRAGMA application_id").get != APPLICATION_ID:
        raise Refused(f"{path} is not a wherry store.", advice="Choose another folder with --data.")
    at, known = int(db.execute("PRAGMA user_version").get), len(texts(FOLDER, "migrations"))
    if at != known:
        raise Refused(
            f"The store {path} is of another version of wherry (schema {at}, not {known}).",
            advice="Start this version on it once (`wherry run`), stop it, and move then."
            if at < known
            else "Install that version, or a later one.",
        )
