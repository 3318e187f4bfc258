"""Where a body ends, found before llhttp sees it: nothing behind the end is ever fed to it."""

from __future__ import annotations

import re

from wherry.limits import CHUNK_LINE_BYTES

from .messages import Sink
from .refusals import malformed

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t\x20-\x7e]*)?\r\n")
# Tiny chunks cost far more than they bring: beyond the first ones an average is asked for.
_FREE_CHUNKS = 1_024
_AVERAGE_CHUNK_BYTES = 16


class Intake:
    """One body on its way in.

    Attributes:
        sink: Who takes the pieces; None: they are collected.
        size: Bytes of content that were announced up to now.
        done: The end was found.
        moved: Bytes that came since the rate was last judged.
        held: Bytes of it that are kept in memory.
    """

    __slots__ = ("_chunks", "_last", "_left", "_line", "done", "held", "moved", "sink", "size")

    def __init__(self, sink: Sink | None, length: int | None) -> None:
        self.sink = sink
        self.size = length or 0
        self.done = False
        self.moved = 0
        self.held = 0
        self._left = self.size
        self._chunks = -1 if length is not None else 0
        self._line = b""
        self._last = False

    def extent(self, data: bytes, at: int) -> int:
        """Return where in `data` the part that belongs to this body ends.

        Raises:
            Refusal: 400 for broken chunk framing.
        """
        start = at
        if self._chunks < 0:
            at += min(self._left, len(data) - at)
            self._left -= at - start
            self.done = not self._left
        else:
            while at < len(data) and not self.done:
                at = self._chunk(data, at)
        self.moved += at - start
        return at

    def _chunk(self, data: bytes, at: int) -> int:
        if self._left:
            step = min(self._left, len(data) - at)
            self._left -= step
            return at + step
        stop = data.find(b"\n", at, at + CHUNK_LINE_BYTES + 1) + 1
        self._line += data[at : stop or at + CHUNK_LINE_BYTES + 1]
        if len(self._line) > CHUNK_LINE_BYTES:
            raise malformed("The line before a chunk is too long.")
        if not stop:
            return len(data)
        line, self._line = self._line, b""
        if self._last:
            if line != b"\r\n":
                raise malformed("Fields behind the last chunk are not taken.")
            self.done = True
            return stop
        found = _SIZE_LINE.fullmatch(line)
        if found is None:
            raise malformed("The size of a chunk cannot be read.")
        size = int(found[1], 16)
        self._last = not size
        self.size += size
        self._left = size + 2 if size else 0  # its CR LF is for llhttp to check
        self._chunks += 1
        if self._chunks > _FREE_CHUNKS and self.size < self._chunks * _AVERAGE_CHUNK_BYTES:
            raise malformed("The chunks are too small.")
        return stop
