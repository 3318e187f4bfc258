"""The HTTP/1.1 server: listens, sweeps, stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress

from wherry.limits import CONNECTION_SWEEP_S, DRAIN_TIMEOUT_S
from wherry.world import Clock

from .bounds import Bounds
from .connection import Connection
from .hub import Hub
from .messages import App, FileSlice, FillingSink, Request, Responder, Response, Sink

_BACKLOG = 2_048


class Server:
    """Serves an app on sockets, on the running event loop.

    Args:
        app: Decides and answers.
        clock: For deadlines and the Date header.
        bounds: Other bounds than those of `wherry.limits`, for tests.
        on_error: Called with an exception of the app that no client may see. By default the
            event loop's exception handler is told.
    """

    def __init__(
        self,
        app: App,
        clock: Clock,
        bounds: Bounds | None = None,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self._app = app
        self._clock = clock
        self._bounds = bounds or Bounds()
        self._on_error = on_error
        self._hub: Hub | None = None
        self._listeners: list[asyncio.Server] = []
        self._tick_handle: asyncio.TimerHandle | None = None
        self._stop_at_s: float | None = None
        self._cut = 0
        self._empty = asyncio.Event()

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._hub.open) if self._hub else 0

    @property
    def in_flight(self) -> int:
        """Requests that the app has and did not answer."""
        return self._hub.in_flight if self._hub else 0

    async def start(self, sockets: Iterable[socket.socket]) -> None:
        """Accept on bound stream sockets; the server closes them when it stops."""
        loop = asyncio.get_running_loop()
        hub = self._hub = self.hub(loop)
        for each in sockets:
            self._listeners.append(
                await loop.create_server(lambda: Connection(hub), sock=each, backlog=_BACKLOG)
            )
        self._tick()

    def hub(self, loop: asyncio.AbstractEventLoop) -> Hub:
        """Return what the connections of this server share."""
        return Hub(self._app, self._clock, self._bounds, loop, self._on_error)

    def sweep(self) -> None:
        """Close what is over its deadline. Runs by itself every `CONNECTION_SWEEP_S`."""
        if self._hub is None:
            return
        self._hub.sweep()
        if self._stop_at_s is not None and self._clock.steady_s() >= self._stop_at_s:
            self._cut += self._hub.in_flight
            for connection in tuple(self._hub.open):
                connection.abort()

    async def leave(self, leave_s: float, left: asyncio.Event) -> None:
        """Serve on for a while, and keep no connection: who sends requests is to go elsewhere.

        Args:
            leave_s: How long.
            left: Ends it before that.
        """
        if self._hub is not None:
            self._hub.stopping = True
            with suppress(TimeoutError):
                await asyncio.wait_for(left.wait(), leave_s)

    async def stop(self, drain_timeout_s: float = DRAIN_TIMEOUT_S) -> int:
        """Stop: accept no more, close idle connections, finish requests that are under way.

        A connection that has just been made is let have its first request answered.

        Args:
            drain_timeout_s: After this the rest is cut off.

        Returns:
            How many requests were cut off.
        """
        hub = self._hub
        if hub is None:
            return 0
        hub.stopping = True
        hub.on_empty = self._empty.set
        self._stop_at_s = self._clock.steady_s() + drain_timeout_s
        let_in = asyncio.Event()  # who has come so far
        hub.loop.call_soon(let_in.set)
        await let_in.wait()
        for listener in self._listeners:
            listener.close()
        for connection in tuple(hub.open):
            connection.drain()
        while hub.open:
            self._empty.clear()
            await self._empty.wait()
        if self._tick_handle is not None:
            self._tick_handle.cancel()
        return self._cut

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._tick_handle = loop.call_later(CONNECTION_SWEEP_S, self._tick)
        self.sweep()


__all__ = [
    "App",
    "Bounds",
    "FileSlice",
    "FillingSink",
    "Request",
    "Responder",
    "Response",
    "Server",
    "Sink",
]
