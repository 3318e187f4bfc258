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
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from errno import ELOOP
from typing import BinaryIO, TypeAlias

from wherry import limits
from wherry.errors import Passing
from wherry.names import check_blob, check_bucket

from .faults import ObjectDamaged, disk
from .reader import BlobReader
from .refs import PART, READ_FLAGS, BlobRef
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

    def sweep(self, bucket: str, older_than_ms: int, keep: Callable[[str], bool]) -> int:
        """Take every step of `sweep_steps` and return how many files were removed."""
        return sum(self.sweep_steps(bucket, older_than_ms, keep))

    def sweep_steps(
        self, bucket: str, older_than_ms: int, keep: Callable[[str], bool]
    ) -> Iterator[int]:
        """Remove orphans and left-over parts, in steps of at most `limits.SWEEP_BATCH` files.

        Args:
            bucket: Its bucket.
            older_than_ms: Unix time in milliseconds by the machine's clock; files that were
                written later stay. It is to lie `limits.STAGING_S` back, so that what is sealed
                now and committed in a moment is not an orphan yet.
            keep: Whether a row names this blob. Called for every sealed blob that is old enough.

        Yields:
            How many files this step removed.

        Raises:
            StorageFault: As `disk` says.
        """
        check_bucket(bucket)
        looked = removed = 0
        for number in range(_SHARDS):
            for name, folder in self._names(bucket, f"{number:02x}"):
                removed += _sweep_one(folder, name, older_than_ms, keep)
                looked += 1
                if looked == limits.SWEEP_BATCH:
                    yield removed
                    looked = removed = 0
        yield removed

    def _names(self, bucket: str, shard: str) -> Iterator[tuple[str, int]]:
        with disk("sweep", f"{bucket}/{shard}"):
            try:
                with self._folder(bucket, shard) as folder, os.scandir(folder) as entries:
                    for entry in entries:
                        yield entry.name, folder
            except FileNotFoundError:
                return

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
        if _is_being_written(folder, name):
            raise Passing(
                f"Somebody is writing {what} now.", advice="Try again when that has ended."
            ) from None
        os.unlink(name, dir_fd=folder)
        part = os.open(name, _CREATE, 0o600, dir_fd=folder)
    flock(part, LOCK_EX | LOCK_NB)
    return part


def _is_being_written(folder: int, name: str) -> bool:
    """Tell a part with a living writer from a left-over. The folder is locked."""
    from fcntl import LOCK_NB, LOCK_SH, flock

    try:
        part = os.open(name, READ_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == ELOOP:  # a link: nobody writes to that
            return False
        raise
    try:
        flock(part, LOCK_SH | LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(part)
    return False


def _sweep_one(folder: int, name: str, older_than_ms: int, keep: Callable[[str], bool]) -> int:
    blob = name.removesuffix(PART)
    try:
        check_blob(blob)
    except ValueError:
        return 0  # not ours
    is_part = name != blob
    if not _is_old(folder, name, older_than_ms) or (not is_part and keep(blob)):
        return 0
    with disk("sweep", name), locked(folder):
        # Once more: it may have been sealed again since, by a repeat that is about to commit.
        if not _is_old(folder, name, older_than_ms):
            return 0
        if is_part and _is_being_written(folder, name):
            return 0
        os.unlink(name, dir_fd=folder)
    return 1


def _is_old(folder: int, name: str, older_than_ms: int) -> bool:
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return status.st_mtime_ns < older_than_ms * 1_000_000


def _pieces(content: Content) -> Iterator[Piece]:
    if isinstance(content, bytes | bytearray | memoryview):
        yield content
    elif isinstance(content, Iterable) and not hasattr(content, "read"):
        yield from content
    else:
        while (piece := content.read(limits.BLOB_PIECE_BYTES)) != b"":
            yield piece  # None, of a file that does not block, is no end: writing it raises
