"""The store process: frames in, frames out, whatever comes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import Raw, msgpack

from wherry.platforms.sql.answering import Answering
from wherry.platforms.sql.client import StoreClient
from wherry.platforms.sql.process import (
    REQUEST_BYTES,
    Frames,
    answer_frames,
    framed,
)
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Answer, Broken, Count, GetItem, GetState, Nothing, PutState, Request, State
from wherry.ports.platform import REFUSED_STATUS
from wherry.world import ManualClock

decode = msgpack.Decoder(tuple[int, Answer]).decode


def sent(store: SqlStore, *frames: bytes) -> list[bytes]:
    answering = Answering(store)
    found = list(answer_frames(answering, list(frames)))
    answering.finish()
    return found


def answers(store: SqlStore, *frames: bytes) -> list[tuple[int, Answer]]:
    cutter = Frames()
    cutter.feed(b"".join(sent(store, *frames)))
    return [decode(frame) for frame in cutter.take(1000)]


def ask(number: int, request: Request, function: str = "") -> bytes:
    return msgpack.encode((number, function, request))


def test_frames_are_cut_wherever_the_stream_was_broken() -> None:
    stream = b"".join(framed(bytes([n]) * n) for n in range(20))
    for size in (1, 2, 3, 7, 1000):
        cutter, found = Frames(), []
        for at in range(0, len(stream), size):
            cutter.feed(stream[at : at + size])
            found += cutter.take(1000)
        assert found == [bytes([n]) * n for n in range(20)]


def test_no_more_frames_are_taken_than_asked_for() -> None:
    cutter = Frames()
    cutter.feed(framed(b"a") + framed(b"b") + framed(b"c"))
    assert [cutter.take(2), cutter.take(2), cutter.take(2)] == [[b"a", b"b"], [b"c"], []]


def test_a_frame_beyond_the_bound_is_refused() -> None:
    cutter = Frames()
    cutter.feed((REQUEST_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ValueError, match="a frame of"):
        cutter.take(1)


def test_requests_are_answered_under_their_numbers_in_order() -> None:
    store = SqlStore(":memory:", ManualClock())
    found = answers(store, ask(7, PutState("k", b"1")), ask(300, GetState("k")))
    assert found == [(7, Count(1)), (300, State(b"1"))]


def test_reads_are_answered_before_the_writes_that_came_with_them_are_begun() -> None:
    store = SqlStore(":memory:", ManualClock())
    get = ask(2, GetItem("orders", b"sx", b""))
    first, second = sent(store, ask(1, PutState("k", b"1")), get)
    assert [decode(frame[4:]) for frame in (first, second)] == [(2, Nothing()), (1, Count(1))]


@pytest.mark.parametrize(
    "frame",
    [
        msgpack.encode((70_000, "", ["no such request", 1])),
        msgpack.encode((70_000, "", 5)),
        msgpack.encode((70_000, 5, GetState("k"))),
        msgpack.encode((70_000, "", Raw(b"\xc1"))),
        msgpack.encode((70_000, "", GetState("k")))[:-1],
    ],
)
def test_an_unreadable_request_is_answered_as_broken_and_harms_no_other(frame: bytes) -> None:
    store = SqlStore(":memory:", ManualClock())
    found = dict(answers(store, ask(1, PutState("k", b"1")), frame, ask(2, GetState("k"))))
    assert (found[1], found[2]) == (Count(1), State(b"1"))
    broken = found[70_000]
    assert isinstance(broken, Broken)
    assert broken.code == "refused"  # whoever asked is at fault, not the store


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x93", msgpack.encode("text")])
def test_garbage_without_a_number_is_passed_over(frame: bytes) -> None:
    store = SqlStore(":memory:", ManualClock())
    assert answers(store, frame, ask(1, GetState("k"))) == [(1, Nothing())]


def test_the_process_answers_keeps_what_it_said_and_ends_with_its_socket(tmp_path: Path) -> None:
    for expected in (Count(1), Count(0)):
        with StoreClient(str(tmp_path / "s")) as client:
            assert client.run([("", PutState("k", b"1", if_absent=True))]) == [expected]
        assert client.process.returncode == 0


def test_many_requests_and_large_answers_pass_through(tmp_path: Path) -> None:
    with StoreClient(str(tmp_path / "s")) as client:
        value = b"x" * 500_000
        client.run([("", PutState(str(n), value)) for n in range(20)])
        found = client.run([("", GetState(str(n % 20))) for n in range(100)])
        assert found == [State(value)] * 100
        assert client.run([("", GetState("none"))] * 1000) == [Nothing()] * 1000


def test_a_store_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"hello" * 1000)
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "wherry.platforms.sql.process"]
    command += ["--fd", str(theirs.fileno()), "--path", str(tmp_path / "s")]
    with ours, theirs:
        ended = subprocess.run(
            command, pass_fds=[theirs.fileno()], capture_output=True, text=True, check=False
        )
    assert ended.returncode == REFUSED_STATUS
    assert ended.stderr.startswith("wherry store: The store")
    assert len(ended.stderr.splitlines()) == 1


def test_the_process_imports_nothing_that_it_does_not_need() -> None:
    script = "import sys, wherry.platforms.sql.process; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    for heavy in ("asyncio", "subprocess", "pathlib", "email", "ssl", "wherry.blueprint"):
        assert heavy not in out
