"""One process that moves runs whose states evaluate expressions: one request at a time.

It ends with a request that does not come back in time; the next request has a new one.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct

from wherry import limits
from wherry.engine.streams import received
from wherry.engine.workflows.wire import Ask, Fault, Told, applied, length_of, pack, unpack
from wherry.runtime.process import places
from wherry.statemachine.records import Commands, Event, Run

if TYPE_CHECKING:
    import asyncio

    from wherry.world import Timer

Then: TypeAlias = Callable[[Run, list[Commands] | str], None]
RUNS_KEPT = 64  # there, so that only what happens to them has to be told
GRACE_S = 2.0  # beyond the process's own alarm


class Request(Struct, eq=False):
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


class Died(Struct, frozen=True):
    """The process ended before it answered, or was ended; `why` in words."""

    why: str


Ended: TypeAlias = Callable[[Request, Told | Fault | Died], None]


class Worker:
    """One process, started when it is first needed.

    Args:
        ended: Gets, on the loop, what each request has come to; this is free again by then. What
            was told is not applied to the run yet: that is for `keep`.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ended: Ended) -> None:
        self._loop = loop
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._in = bytearray()
        self._out = memoryview(b"")
        self._current: Request | None = None
        self._timer: Timer | None = None
        self._told: set[str] = set()  # digests
        self._kept: OrderedDict[int, Run] = OrderedDict()
        self._forget: list[int] = []

    @property
    def pid(self) -> int | None:
        """The process ID, while there is a process."""
        return None if self._process is None else self._process.pid

    @property
    def free(self) -> bool:
        """Whether nothing is being asked."""
        return self._current is None

    def holds(self, request: Request) -> bool:
        """Whether the process has the run as it is now."""
        return self._kept.get(request.key) is request.run

    def let_go(self, key: int) -> None:
        """Forget a run, which another process moves."""
        if self._kept.pop(key, None) is not None:
            self._forget.append(key)

    def stop(self) -> None:
        """End the process; what is being asked is never answered."""
        self._current = None
        self._hush()
        self._end()

    # -- asking ----------------------------------------------------------------------------------

    def ask(self, request: Request) -> None:
        """Ask; nothing else is being asked."""
        self._current = request
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
        self._process = places.started(command, theirs.fileno(), stdout=2)
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
        for piece in received(self._sock):
            if piece:
                self._take(piece)
            else:
                self._over(Died("its process ended"))

    def _take(self, piece: bytes) -> None:
        self._in += piece
        if len(self._in) < 4 or len(self._in) < 4 + length_of(bytes(self._in[:4])):
            return
        body = bytes(self._in[4:])
        self._in.clear()
        self._answered(unpack(body, Told | Fault))  # type: ignore[arg-type]

    def _answered(self, answer: Told | Fault) -> None:
        request, self._current = self._current, None
        self._hush()
        if request is None:
            return
        if isinstance(answer, Fault):
            self._forget.append(request.key)
        self._ended(request, answer)

    def keep(self, key: int, told: Told, before: Run) -> Run:
        """Return the run after a step, which the process has too; the one before is used up."""
        run = applied(told, before)
        self._kept[key] = run
        if run.status != "RUNNING" or len(self._kept) > RUNS_KEPT:
            oldest = key if run.status != "RUNNING" else next(iter(self._kept))
            del self._kept[oldest]
            self._forget.append(oldest)
        return run

    # -- its end ---------------------------------------------------------------------------------

    def _overdue(self) -> None:
        self._over(Died(f"it took more than {limits.STATE_ADVANCE_S + GRACE_S:g} s"))

    def _over(self, died: Died) -> None:
        self._end()
        request, self._current = self._current, None
        self._hush()
        if request is not None:
            self._ended(request, died)

    def _hush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

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
