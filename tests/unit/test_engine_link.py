"""The environment's end of its socket: frames, however they arrive."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from wherry.platforms.socket import ANSWER, INVOKE, EngineGone, EngineLink, frame
from wherry.world import SystemClock

FRAMES = [(INVOKE, b"first"), (ANSWER, b""), (INVOKE, b"x" * 200_000), (ANSWER, b"last")]


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, EngineLink]]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(30)
    with ours, theirs:
        yield ours, EngineLink(theirs, None, None, SystemClock())


@pytest.mark.parametrize("piece_bytes", [1_000_000, 70_000, 7])
def test_frames_are_read_one_by_one_in_whatever_pieces_they_come(
    pair: tuple[socket.socket, EngineLink], piece_bytes: int
) -> None:
    ours, link = pair
    stream = b"".join(frame(kind, payload) for kind, payload in FRAMES)

    def send() -> None:
        for start in range(0, len(stream), piece_bytes):
            ours.sendall(stream[start : start + piece_bytes])

    sender = threading.Thread(target=send)
    sender.start()
    found = [link.receive() for _ in FRAMES]
    sender.join(30)
    assert found == FRAMES


def test_frames_that_come_together_are_kept_for_later(
    pair: tuple[socket.socket, EngineLink],
) -> None:
    ours, link = pair
    ours.sendall(frame(INVOKE, b"one") + frame(ANSWER, b"two") + frame(INVOKE, b"three")[:3])
    assert [link.receive(), link.receive()] == [(INVOKE, b"one"), (ANSWER, b"two")]
    ours.sendall(frame(INVOKE, b"three")[3:])
    assert link.receive() == (INVOKE, b"three")


def test_an_engine_that_is_gone_ends_the_environment(
    pair: tuple[socket.socket, EngineLink],
) -> None:
    ours, link = pair
    ours.sendall(frame(INVOKE, b"half")[:6])
    ours.close()
    with pytest.raises(EngineGone):
        link.receive()
