"""Records of invocations, and what finds them: by correlation ID and by function.

A record is one row, appended at the end of a transaction. What finds it is kept aside and moved
into runs some hundred rows at a time: the caller's correlation IDs are random, and an index on
them would touch a page of its own for each.
"""

from __future__ import annotations

import hashlib
from itertools import groupby
from operator import itemgetter

import msgspec

from wherry import limits
from wherry.codec import from_msgpack, to_msgpack
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session
from wherry.telemetry import InvocationRecord

ASIDE_TERMS = 1_024  # moved into a run when there are so many
RECENT = 512  # the highest numbers, kept in memory: runs end in about the order of their numbers
RUN_TERMS = 32_768  # of one run: some hundred pages, which stay in memory while it fills
OUR_LENGTH = 16  # hexadecimal digits of the correlation IDs that the engine makes
FOUND_MAX = 1_000  # records of one timeline

Term = tuple[int, int]  # what is searched for, number of the record
_read = msgspec.msgpack.Decoder(InvocationRecord).decode


class Records:
    """The records of all invocations."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog
        self._there = session.sql["record_there"]
        self.forget()

    def forget(self) -> None:
        """Read anew what is kept in memory (after a rollback)."""
        session = self._session
        self._pending: dict[int, tuple[int, int, bytes, bytes | None]] = {}
        self._new_terms: list[Term] = []
        row = session.row("record_highest")
        # What is stored above `_floor` is in `_recent`.
        self._floor: int = row[0] if row else 0
        self._recent: set[int] = set()
        self._aside: list[Term] = []
        for _, terms in session.rows("unfound_all"):
            self._aside += [(term, number) for term, number in from_msgpack(terms)]
        self._runs: list[tuple[int, int, int]] = [
            (run, rows, newest) for run, rows, newest in session.rows("runs_all")
        ]

    # -- writing -----------------------------------------------------------------------------

    def known(self, number: int) -> bool:
        """Whether this record is there."""
        if number > self._floor:
            return number in self._recent
        if number in self._pending:
            return True
        return self._session.run(self._there, (number,)).fetchone() is not None

    def add(self, record: InvocationRecord) -> None:
        """Add a record; one whose number is there already changes nothing."""
        if not self.known(record.number):
            self._session.begin()
            self.add_new(record, None)

    def add_new(self, record: InvocationRecord, sent: list[str] | None) -> None:
        """Add a record that is not known, and the IDs of what it sent. The transaction is open."""
        number = record.number
        packed = to_msgpack(sent) if sent else None
        self._pending[number] = (number, record.at_ms, to_msgpack(record), packed)
        if number > self._floor:
            self._recent.add(number)
        function = self._catalog.number("function", record.function)
        self._new_terms += ((_term(record.correlation_id), number), (-function, number))

    def flush(self) -> None:
        """Write what is pending, so that it is read, or committed."""
        if not self._pending:
            return
        # In order: rows at the end of the table fill its pages, and split none.
        rows = sorted(self._pending.values())
        self._session.many(self._session.sql["record_insert"], rows)
        self._pending.clear()
        if len(self._recent) > 2 * RECENT:
            recent = sorted(self._recent)
            self._floor = recent[-RECENT - 1]
            self._recent = set(recent[-RECENT:])

    def before_commit(self) -> None:
        """Write what belongs to the transaction that ends."""
        session = self._session
        if not session.writing:  # a batch of reads: whatever it wrote would be synced row by row
            return
        self.flush()
        if len(self._aside) >= ASIDE_TERMS:
            self._move_aside()
        if self._new_terms:
            session.run(session.sql["unfound_add"], (to_msgpack(self._new_terms),))
            self._aside += self._new_terms
            self._new_terms = []

    def _move_aside(self) -> None:
        """Move what was kept aside into the newest run. Sorted, it touches few pages."""
        session = self._session
        run, rows, _ = self._runs[-1] if self._runs else (1, 0, 0)
        if rows >= RUN_TERMS:
            run, rows = run + 1, 0
        found = _packed(run, self._aside)
        session.many(session.sql["finder_add"], found)
        entry = (run, rows + len(found), session.now_ms)
        session.write("run_put", *entry)
        session.write("unfound_clear")
        if self._runs and self._runs[-1][0] == run:
            self._runs.pop()
        self._runs.append(entry)
        self._aside = []

    # -- reading -----------------------------------------------------------------------------

    def get(self, number: int) -> InvocationRecord | None:
        """Return a record by its number."""
        pending = self._pending.get(number)
        row = pending[2:] if pending else self._session.row("record_get", number)
        return _read(row[0]) if row else None

    def correlated(self, correlation_id: str) -> tuple[list[InvocationRecord], list[str]]:
        """Return the records of a correlation ID in order, and the IDs of what they sent."""
        records: list[InvocationRecord] = []
        sent: list[str] = []
        self.flush()
        for number in self._find(_term(correlation_id), FOUND_MAX):
            row = self._session.row("record_get", number)
            if row is None:
                continue
            record = _read(row[0])
            if record.correlation_id == correlation_id:
                records.append(record)
                sent += from_msgpack(row[1]) if row[1] else []
        records.sort(key=lambda record: (record.at_ms, record.number))
        return records, list(dict.fromkeys(sent))

    def newest(self, function: str | None, limit: int) -> list[InvocationRecord]:
        """Return the newest records, newest first."""
        self.flush()
        limit = max(1, min(limit, FOUND_MAX))
        if function is None:
            return [_read(body) for (body,) in self._session.rows("records_newest", limit)]
        known = self._catalog.find("function", function)
        numbers = self._find(-known, limit) if known else []
        found = [self.get(number) for number in numbers]
        return [record for record in found if record is not None]

    def _find(self, term: int, limit: int) -> list[int]:
        """Return the highest numbers under a term, highest first."""
        found = {number for key, number in self._aside + self._new_terms if key == term}
        enough = False
        for run, _, _ in reversed(self._runs):
            for number, more in self._session.rows("finder_find", run, term, limit):
                found.add(number)
                if more is not None:
                    found.update(from_msgpack(more))
            if enough:  # neighbouring runs overlap a little: one more is asked
                break
            enough = len(found) >= limit
        return sorted(found, reverse=True)[:limit]

    # -- removing ----------------------------------------------------------------------------

    def remove_old(self, limit: int) -> int:
        """Remove a batch of records past their retention, and of what found them."""
        session = self._session
        self.flush()
        before = session.now_ms - limits.RECORDS_S * 1000
        count = 0
        for number, at_ms in session.rows("records_oldest", limit):
            if at_ms > before:
                break
            session.write("record_delete", number)
            count += 1
        if count < limit and self._runs and self._runs[0][2] <= before:
            run = self._runs[0][0]
            rows = session.rows("run_rows", run, limit - count)
            for term, number in rows:
                session.write("finder_delete", run, term, number)
            count += len(rows)
            if not rows:
                # The newest run's number is not to be used again for what is already gone.
                session.write("run_delete", run)
                self._runs.pop(0)
                count += 1
        return count


def _packed(run: int, terms: list[Term]) -> list[tuple[int, int, int, bytes | None]]:
    """Return rows for the finder, in order: one per term, with all of its numbers."""
    rows: list[tuple[int, int, int, bytes | None]] = []
    for term, group in groupby(sorted(terms), itemgetter(0)):
        (_, number), *more = group
        rows.append((run, term, number, to_msgpack([other for _, other in more]) if more else None))
    return rows


def _term(correlation_id: str) -> int:
    """Return what a correlation ID is found by.

    One of ours is a number that grows with time, so that its rows stand together; a caller's is
    hashed. Two IDs may share a term: who finds a record compares the ID itself.
    """
    if len(correlation_id) == OUR_LENGTH:
        try:
            return int(correlation_id, 16) & 0x7FFF_FFFF_FFFF_FFFF
        except ValueError:
            pass
    return int.from_bytes(hashlib.blake2b(correlation_id.encode(), digest_size=6).digest(), "big")
