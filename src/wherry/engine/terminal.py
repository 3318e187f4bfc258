"""What is shown to a person or a log collector: told by a thread, so that nobody waits for it.

Who reads standard output may stop reading (a pager, Ctrl-S, a collector that restarts). Then lines
are dropped and counted; in the log files they are all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from wherry import limits

CLOSE_S = 1.0  # for what is still unsaid when the engine ends


class Terminal:
    """Calls `write` and `say` on a thread of its own, in order.

    Args:
        write: Takes log lines in batches; may block.
        say: Tells news of the engine: `say(level, message)`; may block.
    """

    def __init__(self, write: Callable[[bytes], Any], say: Callable[[str, str], Any]) -> None:
        self._write = write
        self._say = say
        self._waiting_bytes = 0
        self._lost_bytes = 0
        self._lock = Lock()
        self._queue: SimpleQueue[bytes | tuple[str, str] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Show lines, unless others wait and these are too much beside them."""
        with self._lock:
            waits = self._waiting_bytes
            if waits and waits + len(lines) > limits.TERMINAL_BYTES:
                self._lost_bytes += len(lines)
                return  # told as soon as what waits is shown
            self._waiting_bytes = waits + len(lines)
        self._queue.put(lines)

    def say(self, level: str, message: str) -> None:
        """Tell news; these are few, none is dropped."""
        self._queue.put((level, message))

    def close(self) -> None:
        """Show what waits, as far as somebody reads it."""
        self._queue.put(None)
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while (told := self._queue.get()) is not None:
            if isinstance(told, tuple):
                self._say(*told)
                continue
            self._write(told)
            with self._lock:
                self._waiting_bytes -= len(told)
                lost, self._lost_bytes = self._lost_bytes, 0
            if lost:
                self._say("warning", f"{lost} bytes of log lines were not shown: nobody read them")
