"""Objects: rows that make blobs visible. A blob that loses its row is garbage in that commit."""

from __future__ import annotations

from typing import Any

from wherry import limits
from wherry.codec import to_msgpack
from wherry.effects import DeleteObject, PutObject
from wherry.platforms.shared.pages import object_bounds, object_page, object_row
from wherry.platforms.sql.catalog import Catalog
from wherry.platforms.sql.session import Session
from wherry.ports import (
    FindOrphans,
    GetObject,
    ListObjects,
    Nothing,
    ObjectPage,
    ObjectRow,
    Orphans,
)


class Objects:
    """The objects of all buckets."""

    def __init__(self, session: Session, catalog: Catalog) -> None:
        self._session = session
        self._catalog = catalog
        self._reported: set[int] = set()

    def forget(self) -> None:
        """After a rollback: report garbage again."""
        self._reported.clear()

    def get(self, request: GetObject) -> ObjectRow | Nothing:
        """Look up one object."""
        row = self._row(request.bucket, request.key)
        return object_row(request.bucket, row) if row else Nothing()

    def _row(self, bucket: str, key: str) -> tuple[Any, ...] | None:
        number = self._catalog.find("bucket", bucket)
        return self._session.row("object_get", number, key.encode()) if number else None

    def page(self, request: ListObjects) -> ObjectPage:
        """List by prefix in the order of the keys' UTF-8."""
        number = self._catalog.find("bucket", request.bucket)
        *bounds, read = object_bounds(request)
        return object_page(request, self._session.rows("objects_page", number, *bounds, read), read)

    def is_there(self, bucket: str, key: str) -> bool:
        """Whether an object is there."""
        return self._row(bucket, key) is not None

    def apply(self, effect: PutObject | DeleteObject) -> ObjectRow | None:
        """Make a blob visible, or an object go; return the one that went.

        The transaction is open.
        """
        session = self._session
        bucket = self._catalog.number("bucket", effect.bucket)
        old = self._row(effect.bucket, effect.key)
        blob = effect.blob if isinstance(effect, PutObject) else None
        if old is not None and old[1] != blob:
            session.write("garbage_add", effect.bucket, old[1], session.now_ms)
        if isinstance(effect, PutObject):
            session.write("garbage_used", effect.blob, effect.bucket)
            session.write(
                "object_put",
                bucket,
                effect.key.encode(),
                effect.blob,
                effect.size_bytes,
                effect.sha256,
                effect.media_type,
                to_msgpack(effect.metadata),
                session.now_ms,
            )
        elif old is not None:
            session.write("object_delete", bucket, effect.key.encode())
            return object_row(effect.bucket, old)
        return None

    def orphans(self, request: FindOrphans) -> Orphans:
        """Return the blobs that no object names. Garbage is named: it goes in its own time."""
        number = self._catalog.find("bucket", request.bucket)
        row = self._session.row
        return Orphans(
            [
                blob
                for blob in request.blobs
                if row("blob_object", blob, number) is None
                and row("blob_garbage", blob, request.bucket) is None
            ]
        )

    def garbage(self, limit: int) -> tuple[int, list[tuple[str, str]]]:
        """Return blobs to remove, old enough that readers have finished.

        They are forgotten at the next call, so that a crash before they were removed reports
        them again.
        """
        for number in self._reported:
            self._session.write("garbage_delete", number)
        count = len(self._reported)
        self._reported.clear()
        before = self._session.now_ms - limits.STAGING_S * 1000
        rows = [row for row in self._session.rows("garbage_old", limit) if row[3] <= before]
        self._reported.update(row[0] for row in rows)
        return count, [(row[1], row[2]) for row in rows]
