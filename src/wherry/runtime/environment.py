"""The main loop of an environment: one invocation in, one outcome out, until the engine is gone."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from functools import cache
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

import msgspec

from wherry.codec import to_msgpack
from wherry.handles import late, logs
from wherry.handles.ids import derived_id
from wherry.handles.logs import send_lines_to
from wherry.invocation import EMPTY, WORN, Failure, Invocation, Outcome
from wherry.platforms.socket import (
    INVOKE,
    OUTCOME,
    PRINTED,
    READY,
    SPENT,
    EngineLink,
    printed_by,
)
from wherry.runtime.invoke import Runner, spec_of
from wherry.runtime.stopwatch import Stopwatch
from wherry.world import Meter, SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wherry.app import App
    from wherry.runtime.process.confine import Guard
    from wherry.runtime.zygote import Setup

_invocation = msgspec.msgpack.Decoder(Invocation)


def preload(app: App, setup: Setup) -> None:
    """Import and compile, before the first fork, what every environment would pay for."""
    import hashlib
    import json  # noqa: F401

    import wherry.handles.cursors
    import wherry.handles.steps
    import wherry.platforms.files.blobs

    if setup.brought:
        import wherry.platforms.files.brought  # noqa: F401
    late.settle()
    hashlib.sha256(b"")
    derived_id("", "", 0)
    _paths(setup)
    for function in app.endpoints:
        Runner.prepare(app, function)


def run_environment(
    app: App, setup: Setup, function: str, fds: Sequence[int], tmp: str, parent_pid: int
) -> NoReturn:
    """Confine this process and serve; never returns.

    Args:
        fds: Its socket to the engine, and its mailbox where there is one.
    """
    status = 0
    try:
        meter = Meter()  # its file cannot be opened later
        guards = _confine(app, setup, function, tmp, parent_pid)
        serve(app, setup, function, fds, guards, meter)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(status)


def _confine(app: App, setup: Setup, function: str, tmp: str, parent_pid: int) -> tuple[Guard, ...]:
    from wherry.runtime.process import confine

    spec = spec_of(app, function)
    readable: list[str] = []
    writable: list[str] = []
    for grant in spec.grants:
        if grant.kind == "bucket":
            folder = os.path.join(setup.objects, grant.resource)
            (readable if grant.action == "read" else writable).append(folder)
    read_paths, list_paths = _paths(setup)
    holds = confine.apply(
        confine.Confinement(
            memory_mb=spec.memory_mb,
            tmp_dir=tmp,
            read_paths=(*read_paths, *readable),
            list_paths=(*list_paths, setup.objects),
            write_paths=tuple(writable),
        ),
        parent_pid,
    )
    return holds.guards


class _Prints(TextIOWrapper):
    """Standard output that counts, so that the engine looks at the pipe only where it must."""

    count = 0

    def write(self, text: str) -> int:
        self.count += 1
        return super().write(text)


@cache
def _paths(setup: Setup) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What may be read, and what only listed: looked up once, before the first fork."""
    from wherry.runtime.process.landlock import carve, system_paths

    return carve([*system_paths(), setup.folder], setup.hidden)


def serve(
    app: App,
    setup: Setup,
    function: str,
    fds: Sequence[int],
    guards: tuple[Guard, ...],
    meter: Meter,
) -> NoReturn:
    """Run invocations until the engine closes the socket."""
    from wherry.platforms.files.blobs import Blobs

    clock = SystemClock()
    sock, *mail = (socket.socket(fileno=fd) for fd in fds)
    link = EngineLink(sock, mail[0] if mail else None, Blobs(setup.objects), clock, setup.brought)
    runner = Runner.prepare(app, function)
    send_lines_to(None, app.name)
    if hasattr(os, "SCHED_BATCH"):
        # Waking up does not push the engine off its processor: fewer switches, more work done.
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    cold = True
    output = open(1, "wb", closefd=False)  # noqa: SIM115 - as long as this process
    prints = _Prints(output, "utf-8", "backslashreplace", line_buffering=True)
    sys.stdout = sys.stderr = prints
    stopwatch = Stopwatch(clock, meter, link)
    link.send(READY, to_msgpack(guards))
    while True:
        kind, payload = link.begin()
        if kind != INVOKE:
            raise SystemExit(3)
        stopwatch.start()
        invocation = _invocation.decode(payload)
        lines, prints.count = logs.lines_written, 0
        outcome = runner.run(invocation, link, clock, cold=cold)
        cold = False
        with suppress(OSError, ValueError):  # a handler may have closed it: nobody else suffers
            prints.flush()
        spent = stopwatch.stop()
        if spent is not None:
            link.send(SPENT, to_msgpack(spent))
        number = invocation.number
        said = prints.count or logs.lines_written != lines
        if prints.count:
            with suppress(OSError):  # as above
                os.write(1, printed_by(invocation.request_id, invocation.correlation_id))
        try:
            link.finish(PRINTED if said else OUTCOME, number, stopwatch.took_s, to_msgpack(outcome))
        except ValueError as error:
            failure = Failure("too_large", "TooLarge", str(error), retry=False)
            link.finish(
                OUTCOME,
                number,
                stopwatch.took_s,
                to_msgpack(Outcome(None, EMPTY, 0, [], [], failure)),
            )
        if outcome.failure is not None and outcome.failure.code in WORN:
            link.receive()  # takes nothing more: it is being ended
