"""The engine's end of one environment: a socket and a mailbox to it, a pipe from its output.

An environment runs one invocation at a time. While it does, it may ask: for a read, a secret, a
signature, the commit of a named step. Then it sends its outcome.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import MsgspecError

from wherry import limits
from wherry.engine.mailbox import Mailbox, SocketChannel
from wherry.handles.logs import whole
from wherry.invocation import Spent
from wherry.platforms.socket import (
    ANSWER,
    BROKER,
    BY_STREAM,
    INVOKE,
    OUTCOME,
    PRINTED,
    READ,
    READY,
    SPENT,
    STEP,
    frame,
)
from wherry.runtime.process.trees import asleep

if TYPE_CHECKING:
    import asyncio

    from wherry.engine.work import Work

_head = struct.Struct(">Ic").unpack_from  # of a frame: its length, with the kind; the kind
_done = struct.Struct(">QI").unpack_from  # which run an outcome is of, and what that took
_spent = msgspec.msgpack.Decoder(Spent)

OUTPUT_BYTES = 65_536  # taken at once: as much as a pipe holds
OUTPUT_AGAIN_S = 0.01  # until more is taken of who fills its pipe: at most 6 MB/s of each


class Listener(Protocol):
    """Who is told what an environment says."""

    def ready(self, environment: Environment, guards: bytes) -> None: ...

    def outcome(self, environment: Environment, payload: bytes) -> None: ...

    def asked(self, environment: Environment, kind: bytes, payload: bytes) -> None: ...

    def output(self, environment: Environment, text: bytes) -> None: ...

    def ended(self, environment: Environment) -> None: ...


class Environment(Protocol):
    """Where a function runs: a process of its own, or (for a debugger, for tests) this one."""

    function: str
    pid: int
    work: Work | None
    idle_since_s: float
    runs: int
    ran_s: float  # how long its last run took, by itself
    end: str
    mailbox: Mailbox | None  # None: nothing can wait in front of it
    unsigned: list[bytes]  # lines it has printed, of which it has not said in which run
    spent: Spent | None  # what the present run came to; None: it was quick, or goes on
    asked: int  # how often its present run, or the one that has just ended, has asked

    def run(self, payload: bytes, at_once: bool) -> None:
        """Start an invocation (encoded); not at once: with others that follow in a moment."""
        ...

    def answer(self, payload: bytes) -> None:
        """Answer what it asked."""
        ...

    def asleep(self) -> bool:
        """Whether its run waits now for something outside."""
        ...

    def kill(self, why: str) -> None:
        """End it at once, with all of its processes. `Listener.ended` follows."""
        ...

    def drain_output(self, over: bool = False) -> None:
        """Pass on what it has printed so far; `over`: nothing more belongs to that."""
        ...


class ProcessEnvironment:
    """An environment in a process of its own, forked by the zygote."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: str,
        sock: socket.socket,
        channel: SocketChannel | None,
        output_fd: int,
        listener: Listener,
        killer: Killer,
    ) -> None:
        self.function = function
        self.pid = 0
        self.work: Work | None = None
        self.idle_since_s = 0.0
        self.runs = 0
        self.ran_s = 0.0
        self.end = ""
        self.mailbox = Mailbox(channel, loop) if channel is not None else None
        self._channel = channel
        self.unsigned: list[bytes] = []
        self.spent: Spent | None = None
        self.asked = 0
        self._asking = False
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._output_fd = output_fd
        self._listener = listener
        self._killer = killer
        self._in = b""
        self._out = b""
        self._ready = False
        self._draining = False
        self._held = b""  # printed, and told with what is printed next
        sock.setblocking(False)
        os.set_blocking(output_fd, False)
        loop.add_reader(self._fd, self._readable)

    # -- out -------------------------------------------------------------------------------------

    def run(self, payload: bytes, at_once: bool) -> None:
        mailbox = self.mailbox
        if mailbox is not None and len(payload) <= limits.MAIL_BYTES:
            mailbox.begin(payload, at_once)
            return
        if mailbox is not None:
            mailbox.begin(BY_STREAM, at_once=True)
        self._send(frame(INVOKE, payload))

    def answer(self, payload: bytes) -> None:
        self._asking = False
        self._send(frame(ANSWER, payload))

    def asleep(self) -> bool:
        if self._asking or not asleep(self.pid):
            return False
        try:
            self._sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False  # it has said something that is not read yet: it waits for us

    def _send(self, data: bytes) -> None:
        if self._out:
            self._out += data
            return
        try:
            sent = self._sock.send(data)
            if sent == len(data):
                return
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it ended; `_readable` sees that
        if data:
            self._out = data[sent:]
            self._loop.add_writer(self._fd, self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._fd)
        data, self._out = self._out, b""
        if data:
            self._send(data)

    # -- in --------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            piece = self._sock.recv(limits.RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self._closed()
            return
        data = self._in + piece if self._in else piece
        try:
            while (size := len(data)) >= 5:
                length, kind = _head(data)
                end = 4 + length
                if size < end:
                    if length > limits.FRAME_BYTES:
                        self.kill(f"it sent a message of {length} bytes")
                        return
                    break
                payload, data = data[5:end], data[end:]
                self._told(kind, payload)
        except (MsgspecError, UnicodeDecodeError, RecursionError, struct.error) as error:
            self.kill(f"it sent what cannot be read: {error}")
            return
        self._in = data

    def _told(self, kind: bytes, payload: bytes) -> None:
        if kind in (OUTCOME, PRINTED):
            if kind == PRINTED:
                self.drain_output(over=True)
            self._done(payload)
        elif kind in (READ, BROKER, STEP):
            self._asking = True
            self.asked += 1
            self._listener.asked(self, kind, payload)
        elif kind == SPENT:
            self.spent = _spent.decode(payload)
        elif kind == READY and not self._ready:
            self._ready = True
            self._listener.ready(self, payload)
        else:
            self.kill("it sent what no environment sends")

    def _done(self, payload: bytes) -> None:
        number, ran_us = _done(payload)
        if self.work is not None and self.work.number != number:
            self.kill("it answered what it was not asked")  # nobody gets another one's answer
            return
        self.ran_s = ran_us / 1e6
        self._listener.outcome(self, payload[12:])

    def drain_output(self, over: bool = False) -> None:
        try:
            text = os.read(self._output_fd, OUTPUT_BYTES)
        except (BlockingIOError, OSError):
            text = b""
        # A pipe is full before it holds all that: what is written is not split between its pages.
        more = len(text) > OUTPUT_BYTES // 2
        over = over and not text
        text = self._held + text
        if text:  # what may be the begin of a secret waits: for who prints, or for the end
            end = len(text) if over else whole(text, more)
            text, self._held = text[:end], text[end:]
        if text or self.unsigned:
            self._listener.output(self, text)
        if more and not self._draining:
            self._draining = True
            self._loop.call_later(OUTPUT_AGAIN_S, self._drain_again)

    def _drain_again(self) -> None:
        self._draining = False
        if self._output_fd >= 0:
            self.drain_output()

    # -- the end ---------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Whether it says nothing more."""
        return self._fd < 0

    def kill(self, why: str) -> None:
        self.end = self.end or why
        self._killer.kill(self)

    def _closed(self) -> None:
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._fd = -1
        self._sock.close()
        self._killer.closed(self)

    def finish(self, end: str) -> None:
        """Its process was reaped: say so, and let go of what it held."""
        self.end = self.end or end
        if self._fd >= 0:
            self._readable()  # what it said last
        self._closed()
        self.drain_output()
        if self._held:
            self.drain_output(over=True)
        if self._output_fd >= 0:
            os.close(self._output_fd)
            self._output_fd = -1
        self._listener.ended(self)
        if self._channel is not None:
            self._channel.close()


class Killer(Protocol):
    """Who can end a process and learns how it ended (the zygote's engine side)."""

    def kill(self, environment: ProcessEnvironment) -> None: ...

    def closed(self, environment: ProcessEnvironment) -> None: ...
