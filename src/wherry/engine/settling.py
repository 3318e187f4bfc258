"""From work and its outcome to the records that the store gets: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry import errors, limits
from wherry.codec import to_msgpack
from wherry.invocation import ANSWERED, Reply
from wherry.ports import Commit, MessageAck, ReplyAck
from wherry.runtime.problems import problem_reply
from wherry.telemetry import Ending, InvocationRecord

if TYPE_CHECKING:
    from wherry.engine.work import Work
    from wherry.invocation import Failure, ItemOutcome, Once, Outcome
    from wherry.ports import StepCommit, StoredReply
    from wherry.ports.commits import Ack

_TOLD = {  # failures that a caller is told the kind of
    errors.BoundExceeded.code: "The function passed a bound; its log names it, and what to do.",
    errors.GrantMissing.code: "The function used something it has no grant for; its log names it.",
    errors.StoredItemUnreadable.code: "The function cannot read a stored item; its log names it.",
}


def ending_of(failure: Failure) -> Ending:
    """Return how a run that failed has ended."""
    if failure.code == ANSWERED:
        return "refused"
    if failure.code == "environment_died":
        return "died"
    return "condition" if failure.code == errors.ConditionFailed.code else "failed"


def failed_reply(failure: Failure, correlation_id: str) -> Reply:
    """Return what a caller is told of a run that failed without an answer of its own."""
    problem: errors.Problem = errors.HandlerFailed()
    if failure.code == "environment_died":
        problem = errors.EnvironmentDied()
    elif failure.code in _TOLD:
        problem = errors.HandlerFailed(_TOLD[failure.code])
        problem.code = failure.code
    return problem_reply(problem, correlation_id)


def stored_reply(work: Work, outcome: Outcome, stored: StoredReply | None) -> Reply | None:
    """Return the reply to what an earlier commit has done; None for a message."""
    if stored is None or work.message is not None:
        return outcome.reply
    if stored.fingerprint != outcome.fingerprint:
        problem = errors.Invalid("This Idempotency-Key was used with another request.")
        return problem_reply(problem, work.correlation_id)
    return msgspec.msgpack.decode(stored.body, type=Reply)


def record_of(
    work: Work,
    ending: Ending,
    *,
    error: str = "",
    status: int | None = None,
    number: int | None = None,
    marks: list[str] | None = None,
    trigger: str = "",
) -> InvocationRecord:
    """Return what is remembered of this attempt."""
    outcome, function = work.outcome, work.function
    if outcome is not None:
        if status is None and outcome.reply is not None:
            status = outcome.reply.status
        if marks is None:
            marks = outcome.marks
        if outcome.failure is not None and not error:
            error = f"{outcome.failure.error}: {outcome.failure.message}"
    return InvocationRecord(
        work.number if number is None else number,
        work.correlation_id,
        function.spec.name,
        trigger or work.trigger,
        work.request_id,
        work.traceparent,
        work.parent,
        function.release,
        work.attempt,
        work.at_ms,
        (work.ran_from_s - work.at_s) * 1000,
        work.ran_ms,
        work.cold,
        ending,
        status or 0,
        error and error[:2000],
        work.cause,
        marks or [],
    )


def commit_of(
    work: Work, outcome: Outcome, record: InvocationRecord, leases: dict[str, int]
) -> Commit:
    """Return the one atomic step for this outcome: effects, acknowledgement and record."""
    acks: list[Ack] = []
    message = work.message
    if message is not None:
        acks = [MessageAck(message.id, message.token)]
        if outcome.once is not None:
            acks.append(_once_ack(outcome.once))
    elif work.idempotency and outcome.reply is not None:
        body = to_msgpack(outcome.reply)
        acks = [ReplyAck(work.key, outcome.fingerprint, body, limits.IDEMPOTENCY_S)]
    return Commit(
        work.function.spec.name,
        outcome.effects,
        outcome.guards,
        acks,
        record,
        leases,
        work.function.owner,
        work.key,
        firsts=work.firsts,
    )


def joint_commit_of(
    work: Work, outcome: Outcome, items: list[tuple[Work, ItemOutcome]], leases: dict[str, int]
) -> Commit:
    """Return the one atomic step for all messages of a batch: each keeps a record of its own."""
    messages = [one.message for one, _ in items if one.message is not None]
    acks: list[Ack] = [MessageAck(message.id, message.token) for message in messages]
    record, *others = [
        record_of(one, "duplicate" if item.replayed else "ok", marks=outcome.marks)
        for one, item in items
    ]
    onces = [item.once for _, item in items if item.once is not None]
    return Commit(
        work.function.spec.name,
        outcome.effects,
        outcome.guards,
        acks + [_once_ack(once) for once in onces],
        record,
        leases,
        work.function.owner,
        work.key,
        others,
    )


def _once_ack(once: Once) -> ReplyAck:
    return ReplyAck(once.key, "", b"", once.keep_s)


def step_commit_of(work: Work, step: StepCommit, number: int) -> Commit:
    """Return the commit of a named step: its effects and its value, under its key."""
    key, name, _ = step.key.rsplit("#", 2)
    if work.members:  # of a batch: the step is one of its messages'
        work = next((one for one in work.members if one.key == key), work)
    record = record_of(work, "ok", number=number, marks=step.marks, trigger=f"step {name}")
    return Commit(
        work.function.spec.name,
        step.effects,
        step.guards,
        [ReplyAck(step.key, step.fingerprint, step.value, limits.APPLIED_S)],
        record,
        {},
        work.function.owner,
        step.key,
    )
