"""What an environment holds: one socket to the engine, and a mailbox; nothing of the store.

Frames in both directions: 4 bytes length (big-endian) of what follows, 1 byte kind, payload.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.codec import to_json, to_msgpack
from wherry.errors import Refused
from wherry.ports import CommitAnswer, FetchBlob, GetSecret, KeepBlob, ReadAnswer, SignUrl

if TYPE_CHECKING:
    import socket

    from wherry.platforms.files.blobs import Blobs
    from wherry.ports import ObjectRow, Read, StepCommit
    from wherry.world import Clock

# engine -> environment
INVOKE = b"I"
ANSWER = b"A"
# environment -> engine
READY = b"H"
OUTCOME = b"O"  # the number of the run (8 bytes), what it took (4 bytes, us), what it came to
PRINTED = b"P"  # an outcome, and something was printed before it
READ = b"R"  # for the store
BROKER = b"B"  # for the engine itself: secrets, signatures, content of objects
STEP = b"S"
SPENT = b"T"  # before the outcome of a run that was not quick: what its time went into
# engine -> environment, in its mailbox, where else an invocation is
BY_STREAM = b"\0"  # the next run is too large for it, and comes over the socket

PRINTED_BY = b'{"printed_by":['  # so such a line begins

_BROKERED = (GetSecret, SignUrl, KeepBlob, FetchBlob)
_HEAD = struct.Struct(">Ic")
_head = _HEAD.pack
_done = struct.Struct(">QI").pack
_LONGEST_US = (1 << 32) - 1
_answer = msgspec.msgpack.Decoder(ReadAnswer).decode


def frame(kind: bytes, payload: bytes) -> bytes:
    """Return one frame."""
    return _head(len(payload) + 1, kind) + payload


def printed_by(request_id: str, correlation_id: str) -> bytes:
    """Return the line that says of which run the prints before it are.

    The next run may have printed too before the engine looks.
    """
    return b"\n%s\n" % to_json({"printed_by": [request_id, correlation_id]})


class EngineGone(SystemExit):
    """The engine closed the socket: this environment has no purpose any more."""


class EngineLink:
    """The environment's end of the socket. One request at a time; threads take turns.

    Args:
        mail: Where invocations come, a message each; None: over the socket.
        blobs: Where content of objects is written and read.
        brought: That is not where it stays: the engine takes it from there, and brings it.
    """

    def __init__(
        self,
        sock: socket.socket,
        mail: socket.socket | None,
        blobs: Blobs | None,
        clock: Clock,
        brought: bool = False,
    ) -> None:
        from _thread import allocate_lock

        self._brought = brought
        self._sock = sock
        self._mail = mail
        self._blobs = blobs
        self._buffer = bytearray()
        self._lock = allocate_lock()
        self._running = False
        self._clock = clock
        self.asked_s = 0.0  # for how long answers of the engine were waited for

    def receive(self) -> tuple[bytes, bytes]:
        """Wait for the next frame; return its kind and payload."""
        buffer = self._buffer
        while True:
            if len(buffer) >= 4:
                end = 4 + int.from_bytes(buffer[:4], "big")
                if len(buffer) >= end:
                    kind, payload = bytes(buffer[4:5]), bytes(buffer[5:end])
                    del buffer[:end]
                    return kind, payload
            piece = self._sock.recv(limits.RECEIVE_BYTES)
            if not piece:
                raise EngineGone(0)
            if not buffer and len(piece) >= _HEAD.size:
                size, kind = _HEAD.unpack_from(piece)
                if len(piece) == 4 + size:  # one frame and no more, as nearly always
                    return kind, piece[5:]
            buffer += piece

    def send(self, kind: bytes, payload: bytes) -> None:
        """Send one frame."""
        if len(payload) >= limits.FRAME_BYTES:
            raise ValueError(f"{len(payload)} bytes are more than a message takes")
        try:
            self._sock.sendall(_head(len(payload) + 1, kind) + payload)
        except (BrokenPipeError, ConnectionResetError):
            raise EngineGone(0) from None

    def begin(self) -> tuple[bytes, bytes]:
        """Wait for the next run; return the frame's kind and payload."""
        found = self.receive() if self._mail is None else self._take(self._mail)
        self._running = True
        return found

    def _take(self, mail: socket.socket) -> tuple[bytes, bytes]:
        payload = mail.recv(limits.MAIL_BYTES)
        if not payload:
            raise EngineGone(0)
        return self.receive() if payload == BY_STREAM else (INVOKE, payload)

    def finish(self, kind: bytes, number: int, ran_s: float, payload: bytes) -> None:
        """Send a run's outcome. What its threads asked is answered before; they ask no more."""
        with self._lock:
            self.send(kind, _done(number, min(int(ran_s * 1e6), _LONGEST_US)) + payload)
            self._running = False

    def _round_trip(self, kind: bytes, payload: bytes) -> bytes:
        with self._lock:
            if not self._running:  # its answer would be taken for the next run, or the reverse
                raise Refused("The handler has returned: its threads can ask for nothing more.")
            began_s = self._clock.steady_s()
            self.send(kind, payload)
            answered, data = self.receive()
            self.asked_s += self._clock.steady_s() - began_s
        if answered != ANSWER:
            raise EngineGone(0)
        return data

    def ask(self, request: Read) -> ReadAnswer:
        """Answer a read (`handles.scope.Link`)."""
        kind = BROKER if isinstance(request, _BROKERED) else READ
        answer: ReadAnswer = _answer(self._round_trip(kind, to_msgpack(request)))
        return answer

    def commit_step(self, step: StepCommit) -> CommitAnswer:
        """Commit a named step (`handles.scope.Link`)."""
        data = self._round_trip(STEP, to_msgpack(step))
        answer: CommitAnswer = msgspec.msgpack.decode(data, type=CommitAnswer)
        return answer

    def stage(self, bucket: str, blob: str) -> Any:
        """Open a writer of a blob; its bytes go straight to the file."""
        writer = self._files().stage(bucket, blob)
        if self._brought:
            from wherry.platforms.files.brought import keep

            keep(self.ask, bucket, writer)
        return writer

    def open_blob(self, bucket: str, row: ObjectRow) -> Any:
        """Open a reader of an object's blob."""
        from wherry.platforms.files.refs import BlobRef

        ref = BlobRef(row.blob, row.size_bytes, row.sha256)
        if self._brought:
            from wherry.platforms.files.brought import bring

            return bring(self.ask, self._files(), bucket, ref)
        return self._files().open(bucket, ref)

    def _files(self) -> Blobs:
        if self._blobs is None:
            raise RuntimeError(f"no folder for objects (process {os.getpid()})")
        return self._blobs
