"""The store process: requests in, one transaction and one sync, answers out.

Started by the engine as `python -m wherry.platforms.sql.process --fd N --path FILE`. It reads
frames (4 bytes length, big-endian, then msgpack `[number, function, request]`) from the socket,
takes all that is there as one batch and answers it with one send of `[number, answer]` frames
(and one before it for what is only read). Where syncs are slow it takes what comes meanwhile
(`answering`). One thread, and one that syncs; no event loop. It ends when the socket is closed.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.errors import Refused, WherryError
from wherry.platforms.shared.pages import unreadable
from wherry.platforms.sql.answering import Answering, Answers, Asked
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Broken, Request
from wherry.ports.platform import REFUSED_STATUS
from wherry.world import Clock, SystemClock

BATCH = 256  # requests of one transaction; what is beyond waits for the next
RECEIVE_BYTES = limits.RECEIVE_BYTES
TOO_LARGE = Broken(
    Refused.code,
    f"The answer is larger than {limits.FRAME_BYTES} bytes. Ask for less at once (limit=).",
)
REQUEST_BYTES = 2 * limits.FRAME_BYTES  # an environment's frame, and what the engine adds
IDLE_MS = 50  # nothing asked for so long: time to tidy up

_length = struct.Struct(">I")
_decode = msgspec.msgpack.Decoder(tuple[int, str, Request]).decode


class Frames:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 4  # bytes until there is one frame more

    def feed(self, data: bytes) -> None:
        """Add what was received."""
        self._buffer += data

    def take(self, most: int) -> list[bytes]:
        """Return up to `most` whole frames.

        Raises:
            ValueError: A frame is longer than REQUEST_BYTES.
        """
        held = len(self._buffer)
        if held < self._wanted:  # else a long frame would be copied again with every piece of it
            return []
        length_at = _length.unpack_from
        data, start, end = bytes(self._buffer), 0, 4
        if length_at(data)[0] == held - 4:  # just one, as mostly where little is asked at a time
            self._buffer.clear()
            self._wanted = 4
            return [data[4:]]
        found: list[bytes] = []
        for _ in range(most):
            if end > held:
                break
            end += length_at(data, start)[0]
            if end > held:
                if end - start - 4 > REQUEST_BYTES:  # it comes in pieces, so it is seen here
                    size = end - start - 4
                    raise ValueError(f"a frame of {size} bytes; at most {REQUEST_BYTES} are taken")
                break
            found.append(data[start + 4 : end])
            start, end = end, end + 4
        self._wanted = end - start
        del self._buffer[:start]
        return found


def framed(payload: bytes) -> bytes:
    """Return one frame."""
    return _length.pack(len(payload)) + payload


def answer_frames(answering: Answering, frames: list[bytes]) -> Iterator[bytes]:
    """Run frames; yield the answers' frames as far as they are there, reads before writes.

    What cannot be decoded is answered as broken, where it still has a number.
    """
    asked: list[Asked] = []
    for frame in frames:
        try:
            asked.append(_decode(frame))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield from _undecodable(frame, error)
    for answers in answering.take(asked):
        yield encoded(answers)


def encoded(answers: Answers) -> bytes:
    """Return the frames of answers."""
    out: list[bytes] = []
    for number, answer in answers:
        payload = to_msgpack((number, answer))
        size = len(payload)
        if size > limits.FRAME_BYTES:
            payload = to_msgpack((number, TOO_LARGE))
            size = len(payload)
        out += (_length.pack(size), payload)
    return b"".join(out)


def _undecodable(frame: bytes, error: Exception) -> list[bytes]:
    number = _leading_number(frame)
    if number is None:
        return []  # nobody can wait for an answer without a number
    return [framed(to_msgpack((number, unreadable(error))))]


def _leading_number(frame: bytes) -> int | None:
    """Read the number at the head of a frame, whatever follows it (msgpack, unsigned)."""
    if len(frame) < 2 or frame[0] != 0x93:
        return None
    if frame[1] < 0x80:
        return frame[1]
    width = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}.get(frame[1], 0)
    return int.from_bytes(frame[2 : 2 + width], "big") if width else None


def serve(sock: socket.socket, store: SqlStore, slow_s: float = limits.SYNC_SLOW_S) -> None:
    """Answer until the other end closes the socket."""
    answering = Answering(store, slow_s)
    try:
        _serve(sock, store, answering)
    finally:
        answering.finish()


def _serve(sock: socket.socket, store: SqlStore, answering: Answering) -> None:
    frames = Frames()
    poller = select.poll()
    poller.register(sock, select.POLLIN)
    if answering.told >= 0:
        poller.register(answering.told, select.POLLIN)
    while True:
        batch = frames.take(BATCH)
        if batch:
            for answers in answer_frames(answering, batch):
                sock.sendall(answers)
            if not answering.busy:
                continue
        ready = [fd for fd, _ in poller.poll(0 if batch else IDLE_MS)]
        if answering.told in ready:
            for said in answering.synced():
                sock.sendall(encoded(said))
        if sock.fileno() in ready:
            data = sock.recv(RECEIVE_BYTES)
            if not data:
                return
            frames.feed(data)
        elif not ready and not batch and not answering.busy:
            store.idle()


def main(fd: int, path: str, clock: Clock | None = None, slow_s: float = limits.SYNC_SLOW_S) -> int:
    """Serve the store at `path` on the socket `fd`; return the exit status."""
    # The engine decides when this ends: a signal to the whole group must not come first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sock = socket.socket(fileno=fd)
    os.set_inheritable(fd, False)
    try:
        store = SqlStore(path, clock or SystemClock())
    except WherryError as error:
        print(f"wherry store: {error}", file=sys.stderr, flush=True)
        return REFUSED_STATUS
    # No cycles are made per request: what is there at the start need not be looked at again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
    with suppress(ConnectionResetError, BrokenPipeError):  # the engine is gone
        serve(sock, store, slow_s)
    try:
        store.close()
    except Exception as error:  # nothing is lost: what was answered is in the log
        print(f"wherry store: closing: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    sys.exit(main(int(options["--fd"]), options["--path"]))
