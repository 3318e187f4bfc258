"""A wall clock that was set back: what waits must not wait for the same hour twice.

A clock that was wrong, ahead by an hour, and is put right goes back by an hour. What had been due
is due still; what was to come so long after its send or its failed attempt comes so long after it.
What somebody has set for a moment of the wall's clock keeps that moment.
"""

from __future__ import annotations

from wherry import limits
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.session import Session


class Setbacks:
    """Puts right what is stored after the wall's clock went back."""

    def __init__(self, session: Session, messages: Messages) -> None:
        self._session = session
        self._messages = messages

    def repair(self) -> None:
        """Count what waits from now on as if the clock had always been as it is now."""
        session = self._session
        now, back = session.now_ms, session.set_back_ms
        session.write("messages_set_back", now, back)
        self._messages.wake_all()
        session.write("dedups_set_back", now + limits.DEDUP_S * 1000)
        # A rate counts what has passed. Its moments are others than before, so that none of its
        # messages has the ID of one that there was: a rate is a whole number of seconds.
        session.write("rates_set_back", now, back if back % 1000 else back + 1)
        session.write("schedules_not_begun", now)
        if back > limits.SCHEDULE_REPEAT_S * 1000:
            session.write("schedules_set_back", now)
        session.repaired()
