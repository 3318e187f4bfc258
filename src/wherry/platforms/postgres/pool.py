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
    over = asyncio.Event()
    timer = loop.call_later(seconds, over.set)
    try:
        await over.wait()
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
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed = False

    async def take(self) -> Connection:
        """Return a connection that is nobody else's; `give` it back.

        Raises:
            Passing: All were in use for too long, or the pool is closed.
            OSError, asyncpg.PostgresError: No connection can be made.
        """
        while True:
            if self._closed:
                raise Passing("The store is closed.")
            while self._idle:
                connection = self._idle.pop()
                if not connection.is_closed():
                    return connection
                self._count -= 1
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
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self.wait_s):
                await turn
        except TimeoutError:
            raise Passing(
                f"All {self._size} connections to the database are in use.",
                advice="Allow more, or look for what holds them.",
            ) from None
        finally:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif turn.cancelled():
                self._wake()

    def give(self, connection: Connection, sound: bool = True) -> None:
        """Take a connection back; one that is not sound is thrown away."""
        if sound and not self._closed and not connection.is_closed():
            self._idle.append(connection)
        else:
            self._count -= 1
            connection.terminate()
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
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
