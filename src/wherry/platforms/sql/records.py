"""Records of invocations, and what finds them: by correlation ID and by function.

A record is one row, appended at the end of a transaction. What finds it is kept aside in memory
and moved into runs some hundred rows at a time: the caller's correlation IDs are random, and an
index on them would touch a page of its own for each.

Nothing is written for what is aside: a store that starts again reads the records above the mark,
the highest number when rows were last moved. Only of a record that came late, below the mark, a
line in `unfound` says that it is not in a run yet.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from itertools import takewhile

import msgspec

from wherry import limits
from wherry.codec import from_msgpack, to_msgpack
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session
from wherry.telemetry import InvocationRecord

ASIDE = 512  # records whose rows are moved into a run together
MARK = "found"  # the counter of the mark
NO_MARK = 1 << 62  # above all numbers: a store of an earlier wherry, which wrote all it had aside
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
        row = session.row("record_highest")
        # What is stored above `_floor` is in `_recent`.
        self._floor: int = row[0] if row else 0
        self._recent: set[int] = set()
        self._runs: list[tuple[int, int, int]] = [
            (run, rows, newest) for run, rows, newest in session.rows("runs_all")
        ]
        self._unfound: list[Term] = []
        for _, terms in session.rows("unfound_all"):
            self._unfound += [(term, number) for term, number in from_msgpack(terms)]
        row = session.row("counter_get", MARK)
        self._mark: int = row[0] if row else NO_MARK if self._runs or self._unfound else 0
        self._late: list[InvocationRecord] = []
        # What is aside: numbers by correlation ID, by function, and how many records they are.
        self._by_id: dict[str, list[int]] = defaultdict(list)
        self._by_function: dict[str, list[int]] = defaultdict(list)
        above = session.rows("records_above", self._mark)
        for record in [_read(body) for (body,) in above]:
            self._by_id[record.correlation_id].append(record.number)
            self._by_function[record.function].append(record.number)
        self._aside = len(above) + len(self._unfound) // 2

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
        if number > self._mark:
            self._by_id[record.correlation_id].append(number)
            self._by_function[record.function].append(number)
        else:
            self._late.append(record)

    def flush(self) -> None:
        """Write what is pending, so that it is read, or committed."""
        if not self._pending:
            return
        # In order: rows at the end of the table fill its pages, and split none.
        rows = sorted(self._pending.values())
        self._session.many(self._session.sql["record_insert"], rows)
        self._pending.clear()
        self._aside += len(rows)
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
        if self._late:
            terms: list[Term] = []
            for late in self._late:
                function = self._catalog.number("function", late.function)
                terms += [(_term(late.correlation_id), late.number), (-function, late.number)]
            session.write("unfound_add", to_msgpack(terms))
            self._unfound += terms
            self._late.clear()
        if self._aside >= ASIDE:
            self._move_aside()

    def _move_aside(self) -> None:
        """Move what was kept aside into the newest run. Sorted, it touches few pages."""
        session = self._session
        run, rows, _ = self._runs[-1] if self._runs else (1, 0, 0)
        if rows >= RUN_TERMS:
            run, rows = run + 1, 0
        found: dict[int, list[int]] = {}
        for id, numbers in self._by_id.items():
            found.setdefault(_term(id), []).extend(numbers)
        for name, numbers in self._by_function.items():
            found.setdefault(-self._catalog.number("function", name), []).extend(numbers)
        for term, number in self._unfound:
            found.setdefault(term, []).append(number)
        terms = [(run, term, *_packed(numbers)) for term, numbers in sorted(found.items())]
        session.many(session.sql["finder_add"], terms)
        entry = (run, rows + len(terms), session.now_ms)
        session.write("run_put", *entry)
        if self._unfound:
            session.write("unfound_clear")
        self._mark = max(self._recent, default=self._floor)
        session.write("counter_put", MARK, self._mark)
        if self._runs and self._runs[-1][0] == run:
            self._runs.pop()
        self._runs.append(entry)
        self._unfound.clear()
        self._by_id.clear()
        self._by_function.clear()
        self._aside = 0

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
        near = [late.number for late in self._late if late.correlation_id == correlation_id]
        near += self._by_id.get(correlation_id, ())
        for number in self._find(_term(correlation_id), near, FOUND_MAX):
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
        near = [late.number for late in self._late if late.function == function]
        near += self._by_function.get(function, ())
        term = -(self._catalog.find("function", function) or 0)  # 0: of none that was moved
        found = [self.get(number) for number in self._find(term, near, limit)]
        return [record for record in found if record is not None]

    def _find(self, term: int, near: list[int], limit: int) -> list[int]:
        """Return the highest numbers, highest first: those near, and what a term finds."""
        found = {*near, *(number for key, number in self._unfound if key == term)}
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
        oldest = session.rows("records_oldest", limit)
        old = [number for number, _ in takewhile(lambda row: row[1] <= before, oldest)]
        if old:
            session.write("records_delete", old[-1])
        count = len(old)
        if count < limit and self._runs and self._runs[0][2] <= before:
            run = self._runs[0][0]
            rows = session.rows("run_rows", run, limit - count)
            if rows:
                session.write("finder_delete", run, *rows[-1])
            count += len(rows)
            if not rows:
                # The newest run's number is not to be used again for what is already gone.
                session.write("run_delete", run)
                self._runs.pop(0)
                count += 1
        return count


def _packed(numbers: list[int]) -> tuple[int, bytes | None]:
    """Return the least number, and the others as they are stored beside it."""
    number, *more = sorted(numbers)
    return number, to_msgpack(more) if more else None


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
