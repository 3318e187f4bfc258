"""The engine's side of a zygote: it starts one per version, and asks it for environments."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.engine.environments import Listener, ProcessEnvironment
from wherry.engine.mailbox import SocketChannel
from wherry.engine.streams import received
from wherry.runtime.process import places
from wherry.runtime.process.forking import allowed_environment
from wherry.runtime.zygote import Ended, Hello, Invalid, Said, Setup, Start, Started

if TYPE_CHECKING:
    import asyncio

    from wherry.runtime.process.memory import MemoryGuard

_said = msgspec.msgpack.Decoder(Said)


class ZygoteProcess:
    """One version of the app, ready to fork environments.

    Args:
        on_loaded: Called once: with `Hello`, or with `Invalid` if the app cannot be loaded.
        on_gone: Called when it has ended after it was loaded; `stopping` tells whether it was to.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        setup: Setup,
        memory: MemoryGuard,
        on_loaded: Callable[[Hello | Invalid], None],
        on_gone: Callable[[ZygoteProcess], None],
    ) -> None:
        self.setup = setup
        self.environments: dict[int, ProcessEnvironment] = {}  # by process ID
        self.listener: Listener | None = None  # of its environments; set before one is started
        self._loop = loop
        self._memory = memory
        self._on_loaded = on_loaded
        self._on_gone = on_gone
        self._tickets = 0
        self._starting: dict[int, tuple[ProcessEnvironment, int]] = {}
        self._in = b""
        self._loaded = False
        self._fault = "The process that imports the app ended."
        self.stopping = False
        self.ended = False
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._sock = ours
        command = [sys.executable, "-m", "wherry.runtime.zygote", str(theirs.fileno())]
        command.append(msgspec.json.encode(setup).decode())
        self._process = places.started(
            command,
            theirs.fileno(),
            stdout=2,
            cwd=setup.folder,
            env=allowed_environment(os.environ, setup.tmp, {}),
        )
        theirs.close()
        loop.add_reader(ours.fileno(), self._readable)
        loop.call_later(limits.IMPORT_S, self._overdue)

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    # -- starting environments -------------------------------------------------------------------

    def start(self, function: str, memory_mb: int) -> None:
        """Ask for an environment. It tells the listener when it is ready, or has ended."""
        assert self.listener is not None
        ours, theirs = socket.socketpair()
        output_read, output_write = os.pipe()
        self._tickets += 1
        # Other systems have no such sockets: there nothing waits in front of an environment.
        channel = SocketChannel() if sys.platform == "linux" else None
        fds = [theirs.fileno(), *([channel.theirs.fileno()] if channel else [])]
        payload = to_msgpack(Start(self._tickets, function, len(fds)))
        message = len(payload).to_bytes(4, "big") + payload
        environment = ProcessEnvironment(
            self._loop, function, ours, channel, output_read, self.listener, self
        )
        self._starting[self._tickets] = (environment, memory_mb)
        try:
            socket.send_fds(self._sock, [message], [output_write, *fds])
        except OSError:
            pass  # the zygote is gone; `_gone` tells of all that were starting
        finally:
            theirs.close()
            os.close(output_write)

    # -- what it says ----------------------------------------------------------------------------

    def _readable(self) -> None:
        for piece in received(self._sock):
            if piece:
                self._take(piece)
            else:
                self._gone()

    def _take(self, piece: bytes) -> None:
        data = self._in + piece
        while len(data) >= 4 and len(data) >= (end := 4 + int.from_bytes(data[:4], "big")):
            message = _said.decode(data[4:end])
            data = data[end:]
            self._told(message)
        self._in = data

    def _told(self, message: Any) -> None:
        match message:
            case Hello() | Invalid():
                self._loaded = True
                self.stopping = isinstance(message, Invalid)  # it ends by itself
                self._on_loaded(message)
            case Started(ticket=ticket, pid=pid):
                environment, memory_mb = self._starting.pop(ticket)
                environment.pid = pid
                self.environments[pid] = environment
                self._memory.enter(pid, memory_mb)
                if environment.end or environment.closed:  # before it was known which it is
                    self.kill(environment)
            case Ended(pid=pid, text=text):
                found = self.environments.pop(pid, None)
                if found is not None:
                    if self._memory.oom_killed(pid) and not found.end:
                        found.end = f"over its memory limit of {self._memory.bound_mb(pid)} MiB"
                    self._memory.leave(pid)
                    found.finish(text)

    def _gone(self) -> None:
        self.ended = True
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._process.wait()
        lost = [*self.environments.values(), *(found for found, _ in self._starting.values())]
        for pid in self.environments:
            self._memory.leave(pid)
        self.environments.clear()
        self._starting.clear()
        if self._loaded:
            self._on_gone(self)  # first, so that what waits goes on waiting: for the next zygote
        for environment in lost:
            environment.finish("its zygote ended")
        if not self._loaded:
            self._loaded = True
            self._on_loaded(Invalid(self._fault, []))

    # -- ending ----------------------------------------------------------------------------------

    def kill(self, environment: ProcessEnvironment) -> None:
        """End an environment with everything it started (`environments.Killer`)."""
        if environment.pid:
            self._memory.kill(environment.pid, self.pid)

    def closed(self, environment: ProcessEnvironment) -> None:
        """An environment closed its socket: it has ended, or has to (`environments.Killer`)."""
        self.kill(environment)

    @property
    def importing(self) -> bool:
        """Whether it has not said yet what came of importing the app."""
        return not self._loaded

    def give_up(self, why: str) -> None:
        """End the import of the app, if that goes on."""
        if not self._loaded:
            self._fault = why
            self._process.kill()

    def _overdue(self) -> None:
        self.give_up(f"The app was still being imported after {limits.IMPORT_S:g} s.")

    def stop(self) -> None:
        """End it; its environments die with it."""
        self.stopping = True
        if not self._loaded:  # it has none, and may import what never ends
            self._process.kill()
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def wait(self) -> None:
        """Wait until it has ended (after `stop`)."""
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
