"""What only SQLite knows: how it is opened, which versions are safe, what its errors mean."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from wherry.errors import Passing, Refused
from wherry.platforms.shared.statements import texts

if TYPE_CHECKING:
    import apsw

OLDEST_SQLITE = (3, 51, 3)  # before it two connections could corrupt a WAL (sqlite.org/wal.html)
APPLICATION_ID = 0x77687279  # "whry"
PAGE_BYTES = 4_096  # 8 KiB pages cost 10-20 % more per commit: more bytes in the log per change
CHECKPOINT_PAGES = 1_000  # 4 MB: some 6 ms of work; twice as much stalls twice as long
# After rows have moved between pages, a commit looks through all pages that are kept in memory (its
# pages had a number beyond all others for a moment). What is not here, the system mostly still has.
CACHE_KIB = 16_384
STATEMENTS = 256  # kept compiled: all that there are
CHECKED_BYTES = 16 * 1024 * 1024  # a larger file is not checked whole at the start

FOLDER = os.path.dirname(os.path.abspath(__file__))


class StoreDamaged(Refused):
    """The store's file cannot be trusted."""

    code = "store_damaged"


def open_database(path: str, vfs: str | None = None) -> apsw.Connection:
    """Open the file as its only owner: write-ahead log, every commit synced, the schema current.

    Raises:
        Refused: SQLite is too old, or the file is not wherry's or comes from a newer wherry.
        StoreDamaged: SQLite finds the file damaged.
        Passing: Another process owns the file.
    """
    import apsw

    refuse_old_sqlite(apsw.sqlite_lib_version())
    unclean = path != ":memory:" and _size(f"{path}-wal") > 0
    try:
        db = apsw.Connection(path, vfs=vfs, statementcachesize=STATEMENTS)
        try:
            _settle(db, path)
            if unclean:
                _check(db, path)
            _migrate(db, path)
        except BaseException:
            db.close()
            raise
    except (apsw.BusyError, apsw.LockedError):
        raise Passing(
            f"The store {path} is in use by another process.",
            advice="Speak to the running engine, or stop it.",
        ) from None
    except (apsw.CorruptError, apsw.NotADBError) as error:
        raise StoreDamaged(
            f"The store {path} is damaged ({error}).", advice="Restore it from a backup."
        ) from None
    except apsw.Error as error:
        raise passing_fault(error) from error
    return db


def refuse_old_sqlite(version: str) -> None:
    """Raise `Refused` for a version of SQLite that is known to corrupt."""
    if tuple(int(part) for part in version.split(".")[:3]) < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise Refused(
            f"SQLite {version} can corrupt a store (the WAL-reset fault).",
            advice=f"Install an apsw that brings SQLite {oldest} or later: pip install -U apsw",
        )


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def _settle(db: apsw.Connection, path: str) -> None:
    """Set what a connection needs. The order matters: the page size before the first page."""
    import apsw

    # The log is written back by us, when there is time (`checkpoint`), not by a failing close.
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    # Else a statement with a LIMIT that is bound is compiled anew whenever it is run. The plans are
    # the same: no statistics are kept that a bound value could be held against.
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    db.set_busy_timeout(0)
    settings: list[tuple[str, Any]] = [
        ("page_size", PAGE_BYTES),
        ("locking_mode", "EXCLUSIVE"),  # one owner: no shared memory, no lock calls per commit
        ("journal_mode", "WAL"),
        ("synchronous", "FULL"),  # NORMAL loses acknowledged commits in a power cut
        ("wal_autocheckpoint", 0),  # `Session.tidy` does it, outside of the commit
        ("journal_size_limit", 4 * CHECKPOINT_PAGES * PAGE_BYTES),
        ("cache_size", -CACHE_KIB),
        ("temp_store", "MEMORY"),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
    ]
    if sys.platform == "darwin":
        settings += [("fullfsync", 1), ("checkpoint_fullfsync", 1)]
    for name, value in settings:
        db.execute(f"PRAGMA {name} = {value}").fetchall()


def _check(db: apsw.Connection, path: str) -> None:
    """After an unclean end: check a small file whole, of a large one only that it is all there."""
    pages = db.execute("PRAGMA page_count").get
    if pages * PAGE_BYTES <= CHECKED_BYTES:
        found = db.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise StoreDamaged(
                f"The store {path} is damaged ({found}).", advice="Restore it from a backup."
            )


def _migrate(db: apsw.Connection, path: str) -> None:
    """Bring the schema forward, each migration in a transaction of its own."""
    steps = texts(FOLDER, "migrations")
    at: int = db.execute("PRAGMA user_version").get
    owner: int = db.execute("PRAGMA application_id").get
    empty = at == 0 and not db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get
    if not empty and owner != APPLICATION_ID:
        raise Refused(f"{path} is not a wherry store.", advice="Choose another data folder.")
    if at > len(steps):
        raise Refused(
            f"The store {path} was written by a newer wherry (schema {at}, known {len(steps)}).",
            advice="Install that version, or a later one.",
        )
    for number, step in enumerate(steps[at:], at + 1):
        db.execute("BEGIN IMMEDIATE")
        try:
            db.execute(step)
            db.execute(f"PRAGMA user_version = {number}")
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def passing_fault(error: BaseException) -> Passing:
    """Say what an error of the database means to who asked."""
    import apsw

    from wherry.errors import StoreFull

    if isinstance(error, Passing):
        return error
    if isinstance(error, apsw.FullError):
        return StoreFull("The disk under the store is full.", advice="Free some space.")
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Passing(f"The store is damaged ({error}).", advice="Restore it from a backup.")
    if isinstance(error, apsw.Error):
        return Passing(f"The store cannot read or write now ({error}).")
    return Passing(f"The store failed ({type(error).__name__}: {error}).")


def request_fault(error: BaseException) -> bool:
    """Whether what was asked is at fault, and not the database: asking again is of no use."""
    from msgspec import MsgspecError

    return isinstance(error, ValueError | TypeError | OverflowError | RecursionError | MsgspecError)


def damaged_connection(error: BaseException) -> bool:
    """Whether the connection must not be used again: what a failed sync wrote is uncertain."""
    import apsw

    return isinstance(error, apsw.Error) and not isinstance(
        error, apsw.FullError | apsw.TooBigError | apsw.ConstraintError
    )
