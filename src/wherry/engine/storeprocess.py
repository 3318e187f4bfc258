"""The store process, seen from the engine: started, fed in batches, started again if it dies.

Nothing is lost when it dies: every request that has no answer is sent again, in order, to its
successor. A commit that had been applied answers `Already`; so its fate is looked up before
anything is answered.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from wherry.codec import to_msgpack
from wherry.engine.owed import Owed
from wherry.engine.store import Then, When, decode_answer
from wherry.engine.streams import received
from wherry.ports import Broken, Request
from wherry.ports.platform import REFUSED_STATUS
from wherry.runtime.process import places

if TYPE_CHECKING:
    import asyncio

    from wherry.world import Clock

_envelope = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw])
_length = struct.Struct(">I").unpack_from
# How a request begins: the length of what follows, then in msgpack an array of three (number, name
# of the function, request) and its number, in eight bytes.
_head = struct.Struct(">I2sQ").pack
_HEAD_BEGINS, _HEAD_BYTES = b"\x93\xcf", 10
HANGS = Broken("passing", "The disk under the store does not answer.")
NAMES_KEPT = 4_096
_names: dict[str, bytes] = {}


def _packed_name(name: str) -> bytes:
    if len(_names) >= NAMES_KEPT:  # each version brings its own
        _names.clear()
    _names[name] = packed = to_msgpack(name)
    return packed


class StoreProcess:
    """One store process at a time, and what it still owes.

    Args:
        path: The database file.
        on_restart: Called when a successor has been started, before requests are sent again.
        on_gone: Called instead where it died too often in a row, or refuses what it finds.
    """

    gathers = True

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Clock,
        path: str,
        on_restart: Callable[[], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._loop = loop
        self._clock = clock
        self._path = path
        self._on_restart = on_restart
        self._on_gone = on_gone
        self._owed: Owed[bytes] = Owed(loop, self._ask_again, decode_answer)
        self._number = 0
        self._out: list[bytes] = []
        self._rest = b""
        self._in = b""
        self._flushing = False
        self._deaths = 0
        # Asked at the last restart, ahead of what was owed. Asked again behind that, it would take
        # back what that has been answered meanwhile: a message would run twice at once.
        self._at_restart = range(0)
        self._stopping = False
        self.hangs = False  # then nothing more is sent: what it owes goes on, if ever it does
        self._gone: Broken | None = None  # why there is none any more, nor will be
        self._since_s = 0.0  # the last answer, or the first request after all were answered
        self._start()

    @property
    def pid(self) -> int:
        """The process ID of the present store process."""
        return self._process.pid

    @property
    def owed(self) -> int:
        """How many requests have no answer yet."""
        return len(self._owed.entries)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        for end in (ours, theirs):
            for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                end.setsockopt(socket.SOL_SOCKET, option, 1 << 20)
        command = [sys.executable, "-m", "wherry.platforms.sql.process"]
        command += ["--fd", str(theirs.fileno()), "--path", self._path]
        self._process = places.started(command, theirs.fileno())
        theirs.close()
        ours.setblocking(False)
        self._sock = ours
        self._in = b""
        self._loop.add_reader(ours.fileno(), self._readable)

    # -- sending ---------------------------------------------------------------------------------

    def send(self, function: str, request: Request, then: Then, when: When = "soon") -> None:
        if self.hangs or self._gone:
            self._loop.call_soon(then, self._gone or HANGS)
            return
        self._put(self._framed(function, to_msgpack(request), then, True), when == "now")

    def forward(self, function: str, payload: bytes, then: Callable[[bytes], None]) -> None:
        if self.hangs or self._gone:
            self._loop.call_soon(then, to_msgpack(self._gone or HANGS))
            return
        self._put(self._framed(function, payload, then, False))

    def _framed(self, function: str, payload: bytes, then: Then, decoded: bool) -> bytes:
        self._number = number = self._number + 1
        if not self._owed.entries:
            self._since_s = self._clock.steady_s()
        body = (_names.get(function) or _packed_name(function)) + payload
        framed = _head(_HEAD_BYTES + len(body), _HEAD_BEGINS, number) + body
        self._owed.put(number, framed, then, decoded)
        return framed

    def _ask_again(self, number: int, framed: bytes) -> None:
        self._put(framed)

    def _put(self, framed: bytes, now: bool = False) -> None:
        self._out.append(framed)
        if self._flushing:
            return
        if now:
            self._flush()
            return
        self._flushing = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        data = self._rest + b"".join(self._out)
        self._out.clear()
        self._flushing = False
        try:
            sent = self._sock.send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # it died; `_readable` sees that and sends all again
        self._rest = data[sent:]
        if self._rest:
            self._flushing = True
            self._loop.add_writer(self._sock.fileno(), self._writable)

    def _writable(self) -> None:
        self._loop.remove_writer(self._sock.fileno())
        self._flush()

    # -- answers ---------------------------------------------------------------------------------

    def _readable(self) -> None:
        for piece in received(self._sock):
            if piece:
                self._deaths = 0
                self._since_s = self._clock.steady_s()
                self._take(piece)
            else:
                self._died()

    def _take(self, piece: bytes) -> None:
        data = self._in + piece if self._in else piece
        start, size = 4, len(data)
        while start <= size:
            (length,) = _length(data, start - 4)
            end = start + length
            if end > size:
                break
            number, raw = _envelope.decode(data[start:end])
            start = end + 4
            self._owed.answered(number, raw)
        self._in = data[start - 4 :]

    def _died(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        status = self._process.wait()
        if self._stopping:
            return
        self._deaths += 1
        if status == REFUSED_STATUS:
            self._give_up("the store cannot be opened")  # why has been said by its process
            return
        if self._deaths > 5:
            self._give_up(f"the store process ended {self._deaths} times in a row ({status})")
            return
        self._out.clear()
        self._rest = b""
        self.hangs = False
        self._owed.forget(self._at_restart)
        before = self._number
        self._start()
        self._on_restart()
        self._at_restart = range(before + 1, self._number + 1)
        self._owed.lost(before)
        self._flush()

    def _give_up(self, why: str) -> None:
        self._stopping = True
        self._gone = Broken("passing", f"There is no store any more: {why}.")
        self._on_gone(why)
        self._owed.give_up(why)

    def silent_s(self) -> float:
        """Return for how long the store has owed answers and given none."""
        return self._clock.steady_s() - self._since_s if self._owed.entries else 0.0

    def stop(self) -> None:
        """Close the socket, upon which the process ends, and wait for it."""
        if self._stopping:
            return
        self._stopping = True
        self._flush()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # a disk that hangs holds it
                self._process.wait(1)

    def describe(self) -> dict[str, Any]:
        """What the control socket tells of it."""
        return {"pid": self.pid, "owed": self.owed}
