"""Planted bugs: each breaks one invariant, and the simulation has to notice.

A suite that never fails proves nothing. Each of these was, or could have been, written by mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from msgspec import structs

from wherry.effects import PutObject
from wherry.engine import dispatch
from wherry.engine.dispatch import Dispatcher
from wherry.engine.feeds import Feeds
from wherry.engine.mailbox import Mailbox
from wherry.engine.owed import Owed
from wherry.handles.scope import Scope
from wherry.platforms.sql.commits import Commits
from wherry.platforms.sql.executions import Executions
from wherry.platforms.sql.firings import Firings
from wherry.platforms.sql.messages import Messages
from wherry.platforms.sql.objects import Objects
from wherry.platforms.sql.parking import Parking
from wherry.platforms.sql.reads import Reads
from wherry.platforms.sql.setbacks import Setbacks
from wherry.platforms.sql.upkeep import Upkeep
from wherry.platforms.sql.wakes import Wakes
from wherry.ports import Broken, Committed, MessageAck, Woken

from .run import KINDS_OF_ORDER

Patch = tuple[Any, str, Callable[..., Any]]


def _accepts_before_the_commit() -> Patch:
    """I1: the answer leaves although the store said that it cannot commit."""
    right = Dispatcher.answered

    def answered(self: Any, work: Any, answer: Any) -> None:
        right(self, work, Committed([]) if isinstance(answer, Broken) else answer)

    return Dispatcher, "answered", answered


def _says_that_nothing_was_applied() -> Patch:
    """I2: a store that died had applied the commit; its successor cannot tell, and is believed."""

    def answered(self: Any, number: int, answer: Any) -> None:
        found = self.entries.pop(number, None)
        if found is not None:
            found[1](answer)

    return Owed, "answered", answered


def _does_not_delete_what_is_done() -> Patch:
    """I3: a message that was acknowledged is delivered again."""

    def acknowledge(self: Any, id: str) -> None:
        row = self.find(id)
        self._give_back(row, self._session.now_ms + 2000, "", counted=True)

    return Messages, "acknowledge", acknowledge


def _fences_nothing() -> Patch:
    """I3: who was paused past its lease commits beside the one who has taken over."""
    right = Commits._check_acks

    def check(self: Any, acks: Any) -> Any:
        acks[:] = [
            ack
            for ack in acks
            if not isinstance(ack, MessageAck) or self._messages.leased(ack.id, ack.token)
        ]
        return right(self, acks)

    return Commits, "_check_acks", check


def _forgets_a_message() -> Patch:
    """I4: a message whose attempt failed is deleted where it should come back."""

    def release(self: Any, request: Any) -> bool:
        row = self.take_leased(request.id, request.token)
        if row is not None:
            self._remove(row)
        return row is not None

    return Messages, "release", release


def _counts_an_attempt_less() -> Patch:
    """I5: a message gets one attempt more than it may have."""
    right = Feeds.failed

    def failed(self: Any, work: Any, *more: Any) -> bool:
        work.message = structs.replace(work.message, attempt=work.message.attempt - 1)
        return bool(right(self, work, *more))

    return Feeds, "failed", failed


def _checks_no_versions() -> Patch:
    """C: what was read is written although somebody else has written meanwhile."""
    return Scope, "guards", lambda self: []


def _lets_a_message_overtake() -> Patch:
    """O: a message of a group may be claimed before those in front of it are done."""

    def position(self: Any, queue: Any, group: str, seq: int, due_ms: int) -> tuple[int, int]:
        return queue.id, seq

    return Parking, "_position", position


def _fires_twice() -> Patch:
    """I3: a firing is made a second time, under another ID."""
    right = Firings._send

    def send(self: Any, message: Any, queue: Any, queued: dict[str, int]) -> None:
        right(self, message, queue, queued)
        right(self, structs.replace(message, id=f"{message.id} again"), queue, queued)

    return Firings, "_send", send


def _moves_an_execution_of_any_version() -> Patch:
    """I6: two steps that were worked out from the same state are both applied."""
    right = Executions.check

    def check(self: Any, moves: Any) -> Any:
        right(self, moves)

    return Executions, "check", check


def _lets_an_execution_sleep() -> Patch:
    """I6: what waits is noted as woken, and nobody is told."""

    def wake(self: Any, request: Any) -> Woken:
        session = self._session
        for row in session.rows("executions_due", session.now_ms, request.limit):
            session.write("execution_woken", row[0])
        return Woken({}, None, session.now_ms)

    return Wakes, "wake", wake


def _lets_an_hour_pass_twice() -> Patch:
    """I4: a clock that is set back holds what was due."""
    return Setbacks, "repair", lambda self: None


def _builds_an_index_other_than_it_is_declared() -> Patch:
    """I8: a change of the schema that forgets to build an index anew."""
    right = Upkeep.sweep

    def sweep(self: Any, request: Any) -> Any:
        run = self._session.run
        run("PRAGMA writable_schema = ON")
        run("UPDATE sqlite_schema SET sql = replace(sql, 'seq)', 'seq DESC)')"
            " WHERE name = 'failures_queue'")  # fmt: skip
        run("PRAGMA writable_schema = RESET")
        return right(self, request)

    return Upkeep, "sweep", sweep


def _says_nothing_of_a_death() -> Patch:
    """I10: who asked learns that it failed, and not of what kind that is."""
    right = vars(dispatch)["failed_reply"]

    def failed_reply(failure: Any, correlation_id: str) -> Any:
        reply = right(failure, correlation_id)
        return structs.replace(reply, body=b"{}")

    return dispatch, "failed_reply", failed_reply


def _writes_down_another_checksum() -> Patch:
    """I7: an object's row tells of a content that it does not have."""
    right = Objects.apply

    def apply(self: Any, effect: Any) -> Any:
        if isinstance(effect, PutObject):
            effect = structs.replace(effect, sha256="0" * 64)
        return right(self, effect)

    return Objects, "apply", apply


