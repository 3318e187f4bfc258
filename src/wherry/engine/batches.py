"""Batches: one run with several messages, and what becomes of each of them.

The run is `Work` whose `members` are the works of its messages. What an item did alone is its
member's own commit, answered, run again and given back as if the message had come alone. What the
handler did for all of them is one commit.

A failure of the whole run (its environment died, its time was over, the handler raised for all)
says nothing about which message is to blame. The messages are run again at once, in halves, and
no attempt is counted but that of a message that failed alone: a poison message is found after some
runs, and its neighbours are done. Each split is smaller than the one before, so this ends after
less than twice as many runs as there are messages.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from wherry.codec import digest
from wherry.engine.settling import commit_of, joint_commit_of, record_of
from wherry.engine.work import Work
from wherry.invocation import (
    WORN,
    BatchEvent,
    BatchMessage,
    Failure,
    MessageEvent,
    Outcome,
)
from wherry.ports import Already, CommitAnswer, Committed, LeaseLost
from wherry.runtime.keys import message_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.journal import Journal
    from wherry.invocation import ItemOutcome
    from wherry.ports import Commit
    from wherry.telemetry import Ending

_DIVISIBLE = frozenset(("died", "timeout", "failed", "condition"))


class _Parts:
    """The messages of a run, by how they go on.

    Of a group none goes on before those in front of it are done: what stands behind a failure
    comes again, and so does what cannot wait for the end of another one.
    """

    def __init__(self, members: list[Work], items: list[ItemOutcome], outcome: Outcome) -> None:
        self.apart: list[Work] = []  # each by itself
        self.joint: list[tuple[Work, ItemOutcome]] = []  # in one commit
        self.shared: list[Work] = []  # failed together
        self.behind: list[Work] = []  # to be given back
        self.failure: Failure | None = None  # of those that failed together
        self.outdated = False  # some that the one commit was decided with are given back
        stopped: set[str | None] = set()
        for one, item in zip(members, items, strict=True):
            group = _group(one)
            if item.again or (group in stopped and (item.own or item.failure is None)):
                self.behind.append(one)
                self.outdated |= not item.own
                stopped.add(group)
            elif item.own:
                one.outcome = _own(item, outcome)
                self.apart.append(one)
                if item.failure is not None:
                    stopped.add(group)
            elif item.failure is None:
                self.joint.append((one, item))
            elif group is not None and any(_group(before) == group for before in self.apart):
                self.behind.append(one)
            else:
                self.shared.append(one)
                self.failure = self.failure or item.failure
                stopped.add(group)
            stopped.discard(None)
        if self.joint and self.shared:  # no runner says both
            self.shared += [one for one, _ in self.joint]
            self.joint.clear()


class Batches:
    """Begins and ends runs of batches for the dispatcher."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal) -> None:
        self._dispatcher = dispatcher
        self._journal = journal

    # -- beginning -------------------------------------------------------------------------------

    def begin(self, work: Work) -> None:
        """A batch is handed to an environment: nobody joins it any more."""
        event, members = work.event, members_of(work)
        assert isinstance(event, BatchEvent)
        if work.reruns:
            self.renumber(members)
        for one in members:
            one.function, one.cold, one.ran_from_s = work.function, work.cold, work.ran_from_s
            one.deadline_s = work.deadline_s
        messages = [_message(one) for one in members]
        company = digest(*(one.id for one in messages))
        work.key = message_key(work.function.spec.name, f"batch/{company}")
        work.event = BatchEvent(event.endpoint, event.queue, messages)

    def renumber(self, members: list[Work]) -> None:
        """Let each of these have a record of its own for what comes."""
        for one in members:
            one.renumber(self._dispatcher.numbers.next())

    # -- the end of a run ------------------------------------------------------------------------

    def outcome(self, work: Work, outcome: Outcome) -> bool:
        """Commit what a run came to, message by message. True: its environment is worn out."""
        members, items = members_of(work), outcome.items
        failure = outcome.failure
        if failure is None and [one.id for one in items] != [one.cause for one in members]:
            failure = Failure("handler_failed", "BadOutcome", "It answered for other messages.")
        if failure is not None:
            self._dispatcher.failed(work, failure, None)
            return failure.code in WORN
        self._ran(work)
        parts = _Parts(members, items, outcome)
        self._dispatcher.open += len(parts.apart) + len(parts.behind)
        self._each(parts.apart)
        self._together(work, outcome, parts)
        for one in parts.behind:
            self._give_back(one)
        return any(item.failure is not None and item.failure.code in WORN for item in items)

    def _each(self, apart: list[Work]) -> None:
        """Let messages end by themselves; of a group each one after the one before it."""
        last: dict[str, Work] = {}
        first: list[Work] = []
        for one in apart:
            group = _group(one)
            if group is not None and group in last:
                last[group].follower = one
            else:
                first.append(one)
            if group is not None:
                last[group] = one
        for one in first:
            self.go_on(one)

    def go_on(self, work: Work) -> None:
        """Commit what a message has come to by itself, or end it."""
        dispatcher, outcome = self._dispatcher, work.outcome
        assert outcome is not None
        if outcome.failure is not None:
            dispatcher.failed(work, outcome.failure, None)
            return
        ending: Ending = "duplicate" if outcome.replayed else "ok"
        commit = commit_of(work, outcome, record_of(work, ending), dispatcher.leases(work))
        self._send(work, commit, partial(dispatcher.answered, work))

    def cut(self, work: Work) -> None:
        """A message was not done: nothing of its group that stands behind it may be."""
        for one in behind_of(work):
            self._give_back(one)

    def _give_back(self, work: Work) -> None:
        """Let a message come again, its attempt uncounted: one before it was not done."""
        work.follower = None
        feeds = self._dispatcher.feeds
        if feeds is not None:
            feeds.failed(work, "", "", True, False, record_of(work, "conflict"))
        self._dispatcher.finish(work, None)

    def _together(self, work: Work, outcome: Outcome, parts: _Parts) -> None:
        """Go on with what the run came to for several messages at once."""
        together = parts.shared or [one for one, _ in parts.joint]
        if together:
            work.members, work.message = together, together[0].message
        if parts.failure is not None:
            self._dispatcher.failed(work, parts.failure, None)
        elif together and not parts.outdated:
            self._commit(work, outcome, parts.joint)
        else:
            self._dispatcher.finish(work, None)
            if together:  # it was decided with some that come again: decide without them
                self.renumber(together)
                self._submit(together, outcome.kept)

    def end(
        self,
        work: Work,
        ending: Ending,
        code: str,
        error: str,
        retry: bool,
        counted: bool,
        noted: bool,
    ) -> None:
        """A run has failed for all of its messages: run them in halves, or end each."""
        members = members_of(work)
        whole = len(members) == 1 or work.unwritable  # no message of it is to blame
        if whole or not counted or ending not in _DIVISIBLE:
            for one in self.part(work):
                self._dispatcher.end(one, ending, None, code, error, retry, counted, noted)
            return
        self._ran(work)
        others = "1 other" if len(members) == 2 else f"{len(members) - 1} others"
        told = f"{error} (with {others}; they are run again in halves)"
        self.note(work, ending, told)
        for one in members:
            self._journal.line(one, ending, None)
        self._dispatcher.finish(work, None)
        self.renumber(members)
        kept = work.kept if work.outcome is None else work.outcome.kept
        middle = (len(members) + 1) // 2
        front, back = members[:middle], members[middle:]
        groups = {_group(one) for one in front} - {None}
        behind = [one for one in back if _group(one) in groups]
        self._dispatcher.open += len(behind)
        for half in (front, [one for one in back if one not in behind]):
            if half:
                self._submit(half, kept)
        for one in behind:
            self._give_back(one)

    def _submit(self, members: list[Work], kept: dict[str, bytes]) -> None:
        """Run some members of a batch again."""
        alone = len(members) == 1
        work = members[0] if alone else company(members, self._dispatcher.numbers.next())
        work.kept = kept
        self._dispatcher.submit(work)

    def part(self, work: Work) -> list[Work]:
        """Let the members of a batch go on by themselves."""
        self._ran(work)
        members = members_of(work)
        self._dispatcher.open += len(members)
        self._dispatcher.finish(work, None)
        return members

    def note(self, work: Work, ending: Ending, error: str) -> None:
        """Remember a run that committed nothing, for each of its messages."""
        marks = [] if work.outcome is None else work.outcome.marks
        for one in members_of(work):
            self._journal.note(record_of(one, ending, error=error, marks=marks))

    def _ran(self, work: Work) -> None:
        """Let the members know how long their run has taken."""
        for one in members_of(work):
            one.ran_ms = work.ran_ms

    # -- the commit of what was decided for all --------------------------------------------------

    def _commit(self, work: Work, outcome: Outcome, joint: list[tuple[Work, ItemOutcome]]) -> None:
        commit = joint_commit_of(work, outcome, joint, self._dispatcher.leases(work))
        self._send(work, commit, partial(self._answered, work))

    def _send(self, work: Work, commit: Commit, then: Callable[[CommitAnswer], None]) -> None:
        self._dispatcher.insistence.send(work, commit, then)

    def _answered(self, work: Work, answer: CommitAnswer) -> None:
        dispatcher, feeds = self._dispatcher, self._dispatcher.feeds
        if work.offered and feeds is not None:
            feeds.take_back(work)
        match answer:
            case Already(key=key) if key and len(members_of(work)) > 1:
                dispatcher.sent(answer)
                dispatcher.lost(work, key, "One of these messages was done before, under its key.")
            case Committed() | Already():
                ending: Ending = "ok" if isinstance(answer, Committed) else "duplicate"
                for one in self.part(work):
                    self._journal.line(one, ending, None)
                    dispatcher.finish(one, None)
                dispatcher.sent(answer)
            case LeaseLost(ids=ids):
                self._drop(work, set(ids))
            case _:
                dispatcher.answered(work, answer)

    def _drop(self, work: Work, ids: set[str]) -> None:
        """Messages of the batch are no longer ours: run it again without them."""
        members = self.part(work)
        lost = [one for one in members if one.cause in ids] or members
        for one in lost:
            self._journal.note(record_of(one, "duplicate", error="the lease was lost"))
            self._dispatcher.finish(one, None)
        groups = {_group(one) for one in lost} - {None}
        rest = [one for one in members if one not in lost]
        for one in rest:
            if _group(one) in groups:
                self._give_back(one)
        rest = [one for one in rest if _group(one) not in groups]
        if rest:
            self._dispatcher.open -= len(rest)
            self.renumber(rest)
            self._submit(rest, work.outcome.kept if work.outcome is not None else {})


