"""What a process of ours has said on its socket, up to its end."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from wherry import limits


def received(sock: socket.socket) -> Iterator[bytes]:
    """Yield all that is there to be read now, and b"" where the other end was closed.

    Where a process ends while something that we sent it is unread, libuv tells of that once and
    watches the socket no more. Who takes only a part of what is there then never learns of the end.
    https://github.com/libuv/libuv/blob/v1.x/src/unix/poll.c (uv__poll_io)
    """
    while sock.fileno() >= 0:  # else it was closed for what it said
        try:
            piece = sock.recv(limits.RECEIVE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        yield piece
        if not piece:
            return
