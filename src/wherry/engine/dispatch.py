"""Dispatch: work goes to an environment, its outcome to the store, the answer to who asked.

One state machine for requests and messages. A request's reply is sent after the commit; a message
is deleted in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from wherry import errors, limits
from wherry.codec import to_msgpack
from wherry.engine.batches import Batches
from wherry.engine.deadlines import Deadlines
from wherry.engine.insistence import Insistence
from wherry.engine.numbers import Numbers
from wherry.engine.reruns import Reruns
from wherry.engine.settling import (
    commit_of,
    ending_of,
    failed_reply,
    record_of,
    stored_reply,
)
from wherry.engine.steps import Steps
from wherry.invocation import WORN, Failure, Outcome, Reply
from wherry.platforms.socket import BROKER, READ, STEP
from wherry.ports import (
    Already,
    Broken,
    CommitAnswer,
    Committed,
    Conflicted,
    Denied,
    LeaseLost,
    Rejected,
    Unmet,
)
from wherry.runtime.problems import problem_reply, store_trouble

if TYPE_CHECKING:
    from wherry.engine.environments import Environment
    from wherry.engine.feeds import Feeds
    from wherry.engine.journal import Journal
    from wherry.engine.mailbox import Mailbox
    from wherry.engine.releases import ActiveFunction
    from wherry.engine.store import Store
    from wherry.engine.work import Work
    from wherry.engine.workflows.driver import Driver
    from wherry.engine.workflows.step import Step
    from wherry.ports import ReadAnswer
    from wherry.telemetry import Ending
    from wherry.world import Chance, Clock, Loop

ALL_ITS_TIME = "until its time was over, which is an attempt"
WEARS = "it had used up its memory or its files"
_outcome = msgspec.msgpack.Decoder(Outcome)


class Dispatcher:
    """Runs work, and hears from the environments that run it.

    Args:
        broker: Answers what is not the store's: secrets, signatures, content of objects.
        node: Which of the engines of its store this is.
    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        chance: Chance,
        store: Store,
        journal: Journal,
        broker: Callable[[Work, bytes, Callable[[ReadAnswer], None]], None],
        node: int,
    ) -> None:
        self.numbers = Numbers(clock, node)
        self.feeds: Feeds | None = None
        self.driver: Driver  # set where there are workflows, or tasks
        self.running: dict[Work, None] = {}  # in their order: a simulated life can be repeated
        self.store_faults: set[str] = set()  # why commits could not be written; until one can be
        self.committing: dict[Work, None] = {}  # requests whose commit has no answer yet
        self.open = 0  # work admitted and not finished
        self._loop = loop
        self._clock = clock
        self._chance = chance
        self._store = store
        self._journal = journal
        self._broker = broker
        self.reruns = Reruns(loop, chance, self._again)
        self.batches = Batches(self, journal)
        self.steps = Steps(self, store)
        self.deadlines = Deadlines(self, clock)
        self.insistence = Insistence(self, loop, clock, chance, store, journal)

    @property
    def busy(self) -> bool:
        """Whether so much is in hand that it is worth a moment to do things together."""
        return self.open >= limits.PATIENT_FROM

    # -- beginning -------------------------------------------------------------------------------

    def submit(self, work: Work) -> None:
        """Run work as soon as an environment is free; refuse it where too much waits."""
        self.open += 1
        if not work.function.pool.submit(work):
            self.refuse(work)

    def move(self, work: Work, function: ActiveFunction | None) -> None:
        """Run work that has not begun as this function, of another release, if there is one."""
        if function is not None:
            work.function = function
        if function is None or not function.pool.submit(work):
            self.refuse(work)

    def refuse(self, work: Work) -> None:
        """Too much waits. A message that was not begun has not had its attempt."""
        problem = errors.Unavailable()
        self.fail(work, "refused", problem, counted=False)

    def begin(self, environment: Environment, work: Work, taken: bool = False) -> None:
        """Start work on an environment (called by its pool); taken: from its mailbox, by itself."""
        now_s = self._clock.steady_s()
        environment.work = work
        work.environment = environment
        work.cold = environment.runs == 0
        work.ran_from_s = now_s
        environment.runs += 1
        self.running[work] = None
        if taken:
            return
        self._set_deadline(work, now_s)
        if work.members:
            self.batches.begin(work)
        environment.run(to_msgpack(work.invocation()), at_once=not self.busy)

    def post(self, mailbox: Mailbox, work: Work) -> bool:
        """Put work into an environment's mailbox (called by its pool), if it goes in."""
        self._set_deadline(work, self._clock.steady_s())
        payload = to_msgpack(work.invocation())
        if len(payload) > limits.MAIL_BYTES:
            return False
        mailbox.add(work, payload, at_once=not self.busy)
        return True

    def _set_deadline(self, work: Work, now_s: float) -> None:
        if work.message is not None and not work.reruns:
            work.deadline_s = now_s + work.function.spec.timeout_s

    # -- what environments say --------------------------------------------------------

    def outcome(self, environment: Environment, payload: bytes) -> None:
        """An environment has finished: commit what it came to, and give it the next work."""
        work = environment.work
        if work is None:
            return  # it was given up meanwhile; its process is being ended
        pool = work.function.pool
        outcome = _outcome.decode(payload)  # before anything is changed: it may be garbage
        environment.work = None
        self.stopped(work, self._clock.steady_s())
        work.outcome = outcome
        ending: Ending = "duplicate" if outcome.replayed else "ok"
        worn = False
        if work.members:
            worn = self.batches.outcome(work, outcome)
        elif outcome.failure is not None:
            self.failed(work, outcome.failure, outcome.reply)
            worn = outcome.failure.code in WORN
        elif work.task is not None:
            self.driver.returned(work)
        elif self._commits(work, outcome):
            commit = commit_of(work, outcome, record_of(work, ending), self.leases(work))
            if work.message is None:
                self.committing[work] = None
            self.insistence.send(work, commit, partial(self.answered, work))
        else:
            self._journal.note(record_of(work, ending))
            self._journal.line(work, ending, outcome.reply)
            self.finish(work, outcome.reply)
        pool.took(environment)
        if worn:
            environment.kill(WEARS)  # the next run begins in a fresh one
        pool.release(environment)

    def asked(self, environment: Environment, kind: bytes, payload: bytes) -> None:
        """An environment asks while it runs."""
        work = environment.work
        if work is None:
            return
        if kind == READ:
            self._store.forward(work.function.asks_as, payload, environment.answer)
        elif kind == BROKER:
            self._broker(work, payload, partial(self._brokered, environment, work))
        elif kind == STEP:
            self.steps.asked(environment, work, payload)

    def _brokered(self, environment: Environment, work: Work, answer: ReadAnswer) -> None:
        """The broker has answered, perhaps late: then nobody waits for it any more."""
        if environment.work is work:
            environment.answer(to_msgpack(answer))

    def output(self, environment: Environment, text: bytes) -> None:
        """An environment has printed."""
        self._journal.printed(environment, text)

    def ended(self, environment: Environment) -> None:
        """An environment's process has ended, and its pool knows; what it ran is lost."""
        work = environment.work
        environment.work = None
        if work is not None:
            self.stopped(work, self._clock.steady_s())
            self._died(work, environment.end)
        for taken in environment.mailbox.works if environment.mailbox is not None else ():
            self._died(taken, environment.end)

    def not_started(self, work: Work, why: str) -> None:
        """Work waited for an environment that does not start."""
        for one in self.batches.part(work) if work.members else (work,):
            self._died(one, why)

    def _died(self, work: Work, why: str) -> None:
        self.failed(work, Failure("environment_died", "EnvironmentDied", why), None)

    # -- the commit ------------------------------------------------------------------------------

    def _commits(self, work: Work, outcome: Outcome) -> bool:
        if work.message is not None:
            return True
        if outcome.replayed:
            return False
        return outcome.effect_count > 0 or bool(outcome.guards) or work.idempotency

    def leases(self, work: Work) -> dict[str, int]:
        """Return what a commit may lease of what it sends."""
        if self.feeds is None or not work.function.sends:
            return {}
        return self.feeds.offer(work)

    def sent(self, answer: Committed | Already, begins: Sequence[Step] = ()) -> None:
        """Begin what a commit has sent, and what it was that others waited for."""
        if self.feeds is None:
            return
        if isinstance(answer, Already):
            self.feeds.told(answer)
        elif answer.leased or answer.queued or begins:
            self.feeds.sent(answer, begins)

    def answered(self, work: Work, answer: CommitAnswer) -> None:
        """The store has answered a commit."""
        outcome = work.outcome
        assert outcome is not None
        self.committing.pop(work, None)
        if work.offered and self.feeds is not None:
            self.feeds.take_back(work)
        if work.finished:  # its caller was told at its deadline that nobody knows
            if isinstance(answer, Committed | Already):
                self.sent(answer)
            else:
                self._journal.note(record_of(work, "failed", error="it was not applied"))
            return
        match answer:
            case Committed():
                self.finish(work, outcome.reply)  # first of all: somebody waits for it
                self._journal.line(work, "duplicate" if outcome.replayed else "ok", outcome.reply)
                self.sent(answer, work.begins)
            case Already(stored=stored):
                reply = stored_reply(work, outcome, stored)
                self._journal.line(work, "duplicate", reply)
                self.finish(work, reply)
                self.sent(answer)
            case Conflicted(table=table, key=key, winner_function=name, winner_request_id=run):
                self.lost(work, f"{table}/{key}", f"{table}/{key}: {name} {run} was first")
            case Unmet(table=table, key=key, why=why):
                unmet = errors.ConditionFailed(table, key, why)
                self.fail(work, "condition", unmet, retry=False)
            case LeaseLost():
                self._journal.note(record_of(work, "duplicate", error="the lease was lost"))
                self.batches.cut(work)
                self.finish(work, None)
            case Denied(resource=resource, action=action):
                refusal = errors.GrantMissing(work.function.spec.name, resource, action)
                self.failed(work, Failure(refusal.code, "GrantMissing", str(refusal), False), None)
            case Rejected(message=message, code=code):
                kind = type(errors.rejection(code, message)).__name__
                self.failed(work, Failure(code, kind, message, False), None)
            case Broken(code=code, message=message):
                self.store_faults.add(code)
                over = work.unwritable
                self.fail(work, "failed", store_trouble(code), error=message, counted=over)

    def lost(self, work: Work, where: str, winner: str) -> None:
        """Somebody else was first at `where`: run again, on what he has left."""
        if not self.reruns.again(work, where, self._clock.steady_s()):
            text = f"Too many writers on {where}; nothing was applied."
            busy = errors.Unavailable(text)
            self.fail(work, "conflict", busy, error=f"{winner}; it lost {ALL_ITS_TIME}")
        elif work.members:
            self.batches.note(work, "conflict", winner)
        else:
            self._journal.note(record_of(work, "conflict", error=winner))

    def _again(self, work: Work) -> None:
        """Run work again that lost a conflict: a new attempt under the same key."""
        if self._clock.steady_s() >= work.deadline_s:  # it has waited for its turn for too long
            self.batches.renumber(work.members or [work])
            busy = errors.Unavailable()
            where = f" on {work.solo}" if work.solo else ""
            text = f"It lost conflicts and waited for its turn{where} {ALL_ITS_TIME}"
            self.fail(work, "conflict", busy, error=text)
            return
        work.renumber(self.numbers.next())
        work.outcome = None
        if not work.function.pool.submit(work):
            self.refuse(work)

    # -- endings ---------------------------------------------------------------------------------

    def stopped(self, work: Work, now_s: float) -> None:
        """A run of work is over."""
        self.running.pop(work, None)
        work.ran_ms += (now_s - work.ran_from_s) * 1000
        work.environment = None

    def failed(self, work: Work, failure: Failure, reply: Reply | None) -> None:
        """A run ended without an outcome to commit."""
        if reply is None and work.message is None:
            reply = failed_reply(failure, work.correlation_id)
        text = f"{failure.error}: {failure.message}"
        self._journal.failed(work, failure)
        if work.task is not None:
            work.task.failure = failure
        self.end(work, ending_of(failure), reply, failure.code, text, failure.retry, counted=True)

    def fail(
        self,
        work: Work,
        ending: Ending,
        problem: errors.Problem,
        *,
        error: str = "",
        retry: bool = True,
        counted: bool = True,
        noted: bool = False,
    ) -> None:
        reply = problem_reply(problem, work.correlation_id) if work.message is None else None
        text = error or problem.message
        self.end(work, ending, reply, problem.code, text, retry, counted, noted)

    def end(
        self,
        work: Work,
        ending: Ending,
        reply: Reply | None,
        code: str,
        error: str,
        retry: bool,
        counted: bool,
        noted: bool = False,
    ) -> None:
        """Work has come to an end without a commit. `noted`: its record is kept already."""
        if work.members:
            self.batches.end(work, ending, code, error, retry, counted, noted)
            return
        if work.task is not None and self.driver.failed(work, ending, code, error, counted):
            return
        status = reply.status if reply is not None else 0
        record = record_of(work, ending, error=error, status=status)
        if work.message is not None and self.feeds is not None:
            noted |= self.feeds.failed(work, code, error, retry, counted, record)
            self.batches.cut(work)
        if not noted:
            self._journal.note(record)
        self._journal.line(work, ending, reply)
        self.finish(work, reply)

    def finish(self, work: Work, reply: Reply | None) -> None:
        """Nothing more is to be done for work: tell who waits for it."""
        if work.finished:
            return
        self.forget(work)
        if work.message is not None and work.members is None and self.feeds is not None:
            self.feeds.finished(work)
            if work.follower is not None:
                self.batches.go_on(work.follower)
        work.done(work, reply)

    def forget(self, work: Work) -> None:
        """Work is off our hands; nobody is told."""
        work.finished = True
        self.open -= 1
        if work.solo:
            self.reruns.finished(work)
