"""What is said over the control socket, and the asking side of it: no event loop needed."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.codec import to_msgpack
from wherry.errors import Passing, WherryError

if TYPE_CHECKING:
    from wherry.engine.datafolder import DataFolder

_SOCKET_PATH_BYTES = 100  # sun_path holds 108 on Linux, 104 on macOS, with its closing zero


class TokenAsked(msgspec.Struct, frozen=True):
    """Verb `token`: an access token of the development issuer of `auth` ("": the only one)."""

    auth: str
    subject: str
    roles: list[str]
    lifetime_s: int = limits.ACCESS_TOKEN_S


class AccountAsked(msgspec.Struct, frozen=True):
    """Verb `account`: an account with any roles. Answered by its subject."""

    auth: str
    username: str
    password: str
    roles: list[str]

    def __repr__(self) -> str:
        return f"AccountAsked({self.auth!r}, {self.username!r}, ***, {self.roles!r})"


class ContentAsked(msgspec.Struct, frozen=True, array_like=True):
    """The content of an object that holds the payload of a message."""

    bucket: str
    key: str


class ReloadAsked(msgspec.Struct, frozen=True):
    """Verb `reload`: also a version whose types do not read what `schemas/` holds?"""

    accept_schemas: bool = False


class Fault(msgspec.Struct, frozen=True):
    """What is answered to a request that failed."""

    code: str
    message: str
    advice: str = ""


class EngineSaid(WherryError):
    """The engine has refused a request; `code` is the refusal's own."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message, advice=fault.advice)
        self.code = fault.code


class NoEngine(Passing):
    """No engine answers on this data folder."""

    code = "no_engine"


_answer = msgspec.msgpack.Decoder(tuple[bool, msgspec.Raw])


def framed(value: object) -> bytes:
    """Encode a value as a frame: 4 bytes length, msgpack."""
    payload = to_msgpack(value)
    return len(payload).to_bytes(4, "big") + payload


def call(
    data: DataFolder,
    verb: str,
    payload: object = None,
    timeout_s: float = limits.CONTROL_ANSWER_S + limits.CONTROL_READ_S,
) -> Any:
    """Ask the engine that owns `data`, and wait for the answer.

    Raises:
        NoEngine: Nobody listens there, or it ended before it answered.
        EngineSaid: It refused.
    """
    try:
        with open(data.control_token, "rb") as file:
            token = file.read()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout_s)
            with short_path(data.control_socket) as near:
                sock.connect(near)
            sock.sendall(framed([token, verb, payload]))
            frame = _read(sock, int.from_bytes(_read(sock, 4), "big"))
    except TimeoutError:
        raise Passing(f"The engine on {data.root} did not answer in {timeout_s:g} s.") from None
    except (OSError, EOFError):
        raise NoEngine(
            f"No engine is running on {data.root}.",
            advice="Start it with `wherry run`, or name its folder with --data.",
        ) from None
    ok, answer = _answer.decode(frame)
    if not ok:
        raise EngineSaid(msgspec.msgpack.decode(answer, type=Fault))
    return msgspec.msgpack.decode(answer)


@contextmanager
def short_path(path: str) -> Iterator[str]:
    """Give a path that fits a Unix socket's address: through a link where `path` is too long."""
    if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
        yield path
        return
    import tempfile

    folder, name = os.path.split(path)
    with tempfile.TemporaryDirectory(prefix="wherry-") as near:
        link = os.path.join(near, "d")
        os.symlink(folder, link)
        yield os.path.join(link, name)


def _read(sock: socket.socket, size: int) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        piece = sock.recv(min(size - len(pieces), 1 << 20))
        if not piece:
            raise EOFError
        pieces += piece
    return bytes(pieces)
