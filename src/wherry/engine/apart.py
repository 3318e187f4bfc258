"""While what runs is little and quick, the engine and its store have a processor each.

The engine wakes the store and an environment, and each of them the engine. A kernel may put who is
woken beside who wakes, although another processor is idle: then one waits for the other, and finds
its caches full of the other's data. Ten steps of a workflow took a fifth longer so. Bound to a
processor each, the two cannot meet. Environments are never bound: a handler may need them all. As
soon as one computes for longer than a moment, or much is to be done, the kernel decides again.

https://man7.org/linux/man-pages/man2/sched_setaffinity.2.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from wherry import limits
from wherry.runtime.process import places

if TYPE_CHECKING:
    from wherry.engine.numbers import Numbers
    from wherry.engine.work import Work
    from wherry.world import Chance, Clock


class Dispatching(Protocol):
    """What is seen of the dispatcher."""

    numbers: Numbers
    running: dict[Work, None]  # the longest first

    @property
    def busy(self) -> bool: ...


class StoreBeside(Protocol):
    """A store in a process of its own: its process ID, another one after it has died."""

    @property
    def pid(self) -> int: ...


class Apart:
    """Binds the two, and lets go of them. Called by the engine's main thread alone.

    We have to have been given two processors at least.
    """

    def __init__(
        self, clock: Clock, chance: Chance, dispatching: Dispatching, store: StoreBeside
    ) -> None:
        self._clock = clock
        self._dispatching = dispatching
        self._store = store
        order = sorted(places.GIVEN)
        # By chance: several engines of a machine are not on the same one.
        first = order.pop(chance.below(len(order)))
        cores = [one for one in order if one not in places.siblings(first)]
        self._engines = frozenset([first])
        self._stores = frozenset([(cores or order)[0]])
        self._bound = 0  # the store's process, while it is bound
        self._not_before_s = 0.0

    def look(self, runs: bool) -> None:
        """See whether it is worth it now.

        Args:
            runs: Whether runs begin.
        """
        now_s = self._clock.steady_s()
        oldest = next(iter(self._dispatching.running), None)
        slow = oldest is not None and now_s - oldest.ran_from_s > limits.APART_RUN_S
        if slow or self._dispatching.busy:
            self._not_before_s = now_s + limits.APART_AGAIN_S
        if not runs or now_s < self._not_before_s:
            self.let_go()
        elif self._bound != self._store.pid:
            self._bound = self._store.pid
            places.bind(0, self._engines)
            places.bind(self._bound, self._stores)

    def let_go(self) -> None:
        """Let the kernel decide."""
        if self._bound:
            places.let_go(0)
            if self._bound == self._store.pid:  # else it has died, and the ID may be a stranger's
                places.let_go(self._bound)
            self._bound = 0
