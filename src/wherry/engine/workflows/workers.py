"""Runs whose states evaluate expressions, moved in processes of their own, bounded in time.

A request that does not come back in time, or takes its process with it, is asked once more of a
new process, where every expression fails at once: so the state that had asked for too much fails
with States.QueryEvaluationError, and its Retry and Catch are heeded. A definition to which that
happened, or whose expression was broken off, has overrun: it goes to a process for such
definitions from then on, so that they delay only each other.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from wherry import limits
from wherry.engine.workflows.wire import Fault, Told
from wherry.engine.workflows.worker import Died, Request, Then, Worker
from wherry.statemachine.machine import give_up
from wherry.statemachine.overtime import TIMEOUT
from wherry.statemachine.records import Event, Run

if TYPE_CHECKING:
    import asyncio

    from wherry.world import Chance

SEED_BYTES = 32


class _Lane:
    """What waits for some processes: first come, first served, by who has the run if possible."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.workers: list[Worker] = []
        self.waiting: deque[Request] = deque()

    def free(self) -> Worker | None:
        """Return a process for what came first: the one that has its run, if that is free."""
        free = [worker for worker in self.workers if worker.free]
        for worker in free:
            if worker.holds(self.waiting[0]):
                return worker
        return free[0] if free else None

    def take(self, worker: Worker) -> Request:
        """Take what came first, but leave a process what it has, where there is anything else."""
        others = [other for other in self.workers if other is not worker]
        for index, request in enumerate(self.waiting):
            if not any(other.holds(request) for other in others):
                del self.waiting[index]
                return request
        return self.waiting.popleft()


class Workers:
    """The processes of one engine, each started when it is first needed.

    Args:
        say: Told in words when a process had to be ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        chance: Chance,
        say: Callable[[str], None] = lambda message: None,
    ) -> None:
        self._loop = loop
        self._chance = chance
        self._say = say
        self._usual = _Lane(limits.EXPRESSION_PROCESSES)
        self._slow = _Lane(1)
        self._overrun: OrderedDict[str, None] = OrderedDict()  # digests
        self._stopping = False

    @property
    def pids(self) -> list[int]:
        """The process IDs, while there are processes; last that of the slow definitions."""
        found = [worker.pid for worker in self._all()]
        return [pid for pid in found if pid is not None]

    def advance(
        self,
        digest: str,
        definition: str,
        key: int,
        run: Run,
        events: list[Event] | None,
        now_ms: int,
        then: Then,
    ) -> None:
        """Move a run by events, one after the other (None: it is redriven, if it can be).

        `run` is used up. `then` gets, on the loop, the run and the commands of each event; or the
        run as it was, and in words what mistake of the interpreter has kept it there. The next
        step of an execution is asked for when the one before has come back.

        Args:
            digest: Of the definition, which each process is sent once.
            key: The execution's number: a run that comes as `then` got it is not sent again to
                the process that has it.
        """
        seed = self._chance.token(SEED_BYTES)
        lane = self._slow if digest in self._overrun else self._usual
        lane.waiting.append(Request(digest, definition, key, run, events, now_ms, seed, then))
        self._next(lane)

    def stop(self) -> None:
        """End the processes; what waits is never answered."""
        self._stopping = True
        for lane in (self._usual, self._slow):
            lane.waiting.clear()
        for worker in self._all():
            worker.stop()

    def _all(self) -> list[Worker]:
        return self._usual.workers + self._slow.workers

    def _next(self, lane: _Lane) -> None:
        while lane.waiting and not self._stopping:
            worker = lane.free()
            if worker is None:
                if len(lane.workers) == lane.most:
                    return
                worker = self._new(lane)
            request = lane.take(worker)
            for other in self._all():
                if other is not worker:
                    other.let_go(request.key)
            worker.ask(request)

    def _new(self, lane: _Lane) -> Worker:
        def ended(request: Request, answer: Told | Fault | Died) -> None:
            self._ended(worker, request, answer)
            self._next(lane)

        worker = Worker(self._loop, ended)
        lane.workers.append(worker)
        return worker

    def _ended(self, worker: Worker, request: Request, answer: Told | Fault | Died) -> None:
        match answer:
            case Told():
                run = worker.keep(request.key, answer, request.run)
                if answer.overran:
                    self._overran(request.digest)
                request.then(run, answer.commands)
            case Fault():
                request.then(request.run, answer.error)
            case Died() if request.poisoned:
                run, commands = give_up(request.run, request.now_ms, TIMEOUT)
                self._loop.call_soon(partial(request.then, run, [commands]))
            case Died():
                self._say(f"A step of an execution was broken off: {answer.why}")
                self._slow.waiting.appendleft(replace(request, poisoned=True))
                self._overran(request.digest)

    def _overran(self, digest: str) -> None:
        """Let what waits of a definition, and all that comes, go where it delays no other."""
        if digest not in self._overrun:
            self._overrun[digest] = None
            if len(self._overrun) > limits.EXPRESSION_OVERRUNS_HELD:
                self._overrun.popitem(last=False)
        waiting = list(self._usual.waiting)
        self._usual.waiting = deque(one for one in waiting if one.digest != digest)
        self._slow.waiting.extend(one for one in waiting if one.digest == digest)
        self._next(self._slow)
