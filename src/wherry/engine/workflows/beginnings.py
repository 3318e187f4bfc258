"""Beginnings: first steps of executions, worked out with what starts them.

So the commit that starts an execution is its first step too, and what a step of a map begins goes
on at once. Nobody knows the number yet: the store puts it in, and says it. It may do without the
step, and then tells the execution to begin, as it does where none was worked out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from wherry import limits
from wherry.effects import Effect, StartExecution
from wherry.engine.workflows.held import loaded_of
from wherry.engine.workflows.step import FirstStep, first_step
from wherry.ports import Execution, First

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from wherry.engine.feeds import Feeds
    from wherry.engine.work import Work
    from wherry.engine.workflows.held import Held
    from wherry.engine.workflows.loading import Loader
    from wherry.engine.workflows.step import Step
    from wherry.world import Chance, Clock

_effects = msgspec.msgpack.Decoder(list[Effect])


class Beginnings:
    """Works first steps out, and keeps what has begun in memory.

    Attributes:
        queues: The queue of each function that workflows may call.
        wake: Called with the moment when an execution wants to be woken.
    """

    def __init__(
        self, clock: Clock, chance: Chance, feeds: Feeds, loader: Loader, held: Held
    ) -> None:
        self.queues: Mapping[str, str] = {}
        self.wake: Callable[[int], None] = lambda moment_ms: None
        self._clock = clock
        self._chance = chance
        self._feeds = feeds
        self._loader = loader
        self._held = held

    def prepare(self, work: Work) -> None:
        """Work out how the executions begin that a run starts, and offer places for their tasks."""
        work.begins, work.firsts = [], []
        outcome = work.outcome
        if outcome is None or not outcome.effect_count or work.members:
            return
        try:
            effects = _effects.decode(outcome.effects)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return  # the store says what is wrong with them
        room = limits.BEGINNINGS_BYTES
        for effect in effects:
            if not isinstance(effect, StartExecution) or len(work.begins) == limits.BEGINNINGS:
                continue
            found = self._first_step(effect)
            if found is None or found.size_bytes > room:
                continue
            room -= found.size_bytes
            step = found.step
            self._feeds.offer_more(work, step.wanted())
            outcome.marks.extend(step.entered)  # its record has them too
            work.begins.append(step)
            work.firsts.append(First(effect.id, step.loaded.compiled.digest, found.advance))

    def _first_step(self, effect: StartExecution) -> FirstStep | None:
        feed = self._feeds.feeds.get(effect.workflow)
        if feed is None or feed.backlog or not feed.room() or effect.parent is not None:
            return None  # others began to wait before it
        try:
            compiled = self._loader.active(effect.workflow)
            if compiled is None or compiled.aside:
                return None
            execution = Execution(
                0, effect.workflow, effect.name, 0, compiled.digest, "RUNNING", b"", [],
                effect.input, 0, None, 0, "", "",
            )  # fmt: skip
            loaded = loaded_of(execution, compiled)
            return first_step(loaded, self.queues, self._chance, self._clock.now_ms())
        except Exception:
            return None  # what is wrong is told when it begins by its message

    def began(self, steps: Iterable[Step], found: list[Execution]) -> None:
        """These are in the store, with those of them running here that it tells of."""
        told = {(one.workflow, one.name): one for one in found if one.version}
        for step in steps:
            if step.wake_ms is not None:
                self.wake(step.wake_ms)
            loaded = step.loaded
            one = told.get((loaded.workflow, loaded.name))
            if one is not None and not step.ended:
                step.applied(one.id, one.version)
                loaded.correlation_id = one.correlation_id
                self._held.put(loaded)
