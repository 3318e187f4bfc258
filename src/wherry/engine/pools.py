"""A pool: the environments of one function, and the work that waits for one of them.

None when idle. A first environment is started at once, a few more while work waits. Beyond them
it depends on what runs do: quick ones are done sooner by few processes than by many, those that
compute for long use the processors there are, and those that wait for something outside need as
many environments as the function may have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from wherry import limits

if TYPE_CHECKING:
    from wherry.engine.admission import Admission
    from wherry.engine.environments import Environment
    from wherry.engine.mailbox import Mailbox
    from wherry.engine.work import Work
    from wherry.world import Clock, Loop, Timer


class Pool:
    """Environments of one function.

    Args:
        start: Starts an environment; it announces itself through `ready`.
        begin: Starts work on an environment, or says that it has gone on to work in its mailbox.
        post: Puts work into an environment's mailbox, if it goes in.
        room: Whether the machine has memory for one more, beside what is reserved for others.
        processors: How many the engine and its environments may use.
        admission: Asked before a quick run of a request is begun.
        reserved: So many environments are started whatever room there is.
    """

    def __init__(
        self,
        function: str,
        concurrency: int,
        loop: Loop,
        clock: Clock,
        start: Callable[[str], None],
        begin: Callable[[Environment, Work, bool], None],
        post: Callable[[Mailbox, Work], bool],
        room: Callable[[], bool],
        processors: int,
        admission: Admission | None = None,
        reserved: int = 0,
    ) -> None:
        self.function = function
        self.concurrency = concurrency
        self.reserved = reserved
        self.idle: list[Environment] = []
        self.busy: dict[Environment, None] = {}  # in the order in which they began
        self.starting = 0
        self.pending: deque[Work] = deque()
        self._loop = loop
        self._clock = clock
        self._start = start
        self._begin = begin
        self._post = post
        self._room = room
        self.processors = processors
        self._admission = admission
        self._growing: Timer | None = None
        self._failed_starts = 0
        self._retrying: Timer | None = None
        self.held = False  # nothing can be started now: all work waits
        # Takes what comes when its version has ended: a run whose commit has lost a conflict.
        self.moved: Callable[[Work], bool] | None = None
        self.pace_s = limits.LINE_S  # what a run takes, on a moving average
        self.run_s = 0.0  # how long a run computes and waits outside, on a moving average
        self._away_s = 0.0  # how much of that it waits
        self._asks = 0.0  # the share of runs that ask the store, on a moving average

    @property
    def size(self) -> int:
        """How many environments there are, or are about to be."""
        return len(self.idle) + len(self.busy) + self.starting

    def free(self) -> int:
        """How much work would be begun at once or soon, were it submitted now."""
        ready = len(self.idle) + self.starting - len(self.pending)
        if self.size == 0:
            return 1
        return max(0, ready)

    def submit(self, work: Work) -> bool:
        """Begin work, or let it wait. False: too much waits already."""
        if (not self.pending and self._posted(work)) or self._begun(work):
            return True
        if self.moved is not None:
            return self.moved(work)
        if len(self.pending) >= limits.PENDING_INVOCATIONS:
            return False
        self.pending.append(work)
        self._provide()
        return True

    def _provide(self) -> None:
        """See to it that there are environments for what waits."""
        if self.held or self._growing is not None:
            return
        if self.size == 0:
            if self._retrying is None:
                self._start_one()
        elif self.size < self.concurrency:
            self._growing = self._loop.call_later(limits.GROW_AFTER_S, self._grow)

    def _posted(self, work: Work) -> bool:
        """Put work where quick work is being done, if its turn comes soon."""
        if not self.busy or len(self.busy) > self._quick or (self.idle and self._asking):
            return False
        slow_s = self._clock.steady_s() - limits.RECALL_S
        for environment in self.busy:
            mailbox = environment.mailbox
            if mailbox is not None and self._short(mailbox) and _takes_more(environment, slow_s):
                return self._added(mailbox, work)
        return False

    def _added(self, mailbox: Mailbox, work: Work) -> bool:
        """Put work into a mailbox, if it may begin, and not as a batch."""
        if work.members is not None or not self._may_begin():
            return False
        if self._post(mailbox, work):
            return True
        if self._admission is not None:
            self._admission.give_back()
        return False

    @property
    def _asking(self) -> bool:
        """Whether most runs ask the store. While one waits for the answer others can run, and what
        many ask at a time is one batch there."""
        return self._asks >= 0.5

    @property
    def _quick(self) -> int:
        """How many environments even quick runs get."""
        return limits.ASKING_ENVIRONMENTS if self._asking else limits.QUICK_ENVIRONMENTS

    def _short(self, mailbox: Mailbox) -> bool:
        count = len(mailbox.works)
        return count < limits.MAILS and (count + 1) * self.pace_s < limits.LINE_S

    def recall(self, environment: Environment) -> None:
        """Take back what waits in front of an environment whose run goes on."""
        mailbox = environment.mailbox
        if mailbox is not None and mailbox.works:
            self._return(mailbox.take_back())

    def _return(self, back: list[Work]) -> None:
        if back:
            self.pending.extendleft(reversed(back))
            while self.pending and self._begun(self.pending[0]):  # not behind others, if some idle
                self.pending.popleft()
            self.go_on()
            self._provide()

    def go_on(self) -> None:
        """Begin what may be begun now."""
        while self.pending and (self._posted(self.pending[0]) or self._begun(self.pending[0])):
            self.pending.popleft()

    def _begun(self, work: Work) -> bool:
        """Begin work on an idle environment, if there is one and it may begin."""
        if not self.idle or not self._may_begin():
            return False
        environment = self.idle.pop()
        self.busy[environment] = None
        self._begin(environment, work, False)
        return True

    def _may_begin(self) -> bool:
        admission = self._admission
        if admission is None or not admission.behind or self.run_s >= limits.QUICK_RUN_S:
            return True
        return admission.take()

    def withdraw(self, work: Work) -> bool:
        """Take back work that still waits."""
        try:
            self.pending.remove(work)
        except ValueError:
            return False
        return True

    def warm(self, count: int) -> None:
        """Have at least `count` environments, as far as the function may."""
        for _ in range(min(count, self.concurrency) - self.size):
            self._start_one()

    def _start_one(self) -> None:
        self.starting += 1
        self._start(self.function)

    def _grow(self) -> None:
        self._growing = None
        if not self.pending or self.held:
            return
        wanted = self._wanted()
        for _ in range(wanted):
            if self.size >= self.reserved and not self._room():
                break
            self._start_one()
        if self.size < self.concurrency:
            growing = wanted or self.size < self._quick
            delay_s = limits.GROW_AFTER_S if growing else limits.QUICK_RUN_S
            self._growing = self._loop.call_later(delay_s, self._grow)

    def _wanted(self) -> int:
        """How many more environments would shorten the wait."""
        now_s = self._clock.steady_s()
        waiting = len(self.pending) - self.starting
        if self.idle or waiting <= 0:  # what waits although some are idle waits for admission
            return 0
        if now_s - self.pending[0].at_s < limits.GROW_AFTER_S:
            return 0
        size = self.size
        if size < self._quick:
            return min(1, self.concurrency - size)
        worth = min(self.concurrency, self._worth(now_s, waiting / size))
        return max(0, min(waiting, worth - size, size))

    def _worth(self, now_s: float, rounds: float) -> int:
        """How many environments are worth their cost while so many rounds of runs wait."""
        running = [found.work for found in self.busy if found.work]
        # Earlier runs tell nothing where all present ones have gone on for long.
        stuck = bool(running) and all(
            now_s - work.ran_from_s >= limits.QUICK_RUN_S for work in running
        )
        if stuck and all(found.asleep() for found in self.busy):
            return self.concurrency
        if self._away_s >= max(limits.QUICK_OWN_S, limits.GROW_AFTER_S / rounds):
            return self.concurrency
        if stuck or self.run_s >= max(limits.QUICK_OWN_S, limits.GROW_EXPECTED_S / rounds):
            return self.processors + limits.SPARE_ENVIRONMENTS
        return 0

    def took(self, environment: Environment) -> None:
        """A run has ended."""
        self.pace_s += limits.AVERAGE_SHARE * (environment.ran_s - self.pace_s)
        self._asks += limits.AVERAGE_SHARE * (bool(environment.asked) - self._asks)
        environment.asked = 0
        spent = environment.spent
        if spent is None:
            if self.run_s:  # some are slow, this one was quick
                self._count(0.0, 0.0)
            return
        environment.spent = None
        self._count(spent.cpu_s + spent.away_s, spent.away_s)

    def _count(self, run_s: float, away_s: float) -> None:
        self.run_s += limits.AVERAGE_SHARE * (run_s - self.run_s)
        self._away_s += limits.AVERAGE_SHARE * (away_s - self._away_s)
        if self.run_s < limits.QUICK_OWN_S * limits.AVERAGE_SHARE:
            self.run_s = self._away_s = 0.0

    def ready(self, environment: Environment) -> None:
        """An environment has started."""
        self.starting -= 1
        self._failed_starts = 0
        self.busy[environment] = None
        self.release(environment)

    def release(self, environment: Environment) -> None:
        """An environment has finished its work: it takes the next, or is idle."""
        mailbox = environment.mailbox
        if environment.end:
            return  # its process is ending, or does when it is known: it takes nothing more
        if mailbox is not None and mailbox.works:
            self._begin(environment, mailbox.next(), True)
            while self.pending and self._short(mailbox):
                if not self._added(mailbox, self.pending[0]):
                    break
                self.pending.popleft()
            return
        if self.pending and self._may_begin():
            self._begin(environment, self.pending.popleft(), False)
            return
        self.busy.pop(environment, None)
        environment.idle_since_s = self._clock.steady_s()
        self.idle.append(environment)

    def lost(self, environment: Environment, started: bool) -> None:
        """An environment has ended. One that never got ready is not tried again at once."""
        if environment in self.busy:
            del self.busy[environment]
        elif environment in self.idle:
            self.idle.remove(environment)
        if environment.mailbox is not None:
            self._return(environment.mailbox.take_rest())
        if not started:
            self.starting -= 1
            self._failed_starts += 1
        if self.size == 0 and self._retrying is None and (self.pending or self._failed_starts):
            delay_s = 0.05 * 2 ** min(self._failed_starts, 7) if self._failed_starts else 0.0
            self._retrying = self._loop.call_later(delay_s, self._restart)

    def hopeless(self) -> list[Work]:
        """Return, and forget, what waits for environments that do not start."""
        if self._failed_starts < limits.FAILED_STARTS or self.size or self.held:
            return []
        waiting = list(self.pending)
        self.pending.clear()
        return waiting

    def _restart(self) -> None:
        self._retrying = None
        if self.pending and self.size == 0 and not self.held:
            self._start_one()

    def end(self, environment: Environment, why: str) -> None:
        """End an environment; one that is idle is given nothing more until it has ended."""
        if environment in self.idle:
            self.idle.remove(environment)
            self.busy[environment] = None
        environment.kill(why)

    def surplus(self, idle_s: float) -> list[Environment]:
        """Return environments that have been idle for longer than `idle_s`."""
        now_s = self._clock.steady_s()
        return [found for found in self.idle if now_s - found.idle_since_s > idle_s]


def _takes_more(environment: Environment, slow_s: float) -> bool:
    """Whether its run lets it go on with others soon: alone, not being ended, and not slow, which
    is one that began before `slow_s`."""
    work = environment.work
    if work is None or work.members is not None or environment.end:
        return False
    return work.ran_from_s > slow_s
