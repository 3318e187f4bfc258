"""A bounded number of connections, handed out last in, first out; who waits too long is told."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from wherry.errors import Passing

Connection: TypeAlias = Any  # asyncpg has no types


async def rest(seconds: float) -> None:
    """Let others run for a while."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[bool] = loop.create_future()
    timer = loop.call_later(seconds, _end, over, True)
    try:
        await over
    finally:
        timer.cancel()


class Pool:
    """Connections of one kind.

    Args:
        connect: Makes a new connection.
        size: How many there are at most.
        wait_s: How long to wait for a free one.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[Connection]], size: int, wait_s: float
    ) -> None:
        self._connect = connect
        self._size = size
        self.wait_s = wait_s
        self._idle: list[Connection] = []
        self._count = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()
        self._closed = False

    def idle(self) -> Connection | None:
        """Return a connection that is nobody else's, if there is one now; `give` it back."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._count -= 1
        return None

    async def take(self) -> Connection:
        """Return a connection that is nobody else's; `give` it back.

        Raises:
            Passing: All were in use for too long, or the pool is closed.
            OSError, asyncpg.PostgresError: No connection can be made.
        """
        while True:
            if self._closed:
                raise Passing("The store is closed.")
            connection = self.idle()
            if connection is not None:
                return connection
            if self._count < self._size:
                self._count += 1
                try:
                    return await self._connect()
                except BaseException:
                    self._count -= 1
                    self._wake()
                    raise
            await self._wait()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        late = loop.call_later(self.wait_s, _end, turn, False)
        try:
            if not await turn:
                raise Passing(
                    f"All {self._size} connections to the database are in use.",
                    advice="Allow more, or look for what holds them.",
                )
        except asyncio.CancelledError:
            if not turn.cancelled():  # it had come: it is the next one's
                self._wake()
            raise
        finally:
            late.cancel()

    def give(self, connection: Connection, sound: bool = True) -> None:
        """Take a connection back; one that is not sound is thrown away."""
        if sound and not self._closed:
            self._idle.append(connection)
        else:
            self._count -= 1
            connection.terminate()
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            if _end(self._waiting.popleft(), True):
                return

    async def close(self) -> None:
        """Close what is idle now, and the others when they come back."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            self._count -= 1
            await connection.close()
        while self._waiting:
            self._wake()


def _end(turn: asyncio.Future[bool], come: bool) -> bool:
    """End a wait: its turn has come, or it is too late. False: nobody waits for it any more."""
    if turn.done():
        return False
    turn.set_result(come)
    return True
