"""Blobs: the content of objects, one file each, `ROOT/<bucket>/<2 hex>/<blob id>`.

The row that makes an object visible is in the database; a blob without a row is an orphan,
to be swept. A blob is written as `<blob id>.part` and takes its own name when it is sealed,
complete and durable. It never changes after that.

No path derives from what a user chose: buckets are checked identifiers, ids are hexadecimal,
and no symbolic link below ROOT is followed. The folder is the id modulo a prime, so that ids
which count, at their beginning or at their end, spread as well as digests do.

All names of one folder are changed under a lock on that folder (`flock`, so it holds between
processes and ends with them). Whoever writes a part holds a lock on it, which tells a part that
is being written from one that was left over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, TypeAlias

from wherry import limits
from wherry.errors import Passing
from wherry.names import check_blob, check_bucket

from .faults import ObjectDamaged, disk
from .reader import BlobReader
from .refs import PART, READ_FLAGS, BlobRef
from .sweeping import OrphanSweep, is_being_written
from .writer import BlobWriter, Piece, locked

Content: TypeAlias = Piece | Iterable[bytes] | BinaryIO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SHARDS = 251  # the largest prime of two hexadecimal digits


class Blobs:
    """The blobs below one folder. Synchronous; may be used by many threads and processes.

    Args:
        root: The folder. It is made when the first blob is staged, readable by its owner only.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self._durable: set[str] = set()  # folders whose own names this process has synced

    def stage(
        self, bucket: str, blob: str, *, limit_bytes: int = limits.OBJECT_BYTES
    ) -> BlobWriter:
        """Begin to write a blob; what was left of an earlier attempt is replaced.

        Args:
            bucket: Its bucket.
            blob: Its id, by the caller: 16 to 128 lower-case hexadecimal digits.
            limit_bytes: Writing more than this raises `TooLarge`.

        Raises:
            Passing: Somebody is writing this very blob now.
            StoreFull, StorageFault: As `disk` says.
        """
        what = f"{check_bucket(bucket)}/{check_blob(blob)}"
        with disk("stage", what):
            folder = self._open_or_make_folder(bucket, blob)
            try:
                with locked(folder):
                    part = _create_part(folder, blob, what)
            except BaseException:
                os.close(folder)
                raise
        return BlobWriter(folder, part, blob, what, limit_bytes)

    def put(self, bucket: str, blob: str, content: Content) -> BlobRef:
        """Stage and seal: durable when it returns, and nothing of it is left when it raises.

        Repeating it with the same content is harmless.

        Raises:
            TooLarge: More than `limits.OBJECT_BYTES`.
            BlobSealed: A blob of this id is there with other content.
            Passing, StoreFull, StorageFault: As `stage` says.
        """
        with self.stage(bucket, blob) as writer:
            for piece in _pieces(content):
                writer.write(piece)
            return writer.seal()

    def open(self, bucket: str, ref: BlobRef, *, verify: bool = True) -> BlobReader:
        """Open a sealed blob. Its size is checked now, its checksum while it is read.

        Args:
            bucket: Its bucket.
            ref: What `seal` returned.
            verify: Compare the checksum before the last piece is handed out.

        Raises:
            ObjectDamaged: The file is missing or not of its size.
            StorageFault: It cannot be opened.
        """
        what = f"{check_bucket(bucket)}/{check_blob(ref.blob)}"
        with disk("open", what):
            try:
                with self._folder(bucket, _shard(ref.blob)) as folder:
                    file = os.open(ref.blob, READ_FLAGS, dir_fd=folder)
            except FileNotFoundError as error:
                raise ObjectDamaged(
                    f"The content of {what} is missing from the disk.",
                    advice="Restore the data folder from a backup, or store the object again.",
                ) from error
        return BlobReader(file, ref, what, verify=verify)

    def check(self, bucket: str, ref: BlobRef) -> str:
        """Read a sealed blob once against its checksum; return the path of its file.

        Raises:
            ObjectDamaged: It is missing, or not what was sealed.
            StorageFault: It cannot be read.
        """
        with self.open(bucket, ref) as reader:
            for _ in reader:
                pass
        return self.path(bucket, ref)

    def keep(self, bucket: str, ref: BlobRef) -> None:
        """Bring a blob that another process has sealed to where it stays: here, it is there."""

    def path(self, bucket: str, ref: BlobRef) -> str:
        """Return the path of the file of a sealed blob. Whoever reads it checks nothing."""
        blob = check_blob(ref.blob)
        return os.path.join(self._root, check_bucket(bucket), _shard(blob), blob)

    def delete(self, bucket: str, blob: str) -> None:
        """Remove a sealed blob, if it is there. Open readers may read it to its end.

        It is not synced: after a power cut it may be back, as an orphan.
        """
        what = f"{check_bucket(bucket)}/{check_blob(blob)}"
        with (
            disk("delete", what),
            suppress(FileNotFoundError),
            self._folder(bucket, _shard(blob)) as folder,
            locked(folder),
        ):
            os.unlink(blob, dir_fd=folder)

    def buckets(self) -> list[str]:
        """Return the buckets that have a folder here, whether declared or not.

        Raises:
            StorageFault: As `disk` says.
        """
        with disk("sweep", "the buckets"):
            try:
                names = sorted(os.listdir(self._root))
            except FileNotFoundError:
                return []
        return [name for name in names if _is_bucket(name)]

    def sweep(self, bucket: str, sweep: OrphanSweep) -> int:
        """Take every step of `sweep_steps` and return how many files were removed."""
        return sum(self.sweep_steps(bucket, sweep))

    def sweep_steps(self, bucket: str, sweep: OrphanSweep) -> Iterator[int]:
        """Remove orphans and left-over parts, in steps of at most `limits.SWEEP_BATCH` files.

        Yields:
            How many files this step removed.

        Raises:
            StorageFault: As `disk` says.
        """
        check_bucket(bucket)
        for number in range(_SHARDS):
            shard = f"{number:02x}"
            with disk("sweep", f"{bucket}/{shard}"):
                try:
                    folder = self._open_folder(bucket, shard)
                except FileNotFoundError:
                    continue
            try:
                with disk("sweep", f"{bucket}/{shard}"):
                    names = os.listdir(folder)
                yield from sweep.steps(folder, names)
            finally:
                os.close(folder)

    @contextmanager
    def _folder(self, bucket: str, shard: str) -> Iterator[int]:
        folder = self._open_folder(bucket, shard)
        try:
            yield folder
        finally:
            os.close(folder)

    def _open_folder(self, bucket: str, shard: str) -> int:
        """Walk down from the root, so that a link at any height is refused."""
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            above = os.open(bucket, _FOLDER, dir_fd=root)
        finally:
            os.close(root)
        try:
            return os.open(shard, _FOLDER, dir_fd=above)
        finally:
            os.close(above)

    def _open_or_make_folder(self, bucket: str, blob: str) -> int:
        shard = _shard(blob)
        if f"{bucket}/{shard}" in self._durable:
            with suppress(FileNotFoundError):
                return self._open_folder(bucket, shard)
        _make_folders(self._root)
        root = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            above = _open_or_make(root, bucket)
        finally:
            os.close(root)
        try:
            folder = _open_or_make(above, shard)
        finally:
            os.close(above)
        self._durable.add(f"{bucket}/{shard}")
        return folder


