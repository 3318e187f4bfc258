"""Lines for a terminal, a log collector or a file: told by a thread, so that nobody waits for it.

Who reads standard output may stop reading (a pager, Ctrl-S, a collector that restarts), and a disk
may hang. Then lines are dropped and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any

from wherry import limits

CLOSE_S = 1.0  # for what is still unsaid when the engine ends


class Aside:
    """Calls `write` and `say` on a thread of its own, in order.

    Args:
        write: Takes log lines in batches; may block.
        say: Tells news of the engine: `say(level, message)`; may block.
        fate: What became of lines that were too many.
    """

    def __init__(
        self, write: Callable[[bytes], Any], say: Callable[[str, str], Any], fate: str
    ) -> None:
        self._write = write
        self._say = say
        self._fate = fate
        self._waiting_bytes = 0
        self._lost_bytes = 0
        self._lock = Lock()
        self._queue: SimpleQueue[bytes | tuple[str, str] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="aside", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Tell lines, unless others wait and these are too much beside them."""
        with self._lock:
            waits = self._waiting_bytes
            if waits and waits + len(lines) > limits.TERMINAL_BYTES:
                self._lost_bytes += len(lines)
                return  # said as soon as what waits is told
            self._waiting_bytes = waits + len(lines)
        self._queue.put(lines)

    def say(self, level: str, message: str) -> None:
        """Tell news; these are few, none is dropped."""
        self._queue.put((level, message))

    def close(self) -> None:
        """Tell what waits, as far as that is taken."""
        self._queue.put(None)
        self._thread.join(CLOSE_S)

    @property
    def ended(self) -> bool:
        """Whether all was told, after `close`."""
        return not self._thread.is_alive()

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
                self._say("warning", f"{lost} bytes of log lines {self._fate}")
