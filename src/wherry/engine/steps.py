"""Named steps: a run commits a part of itself, with its value, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry.codec import to_msgpack
from wherry.engine.settling import step_commit_of
from wherry.ports import Already, Committed, StepCommit

if TYPE_CHECKING:
    from wherry.engine.dispatch import Dispatcher
    from wherry.engine.environments import Environment
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.ports import Commit, CommitAnswer

_step = msgspec.msgpack.Decoder(StepCommit)


class Steps:
    """Commits named steps for the dispatcher."""

    def __init__(self, dispatcher: Dispatcher, store: Store) -> None:
        self._dispatcher = dispatcher
        self._store = store

    def asked(self, environment: Environment, work: Work, payload: bytes) -> None:
        """A run wants to commit a step: do it, and let it go on."""

        def answered(answer: CommitAnswer) -> None:
            environment.answer(to_msgpack(self.committed(answer)))

        commit = self.commit(work, _step.decode(payload))
        self._store.send(work.function.spec.name, commit, answered)

    def commit(self, work: Work, step: StepCommit) -> Commit:
        """Return the commit of a step."""
        work.steps += 1
        return step_commit_of(work, step, self._dispatcher.numbers.next())

    def committed(self, answer: CommitAnswer) -> CommitAnswer:
        """A step's commit was answered: begin what it sent; return what its run has to know."""
        if isinstance(answer, Committed):
            self._dispatcher.sent(answer)
            return Committed([])
        if isinstance(answer, Already):
            self._dispatcher.sent(answer)
        return answer