def _is_bucket(name: str) -> bool:
    try:
        check_bucket(name)
    except ValueError:
        return False
    return True


def _shard(blob: str) -> str:
    return f"{int(blob, 16) % _SHARDS:02x}"


def _open_or_make(above: int, name: str) -> int:
    with suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=above)
    os.fsync(above)  # also when another process made it: that one may not be at its sync yet
    return os.open(name, _FOLDER, dir_fd=above)


def _make_folders(path: str) -> None:
    if os.path.isdir(path):
        return
    above = os.path.dirname(path)
    _make_folders(above)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    _sync_folder(above)


def _sync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _create_part(folder: int, blob: str, what: str) -> int:
    """Make the part of a blob and take its lock. The folder is locked."""
    from fcntl import LOCK_EX, LOCK_NB, flock

    name = blob + PART
    try:
        part = os.open(name, _CREATE, 0o600, dir_fd=folder)
    except FileExistsError:
        if is_being_written(folder, name):
            raise Passing(
                f"Somebody is writing {what} now.", advice="Try again when that has ended."
            ) from None
        os.unlink(name, dir_fd=folder)
        part = os.open(name, _CREATE, 0o600, dir_fd=folder)
    flock(part, LOCK_EX | LOCK_NB)
    return part


def _pieces(content: Content) -> Iterator[Piece]:
    if isinstance(content, bytes | bytearray | memoryview):
        yield content
    elif isinstance(content, Iterable) and not hasattr(content, "read"):
        yield from content
    else:
        while (piece := content.read(limits.BLOB_PIECE_BYTES)) != b"":
            yield piece  # None, of a file that does not block, is no end: writing it raises
