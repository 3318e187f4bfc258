"""Blocking work (hashing, key fetches, syncs of uploads) away from the loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from wherry.runtime.process import places

if TYPE_CHECKING:
    import asyncio

    from wherry.world import Loop

T = TypeVar("T")


class Offload(Protocol):
    """Runs `work` elsewhere; `then` gets its result or its exception, on the loop."""

    def __call__(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None: ...


class Threads:
    """A few threads, started when they are first needed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, count: int = 8) -> None:
        self._loop = loop
        self._count = count
        self._executor: Any = None

    def __call__(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        if self._executor is None:
            from concurrent.futures import ThreadPoolExecutor

            self._executor = ThreadPoolExecutor(
                self._count, "wherry", initializer=partial(places.free, 0)
            )
        loop = self._loop

        def run() -> None:
            result = attempt(work)
            try:
                loop.call_soon_threadsafe(then, result)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

        self._executor.submit(run)

    def stop(self) -> None:
        """Let go of the threads; what runs is finished, what waits is dropped."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)


class Inline:
    """Runs it here and now, and calls back in the loop's next turn: for tests."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def __call__(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self._loop.call_soon(then, attempt(work))


def attempt(work: Callable[[], T]) -> T | Exception:
    """Return the result of `work`, or its exception."""
    try:
        return work()
    except Exception as error:
        return error
