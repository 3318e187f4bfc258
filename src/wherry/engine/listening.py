"""The socket that an engine listens on."""

from __future__ import annotations

import socket

from wherry.errors import Refused


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0 takes a free one.

    Raises:
        Refused: The port is busy, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise Refused(
            f"{host}:{port} cannot be listened on: {error.strerror}.",
            advice="Choose another --port (0 takes a free one), or another --host.",
        ) from None
    return listener
