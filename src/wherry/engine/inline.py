"""Environments in the engine's own process: for tests, and for a debugger (`--inline`).

No isolation, no deadline: a handler runs to its end between two turns of the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry.codec import to_msgpack
from wherry.invocation import Invocation
from wherry.platforms.files.refs import BlobRef
from wherry.ports import FetchBlob, GetSecret, KeepBlob, SignUrl
from wherry.runtime.awaiting import where_it_waits
from wherry.runtime.invoke import Runner

if TYPE_CHECKING:
    from wherry.app import App
    from wherry.engine.core import Core
    from wherry.engine.mailbox import Mailbox
    from wherry.engine.releases import ActiveRelease
    from wherry.engine.work import Work
    from wherry.invocation import Outcome, Spent
    from wherry.ports import CommitAnswer, ObjectRow, Platform, Read, ReadAnswer, StepCommit

_invocation = msgspec.msgpack.Decoder(Invocation)


class InlineLink:
    """What a handler in this process asks goes straight to the platform (`handles.scope.Link`)."""

    def __init__(self, core: Core, platform: Platform, work: Work) -> None:
        self._core = core
        self._platform = platform
        self._work = work

    def ask(self, request: Read) -> ReadAnswer:
        if isinstance(request, GetSecret | SignUrl):
            return self._core.broker.answer(self._work, request)
        assert not isinstance(request, KeepBlob | FetchBlob)  # content is moved where it is staged
        asked = self._work.function.spec.name, request
        answer: ReadAnswer = where_it_waits(lambda: self._platform.run([asked])[0])
        return answer

    def commit_step(self, step: StepCommit) -> CommitAnswer:
        return where_it_waits(lambda: self._commit_step(step))

    def _commit_step(self, step: StepCommit) -> CommitAnswer:
        steps = self._core.dispatcher.steps
        commit = steps.commit(self._work, step)
        answer: CommitAnswer = self._platform.run([(self._work.function.spec.name, commit)])[0]
        return steps.committed(answer)

    def stage(self, bucket: str, blob: str) -> Any:
        return self._core.blobs.stage(bucket, blob)

    def open_blob(self, bucket: str, row: ObjectRow) -> Any:
        return self._core.blobs.open(bucket, BlobRef(row.blob, row.size_bytes, row.sha256))


class InlineEnvironment:
    """An `Environment` without a process of its own."""

    def __init__(self, host: InlineHost, runner: Runner) -> None:
        self.function = runner.function
        self.pid = 0
        self.work: Work | None = None
        self.idle_since_s = 0.0
        self.runs = 0
        self.ran_s = 0.0
        self.end = ""
        self.mailbox: Mailbox | None = None
        self.unsigned: list[bytes] = []
        self.spent: Spent | None = None
        self.asked = 0
        self.runner = runner
        self._host = host

    def run(self, payload: bytes, at_once: bool) -> None:
        self._host.core.loop.call_soon(self._execute, payload)

    def _execute(self, payload: bytes) -> None:
        if self.work is not None:
            outcome = self._host.run(self, self.work, _invocation.decode(payload))
            if outcome is not None:
                self._host.core.dispatcher.outcome(self, to_msgpack(outcome))

    def answer(self, payload: bytes) -> None:
        raise NotImplementedError("an inline handler asks the platform itself")

    def asleep(self) -> bool:
        return False

    def kill(self, why: str) -> None:
        """There is no process to be ended: what runs here ends by itself."""

    def drain_output(self, over: bool = False) -> None:
        """Nothing is between its output and this process's."""


class InlineHost:
    """Starts inline environments for one app, and runs what they are given."""

    def __init__(self, core: Core, platform: Platform, app: App) -> None:
        self.core = core
        self.platform = platform
        self._runners = {name: Runner.prepare(app, name) for name in app.endpoints}
        self.release: ActiveRelease | None = None

    def start(self, function: str, memory_mb: int) -> None:
        """Start an environment; it is ready in the loop's next turn."""
        self.core.loop.call_soon(self._ready, InlineEnvironment(self, self._runners[function]))

    def _ready(self, environment: InlineEnvironment) -> None:
        assert self.release is not None
        self.release.functions[environment.function].pool.ready(environment)

    def run(
        self, environment: InlineEnvironment, work: Work, invocation: Invocation
    ) -> Outcome | None:
        """Run a handler. None: the environment is gone, and its outcome with it."""
        link = InlineLink(self.core, self.platform, work)
        return environment.runner.run(invocation, link, self.core.clock, cold=work.cold)
