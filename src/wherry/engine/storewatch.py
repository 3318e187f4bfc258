"""Whether the store can do its work, looked at each second: what the operator and `/readyz` see.

A store that is silent or cannot write makes the engine not ready. One that is full does not: what
is there can be read, by whoever asks this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.errors import StoreFull
from wherry.ports import Broken, PutState

if TYPE_CHECKING:
    from wherry.engine.core import Core

EVERY_S = 1.0
QUIET_S = 5.0  # without a refusal, until what was full counts as having room
PROBE = "engine/probe"
FULL = (
    "the store is full: what writes is a 507 or waits, reads go on, nothing is lost. Free some "
    "space; it goes on by itself"
)


class StoreWatch:
    """Looks after one engine's store.

    Args:
        store: Of `engine.storeprocess` or `engine.postgres`: with `silent_s` and `hangs`.
    """

    def __init__(self, core: Core, store: Any) -> None:
        self._core = core
        self._store = store
        self._silent: str | None = None  # why, as it was told; '' where that was not known
        self._full_s: float | None = None  # when something was refused last for want of room

    def look(self) -> None:
        """Look now, and from time to time."""
        core, store, faults = self._core, self._store, self._core.dispatcher.store_faults
        silent_s = store.silent_s()
        store.hangs = silent_s > limits.STORE_SILENT_S
        if store.hangs:
            core.troubles["store"] = said = f"the store has not answered for {silent_s:.0f} s"
            why = getattr(store, "why", "")  # a process says nothing when it hangs
            if self._silent is None or (why and not self._silent):
                core.journal.say("ERROR", f"{said}{why and f': {why}'}")
                self._silent = why
        else:
            if self._silent is not None:
                core.journal.say("INFO", "the store answers again")
            self._silent = None
            if StoreFull.code in faults:
                faults.remove(StoreFull.code)
                if self._full_s is None:
                    core.journal.say("ERROR", FULL)
                self._full_s = core.clock.steady_s()
            if faults or self._full_s is not None:
                store.send("", PutState(PROBE, b""), self._probed)  # whether it goes on by itself
            else:
                core.troubles.pop("store", None)
        core.loop.call_later(EVERY_S, self.look)

    def _probed(self, answer: Any) -> None:
        core = self._core
        faults, now_s = core.dispatcher.store_faults, core.clock.steady_s()
        if isinstance(answer, Broken) and answer.code != StoreFull.code:
            core.troubles["store"] = f"the store cannot write: {answer.message}"
            return
        core.troubles.pop("store", None)
        faults.clear()
        if isinstance(answer, Broken):
            faults.add(answer.code)
        elif self._full_s is not None and now_s - self._full_s > QUIET_S:
            # So little may find room where a commit does not: therefore a while must have passed.
            self._full_s = None
            core.journal.say("INFO", "the store has room again")
