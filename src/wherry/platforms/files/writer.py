"""The writer of one blob: a part that is not visible, then, sealed, a blob."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import TypeAlias

from wherry import limits
from wherry.errors import TooLarge

from .faults import BlobSealed, disk
from .refs import PART, READ_FLAGS, BlobRef

Piece: TypeAlias = bytes | bytearray | memoryview


@contextmanager
def locked(folder: int) -> Iterator[None]:
    """Hold the lock on the names of a folder, between threads and between processes."""
    from fcntl import LOCK_EX, LOCK_UN, flock

    flock(folder, LOCK_EX)
    try:
        yield
    finally:
        flock(folder, LOCK_UN)  # not by closing: a forked child may hold the folder open too


class BlobWriter:
    """Writes one blob. As a context manager it abandons what was not sealed.

    After any error the part is gone, and so is what could be done with the writer.

    `on_sealed` is called by `seal` when all of that is done; what it raises, `seal` raises.
    """

    def __init__(self, folder: int, part: int, blob: str, what: str, limit_bytes: int) -> None:
        from hashlib import sha256

        self._folder, self._part = folder, part
        self._blob, self._what = blob, what
        self._limit_bytes = limit_bytes
        self._size_bytes = 0
        self._sha256 = sha256()
        self._open = True
        self._renamed = False
        self.on_sealed: Callable[[BlobRef], None] | None = None

    @property
    def size_bytes(self) -> int:
        """How much is written so far."""
        return self._size_bytes

    def write(self, content: Piece) -> None:
        """Append.

        Raises:
            TooLarge: The blob would pass its bound.
            StoreFull, StorageFault: As `disk` says.
        """
        self._check_open()
        try:
            with memoryview(content).cast("B") as view:
                if self._size_bytes + len(view) > self._limit_bytes:
                    raise TooLarge(f"An object here has at most {self._limit_bytes} bytes.")
                with disk("write", self._what):
                    done = 0
                    while done < len(view):
                        done += os.write(self._part, view[done:])
                self._sha256.update(view)
                self._size_bytes += len(view)
        except BaseException:
            self.abandon()
            raise

    def seal(self) -> BlobRef:
        """Make the blob durable, then visible under its own name, and that durable too.

        Where the very same content is sealed under this id already, it is simply there.

        Raises:
            BlobSealed: Other content is sealed under this id; it stays.
            StoreFull, StorageFault: As `disk` says. A sync that failed is not tried again: the
                kernel may have dropped what it could not write.
        """
        self._check_open()
        ref = BlobRef(self._blob, self._size_bytes, self._sha256.hexdigest())
        try:
            with disk("seal", self._what):
                os.utime(self._part)  # its age counts from now, for the sweeper
                os.fdatasync(self._part)
                with locked(self._folder):
                    self._check_same(ref)
                    os.rename(
                        self._blob + PART,
                        self._blob,
                        src_dir_fd=self._folder,
                        dst_dir_fd=self._folder,
                    )
                    self._renamed = True
                os.fsync(self._folder)
        except BaseException:
            self.abandon()
            raise
        self._close()
        if self.on_sealed is not None:
            self.on_sealed(ref)
        return ref

    def abandon(self) -> None:
        """Drop what was written; what the disk does not let go, the sweeper takes.

        Does nothing after `seal` or a first `abandon`.
        """
        if not self._open:
            return
        try:
            if not self._renamed:
                with suppress(OSError):  # it must not hide the error that led here
                    os.unlink(self._blob + PART, dir_fd=self._folder)
        finally:
            self._close()

    def __enter__(self) -> BlobWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.abandon()

    def __del__(self) -> None:
        if getattr(self, "_open", False):  # forgotten: let go; the sweeper takes the part
            self._close()

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError(f"The writer of {self._what} is closed; stage it again.")

    def _check_same(self, ref: BlobRef) -> None:
        """Refuse to replace a sealed blob by anything but its own content."""
        from hashlib import sha256

        try:
            file = os.open(self._blob, READ_FLAGS, dir_fd=self._folder)
        except FileNotFoundError:
            return
        try:
            same = os.fstat(file).st_size == ref.size_bytes
            if same:
                found = sha256()
                while piece := os.read(file, limits.BLOB_PIECE_BYTES):
                    found.update(piece)
                same = found.hexdigest() == ref.sha256
        finally:
            os.close(file)
        if not same:
            raise BlobSealed(
                f"{self._what} is sealed with other content, and a sealed blob never changes.",
                advice="Stage the new content under a new id.",
            )

    def _close(self) -> None:
        self._open = False
        os.close(self._part)
        os.close(self._folder)
