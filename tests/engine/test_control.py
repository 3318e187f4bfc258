"""The control socket: a real engine core on a real loop, asked over a real Unix socket."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import msgspec
import pytest

from wherry import App, limits
from wherry.codec import to_msgpack
from wherry.engine.control import Control
from wherry.engine.controlwire import (
    AccountAsked,
    EngineSaid,
    NoEngine,
    ReloadAsked,
    TokenAsked,
    call,
    framed,
    short_path,
)
from wherry.engine.core import Core, Settings
from wherry.engine.datafolder import DataFolder
from wherry.engine.offload import Threads
from wherry.engine.store import DirectStore
from wherry.errors import Passing
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.sql.store import SqlStore
from wherry.ports import Answer, GetState, Nothing, PutState, Request, State
from wherry.world import Chance, SystemClock

URL = "http://127.0.0.1:8000"


class Engine:
    """An engine without environments and HTTP: what the control socket speaks for."""

    def __init__(self, data: DataFolder, app: App) -> None:
        loop = asyncio.get_running_loop()
        clock = SystemClock()
        self.data = data
        self.platform = SqlStore(data.store, clock)
        self.offload = Threads(loop)
        self.store = DirectStore(self.platform, loop)
        self.loop = loop
        self.stopped = asyncio.Event()
        self.reload_fault: str | None = None
        self.core = Core(
            Settings(public_url=URL, owner="engine-1"),
            loop,
            clock,
            Chance(),
            self.store,
            self.offload,
            Blobs(data.objects),
            data.signing_key(),
            self._ask,
            lambda lines: None,
            lambda blueprint: {},
            "shop",
        )
        self.app = app
        self.control = Control(
            self.core,
            self.offload,
            on_reload=self._reload,
            on_stop=self.stopped.set,
            status=lambda: {"pid": os.getpid()},
        )

    def _reload(self, then: Callable[[str | None], None], accept_schemas: bool) -> None:
        then(None if accept_schemas else self.reload_fault)

    def _ask(self, request: Request) -> Any:
        future: Future[Any] = Future()
        try:
            self.loop.call_soon_threadsafe(self.store.send, "", request, future.set_result)
        except RuntimeError:  # the loop is closed: the issuer's key was still being made
            raise Passing("The engine has stopped.") from None
        return future.result(timeout=30)

    async def start(self) -> None:
        activated = self.loop.create_future()
        release = self.core.prepare(
            self.app.freeze(), "d" * 16, lambda name, memory_mb: None, lambda kept_mb: True
        )
        self.core.activate(release, activated.set_result)
        assert await activated is release
        await self.control.start(self.data)

    async def call(self, verb: str, payload: object = None) -> Any:
        return await asyncio.to_thread(call, self.data, verb, payload)

    async def ask(self, request: Request) -> Any:
        answer = await self.call("ask", to_msgpack(request))
        return msgspec.msgpack.decode(answer, type=Answer)

    async def raw(self, sent: bytes) -> bytes:
        """Send bytes as they are, and read until the engine closes."""
        with short_path(self.data.control_socket) as near:
            reader, writer = await asyncio.open_unix_connection(near)
        writer.write(sent)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()


def shop() -> App:
    app = App("shop")
    app.auth("customers", roles=["customer", "staff"])
    return app


def with_engine(
    path: Path, test: Callable[[Engine], Awaitable[None]], app: App | None = None
) -> None:
    async def run() -> None:
        async with asyncio.timeout(60):
            await served()

    async def served() -> None:
        with DataFolder.open(str(path)) as data:
            engine = Engine(data, app or shop())
            await engine.start()
            try:
                await test(engine)
            finally:
                await engine.control.stop()
                engine.core.stopping = True
                engine.offload.stop()
                engine.platform.close()

    asyncio.run(run())


def test_requests_reach_the_store(tmp_path: Path) -> None:
    """What the command line asks is asked of the store as the engine itself, and answered."""

    async def test(engine: Engine) -> None:
        assert await engine.ask(GetState("k")) == Nothing()
        await engine.ask(PutState("k", b"v"))
        assert await engine.ask(GetState("k")) == State(b"v")

    with_engine(tmp_path, test)


def test_small_verbs_answer(tmp_path: Path) -> None:
    """`status` and `public_url` describe the engine."""

    async def test(engine: Engine) -> None:
        assert await engine.call("status") == {"pid": os.getpid()}
        assert await engine.call("public_url") == URL

    with_engine(tmp_path, test)


def test_a_token_is_good_at_the_gateway(tmp_path: Path) -> None:
    """A token of the operator's is verified by the engine that made it."""

    async def test(engine: Engine) -> None:
        token = await engine.call("token", TokenAsked("", "alice", ["customer"]))
        verified = engine.loop.create_future()
        assert engine.core.gateway.callers is not None
        engine.core.gateway.callers.verify("customers", f"Bearer {token}", verified.set_result)
        caller = await verified
        assert (caller.subject, caller.roles) == ("alice", ("customer",))

    with_engine(tmp_path, test)


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    """A role or an auth that does not exist is refused with the ones that do."""

    async def test(engine: Engine) -> None:
        with pytest.raises(EngineSaid, match=r"customer.*staff"):
            await engine.call("token", TokenAsked("", "alice", ["emperor"]))
        with pytest.raises(EngineSaid, match="customers"):
            await engine.call("token", TokenAsked("sellers", "alice", []))
        with pytest.raises(EngineSaid, match="does not know 'dance'"):
            await engine.call("dance")
        with pytest.raises(EngineSaid) as caught:
            await engine.call("token", ["alice"])
        assert caught.value.code == "bad_request"
        with pytest.raises(EngineSaid):
            await engine.call("ask", b"\x00 no request")

    with_engine(tmp_path, test)


