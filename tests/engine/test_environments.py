"""What the engine hears of an environment, in whichever order that comes."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from wherry.codec import to_msgpack
from wherry.engine.environments import Environment, ProcessEnvironment
from wherry.engine.zygotes import ZygoteProcess
from wherry.handles import logs
from wherry.invocation import HttpEvent, Invocation
from wherry.runtime.process.memory import MemoryGuard
from wherry.runtime.zygote import Hello, Invalid, Setup

PIPE = 65_536  # bytes that a pipe holds

CLOSES = """
import os
import signal

from wherry import App

app = App("closing")

@app.get("/")
def closes() -> None:
    os.closerange(3, 100)
    signal.pause()
"""


class Heard:
    """Who is told what an environment says."""

    def __init__(self) -> None:
        self.is_ready = asyncio.Event()
        self.has_ended = asyncio.Event()
        self.printed = b""

    def ready(self, environment: Environment, guards: bytes) -> None:
        self.is_ready.set()

    def outcome(self, environment: Environment, payload: bytes) -> None:
        raise AssertionError("it answers nothing")

    def asked(self, environment: Environment, kind: bytes, payload: bytes) -> None:
        raise AssertionError("it asks nothing")

    def output(self, environment: Environment, text: bytes) -> None:
        self.printed += logs.hide(text)

    def ended(self, environment: Environment) -> None:
        self.has_ended.set()


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop go on until something holds."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.001)


def request(function: str) -> bytes:
    """Return a request for a function, encoded as an environment gets it."""
    event = HttpEvent(function, "GET", "/", {}, "", {}, b"", None, "127.0.0.1")
    return to_msgpack(Invocation(1, function, "key", "r", "c", "", 1, 0, 1 << 50, event))


def test_one_that_closes_its_socket_is_ended_although_its_process_is_not_known_yet(
    tmp_path: Path,
) -> None:
    """Under load the engine may hear of that before the zygote says which process it is."""
    (tmp_path / "closing.py").write_text(CLOSES)
    place = str(tmp_path)

    async def play() -> None:
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[Hello | Invalid] = loop.create_future()
        setup = Setup("closing:app", place, place, place, os.getpid(), (), False)
        zygote = ZygoteProcess(
            loop, setup, MemoryGuard.open(), loaded.set_result, lambda zygote: None
        )
        assert isinstance(await loaded, Hello)
        zygote.listener = heard = Heard()
        fd = zygote._sock.fileno()
        loop.remove_reader(fd)
        zygote.start("closes", 128)
        [(environment, _)] = zygote._starting.values()
        await heard.is_ready.wait()
        environment.run(request("closes"), at_once=True)
        await until(lambda: environment.closed)
        assert environment.pid == 0
        loop.add_reader(fd, zygote._readable)
        await asyncio.wait_for(heard.has_ended.wait(), 30)
        zygote.stop()
        zygote.wait()

    asyncio.run(play())


class Nobody:
    """There is no process to be killed."""

    def kill(self, environment: ProcessEnvironment) -> None: ...

    def closed(self, environment: ProcessEnvironment) -> None: ...


def test_half_a_secret_waits_for_the_other_half_however_late_that_is_written() -> None:
    """Who prints more than the pipe holds waits for room in it, and then for a processor."""
    secret = b"s3cret"
    before = logs.masked()

    async def play() -> tuple[bytes, bytes]:
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        heard = Heard()
        environment = ProcessEnvironment(
            asyncio.get_running_loop(), "prints", ours, None, read, heard, Nobody()
        )
        os.write(write, b"-" * (PIPE - 3) + secret[:3])
        for _ in range(3):
            environment.drain_output()
        os.write(write, secret[3:] + b" was printed\n" + secret[:2])
        environment.drain_output()
        environment.drain_output()
        said = heard.printed
        environment.drain_output(over=True)  # its run has ended
        os.close(write)
        environment.finish("")
        theirs.close()
        return said[PIPE - 3 :], heard.printed[PIPE - 3 :]

    try:
        logs.mask(secret.decode())
        said, told = asyncio.run(play())
    finally:
        logs.mask_only(before)
    assert said == b"*** was printed\n"
    assert told == said + secret[:2]
