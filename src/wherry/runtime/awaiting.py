"""Async handlers are run to their end, wherever they are called from."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import ThreadPoolExecutor

T = TypeVar("T")

_here = threading.local()
_threads: list[ThreadPoolExecutor] = []
_waiting: ContextVar[_Waiting | None] = ContextVar("wherry_waiting", default=None)


def awaited(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end, in an event loop that stays for the next ones of this thread.

    Where a loop runs in this thread already (that of the engine, with `--inline`, or that of an
    async test), it is run in another thread while this one waits: with the same context, so that
    it records into the same scope.
    """
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _to_its_end(coroutine)
    return _Waiting().run(coroutine)


def where_it_waits(call: Callable[[], T]) -> T:
    """Call in the thread that waits for the present run, if one does: a loop is that thread's."""
    waiting = _waiting.get()
    return call() if waiting is None or waiting.over else waiting.call(call)


class _Waiting:
    """A thread that waits for a coroutine in another one, and does what that asks it to."""

    def __init__(self) -> None:
        from queue import SimpleQueue

        self.over = False
        self._calls: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        from contextvars import copy_context

        context = copy_context()
        context.run(_waiting.set, self)
        result = _others().submit(context.run, _to_its_end, coroutine)
        result.add_done_callback(lambda result: self._calls.put(self._end))
        while not self.over or not self._calls.empty():  # a thread left behind may ask last
            self._calls.get()()
        return result.result()

    def _end(self) -> None:
        self.over = True

    def call(self, call: Callable[[], T]) -> T:
        from concurrent.futures import Future

        answer: Future[T] = Future()

        def answered() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:  # it is for who asked
                answer.set_exception(error)

        self._calls.put(answered)
        return answer.result()


def _to_its_end(coroutine: Coroutine[Any, Any, Any]) -> Any:
    loop = getattr(_here, "loop", None)
    if loop is None:
        import asyncio

        loop = _here.loop = asyncio.new_event_loop()
    return loop.run_until_complete(coroutine)


def _others() -> ThreadPoolExecutor:
    """The threads for this: one, unless a handler calls another one (`testing.call`).

    It stays, as its loop does: a client that a handler keeps for its next run belongs to a loop.
    """
    if not _threads:
        from concurrent.futures import ThreadPoolExecutor

        _threads.append(ThreadPoolExecutor(thread_name_prefix="handlers"))
    return _threads[0]
