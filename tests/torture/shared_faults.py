"""What can happen to engines that share a Postgres, and to the Postgres (see faults.py)."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from functools import partial
from typing import Any

from wherry.runtime.process.trees import descendants

from ..engine.server_kit import Engine, running, tries, until
from ..engine.shared_kit import asked
from ..postgres_kit import Server, loop
from .failovers import asynchronous, hung, synchronous
from .faults import JUMPS_S, kill, now_ns, pids_of
from .locks import deadlocks, held, refusals
from .object_faults import BREAKS, FAILS, SLOW, harmed
from .rollout import rollout
from .shared_victim import Kind, Shared

LEASES = 1.5  # a pause lasts so many leases
HELD_S = 1.5  # so long are connections taken from the engines, or writes
WRITERS = (b"walwriter", b"checkpointer", b"background writer")


# -- the engines -----------------------------------------------------------------------------------


def environment(life: Shared) -> int | None:
    """Every environment of the handler, or of the consumers, of one engine."""
    functions = life.chance.choice([("place",), ("work", "work_tight")])
    engine = life.chance.choice(life.engines)
    pids = until(lambda: pids_of(engine, *functions), "an environment")
    at_ns = now_ns()
    for pid in pids:
        kill(pid)
    return at_ns


def zygote(life: Shared) -> int | None:
    engine = life.chance.choice(life.engines)
    state = until(lambda: _with_zygote(engine), "a zygote")
    at_ns = now_ns()
    for pid in state["zygotes"]:
        kill(pid)
    return at_ns


def _with_zygote(engine: Engine) -> dict[str, Any] | None:
    state = tries(engine.status)
    return state if state and state["zygotes"] else None


def one_engine(life: Shared) -> int | None:
    """An engine, which stays away until the others have gone on without it."""
    engine = life.chance.choice(life.engines)
    at_ns = now_ns()
    engine.kill()
    life.grows(20)
    engine.start()
    return at_ns


def all_engines(life: Shared) -> int | None:
    at_ns = now_ns()
    for engine in life.engines:
        engine.kill()
    for engine in life.engines:
        engine.start()
    return at_ns


def engine_and_database(life: Shared) -> int | None:
    """Who held the messages, and where it is written that it did, at once."""
    engine = life.chance.choice(life.engines)
    at_ns = now_ns()
    kill(life.server.postmaster)
    engine.kill()
    _start_again(life.server)
    engine.start()
    return at_ns


def pause(life: Shared, *, tree: bool) -> int | None:
    """An engine, past its leases: others do what it had in hand, and it comes back with it."""
    engine = life.chance.choice(life.engines)
    pids = [engine.pid, *(descendants(engine.pid) if tree else ())]
    at_ns = now_ns()
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        time.sleep(LEASES * life.lease_s)  # what is paused cannot be looked at
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    return at_ns


def clock(life: Shared, *, sign: int) -> int | None:
    """The wall's clock of one engine; the others' stay."""
    number = life.chance.randrange(len(life.engines))
    life.jump(number, sign * life.chance.choice(JUMPS_S))
    return now_ns()


# -- between them ----------------------------------------------------------------------------------


def partition(life: Shared, *, late: bool) -> int | None:
    """One engine is cut off, until it has noticed or its leases are over; the others go on."""
    at_ns = now_ns()
    life.wire.cut(late=late)
    try:
        time.sleep(max(life.answer_s, LEASES * life.lease_s))  # nobody can be asked who is cut off
        life.grows(5)
    finally:
        life.wire.mend()
    return at_ns


def exhausted(life: Shared) -> int | None:
    """All connections are cut, and somebody else takes every one there is."""
    loop().run(_take_all(life.server.dsn))
    return now_ns()


async def _take_all(dsn: str) -> None:
    import asyncpg

    taken: list[Any] = []
    try:
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'wherry'"
        )
        first = await asyncpg.connect(dsn, timeout=10)
        taken.append(first)
        await first.execute(cut)
        give_up_s = time.monotonic() + HELD_S
        while time.monotonic() < give_up_s:
            try:
                taken.append(await asyncpg.connect(dsn, timeout=10))
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.01)  # none is left, for as long as nobody gives one back
    finally:
        for one in taken:
            one.terminate()


# -- the database ----------------------------------------------------------------------------------


def _start_again(server: Server) -> None:
    """Start it, as soon as what is left of the last one lets go."""

    def started() -> bool:
        try:
            server.start()
        except RuntimeError:
            return False
        return True

    until(started, "the database")


def child(life: Shared, *, titles: tuple[bytes, ...]) -> int | None:
    """One of its processes: Postgres ends all others, and recovers from its log."""
    pids = until(lambda: life.server.processes(*titles), "a process of Postgres")
    at_ns = now_ns()
    kill(life.chance.choice(sorted(pids)))
    return at_ns


def postmaster(life: Shared) -> int | None:
    pid = life.server.postmaster
    at_ns = now_ns()
    kill(pid)
    until(lambda: not running(pid), "its end")
    _start_again(life.server)
    return at_ns


def crash(life: Shared) -> int | None:
    """All of it, again while it may still recover."""
    at_ns = now_ns()
    life.server.stop()
    life.server.start()
    life.server.stop()
    life.server.start()
    return at_ns


def restart(life: Shared) -> int | None:
    """As an administrator does it: connections are closed, what is under way is rolled back."""
    at_ns = now_ns()
    life.server.stop("INT")
    life.server.start()
    return at_ns


def read_only(life: Shared) -> int | None:
    """It takes no writes for a while, and lets all connections be."""
    asked(life.server.dsn, "ALTER SYSTEM SET default_transaction_read_only = on")
    try:
        asked(life.server.dsn, "SELECT pg_reload_conf()")
        time.sleep(HELD_S)  # this long, whether anybody notices or not
    finally:
        asked(life.server.dsn, "ALTER SYSTEM RESET default_transaction_read_only")
        asked(life.server.dsn, "SELECT pg_reload_conf()")
    return now_ns()


KINDS: dict[str, Kind] = {
    "kill environment": Kind(environment),
    "kill zygote": Kind(zygote),
    "kill engine": Kind(one_engine),
    "kill all engines": Kind(all_engines),
    "kill engine and postgres": Kind(engine_and_database),
    "kill backend": Kind(partial(child, titles=(b"postgres: wherry ",))),
    "kill postgres' writers": Kind(partial(child, titles=WRITERS)),
    "kill postmaster": Kind(postmaster),
    "crash postgres, twice": Kind(crash),
    "restart postgres": Kind(restart),
    "postgres read-only": Kind(read_only),
    "failover, synchronous": Kind(synchronous),
    "failover, standby hung": Kind(hung),
    "failover, asynchronous": Kind(asynchronous),
    "pause engine": Kind(partial(pause, tree=False)),
    "pause engine and all its": Kind(partial(pause, tree=True)),
    "partition": Kind(partial(partition, late=False)),
    "partition, late delivery": Kind(partial(partition, late=True)),
    "connections exhausted": Kind(exhausted),
    "deadlocks": Kind(deadlocks),
    "a row is held": Kind(held),
    "serialization failures": Kind(refusals),
    "s3 slow": Kind(partial(harmed, harms=SLOW), "s3"),
    "s3 fails": Kind(partial(harmed, harms=FAILS), "s3"),
    "s3 breaks off": Kind(partial(harmed, harms=BREAKS), "s3"),
    "roll out": Kind(rollout),
    "clock forward": Kind(partial(clock, sign=1)),
    "clock back": Kind(partial(clock, sign=-1)),
}
