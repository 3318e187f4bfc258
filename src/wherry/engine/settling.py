"""From work and its outcome to the records that the store gets: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry import limits
from wherry.codec import to_msgpack
from wherry.ports import Commit, MessageAck, ReplyAck
from wherry.telemetry import Ending, InvocationRecord

if TYPE_CHECKING:
    from wherry.engine.work import Work
    from wherry.invocation import Outcome
    from wherry.ports import StepCommit
    from wherry.ports.commits import Ack


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
    )


def step_commit_of(work: Work, step: StepCommit, record: InvocationRecord) -> Commit:
    """Return the commit of a named step: its effects and its value, under its key."""
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
