"""A blocking client of a store process: for the command line and for tests."""

from __future__ import annotations

import socket
import subprocess
import sys
from types import TracebackType

import msgspec

from wherry.codec import to_msgpack
from wherry.errors import Passing
from wherry.platforms.sql.process import Frames, framed
from wherry.platforms.sql.touched import READS
from wherry.ports import Answer, Request

PIECE = 64  # requests sent at once: the process answers before it has read all
_answer = msgspec.msgpack.Decoder(tuple[int, Answer])


class StoreClient:
    """Starts a store process of its own, sends requests and waits for the answers.

    Args:
        path: The database file. Nobody else may own it.
        command: What to run instead of the process's module (under a tracer, say).
    """

    def __init__(self, path: str, command: list[str] | None = None) -> None:
        self._sock, theirs = socket.socketpair()
        with theirs:
            start = command or [sys.executable, "-m", "wherry.platforms.sql.process"]
            start = [*start, "--fd", str(theirs.fileno()), "--path", path]
            self.process = subprocess.Popen(
                start, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
            )
        self._frames = Frames()
        self._number = 0

    def __enter__(self) -> StoreClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def run(self, requests: list[tuple[str, Request]]) -> list[Answer]:
        """Answer each request, in order (`Platform.run`).

        Raises:
            Passing: The process died; what was asked may or may not have been done.
        """
        answers: list[Answer] = []
        piece: list[tuple[str, Request]] = []
        wrote = False
        for function, request in requests:
            reads = isinstance(request, READS)
            # The process answers reads first: one that is to see a write is sent after it.
            if len(piece) == PIECE or (reads and wrote):
                answers += self._exchange(piece)
                piece, wrote = [], False
            piece.append((function, request))
            wrote = wrote or not reads
        return answers + self._exchange(piece)

    def _exchange(self, requests: list[tuple[str, Request]]) -> list[Answer]:
        """Send some requests and wait for all of their answers."""
        first = self._number + 1
        self._number += len(requests)
        out = [
            framed(to_msgpack((number, function, request)))
            for number, (function, request) in enumerate(requests, first)
        ]
        answers: dict[int, Answer] = {}
        try:
            self._sock.sendall(b"".join(out))
            while len(answers) < len(requests):
                self._receive(answers)
        except OSError as error:
            raise Passing(f"The store process has ended ({error}).") from None
        return [answers[number] for number in range(first, self._number + 1)]

    def _receive(self, answers: dict[int, Answer]) -> None:
        data = self._sock.recv(1 << 20)
        if not data:
            raise ConnectionResetError("it closed its socket")
        self._frames.feed(data)
        for frame in self._frames.take(1 << 30):
            number, answer = _answer.decode(frame)
            answers[number] = answer

    def close(self) -> None:
        """Let the process end and wait for it."""
        self._sock.close()
        self.process.wait(30)
