"""The main loop of an environment: one invocation in, one outcome out, until the engine is gone."""

from __future__ import annotations

import os
import socket
import sys
import traceback  # here: a run that has no file left to open could not, when it failed
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
from wherry.platforms.files.blobs import Blobs
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
from wherry.runtime.process import confine
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

    if setup.brought:
        import wherry.platforms.files.brought  # noqa: F401
    late.settle()
    hashlib.sha256(b"")
    derived_id("", "", 0)
    _paths(setup)
    for function in app.endpoints:
        Runner.prepare(app, function)


class Prepared:
    """A process that will be an environment, and does not know of which function yet.

    It is confined as far as that is the same for all; with `run` it becomes one.

    Args:
        parent_pid: The process ID of the zygote.
    """

    def __init__(self, app: App, setup: Setup, parent_pid: int) -> None:
        self._app = app
        self._setup = setup
        self._clock = SystemClock()
        self._meter = Meter()  # its file cannot be opened later
        self._blobs = Blobs(setup.objects)
        output = open(1, "wb", closefd=False)  # noqa: SIM115 - as long as this process
        self._prints = _Prints(output, "utf-8", "backslashreplace", line_buffering=True)
        sys.stdout = sys.stderr = self._prints
        send_lines_to(None, app.name)
        if hasattr(os, "SCHED_BATCH"):
            # Waking up does not push the engine off its processor: fewer switches, more work done.
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        read_paths, list_paths = _paths(setup)
        self._begun = confine.begin(
            confine.Shared(read_paths, (*list_paths, setup.objects)), parent_pid
        )

    def run(self, function: str, fds: Sequence[int], tmp: str) -> NoReturn:
        """Be an environment of this function; never returns.

        Args:
            fds: Its socket to the engine, and its mailbox where there is one.
            tmp: Its folder.
        """
        status = 1
        try:
            guards = self._confine(function, tmp)
            sock, *mail = (socket.socket(fileno=fd) for fd in fds)
            mailbox = mail[0] if mail else None
            link = EngineLink(sock, mailbox, self._blobs, self._clock, self._setup.brought)
            link.send(READY, to_msgpack(guards))
            stopwatch = Stopwatch(self._clock, self._meter, link)
            self._serve(Runner.prepare(self._app, function), link, stopwatch)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            try:
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(status)

    def _confine(self, function: str, tmp: str) -> tuple[Guard, ...]:
        spec = spec_of(self._app, function)
        readable: list[str] = []
        writable: list[str] = []
        for grant in spec.grants:
            if grant.kind == "bucket":
                folder = os.path.join(self._setup.objects, grant.resource)
                (readable if grant.action == "read" else writable).append(folder)
        holds = confine.finish(
            self._begun,
            confine.Confinement(
                memory_mb=spec.memory_mb,
                tmp_dir=tmp,
                read_paths=tuple(readable),
                write_paths=tuple(writable),
            ),
        )
        return holds.guards

    def _serve(self, runner: Runner, link: EngineLink, stopwatch: Stopwatch) -> NoReturn:
        """Run invocations until the engine closes the socket."""
        clock, prints, cold = self._clock, self._prints, True
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
                link.finish(
                    PRINTED if said else OUTCOME, number, stopwatch.took_s, to_msgpack(outcome)
                )
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