def _takes_back_what_it_leaves_there() -> Patch:
    """A: what is taken back from behind a slow run stays there as well, and is begun twice."""

    def take_back(self: Any) -> list[Any]:
        back = list(self.works)
        self.works.clear()
        self._waiting.clear()
        return back

    return Mailbox, "take_back", take_back


def _keeps_what_was_read() -> Patch:
    """R: who only reads is answered from what was read before."""
    right = Reads.read

    def read(self: Any, function: str, request: Any) -> Any:
        now = right(self, function, request)
        kept = vars(self).setdefault("kept", {})
        return kept.setdefault(request, now) if function in ("look_up", "count") else now

    return Reads, "read", read


class Bug(NamedTuple):
    """What a planted bug breaks, where that was seen, and what is ordered in such a life.

    A job that is never deleted is done again until the life is given up, and a life has hundreds;
    of steps only the first one of each group.
    """

    invariant: str
    plant: Callable[[], Patch]
    seen_at: int = 0
    kinds: dict[str, int] = KINDS_OF_ORDER


_SHIPPED, _STEPS = {"shipped": 1}, {"step": 1}
BUGS: dict[str, Bug] = {
    "accepts before the commit": Bug("I1", _accepts_before_the_commit, 1),
    "says that nothing was applied": Bug("I2", _says_that_nothing_was_applied, 33),
    "does not delete what is done": Bug("I3", _does_not_delete_what_is_done, 0, _STEPS),
    "fences nothing": Bug("I3", _fences_nothing, 1),
    "forgets a message": Bug("I4", _forgets_a_message),
    "counts an attempt less": Bug("I5", _counts_an_attempt_less, 1),
    "checks no versions": Bug("C", _checks_no_versions, 1),
    "lets a message overtake": Bug("O", _lets_a_message_overtake, 5),
    "fires twice": Bug("I3", _fires_twice),
    "moves an execution of any version": Bug(
        "I6", _moves_an_execution_of_any_version, 29, _SHIPPED
    ),
    "lets an execution sleep": Bug("I6", _lets_an_execution_sleep, 0, _SHIPPED),
    "lets an hour pass twice": Bug("I4", _lets_an_hour_pass_twice, 11),
    "writes down another checksum": Bug("I7", _writes_down_another_checksum, 1),
    "builds an index other than it is declared": Bug(
        "I8", _builds_an_index_other_than_it_is_declared, 9
    ),
    "takes back what it leaves there": Bug("A", _takes_back_what_it_leaves_there, 2),
    "keeps what was read": Bug("R", _keeps_what_was_read),
    "says nothing of a death": Bug("I10", _says_nothing_of_a_death),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug for a while."""
    owner, attribute, wrong = BUGS[name].plant()
    right = getattr(owner, attribute)
    setattr(owner, attribute, wrong)
    try:
        yield
    finally:
        setattr(owner, attribute, right)
