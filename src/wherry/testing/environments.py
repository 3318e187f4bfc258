"""Environments in the test's process, with faults, and every handler twice where that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.effects import DeleteObject, PutObject
from wherry.engine.inline import InlineEnvironment, InlineHost, InlineLink
from wherry.handles.logs import send_lines_to
from wherry.handles.scope import maybe_scope
from wherry.invocation import BatchEvent
from wherry.ports import Broken, GetSecret, SignUrl
from wherry.testing.faults import Faults, resources_of
from wherry.testing.twice import compare, effects_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wherry.app import App
    from wherry.effects import Effect
    from wherry.engine.core import Core
    from wherry.engine.work import Work
    from wherry.invocation import Invocation, Outcome
    from wherry.ports import ObjectRow, Platform, Read, ReadAnswer
    from wherry.world import ManualClock

RUNS = 10_000  # of handlers in one call of the kit: more is a loop without an end
RERUN_S = 1.0  # one that loses again and again takes: or its deadline would never come
SECOND_RUN_S = 0.05  # how much later the second of two compared runs begins


class TooManyRuns(AssertionError):
    """Handlers run and run: they send each other messages without an end, or fail for ever."""


class KitLink(InlineLink):
    """What a handler asks, with the faults that the test has set."""

    def __init__(self, core: Core, platform: Platform, work: Work, faults: Faults) -> None:
        super().__init__(core, platform, work)
        self._faults = faults
        self._puts: dict[int, Mapping[tuple[str, str], Effect]] = {}  # of each scope, by its id

    def ask(self, request: Read) -> ReadAnswer:
        if isinstance(request, GetSecret | SignUrl):  # no platform sees these
            error = self._faults.strike(resources_of(request))
            if error is not None:
                return Broken(error.code, error.message)
        return super().ask(request)

    def stage(self, bucket: str, blob: str) -> Any:
        self._faults.check("bucket", bucket)
        scope = maybe_scope()
        if scope is not None:
            self._puts[id(scope)] = scope.objects
        return super().stage(bucket, blob)

    def puts(self) -> list[PutObject]:
        """Return what this run has put into buckets where it stays in any case."""
        return [
            one
            for puts in self._puts.values()
            for one in puts.values()
            if isinstance(one, PutObject) and not one.commit and self._faults.orphans(one.bucket)
        ]

    def open_blob(self, bucket: str, row: ObjectRow) -> Any:
        self._faults.check("bucket", bucket)
        return super().open_blob(bucket, row)


class KitHost(InlineHost):
    """Starts inline environments and runs handlers in them."""

    def __init__(
        self,
        core: Core,
        platform: Platform,
        app: App,
        clock: ManualClock,
        faults: Faults,
        twice: bool,
    ) -> None:
        super().__init__(core, platform, app)
        self._clock = clock
        self._faults = faults
        self._twice = twice
        self._left: set[tuple[str, str, str]] = set()  # key of the invocation, bucket, key
        self.commit: Callable[[Sequence[Effect]], None] = lambda effects: None
        self.runs_left = RUNS

    def run(
        self, environment: InlineEnvironment, work: Work, invocation: Invocation
    ) -> Outcome | None:
        """Run a handler; None where it came too late, or its environment is to die."""
        link = KitLink(self.core, self.platform, work, self._faults)
        try:
            self._count(work)
            outcome = self._run(environment, link, invocation, work.cold)
        except BaseException as error:  # what the test is to hear of, and no handler can catch
            self._die(environment, work, f"{type(error).__name__} in the test")
            raise
        self.core.dispatcher.deadlines.check()  # it may have moved the clock
        if environment.work is None:
            self._leave(invocation.key, link.puts())
            return None
        if self._faults.deaths_before_commit > 0 and outcome.failure is None:
            self._faults.deaths_before_commit -= 1
            self._leave(invocation.key, link.puts())
            self._die(environment, work, "the test ended it before its commit")
            return None
        if link.puts():
            self._sort_out(invocation.key, link.puts(), outcome)
        if work.reruns > limits.CONFLICT_RERUNS:
            self._clock.advance(RERUN_S)
        return outcome

    def _leave(self, key: str, puts: list[PutObject]) -> None:
        """Let what a run has put be there although the run does not commit."""
        if puts:
            self.commit(puts)
            self._left.update((key, one.bucket, one.key) for one in puts)

    def _sort_out(self, key: str, puts: list[PutObject], outcome: Outcome) -> None:
        """Leave what the outcome leaves out; what a repeat puts anew is no clash with itself."""
        committed = effects_of(outcome)
        self._leave(key, [one for one in puts if one not in committed])
        again = [
            one for one in puts if one in committed and (key, one.bucket, one.key) in self._left
        ]
        if again:
            self.commit([DeleteObject(one.bucket, one.key) for one in again])

    def _count(self, work: Work) -> None:
        self.runs_left -= 1
        if self.runs_left < 0:
            raise TooManyRuns(
                f"{RUNS} runs without an end; the last was {work.function.spec.name} "
                f"for {work.trigger}."
            )

    def _die(self, environment: InlineEnvironment, work: Work, why: str) -> None:
        environment.end = why
        work.function.pool.lost(environment, started=True)
        self.core.dispatcher.ended(environment)

    def _renumbered(self, invocation: Invocation) -> Invocation:
        numbers, event = self.core.dispatcher.numbers, invocation.event
        if isinstance(event, BatchEvent):
            messages = [
                msgspec.structs.replace(one, number=numbers.next()) for one in event.messages
            ]
            event = msgspec.structs.replace(event, messages=messages)
        return msgspec.structs.replace(invocation, number=numbers.next(), event=event)

    def _run(
        self, environment: InlineEnvironment, link: KitLink, invocation: Invocation, cold: bool
    ) -> Outcome:
        runner = environment.runner
        if not self._twice:
            return runner.run(invocation, link, self._clock, cold=cold)
        again = self._renumbered(invocation)
        before = send_lines_to(lambda line: None, "")
        try:
            with self._faults.to_come_again():
                first = runner.run(again, link, self._clock, cold=cold)
        finally:
            send_lines_to(*before)
        self._clock.advance(SECOND_RUN_S)
        invocation = msgspec.structs.replace(invocation, kept=first.kept)
        second = runner.run(invocation, link, self._clock, cold=cold)
        compare(invocation.function, first, second)
        return second
