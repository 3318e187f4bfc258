"""The reader of one sealed blob, which never hands out all of a damaged one."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import BinaryIO

from wherry import limits

from .faults import ObjectDamaged, disk
from .refs import BlobRef


class BlobReader:
    """Reads one blob from its start to its end. A context manager, and an iterator of pieces.

    The last byte is only handed out when the checksum of all of them is right; whoever sends
    pieces on as they come must therefore break off when this raises (and has then sent less
    than the announced size).

    `on_damage` is called before damage is reported.
    """

    def __init__(self, file: int, ref: BlobRef, what: str, *, verify: bool) -> None:
        self._file, self._ref, self._what = file, ref, what
        self._left_bytes = ref.size_bytes
        self._open = True
        self.on_damage: Callable[[], None] | None = None
        try:
            with disk("read", what):
                status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise self._damaged("is not a file")
            if status.st_size != ref.size_bytes:
                raise self._damaged(f"has {status.st_size} bytes instead of {ref.size_bytes}")
        except BaseException:
            self.close()
            raise
        from hashlib import sha256

        self._sha256 = sha256() if verify else None

    @property
    def size_bytes(self) -> int:
        """The size of the whole blob."""
        return self._ref.size_bytes

    def read(self, size_bytes: int = -1) -> bytes:
        """Return the next bytes: `size_bytes` of them, less at the end; all when negative.

        Raises:
            ObjectDamaged: The content is not what was stored. Raised instead of the last bytes.
            StorageFault: The disk cannot read it.
        """
        if not self._open:
            raise ValueError(f"The reader of {self._what} is closed.")
        wanted = self._left_bytes if size_bytes < 0 else min(size_bytes, self._left_bytes)
        pieces = []
        while wanted:
            with disk("read", self._what):
                piece = os.read(self._file, wanted)
            if not piece:
                raise self._damaged(f"ended {self._left_bytes} bytes early")
            if self._sha256 is not None:
                self._sha256.update(piece)
            self._left_bytes -= len(piece)
            wanted -= len(piece)
            pieces.append(piece)
        if (
            self._left_bytes == 0
            and self._sha256 is not None
            and self._sha256.hexdigest() != self._ref.sha256
        ):
            raise self._damaged("does not match its checksum")
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the rest in pieces of `limits.BLOB_PIECE_BYTES`, and close."""
        with self:
            while piece := self.read(limits.BLOB_PIECE_BYTES):
                yield piece

    def file(self) -> BinaryIO:
        """Return the file itself, for who checks what it holds in another way."""
        with disk("read", self._what):
            return os.fdopen(os.dup(self._file), "rb", buffering=0)

    def close(self) -> None:
        """Let go of the file. Harmless when it is closed."""
        if self._open:
            self._open = False
            os.close(self._file)

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_open", False):
            self.close()

    def _damaged(self, how: str) -> ObjectDamaged:
        if self.on_damage is not None:
            self.on_damage()
        return ObjectDamaged(
            f"The content of {self._what} {how}.",
            advice="Restore the data folder from a backup, or store the object again.",
        )
