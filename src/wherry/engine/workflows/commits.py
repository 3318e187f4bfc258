"""The commits that end turns: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.engine.settling import record_of
from wherry.invocation import EMPTY
from wherry.ports import Commit, Conflicted, MessageAck

if TYPE_CHECKING:
    from wherry.engine.workflows.step import Step
    from wherry.engine.workflows.turns import Turn
    from wherry.ports import Ack, Advance


def commit_of(
    turns: list[Turn], step: Step | None, advances: list[Advance], leases: dict[str, int]
) -> Commit:
    """Return the commit that ends these turns: messages to a workflow, or the end of one task."""
    first = turns[0]
    if first.happened is None:
        return _end_of_task(first, advances, leases)
    acks: list[Ack] = [MessageAck(turn.message.id, turn.message.token) for turn in turns]
    marks = step.entered if step is not None else []
    guards = step.guards if step is not None else []
    record, *others = [record_of(turn.work, "ok", marks=marks) for turn in turns]
    owner = first.work.function.owner
    return Commit("", EMPTY, guards, acks, record, leases, owner, "", others, advances)


def _end_of_task(turn: Turn, advances: list[Advance], leases: dict[str, int]) -> Commit:
    work = turn.work
    task, outcome, message = work.task, work.outcome, work.message
    assert task is not None
    assert message is not None
    acks: list[Ack] = [MessageAck(message.id, message.token)]
    name, owner = work.function.spec.name, work.function.owner
    if turn.failed is not None:
        record = record_of(work, turn.ending, error=turn.error)
    elif advances or task.waits:  # its token may have come before it has returned
        assert outcome is not None
        record = record_of(work, "ok")
        return Commit(
            name, outcome.effects, outcome.guards, acks, record, leases, owner, work.key, [],
            advances, work.firsts,
        )  # fmt: skip
    else:
        record = record_of(work, "duplicate", error="nobody waits for it any more")
    return Commit(name, EMPTY, [], acks, record, leases, owner, work.key, [], advances)


def moved_elsewhere(answer: Conflicted, execution: int) -> bool:
    """Whether a conflict is about the execution, and not about what a function has read."""
    of_none = answer.table == "workflow" and answer.key == str(execution)
    return of_none or answer.table.startswith("workflow ")
