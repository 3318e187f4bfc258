"""How many messages wait and are leased, per queue: counted once, then kept up to date."""

from __future__ import annotations

from wherry.platforms.shared.shapes import PARKED
from wherry.platforms.sql.session import Session


class Tallies:
    """The counts of all queues; until somebody asks for them there are none."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.forget()

    def forget(self) -> None:
        """Count anew when they are next asked for (after a rollback, or at the start)."""
        self._counts: dict[int, list[int]] | None = None

    def counts(self) -> dict[int, list[int]]:
        """Return, per queue, how many messages wait and how many are leased."""
        if self._counts is None:
            counts: dict[int, list[int]] = {}
            for slot, count in self._session.rows("count_slots"):
                if slot > 0:
                    counts.setdefault(slot % PARKED, [0, 0])[0] += count
            for queue, count in self._session.rows("count_leased"):
                counts.setdefault(queue, [0, 0])[1] += count
            self._counts = counts
        return self._counts

    def change(self, queue: int, waiting: int, leased: int) -> None:
        """So many more of a queue wait, and are leased."""
        if self._counts is not None:
            row = self._counts.setdefault(queue, [0, 0])
            row[0] += waiting
            row[1] += leased
