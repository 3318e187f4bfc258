"""What can happen to an engine: each kind of fault is done to a life, and tells when it hurt.

A kind returns the moment (steady clock, ns) from which its recovery is counted: the kill, or the
end of what lasts, or where the engine has to notice by itself, its beginning. None: it did not
come to it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

from wherry.runtime.process.trees import descendants

from ..engine.fault_kit import cut_power, fill, killed_at, killing
from ..engine.server_kit import Engine, running, tries, until
from .disks import Disk

PAUSE_S = 1.3  # longer than a lease (limits in life.py) and than the functions' timeout
JUMPS_S = (3600, 300, 45)
AGAIN_S = 0.5  # within this after the first kill comes the second
REACH_S = 10.0  # a system call that is not made so often in this time is not reached


class Victim(Protocol):
    """What a fault may touch."""

    disk: Disk
    chance: random.Random
    number: int

    @property
    def engine(self) -> Engine:
        """The only one."""
        ...

    def jump(self, seconds: int) -> None:
        """Set the wall's clock off by so much."""
        ...

    def ready(self) -> bool:
        """Whether the engine says that it is ready."""
        ...

    def refused(self) -> int:
        """How many requests were answered that there is no room."""
        ...


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def now_ns() -> int:
    return time.monotonic_ns()


def pids_of(engine: Engine, *functions: str) -> list[int]:
    pools = tries(engine.pools) or {}
    return [pid for name in functions for pid in pools.get(name, {}).get("pids", ()) if pid]


def _with_zygote(engine: Engine) -> dict[str, Any] | None:
    state = tries(engine.status)
    return state if state and state["zygotes"] else None


# -- kills -----------------------------------------------------------------------------------------


def environment(life: Victim) -> int | None:
    """Every environment of the handler, or of the consumers."""
    functions = life.chance.choice([("place",), ("work", "work_tight")])
    pids = until(lambda: pids_of(life.engine, *functions), "an environment")
    at_ns = now_ns()
    for pid in pids:
        kill(pid)
    return at_ns


def zygote(life: Victim) -> int | None:
    state = until(lambda: _with_zygote(life.engine), "a zygote")
    at_ns = now_ns()
    for pid in state["zygotes"]:
        kill(pid)
    return at_ns


def store(life: Victim) -> int | None:
    pid = until(lambda: tries(life.engine.store_pid), "a store")
    at_ns = now_ns()
    kill(pid)
    return at_ns


def store_again(life: Victim) -> int | None:
    """The store, and its successor at some moment of its recovery."""
    pid = until(lambda: tries(life.engine.store_pid), "a store")
    kill(pid)
    successor = until(lambda: _other(life.engine, pid), "the next store")
    time.sleep(life.chance.random() * AGAIN_S / 5)  # the moment is the fault
    at_ns = now_ns()
    kill(successor)
    return at_ns


def _other(engine: Engine, pid: int) -> int | None:
    found = tries(engine.store_pid)
    return found if found != pid else None


def store_and_zygote(life: Victim) -> int | None:
    """What commits and what runs, at once."""
    state = until(lambda: _with_zygote(life.engine), "a zygote")
    at_ns = now_ns()
    for pid in (state["store"]["pid"], *state["zygotes"]):
        kill(pid)
    return at_ns


def engine(life: Victim) -> int | None:
    at_ns = now_ns()
    life.engine.kill()
    life.engine.start()
    return at_ns


def engine_again(life: Victim) -> int | None:
    """The engine, and its successor at some moment of its recovery."""
    life.engine.kill()
    life.engine.launch()
    time.sleep(life.chance.random() * AGAIN_S)  # the moment is the fault
    at_ns = now_ns()
    life.engine.kill()
    life.engine.start()
    return at_ns


def everything(life: Victim) -> int | None:
    pids = [life.engine.pid, *descendants(life.engine.pid)]
    at_ns = now_ns()
    for pid in pids:
        kill(pid)
    life.engine.wait()
    until(lambda: not any(map(running, pids)), "the end of its processes")
    life.engine.start()
    return at_ns


# -- at the kth system call ------------------------------------------------------------------------


def store_at(call: str, life: Victim) -> int | None:
    """The store, at a system call that it is about to make; k grows with each life."""
    pid = until(lambda: tries(life.engine.store_pid), "a store")
    with killing(pid, call, 1 + life.number, life.disk.strace) as tracer:
        if not _reached(lambda: tracer.poll() is not None):
            return None
        return now_ns()


