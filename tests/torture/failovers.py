"""The primary dies and its standby takes its place; for a while there is only one that reads."""

from __future__ import annotations

import os
import signal
import time

from ..engine.server_kit import running, until
from ..engine.shared_kit import asked
from .faults import kill, now_ns
from .shared_victim import Shared

NOTICED_S = 2.0  # at most so long does nobody promote it
STREAMS = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = '{}'"
RECEIVED = "SELECT pg_last_wal_receive_lsn() >= '{}'::pg_lsn"


def _follow(life: Shared, how: str) -> None:
    life.standby.follow(life.server)
    if how == "sync":
        asked(life.server.dsn, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        asked(life.server.dsn, "SELECT pg_reload_conf()")
    until(lambda: asked(life.server.dsn, STREAMS.format(how)), "a standby that follows")


def _promote(life: Shared) -> None:
    time.sleep(life.chance.random() * NOTICED_S)  # the length is part of the fault
    asked(life.standby.dsn, "SELECT pg_promote()")
    life.server, life.standby = life.standby, life.server


def synchronous(life: Shared) -> int | None:
    """Each commit has waited for the standby: it has all that was acknowledged."""
    _follow(life, "sync")
    life.grows(10)
    at_ns = now_ns()
    life.server.stop()
    _promote(life)
    return at_ns


def hung(life: Shared) -> int | None:
    """As `synchronous`; and before, the standby answers nothing for longer than anybody waits, and
    the primary crashes once: commits that were waiting are there then, and on it alone."""
    _follow(life, "sync")
    [sender] = life.server.processes(b"postgres: walsender")
    os.kill(sender, signal.SIGSTOP)
    pids = [life.standby.postmaster, *life.standby.processes(b"postgres")]
    _signal(pids, signal.SIGSTOP)
    try:
        time.sleep(life.chance.uniform(0.1, 1.5) * life.answer_s)  # nobody is answered
        _kill(life, sender)
        life.server.start()
        time.sleep(1.5 * life.answer_s)  # clients ask again what became of their orders
        at_ns = now_ns()
        life.server.stop()
    finally:
        _signal(pids, signal.SIGCONT)
    _promote(life)
    return at_ns


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def _kill(life: Shared, sender: int) -> None:
    """The primary; the process that sends to its standby is stopped, and sends nothing more."""
    pids = [life.server.postmaster, *life.server.processes(b"postgres")]
    kill(pids[0])
    kill(sender)
    until(lambda: not any(map(running, pids)), "its end")


def asynchronous(life: Shared) -> int | None:
    """The standby is behind: from a moment on it gets nothing more, and the primary goes on."""
    _follow(life, "async")
    since_ns = now_ns()
    [(there,)] = asked(life.server.dsn, "SELECT pg_current_wal_lsn()::text")
    until(lambda: asked(life.standby.dsn, RECEIVED.format(there)) == [(True,)], "the standby")
    [sender] = life.server.processes(b"postgres: walsender")
    os.kill(sender, signal.SIGSTOP)
    try:
        life.grows(10)
    finally:
        at_ns = now_ns()
        _kill(life, sender)
    _promote(life)
    life.forgive(since_ns)
    return at_ns
