"""A spare: a process that is forked before it is asked for, and waits to become an environment.

The fork and what follows it are half of a cold start. A spare runs nothing of the app, knows no
function and has no function's rights; it is confined as far as all are alike, the rest follows
when it becomes an environment, and ends with its zygote.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec

from wherry.codec import to_msgpack
from wherry.runtime.process.forking import adopt, fork_child, give_up

Become = Callable[[str, Sequence[int], str], NoReturn]  # function, its descriptors, its folder
_BYTES, _FDS = 65_536, 8


class Wanted(msgspec.Struct, frozen=True, array_like=True):
    """What a spare has to become. Its output and its other descriptors come with the message."""

    function: str
    tmp: str


_wanted = msgspec.msgpack.Decoder(Wanted)


class Spare:
    """The zygote's side of it.

    It holds a number, not a socket object: a child's copy of that would, when it is collected,
    close what by then belongs to the function.
    """

    def __init__(self, pid: int, fd: int) -> None:
        self.pid = pid
        self._fd = fd

    @classmethod
    def fork(cls, folder: str, tmp: str, prepare: Callable[[], Become]) -> Spare | None:
        """Fork one, in which what `prepare` returns is called when it is asked for.

        Returns:
            None: There is no room.
        """
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError:
            return None
        fd, child_fd = ours.detach(), theirs.detach()
        try:
            pid = fork_child({child_fd}, tmp_dir=tmp, folder=folder)
        except OSError:
            os.close(fd)
            os.close(child_fd)
            return None
        if pid == 0:
            try:
                _wait(child_fd, prepare())
            except BaseException:
                give_up()
        os.close(child_fd)
        return cls(pid, fd)

    def become(self, function: str, tmp: str, output_fd: int, fds: Sequence[int]) -> bool:
        """Let it be the environment of a function; whether it still could be asked."""
        with socket.socket(fileno=self._fd) as sock:
            try:
                sock.setblocking(False)
                socket.send_fds(sock, [to_msgpack(Wanted(function, tmp))], [output_fd, *fds])
            except OSError:
                return False
        return True

    def forget(self) -> None:
        """It has ended unasked."""
        os.close(self._fd)


def _wait(fd: int, become: Become) -> NoReturn:
    """In the child: wait to be asked. It ends when the zygote does, whose end closes then."""
    with socket.socket(fileno=fd) as sock:
        message, fds, _, _ = socket.recv_fds(sock, _BYTES, _FDS)
    if not message:
        os._exit(0)
    wanted = _wanted.decode(message)
    output_fd, *others = fds
    adopt(wanted.tmp, output_fd)
    become(wanted.function, others, wanted.tmp)
