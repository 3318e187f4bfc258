"""Runs whose states evaluate expressions, moved in a process of their own, bounded in time.

One request at a time. A request that does not come back in time, or takes the process with it, is
asked once more of a new process, where every expression fails at once: so the state that had
asked for too much fails with States.QueryEvaluationError, and its Retry and Catch are heeded.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec
from msgspec import Struct

from wherry import limits
from wherry.engine.workflows.wire import Ask, Fault, Told, applied, length_of, pack, unpack
from wherry.statemachine.machine import give_up
from wherry.statemachine.overtime import TIMEOUT
from wherry.statemachine.records import Commands, Event, Run

if TYPE_CHECKING:
    import asyncio

    from wherry.world import Chance, Timer

Then: TypeAlias = Callable[[Run, list[Commands] | str], None]
RUNS_KEPT = 64  # there, so that only what happens to them has to be told
SEED_BYTES = 32
GRACE_S = 2.0  # beyond the process's own alarm


class _Request(Struct, eq=False):
    """One step of a run."""

    digest: str
    definition: str
    key: int
    run: Run
    events: list[Event] | None
    now_ms: int
    seed: bytes
    then: Then
    poisoned: bool = False


class Worker:
    """One process, started when it is first needed.

    Args:
        say: Told in words when the process had to be ended.
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
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._in = bytearray()
        self._out = memoryview(b"")
        self._waiting: deque[_Request] = deque()
        self._current: _Request | None = None
        self._timer: Timer | None = None
        self._told: set[str] = set()  # digests
        self._kept: OrderedDict[int, Run] = OrderedDict()
        self._forget: list[int] = []
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The process ID, while there is a process."""
        return None if self._process is None else self._process.pid

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
        run as it was, and in words what mistake of the interpreter has kept it there.

        Args:
            digest: Of the definition, which is sent once.
            key: The execution's number: a run that comes as `then` got it is not sent again.
        """
        seed = self._chance.token(SEED_BYTES)
        self._waiting.append(_Request(digest, definition, key, run, events, now_ms, seed, then))
        self._next()

    def stop(self) -> None:
        """End the process; what waits is never answered."""
        self._stopping = True
        self._waiting.clear()
        self._current = None
        self._end()

    # -- asking ----------------------------------------------------------------------------------

    def _next(self) -> None:
        if self._current is not None or not self._waiting or self._stopping:
            return
        request = self._current = self._waiting.popleft()
        if self._process is None:
            self._start()
        known = self._kept.pop(request.key, None) is request.run
        new = request.digest not in self._told
        self._told.add(request.digest)
        ask = Ask(
            request.digest,
            request.key,
            request.events,
            request.now_ms,
            request.seed,
            request.definition if new else None,
            None if known else request.run,
            request.poisoned,
            self._forget,
        )
        self._forget = []
        self._out = memoryview(pack(ask))
        self._timer = self._loop.call_later(limits.STATE_ADVANCE_S + GRACE_S, self._overdue)
        self._writable()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-m", "wherry.engine.workflows.expressions"]
        command += ["--fd", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=2,
            start_new_session=True,
        )
        theirs.close()
        ours.setblocking(False)
        self._sock = ours
        self._in.clear()
        self._loop.add_reader(ours.fileno(), self._readable)

    def _writable(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            sent = sock.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it died; `_readable` sees that
        self._out = self._out[sent:]
        if self._out:
            self._loop.add_writer(sock.fileno(), self._writable)
        else:
            self._loop.remove_writer(sock.fileno())

    # -- answers ---------------------------------------------------------------------------------

    def _readable(self) -> None:
        assert self._sock is not None
        try:
            piece = self._sock.recv(limits.RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._died("its process ended")
            return
        self._in += piece
        if len(self._in) < 4 or len(self._in) < 4 + length_of(bytes(self._in[:4])):
            return
        body = bytes(self._in[4:])
        self._in.clear()
        self._answered(unpack(body, Told | Fault))  # type: ignore[arg-type]

    def _answered(self, answer: Told | Fault) -> None:
        request, self._current = self._current, None
        if self._timer is not None:
            self._timer.cancel()
        if request is None:
            return
        if isinstance(answer, Fault):
            self._forget.append(request.key)
            request.then(request.run, answer.error)
        else:
            run = applied(answer, request.run)
            self._keep(request.key, run)
            request.then(run, answer.commands)
        self._next()

    def _keep(self, key: int, run: Run) -> None:
        self._kept[key] = run
        if run.status != "RUNNING" or len(self._kept) > RUNS_KEPT:
            oldest = key if run.status != "RUNNING" else next(iter(self._kept))
            del self._kept[oldest]
            self._forget.append(oldest)

    # -- its end ---------------------------------------------------------------------------------

    def _overdue(self) -> None:
        self._died(f"it took more than {limits.STATE_ADVANCE_S + GRACE_S:g} s")

    def _died(self, why: str) -> None:
        """Begin again with a new process; what took this one with it fails there."""
        self._end()
        request, self._current = self._current, None
        if self._timer is not None:
            self._timer.cancel()
        if request is not None:
            if request.poisoned:
                run, commands = give_up(request.run, request.now_ms, TIMEOUT)
                self._loop.call_soon(request.then, run, [commands])
            else:
                self._say(f"A step of an execution was broken off: {why}")
                self._waiting.appendleft(msgspec.structs.replace(request, poisoned=True))
        self._next()

    def _end(self) -> None:
        process, sock = self._process, self._sock
        self._process = self._sock = None
        self._told.clear()
        self._kept.clear()
        self._forget = []
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            sock.close()
        if process is not None:
            process.kill()
            process.wait()