def test_an_app_without_issuers_has_no_tokens(tmp_path: Path) -> None:
    """Where another issuer signs, the command line cannot; with several auths one is named."""

    async def none(engine: Engine) -> None:
        with pytest.raises(EngineSaid, match="no development issuer"):
            await engine.call("token", TokenAsked("", "alice", []))

    async def two(engine: Engine) -> None:
        with pytest.raises(EngineSaid, match="sellers"):
            await engine.call("token", TokenAsked("", "alice", []))

    with_engine(tmp_path / "none", none, App("plain"))
    app = shop()
    app.auth("sellers")
    with_engine(tmp_path / "two", two, app)


def test_accounts_get_any_role(tmp_path: Path) -> None:
    """The operator makes accounts with roles that nobody may take by signing up."""

    async def test(engine: Engine) -> None:
        new = AccountAsked("", "bob", "correct horse battery", ["staff"])
        assert "correct" not in repr(new)
        assert await engine.call("account", new)
        with pytest.raises(EngineSaid, match="taken"):
            await engine.call("account", new)
        with pytest.raises(EngineSaid, match=r"\$\.password"):
            await engine.call("account", AccountAsked("", "eve", "short", ["staff"]))

    with_engine(tmp_path, test)


def test_reload_tells_what_is_wrong(tmp_path: Path) -> None:
    """A version that is not sound is refused with its faults, and the old one goes on."""

    async def test(engine: Engine) -> None:
        assert await engine.call("reload") is None
        engine.reload_fault = "shop:app has faults."
        with pytest.raises(EngineSaid, match=r"shop:app has faults.*old one goes on"):
            await engine.call("reload")
        assert await engine.call("reload", ReloadAsked(accept_schemas=True)) is None

    with_engine(tmp_path, test)


def test_stop_is_answered_first(tmp_path: Path) -> None:
    """Who stops the engine hears that it will, and then it begins to stop."""

    async def test(engine: Engine) -> None:
        await engine.call("stop")
        await asyncio.wait_for(engine.stopped.wait(), 30)

    with_engine(tmp_path, test)


# -- who may ask -----------------------------------------------------------------------------------


def test_only_the_owner_may_connect_and_read_the_token(tmp_path: Path) -> None:
    """Socket and token have mode 0600."""

    async def test(engine: Engine) -> None:
        for path in (engine.data.control_socket, engine.data.control_token):
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    with_engine(tmp_path, test)


def test_without_the_token_nothing_is_done(tmp_path: Path) -> None:
    """A function that finds the socket's path gets nowhere: the token is what counts."""

    async def test(engine: Engine) -> None:
        for token in (b"", b"x" * 32):
            answer = await engine.raw(framed([token, "stop", None]))
            assert b"forbidden" in answer
        assert not engine.stopped.is_set()

    with_engine(tmp_path, test)


def test_garbage_closes_the_connection(tmp_path: Path) -> None:
    """Frames that are too long, or none, end their own connection and nothing else."""

    async def test(engine: Engine) -> None:
        too_long = (limits.CONTROL_REQUEST_BYTES + 1).to_bytes(4, "big")
        for garbage in (too_long, framed("hello"), framed([1, 2, 3]), b"\x00\x00\x00\x02\xc1\xc1"):
            assert await engine.raw(garbage) == b""
        assert await engine.call("public_url") == URL

    with_engine(tmp_path, test)


def test_connections_are_bounded(tmp_path: Path) -> None:
    """Silent connections are counted: beyond the bound one is closed at once."""

    async def test(engine: Engine) -> None:
        path = engine.data.control_socket
        silent = []
        for _ in range(limits.CONTROL_CONNECTIONS):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.connect(path)
            silent.append(sock)
        assert await engine.raw(b"") == b""
        for sock in silent:
            sock.close()

    with_engine(tmp_path, test)


# -- where it is -----------------------------------------------------------------------------------


def test_a_deep_folder_has_a_socket_too(tmp_path: Path) -> None:
    """A path beyond what an address of a Unix socket holds is reached over a link."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)

    async def test(engine: Engine) -> None:
        assert len(engine.data.control_socket) > 108
        assert await engine.call("public_url") == URL
        assert stat.S_ISSOCK(os.stat(engine.data.control_socket).st_mode)

    with_engine(deep, test)


def test_what_a_killed_engine_left_is_replaced(tmp_path: Path) -> None:
    """A socket file that nobody listens on means no engine, and the next engine replaces it."""
    data = DataFolder.open(str(tmp_path))
    Path(data.control_token).write_bytes(b"old")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(data.control_socket)
    dead.close()
    data.close()
    with pytest.raises(NoEngine, match="wherry run"):
        call(data, "status")

    async def test(engine: Engine) -> None:
        assert await engine.call("public_url") == URL

    with_engine(tmp_path, test)
    with pytest.raises(NoEngine):
        call(data, "status")
    assert not os.path.exists(data.control_socket)
    assert not os.path.exists(data.control_token)
