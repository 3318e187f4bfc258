"""Store processes whose clock a test moves: a file says by how many seconds.

They are forked, one after the other, by a process that has imported all they need.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path

from wherry import limits
from wherry.platforms.sql.client import StoreClient
from wherry.platforms.sql.process import Frames, main
from wherry.world import ManualClock


class FileClock:
    """A clock that stands still; the file holds the seconds by which it was moved."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def _clock(self) -> ManualClock:
        clock = ManualClock()
        clock.advance(float(self._path.read_text() or 0))
        return clock

    def now_ms(self) -> int:
        return self._clock().now_ms()

    def steady_s(self) -> float:
        return self._clock().steady_s()


class ForkedClient(StoreClient):
    """A client of such a process; there is one at a time.

    Args:
        path: The database file.
        clock: The file of the clock.
        slow_s: Where commits take longer, a thread syncs.
    """

    def __init__(self, path: Path, clock: Path, slow_s: float = limits.SYNC_SLOW_S) -> None:
        self._forks = _forks()
        self._sock, theirs = socket.socketpair()
        with theirs:
            asked = b"\0".join((os.fsencode(path), os.fsencode(clock), b"%f" % slow_s))
            socket.send_fds(self._forks, [asked], [theirs.fileno()])
        self._frames = Frames()
        self._number = 0

    def close(self) -> None:
        """Let the process end and wait for it."""
        self._sock.close()
        status = int(self._forks.recv(16))
        assert status == 0, f"the store process ended with {status}"


@cache
def _forks() -> socket.socket:
    """Start the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair()
    with theirs:
        command = [sys.executable, __file__, str(theirs.fileno())]
        process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)

    def end() -> None:
        ours.close()
        process.wait(30)

    atexit.register(end)
    return ours


def _fork_each(asked: socket.socket) -> None:
    """Fork a store process for each question, and answer with its exit status."""
    while True:
        question, files, _, _ = socket.recv_fds(asked, 8_192, 1)
        if not question:
            return
        pid = os.fork()
        if pid == 0:
            asked.close()
            path, clock, slow_s = map(os.fsdecode, question.split(b"\0"))
            status = 70
            try:
                status = main(files[0], path, FileClock(clock), float(slow_s))
            finally:
                os._exit(status)
        os.close(files[0])
        _, ended = os.waitpid(pid, 0)
        asked.sendall(b"%d" % os.waitstatus_to_exitcode(ended))


if __name__ == "__main__":
    _fork_each(socket.socket(fileno=int(sys.argv[1])))
