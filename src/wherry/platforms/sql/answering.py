"""Answers what the store process is asked; where a sync takes its time, others go on meanwhile.

Mostly a batch is committed and synced in one step, and nobody is served in that time. On a disk
that takes milliseconds for it everybody waits so: who reads one item waits for the sync of others.
There a thread syncs the log. What comes meanwhile is done in the next transaction, which is
committed when the sync has ended: one sync for all that gathered. Reads are answered at once, but
for those that may have seen what is not durable yet. So whoever has an answer can rely on it as
ever: no power cut undoes what it says.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TypeAlias

from wherry import limits
from wherry.platforms.sql.logsync import SUPPORTED, LogSync, sync_data
from wherry.platforms.sql.store import SqlStore
from wherry.platforms.sql.touched import READS, Touched
from wherry.ports import Answer, Request

Asked: TypeAlias = tuple[int, str, Request]  # its number, the function, what it asks for
Applied: TypeAlias = tuple[Asked, Answer | None]  # None: it could not be applied
Answers: TypeAlias = list[tuple[int, Answer]]


class Answering:
    """Answers batches of requests, each with its number.

    Args:
        slow_s: Where commits take longer, a thread syncs.
        sync: Syncs by a descriptor (tests make it slow, or fail).

    Attributes:
        told: A descriptor that can be read from when `synced` is to be called; -1: there is none.
    """

    def __init__(
        self,
        store: SqlStore,
        slow_s: float = limits.SYNC_SLOW_S,
        sync: Callable[[int], None] = sync_data,
    ) -> None:
        self._store = store
        self._session = store.session
        self._slow_s = slow_s
        self._sync = sync
        self.told = os.eventfd(0, os.EFD_CLOEXEC) if SUPPORTED else -1
        self._log: LogSync | None = None  # None: commits sync by themselves
        self._sync_s = 0.0  # what a sync takes, on a moving average
        self._began_s = 0.0
        self._open: list[Applied] = []
        self._syncing: list[Applied] | None = None  # committed, and not durable yet
        self._touched = Touched()  # by what is open
        self._unsynced = Touched()  # by what is being synced

    @property
    def busy(self) -> bool:
        """Whether a sync is under way."""
        return self._syncing is not None

    def take(self, asked: list[Asked]) -> Iterator[Answers]:
        """Answer what is here together, as far as that can be done now.

        It is concurrent: whoever waits for an answer has sent nothing else. So a read need not wait
        for the sync of somebody else's write.
        """
        reads = [one for one in asked if isinstance(one[2], READS)]
        writes = [one for one in asked if not isinstance(one[2], READS)]
        if self._log is None and self._session.commit_s > self._slow_s:
            self._part()
        if self._log is not None:
            yield from self._take_apart(reads, writes)
            return
        for batch in (reads, writes):
            if batch:
                answers = self._store.run([one[1:] for one in batch], tidy=False)
                yield _numbered(batch, answers)
        self._store.tidy()

    def synced(self) -> Iterator[Answers]:
        """The sync has ended: say what it has made durable, and commit what came meanwhile."""
        yield from self._end_sync()
        if self._log is not None:
            yield from self._commit()
            if not self.busy and (self._sync_s < self._slow_s / 2 or self._session.syncs):
                self._join()

    def finish(self) -> None:
        """Do all that was asked for, and let go. Nobody waits for the answers any more."""
        if self._log is not None and not self.busy:  # it ended while something was being said
            for _ in self._commit():
                pass
        while self.busy:
            for _ in self.synced():
                pass
        self._join()
        if self.told >= 0:
            os.close(self.told)
            self.told = -1

    # -- with a thread that syncs ------------------------------------------------------------------

    def _part(self) -> None:
        """From now on a thread syncs."""
        if self.told < 0 or not self._store.is_open:
            return
        session = self._session
        try:
            self._log = LogSync(session.db.filename_wal, session.clock, self._sync, self.told)
        except OSError:
            return  # no descriptor or no thread is free: another time
        self._sync_s = session.commit_s
        self._touched = Touched()
        self._store.watch(self._touched)
        session.sync_commits(False)

    def _join(self) -> None:
        """From now on commits sync. Nothing is open, and nothing being synced."""
        if self._log is not None:
            self._log.close()
            self._log = None
            self._store.watch(None)
            self._session.sync_commits(True)
            self._session.commit_s = self._sync_s

    def _take_apart(self, reads: list[Asked], writes: list[Asked]) -> Iterator[Answers]:
        hangs = self.busy and self._session.clock.steady_s() - self._began_s > limits.SYNC_HANGS_S
        at_once: list[Asked] = []
        waiting: list[Asked] = []
        for one in reads:
            seen = self._touched.covers(one[2]) or self._unsynced.covers(one[2])
            (waiting if seen or hangs else at_once).append(one)
        waiting += writes
        try:
            if at_once:
                yield _numbered(at_once, self._store.apply([one[1:] for one in at_once]))
                at_once = []
            if waiting:
                answers = self._store.apply([one[1:] for one in waiting])
                self._open += zip(waiting, answers, strict=True)
        except Exception as error:
            self._open += [(one, None) for one in (*at_once, *waiting)]
            yield from self._rescue(error)
            return
        for _, _, request in waiting:
            self._touched.ask(request)
        if not self.busy:
            yield from self._commit()

    def _commit(self) -> Iterator[Answers]:
        """Commit what is open, and have it synced."""
        try:
            wrote = self._store.commit()
        except Exception as error:
            yield from self._rescue(error)
            return
        applied, self._open = self._open, []
        touched, self._touched = self._touched, Touched()
        self._store.watch(self._touched)
        if wrote:
            assert self._log is not None
            self._syncing, self._unsynced = applied, touched
            self._began_s = self._session.clock.steady_s()
            self._log.begin()
        else:
            yield _said(applied)
        self._store.tidy()

    def _end_sync(self) -> Iterator[Answers]:
        """Wait for the end of the sync, and say what it has made durable.

        Where it has failed nothing that came behind it counts: that is done again, too.
        """
        assert self._log is not None
        assert self._syncing is not None
        applied, self._syncing = self._syncing, None
        self._unsynced = Touched()
        try:
            took_s = self._log.end()
        except OSError as error:
            yield self._rescued(error, applied, committed=True)
            undone, self._open = self._open, []
            for asked, _ in undone:
                yield [(asked[0], self._store.run([asked[1:]])[0])]
            self._join()
            return
        self._sync_s += limits.SYNC_SHARE * (took_s - self._sync_s)
        yield _said(applied)

    def _rescue(self, error: Exception) -> Iterator[Answers]:
        """Something that is open has failed: do all of it again, each by itself and synced."""
        if self.busy:
            yield from self._end_sync()
        undone, self._open = self._open, []
        yield self._rescued(error, undone)  # there may be nobody's: a clock was set back
        self._join()

    def _rescued(
        self, error: Exception, applied: list[Applied], committed: bool = False
    ) -> Answers:
        asked = [one for one, _ in applied]
        answers = self._store.rescue(error, [one[1:] for one in asked], committed)
        return _numbered(asked, answers)


def _numbered(asked: list[Asked], answers: list[Answer]) -> Answers:
    return [(one[0], answer) for one, answer in zip(asked, answers, strict=True)]


def _said(applied: list[Applied]) -> Answers:
    return [(asked[0], answer) for asked, answer in applied if answer is not None]
