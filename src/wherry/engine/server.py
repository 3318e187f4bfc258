"""The engine as a server: HTTP in front, a store process and a zygote behind, one loop between."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.blueprint import Blueprint
from wherry.codec import digest
from wherry.engine import awake
from wherry.engine.aside import Aside
from wherry.engine.control import Control
from wherry.engine.core import Core, Settings
from wherry.engine.datafolder import DataFolder
from wherry.engine.http.server import Server as HttpServer
from wherry.engine.journal import LogFiles
from wherry.engine.listening import listen
from wherry.engine.objectplace import place_of, settled
from wherry.engine.offload import Threads
from wherry.engine.storeplace import remember, settle
from wherry.engine.storeprocess import StoreProcess
from wherry.engine.storewatch import StoreWatch
from wherry.engine.versions import Versions
from wherry.errors import Passing
from wherry.runtime.process.kernel import PR_SET_DUMPABLE, adopt_orphans, kernel
from wherry.runtime.process.memory import MemoryGuard
from wherry.world import Chance, SystemClock

if TYPE_CHECKING:
    from concurrent.futures import Future

    from wherry.engine.awake import Awake
    from wherry.engine.gateway.gateway import Pages
    from wherry.engine.inlineserver import InlineStore, InlineVersions
    from wherry.engine.options import Options
    from wherry.engine.postgres import PostgresClient
    from wherry.engine.workflows.workers import Workers
    from wherry.ports import Request


Say = Callable[..., None]


def serve(
    options: Options,
    *,
    pages: Callable[[Blueprint], Pages],
    write: Callable[[bytes], Any],
    say: Say,
) -> int:
    """Run an engine until it is told to stop; return the exit code.

    Args:
        pages: Makes what is served besides the app.
        write: Takes the log lines (bytes), for the terminal.
        say: Tells the person at the terminal: `say(level, message)`.

    Raises:
        Refused: The data folder is in use, the port is busy, the app has faults.
    """
    data = DataFolder.open(options.data)
    try:
        settle(data, options.store)
        listener = listen(options.host, options.port)
        server = Server(options, data, listener, pages, write, say)
        import uvloop  # a fifth to a half more orders a second than asyncio's own loop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(server.run())
    finally:
        data.close()


class Server:
    """One running engine."""

    def __init__(
        self,
        options: Options,
        data: DataFolder,
        listener: socket.socket,
        pages: Callable[[Blueprint], Pages],
        write: Callable[[bytes], Any],
        say: Say,
    ) -> None:
        self._options = options
        self._data = data
        self._listener = listener
        self._pages = pages
        self._terminal = Aside(write, say, "were not shown: nobody read them")
        self._say = self._terminal.say
        self._clock = SystemClock()
        self._logs = LogFiles(data.logs)
        self._files = Aside(self._logs.write, self._say, "were not written: the disk hangs")
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self.url = options.public_url.rstrip("/") or f"http://{shown}:{port}"
        self._code = 0
        self._ended = False
        self._shared: PostgresClient | None = None  # the store, if other engines may be on it
        self._workers: Workers | None = None  # where expressions of workflows are evaluated
        self._asking: set[Future[Any]] = set()  # threads that wait for the store
        self._awake: Awake | None = None  # who keeps processors awake

    async def run(self) -> int:
        """Serve until stopped."""
        loop = asyncio.get_running_loop()
        offload = Threads(loop)
        owner = f"engine-{os.getpid()}-{self._clock.now_ms()}-{Chance().token(4).hex()}"
        if self._options.store is not None:
            from wherry.engine.postgres import opened

            clock, name = self._clock, _name(self._data)
            self._shared = await opened(self._options.store, clock, Chance(), owner, name)
            remember(self._data, self._options.store)
        self._place = place_of(self._options, self._data.objects, loop, self._clock, offload)
        self._stopped, self._left = asyncio.Event(), asyncio.Event()
        self._loop = loop
        memory = MemoryGuard.open()
        if sys.platform == "linux":
            kernel().prctl(PR_SET_DUMPABLE, 0)
            adopt_orphans()
        self._versions, self._store = self._parts(loop, memory)
        self._core = self._composed(loop, owner, offload)
        if self._shared is not None:
            self._shared.attach(self._core)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop, number == signal.SIGINT)
        loop.add_signal_handler(signal.SIGHUP, self._versions.reload)
        http = HttpServer(self._core.gateway, self._clock, on_error=self._handler_error)
        control = Control(
            self._core,
            offload,
            on_reload=self._versions.reload_then,
            on_stop=self.stop,
            status=self._status,
        )
        try:
            fault = await settled(self._place, self._ask, offload)
            if fault is None:
                self._versions.attach(self._core)
                fault = await self._first_release()
            if self._stopped.is_set():
                pass  # asked to, or there is no store any more: that has been said
            elif fault is not None:
                self._start_failed(fault)
            else:
                self._core.begin_upkeep()
                self._keep_awake()
                self._versions.check_memory()
                StoreWatch(self._core, self._store).look()
                self._place.watch(self._core)
                if self._options.dev:
                    self._versions.watch()
                await http.start([self._listener])
                await control.start(self._data)
                self._begun()
                await self._stopped.wait()
        finally:
            await self._shut_down(http, control, offload, memory)
        return self._code

    async def _first_release(self) -> str | None:
        """Wait until the first version serves, or we are stopped; return why it cannot."""
        loading = self._loop.create_task(self._versions.first_release())
        stopping = self._loop.create_task(self._stopped.wait())
        await asyncio.wait((loading, stopping), return_when=asyncio.FIRST_COMPLETED)
        return loading.result() if loading.done() else None

    def _composed(self, loop: asyncio.AbstractEventLoop, owner: str, offload: Threads) -> Core:
        shared = self._shared
        return Core(
            Settings(
                public_url=self.url,
                owner=owner,
                secrets_folder=self._data.secrets,
                variables=dict(os.environ),
                proxies=self._options.proxies,
                access_log=self._options.access_log,
                node=shared.node if shared else 0,
                name=_name(self._data),
                alone=shared is None,
            ),
            loop,
            self._clock,
            Chance(),
            self._store,
            offload,
            self._place.blobs,
            shared.key if shared else self._data.signing_key(),
            self._ask,
            self._write_lines,
            self._pages,
            self._options.target.partition(":")[0],
            self._start_workers,
            self._place.offload,
        )

    def _parts(
        self, loop: asyncio.AbstractEventLoop, memory: MemoryGuard
    ) -> tuple[Versions | InlineVersions, StoreProcess | InlineStore | PostgresClient]:
        """Start what imports the app, and the store: processes, which start side by side."""
        options, data = self._options, self._data
        if options.inline:
            from wherry.engine.inlineserver import InlineStore, InlineVersions

            store = InlineStore(loop, data.store, self._clock)
            return InlineVersions(options, data, store, self._say), store
        file = options.store.file if options.store else ""
        hidden = (*self._place.hidden, file) if file else self._place.hidden
        versions = Versions(
            loop, self._clock, options, data, memory, self._say, self._others, hidden
        )
        versions.begin()
        if self._shared is not None:
            return versions, self._shared
        store_process = StoreProcess(
            loop, self._clock, data.store, self._store_restarted, self._store_gone
        )
        return versions, store_process

    def _others(self) -> set[int]:
        """The engine's child processes besides zygotes."""
        return {self._store.pid, *(self._workers.pids if self._workers is not None else ())}

    def _keep_awake(self) -> None:
        if not self._options.keep_awake:
            return
        self._awake = awake.opened(self._clock, Chance(), self._core.dispatcher, self._store)
        if self._awake is not None:
            self._core.every(limits.AWAKE_LOOK_S, self._awake.look)

    def _start_workers(self) -> Workers:
        from wherry.engine.workflows.workers import Workers

        self._workers = Workers(
            self._loop, Chance(), lambda text: self._core.journal.say("WARNING", text)
        )
        return self._workers

    # -- stopping --------------------------------------------------------------------------------

    def stop(self, at_once: bool = False) -> None:
        """Stop gracefully: finish what runs, give back what waits.

        Args:
            at_once: Whoever sends us requests need not hear of it before; so it is at a second one.
        """
        if at_once or self._core.stopping:
            self._left.set()
        if not self._core.stopping:
            self._say("info", "stopping: finishing what is running")
            self._core.stopping = True
        self._stopped.set()

    def _start_failed(self, message: str) -> None:
        self._say("error", message)
        self._code = 1

    async def _shut_down(
        self, http: HttpServer, control: Control, offload: Threads, memory: MemoryGuard
    ) -> None:
        core = self._core
        core.stopping = True
        core.feeds.give_back_waiting()
        await http.leave(self._options.leave_s, self._left)  # a load balancer sees that we stop
        await http.stop(limits.DRAIN_TIMEOUT_S)
        give_up_s = self._clock.steady_s() + limits.DRAIN_TIMEOUT_S
        while core.dispatcher.open and self._clock.steady_s() < give_up_s:
            await asyncio.sleep(0.01)
        core.drained = True
        await control.stop()
        self._versions.stop()
        if self._workers is not None:
            self._workers.stop()
        core.journal.flush()
        give_up_s = self._clock.steady_s() + 5
        while self._store.owed and self._clock.steady_s() < give_up_s:
            await asyncio.sleep(0.005)
        self._store.stop()
        if self._shared is not None:
            await self._shared.close()
        self._ended = True
        for future in list(self._asking):  # else the process would wait for its threads
            future.cancel()
        core.journal.flush()
        offload.stop()
        self._place.stop()
        memory.close()
        if self._awake is not None:
            self._awake.close()
        self._files.close()
        if self._files.ended:
            self._logs.close()
        self._data.forget_address()
        self._terminal.close()

    # -- the store -------------------------------------------------------------------------------

    def _ask(self, request: Request) -> Any:
        """Ask the store from another thread, and wait."""
        from concurrent.futures import CancelledError, Future

        future: Future[Any] = Future()
        self._asking.add(future)
        try:
            if self._ended:
                raise CancelledError
            self._loop.call_soon_threadsafe(self._store.send, "", request, future.set_result)
            return future.result(timeout=limits.ASK_TIMEOUT_S)
        except (RuntimeError, TimeoutError, CancelledError):  # stopped, or the store is silent
            raise Passing("The store does not answer now.") from None
        finally:
            self._asking.discard(future)

    def _store_restarted(self) -> None:
        self._say("warning", "the store process ended and was started again")
        feeds = self._core.feeds
        self._store.send("", feeds.recover(), lambda answer: feeds.poll())
        release = self._core.active
        if release is not None:
            request = self._core.configuration(release.blueprint, release.digest)
            self._store.send("", msgspec.structs.replace(request, owner=""), _ignore)

    def _store_gone(self, why: str) -> None:
        self._start_failed(why)
        self._stopped.set()

    # -- telling ---------------------------------------------------------------------------------

    def _begun(self) -> None:
        self._data.write_address(self.url)
        self._say("info", f"{self._options.target} is served at {self.url}")
        if self._shared is not None:
            self._shared.introduce(self._say, self._core.active, bool(self._place.where))
        if self._place.where:
            self._say("info", f"objects lie in {self._place.where}")
        if self._awake is not None and self._awake.heard:
            self._say("info", "processors do not sleep while there is work (--no-keep-awake)")
        # What is alive now stays: a collection need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)

    def _write_lines(self, lines: bytes) -> None:
        self._files.write(lines)
        self._terminal.write(lines)

    def _handler_error(self, error: Exception) -> None:
        import traceback

        text = "".join(traceback.format_exception(error))
        self._core.journal.say("ERROR", "a fault of the engine", exception=text)

    def _status(self) -> dict[str, Any]:
        core = self._core
        pools = {}
        for release in core.releases:
            for name, function in release.functions.items():
                pool = function.pool
                pools[f"{name}@{release.digest[:8]}"] = {
                    "idle": len(pool.idle),
                    "busy": len(pool.busy),
                    "waiting": len(pool.pending),
                    "pids": [found.pid for found in (*pool.busy, *pool.idle)],
                }
        return {
            "url": self.url,
            "pid": os.getpid(),
            "store": self._store.describe(),
            "zygotes": self._versions.describe(),
            "release": core.active.digest if core.active else None,
            "beside": core.beside.other or None,
            "functions": pools,
            "objects_away": core.objects_away or None,
            "unready_indexes": [list(found) for found in core.unready],
        }


def _name(data: DataFolder) -> str:
    """Return what tells this engine from others on its store, also when it starts again."""
    return digest(socket.gethostname(), data.name())[:16]


def _ignore(answer: Any) -> None:
    """An answer that nobody waits for."""