def company(members: list[Work], number: int) -> Work:
    """Return the work that runs these messages at once."""
    first = members[0]
    event = first.event
    assert isinstance(event, MessageEvent)
    return Work(
        first.function,
        BatchEvent(event.endpoint, event.queue, []),
        f"queue {event.queue}",
        number=number,
        key=first.key,
        request_id=first.request_id,
        correlation_id=first.correlation_id,
        trace=first.trace,
        traceparent=first.traceparent,
        parent=first.parent,
        attempt=first.attempt,
        started_ms=first.started_ms,
        at_ms=first.at_ms,
        at_s=first.at_s,
        ran_from_s=first.at_s,
        deadline_s=first.deadline_s,
        done=first.done,
        message=first.message,
        cause=first.cause,
        members=members,
    )


def members_of(work: Work) -> list[Work]:
    """Return the works of a batch's messages."""
    assert work.members is not None
    return work.members


def _message(work: Work) -> BatchMessage:
    event = work.event
    assert isinstance(event, MessageEvent)
    return BatchMessage(
        work.number,
        event.id,
        event.body,
        event.sent_at_ms,
        work.attempt,
        work.started_ms,
        work.correlation_id,
        work.traceparent,
        _group(work),
    )


def _own(item: ItemOutcome, outcome: Outcome) -> Outcome:
    """Return the outcome of an item as that of a message that came alone."""
    return Outcome(
        None, item.effects, item.effect_count, item.guards, item.marks, item.failure,
        replayed=item.replayed, kept=outcome.kept, once=item.once,
    )  # fmt: skip


def behind_of(work: Work) -> list[Work]:
    """Return what waits for a message of its group to be done."""
    found: list[Work] = []
    behind = work.follower
    work.follower = None
    while behind is not None:
        found.append(behind)
        behind = behind.follower
    return found


def _group(work: Work) -> str | None:
    return work.message.group if work.message is not None else None
