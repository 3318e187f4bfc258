"""Turns: what happens to an execution, one after the other."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.codec import from_json
from wherry.ports import Happened
from wherry.statemachine.integration_answers import invoked
from wherry.statemachine.records import (
    Begin,
    Event,
    Failed,
    Heartbeat,
    Stop,
    Succeeded,
    TokenFailed,
    TokenSucceeded,
    Wake,
)
from wherry.statemachine.states_task import TaskState

if TYPE_CHECKING:
    from wherry.engine.work import Work
    from wherry.engine.workflows.held import Loaded
    from wherry.ports import Claimed
    from wherry.telemetry import Ending

_PLAIN = frozenset(
    ("begin", "wake", "succeeded", "failed", "token_succeeded", "token_failed", "heartbeat", "stop")
)


class Turn(msgspec.Struct, eq=False):
    """A message to a workflow (`happened`), or the end of a task.

    A task whose function came to something has that in `work.outcome`; one that failed has
    `failed`, and its run has ended as `ending` says, for `error`. A call of the engine's own whose
    effects the store did not take has `failed`, too.
    """

    work: Work
    execution: int
    happened: Happened | None = None
    failed: Failed | None = None
    ending: Ending = "ok"
    error: str = ""
    conflicts: int = 0

    def joins(self, loaded: Loaded) -> bool:
        """Whether it may share a commit with others: nothing but the execution moves."""
        happened = self.happened
        return (
            happened is not None
            and happened.event in _PLAIN
            and not (happened.child and happened.call in loaded.calls)
        )

    @property
    def message(self) -> Claimed:
        """The message that it is."""
        message = self.work.message
        assert message is not None
        return message


class Line(msgspec.Struct, eq=False):
    """What waits for its turn at one execution. While it is `busy` a commit is under way."""

    execution: int
    turns: deque[Turn]
    busy: bool = False

    def together(self, loaded: Loaded) -> list[Turn]:
        """Take out the next ones that one commit may take: several messages, or a task's end."""
        turns = self.turns
        found = [turns.popleft()] if turns else []
        if found and found[0].joins(loaded):
            while turns and len(found) < limits.HAPPENINGS_AT_ONCE and turns[0].joins(loaded):
                found.append(turns.popleft())
        return found

    def take(self, count: int) -> list[Turn]:
        """Take the next ones out."""
        return [self.turns.popleft() for _ in range(count)]

    def put_back(self, turns: list[Turn]) -> None:
        """Let these be the next ones again."""
        self.turns.extendleft(reversed(turns))

    def withdraw(self, queue: str) -> list[Turn]:
        """Take the messages of a workflow's queue out."""
        gone = [
            turn for turn in self.turns if turn.happened is not None and turn.message.queue == queue
        ]
        self.turns = deque(turn for turn in self.turns if turn not in gone)
        return gone


def event_of(turn: Turn, loaded: Loaded) -> Event | None:
    """Return what the interpreter is told; None where it concerns nothing that is open."""
    run = loaded.run
    if run.status != "RUNNING":
        return None
    happened = turn.happened
    if happened is None:
        return _task_ended(turn, loaded)
    match happened.event:
        case "begin":
            return None if run.events else Begin()
        case "wake":
            return Wake()
        case "stop":
            return Stop(happened.error, happened.cause)
        case "succeeded":
            return Succeeded(happened.call, _output(happened)) if _open(loaded, happened) else None
        case "failed":
            failed = Failed(happened.call, happened.error or "States.Timeout", happened.cause)
            return failed if _open(loaded, happened) else None
        case "token_succeeded" | "token_failed" | "heartbeat":
            return _token(happened) if happened.token in run.tokens else None
        case "call" if happened.call in run.calls:
            return turn.failed
        case _:
            return None


def _open(loaded: Loaded, happened: Happened) -> bool:
    return happened.call in loaded.run.calls


def _token(happened: Happened) -> Event:
    token = happened.token
    if happened.event == "token_succeeded":
        return TokenSucceeded(token, _output(happened))
    if happened.event == "token_failed":
        return TokenFailed(token, happened.error, happened.cause)
    return Heartbeat(token)


def _output(happened: Happened) -> Any:
    return None if happened.output is msgspec.UNSET else happened.output


def _task_ended(turn: Turn, loaded: Loaded) -> Event | None:
    work, run = turn.work, loaded.run
    task, outcome = work.task, work.outcome
    assert task is not None
    number = run.calls.get(task.call)
    if number is None:
        return None
    if turn.failed is not None:
        return turn.failed
    assert outcome is not None
    reply = outcome.reply
    result = None if reply is None else from_json(reply.body)
    frame = run.frames[number]
    state = loaded.compiled.machine.blocks[frame.block].states[frame.state]
    if isinstance(state, TaskState) and state.resource.is_lambda_invoke:
        result = invoked(result, work.request_id)
    return Succeeded(task.call, result)