def engine_at(call: str, life: Victim) -> int | None:
    with killing(life.engine.pid, call, 1 + life.number, life.disk.strace) as tracer:
        if not _reached(lambda: tracer.poll() is not None):
            return None
        at_ns = now_ns()
    life.engine.kill()
    life.engine.start()
    return at_ns


def start_at(call: str, most: int, life: Victim) -> int | None:
    """The engine's successor, at a system call of its start."""
    life.engine.kill()
    nth = 1 + life.number % most
    process = life.engine.launch(under=[*killed_at(call, nth, life.disk.strace), "-D"])

    def ended_or_ready() -> bool:
        return process.poll() is not None or tries(life.ready) is True

    until(ended_or_ready, "a start")
    at_ns = now_ns() if process.poll() is not None else None
    life.engine.kill()
    life.engine.start()
    return at_ns


def _reached(look: Callable[[], bool]) -> bool:
    with suppress(AssertionError):
        return until(look, "the system call", REACH_S)
    return False


# -- pauses ----------------------------------------------------------------------------------------


def _pause(pids: list[int]) -> None:
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        time.sleep(PAUSE_S)  # what is paused cannot be looked at
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def pause_tree(life: Victim) -> int | None:
    """All processes, as a machine that sleeps."""
    _pause([life.engine.pid, *descendants(life.engine.pid)])
    return now_ns()


def pause_engine(life: Victim) -> int | None:
    """The engine alone: its store and its environments go on."""
    _pause([life.engine.pid])
    return now_ns()


def pause_store(life: Victim) -> int | None:
    _pause([until(lambda: tries(life.engine.store_pid), "a store")])
    return now_ns()


def pause_environment(life: Victim) -> int | None:
    """The consumers' environments, past their timeout: they are ended, and their runs repeated."""
    pids = until(lambda: pids_of(life.engine, "work", "work_tight"), "an environment")
    at_ns = now_ns()
    _pause(pids)
    return at_ns


# -- what the machine does -------------------------------------------------------------------------


def disk_full(life: Victim) -> int | None:
    before = life.refused()
    filler = life.disk.folder / "filler"
    fill(filler)
    try:
        until(lambda: life.refused() > before, "an answer that there is no room")
    finally:
        filler.unlink()
    return now_ns()


def power(life: Victim) -> int | None:
    """The plug: what was not synced is gone, and everything starts anew."""
    at_ns = now_ns()
    cut_power(life.disk.folder)
    life.engine.kill()
    life.disk.mount_again()
    life.engine.start()
    return at_ns


def clock_forward(life: Victim) -> int | None:
    life.jump(life.chance.choice(JUMPS_S))
    return now_ns()


def clock_back(life: Victim) -> int | None:
    life.jump(-life.chance.choice(JUMPS_S))
    return now_ns()


class Kind(NamedTuple):
    """A kind of fault, and its need: `strace`, a `small` disk, one whose `power` we can cut."""

    do: Callable[[Victim], int | None]
    needs: str = ""


KINDS: dict[str, Kind] = {
    "kill environment": Kind(environment),
    "kill zygote": Kind(zygote),
    "kill store": Kind(store),
    "kill engine": Kind(engine),
    "kill everything": Kind(everything),
    "kill store, again": Kind(store_again),
    "kill engine, again": Kind(engine_again),
    "kill store and zygote": Kind(store_and_zygote),
    "store at fdatasync": Kind(partial(store_at, "fdatasync"), "strace"),
    "store at pwrite64": Kind(partial(store_at, "pwrite64"), "strace"),
    "store at sendto": Kind(partial(store_at, "sendto"), "strace"),
    "engine at sendto": Kind(partial(engine_at, "sendto"), "strace"),
    "engine at recvfrom": Kind(partial(engine_at, "recvfrom"), "strace"),
    "start at rename": Kind(partial(start_at, "rename", 1), "strace"),
    "start at sendto": Kind(partial(start_at, "sendto", 12), "strace"),
    "pause everything": Kind(pause_tree),
    "pause engine": Kind(pause_engine),
    "pause store": Kind(pause_store),
    "pause environment": Kind(pause_environment),
    "disk full": Kind(disk_full, "small"),
    "power cut": Kind(power, "power"),
    "clock forward": Kind(clock_forward),
    "clock back": Kind(clock_back),
}
