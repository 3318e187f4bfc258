"""One upload on its way to its staging file, written by other threads: a disk may hang."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import errors, limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.offload import Offload
    from wherry.platforms.files.writer import BlobWriter


class Upload:
    """Takes the body of an upload (`http.FillingSink`); one write is under way at a time.

    Args:
        stage: Opens the staging file; called on a thread, with the first piece.
        gone: Called where the body never will be whole.
        content: Does what is done when all is written (default: `offload`). That may take long
            where content goes elsewhere; no client's body is to wait for it.
    """

    def __init__(
        self,
        stage: Callable[[], BlobWriter],
        offload: Offload,
        gone: Callable[[], object],
        content: Offload | None = None,
    ) -> None:
        self._content = content or offload
        self.full = False
        self._stage = stage
        self._offload = offload
        self._gone = gone
        self._writer: BlobWriter | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._writing = False
        self._dropped = False
        self._fault: Exception | None = None
        self._room: list[Callable[[], None]] = []
        self._last: tuple[Callable[[BlobWriter], Any], Callable[[Any], None]] | None = None

    def write(self, piece: bytes) -> None:
        """Take the next bytes. Raises, as a `Problem`, what an earlier write has met."""
        if self._fault is not None:
            raise storage_problem(self._fault)
        self._waiting.append(piece)
        self._waiting_bytes += len(piece)
        self._next()
        self.full = self._waiting_bytes > limits.BLOB_PIECE_BYTES

    def on_room(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when there is room again."""
        self._room.append(callback)

    def close(self, complete: bool) -> None:
        """The body is whole, or never will be: then nothing of it stays."""
        if not complete:
            self._dropped = True
            self._waiting.clear()
            self._gone()
            self._next()

    def finish(self, work: Callable[[BlobWriter], Any], then: Callable[[Any], None]) -> None:
        """Do this when all is written; `then` gets its result, or what went wrong before."""
        self._last = work, then
        self._next()

    def _next(self) -> None:
        if self._writing:
            return
        if self._dropped:
            writer, self._writer = self._writer, None
            if writer is not None:
                self._offload(writer.abandon, _ignore)
        elif self._waiting:
            pieces, self._waiting, self._waiting_bytes = self._waiting, [], 0
            self._writing = True
            self._offload(lambda: self._write(pieces), self._written)
        elif self._last is not None:
            (work, then), self._last = self._last, None
            if self._fault is not None:
                then(self._fault)
            else:
                self._content(lambda: work(self._opened()), then)

    def _opened(self) -> BlobWriter:
        if self._writer is None:
            self._writer = self._stage()
        return self._writer

    def _write(self, pieces: list[bytes]) -> None:
        writer = self._opened()
        for piece in pieces:
            writer.write(piece)

    def _written(self, result: Any) -> None:
        self._writing = False
        if isinstance(result, Exception):
            self._fault = result
            self._waiting.clear()
        self._next()
        self.full = False
        room, self._room = self._room, []
        for callback in room:
            callback()


def storage_problem(error: Exception) -> errors.Problem:
    """Return what a caller is told of a storage that failed."""
    if isinstance(error, errors.Problem):
        return error
    if isinstance(error, errors.StoreFull):
        full = errors.Unavailable("There is no room for it now.")
        full.status, full.code = 507, error.code
        return full
    if isinstance(error, errors.Passing):
        passing = errors.Unavailable(
            "The storage of objects cannot be used now; nothing was stored.",
            headers={"retry-after": "5"},
        )
        passing.code = error.code
        return passing
    failed = errors.HandlerFailed("The storage failed; nothing was stored.")
    failed.code = getattr(error, "code", "storage_fault")
    return failed


def _ignore(result: Any) -> None:
    """A part that could not be removed is swept later."""
