"""Blobs in S3, with files here that are written first and read again: a spool and a cache.

What is sealed is sealed here, then sent; only then it is durable, and only then a row may name
it. What is read is brought here, compared with its checksum, and read like any other file. So a
file that is missing here is no loss, and one that is damaged is brought again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING

from wherry import limits
from wherry.errors import Passing, WherryError
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.faults import ObjectDamaged, disk

from .cache import Cache
from .faults import BrokeOff, ObjectsUnavailable

if TYPE_CHECKING:
    from wherry.platforms.files.reader import BlobReader
    from wherry.platforms.files.refs import BlobRef
    from wherry.platforms.files.sweeping import OrphanSweep
    from wherry.platforms.files.writer import BlobWriter
    from wherry.world import Clock

    from .remote import Remote


class S3Blobs(Blobs):
    """The blobs below one place in S3. Synchronous; may be used by many threads of one process.

    Args:
        root: The folder of the files.
        cache_bytes: More than this is not kept there for long.
    """

    def __init__(
        self,
        root: str,
        remote: Remote,
        clock: Clock,
        cache_bytes: int = limits.OBJECT_CACHE_BYTES,
    ) -> None:
        super().__init__(root)
        self._remote = remote
        self._cache = Cache(self._root, cache_bytes, clock, super().delete)
        self._lock = Lock()
        self._under_way: dict[tuple[str, str], tuple[Lock, int]] = {}
        self._undeleted: set[tuple[str, str]] = set()

    def stage(
        self, bucket: str, blob: str, *, limit_bytes: int = limits.OBJECT_BYTES
    ) -> BlobWriter:
        """Begin to write a blob; `seal` stores it in S3.

        Raises, besides what files do:
            ObjectsUnavailable: (when it is sealed) S3 did not take it.
        """
        writer = super().stage(bucket, blob, limit_bytes=limit_bytes)
        writer.on_sealed = partial(self.keep, bucket)
        return writer

    def keep(self, bucket: str, ref: BlobRef) -> None:
        """Store a blob that is sealed here; a repeat is harmless. Where it fails, the file goes.

        Raises:
            BlobSealed: Other content is stored under this id.
            Passing, StoreFull, ObjectsUnavailable: It is not stored, or nobody knows.
        """
        try:
            try:
                reader = super().open(bucket, ref, verify=False)
            except ObjectDamaged as error:
                raise Passing(
                    f"The file of {bucket}/{ref.blob} went before it was stored.",
                    advice="Try again; where this goes on, let more stay: OBJECT_CACHE_BYTES.",
                ) from error
            with reader, reader.file() as file:
                self._remote.put(bucket, ref, file)
        except BaseException:
            with suppress(WherryError):
                super().delete(bucket, ref.blob)
            raise
        self._cache.came(ref.size_bytes)

    def open(self, bucket: str, ref: BlobRef, *, verify: bool = True) -> BlobReader:
        """Open a blob; it is brought here first where it is not.

        Raises:
            ObjectDamaged: It is missing in S3, or not what `ref` says.
            ObjectsUnavailable: S3 does not give it now.
            StoreFull, StorageFault: Of the disk here.
        """
        self._bring(bucket, ref)
        for _ in range(limits.S3_ATTEMPTS):  # it may go between the two, when much else comes
            try:
                reader = super().open(bucket, ref, verify=verify)
            except ObjectDamaged:
                self._bring(bucket, ref)
                continue
            reader.on_damage = partial(super().delete, bucket, ref.blob)
            return reader
        raise ObjectsUnavailable(f"There is no room to keep {bucket}/{ref.blob} while it is read.")

    def check(self, bucket: str, ref: BlobRef) -> str:
        """Read a blob once against its checksum; a damaged file is brought again."""
        try:
            return super().check(bucket, ref)
        except ObjectDamaged:
            return super().check(bucket, ref)

    def path(self, bucket: str, ref: BlobRef) -> str:
        """Return the path of the file of a blob; it is brought there first where it is not."""
        self._bring(bucket, ref)
        return super().path(bucket, ref)

    def delete(self, bucket: str, blob: str) -> None:
        """Remove a blob. What S3 does not remove now is remembered for the next sweep."""
        super().delete(bucket, blob)
        try:
            self._remote.delete(bucket, blob)
        except Passing:
            if len(self._undeleted) < limits.S3_UNDELETED:
                self._undeleted.add((bucket, blob))
            raise
        self._undeleted.discard((bucket, blob))

    def buckets(self) -> list[str]:
        """Return the buckets of which something is here, or in S3."""
        return sorted({*super().buckets(), *self._remote.buckets()})

    def sweep_steps(self, bucket: str, sweep: OrphanSweep) -> Iterator[int]:
        """Remove orphans, here and in S3, and left-over parts, in both too.

        Raises:
            StorageFault: Of the disk here.
            ObjectsUnavailable: Of S3.
        """
        # Here also what had a row when it was looked at: another engine may have deleted it.
        yield from super().sweep_steps(bucket, sweep.anew())
        for one in [one for one in list(self._undeleted) if one[0] == bucket]:
            self.delete(*one)
            yield 1
        for written in self._remote.blobs(bucket):
            gone = sweep.among(written)
            for blob in gone:
                self.delete(bucket, blob)
            yield len(gone)
        yield self._remote.abandoned(bucket, sweep.is_left_over)

    # -- inside ------------------------------------------------------------------------------------

    def _bring(self, bucket: str, ref: BlobRef) -> None:
        """See to it that the file is here; one thread brings it, others wait for that."""
        if self._is_here(bucket, ref):
            return
        with self._alone(bucket, ref.blob), self._remote.bounded(ref.size_bytes):
            if self._is_here(bucket, ref):
                return
            super().delete(bucket, ref.blob)  # of another size: damaged
            for left in reversed(range(limits.S3_ATTEMPTS)):
                try:
                    self._download(bucket, ref)
                    break
                except BrokeOff:
                    if not left:
                        raise
        self._cache.came(ref.size_bytes)

    def _download(self, bucket: str, ref: BlobRef) -> None:
        limit_bytes = ref.size_bytes + limits.BLOB_PIECE_BYTES
        with super().stage(bucket, ref.blob, limit_bytes=limit_bytes) as writer:
            self._remote.get(bucket, ref, writer.write)
            writer.seal()

    def _is_here(self, bucket: str, ref: BlobRef) -> bool:
        try:
            with super().open(bucket, ref, verify=False) as reader, reader.file() as file:
                with disk("read", f"{bucket}/{ref.blob}"):
                    os.utime(file.fileno())  # the oldest go first
                return True
        except ObjectDamaged:
            return False

    @contextmanager
    def _alone(self, bucket: str, blob: str) -> Iterator[None]:
        """Keep other threads from the same blob."""
        name = bucket, blob
        with self._lock:
            lock, count = self._under_way.get(name, (Lock(), 0))
            self._under_way[name] = lock, count + 1
        try:
            with lock:
                yield
        finally:
            with self._lock:
                lock, count = self._under_way.pop(name)
                if count > 1:
                    self._under_way[name] = lock, count - 1
