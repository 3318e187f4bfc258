"""Buckets: objects under keys. A put is staged at once and becomes visible in the commit."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING, Any

from msgspec import Struct

from wherry import limits
from wherry.blueprint.parts import Grant
from wherry.errors import BadRequest, BoundExceeded, Refused
from wherry.handles.late import Late
from wherry.handles.scope import Scope, refusal, scope_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import Unpack

    from wherry import effects, names, ports
    from wherry.blueprint.parts import Place
    from wherry.handles.options import BatchOptions, Declare, F
    from wherry.handles.tables import Page
    from wherry.ports import ObjectRow
else:
    effects, ports = Late("wherry.effects", globals()), Late("wherry.ports", globals())
    names = Late("wherry.names", globals())

_UNKNOWN = "application/octet-stream"
_HEX = frozenset("0123456789abcdefABCDEF")


class UploadTicket(Struct, frozen=True):
    """A presigned upload: send `method` to `url` with exactly these `headers` and the content."""

    url: str
    method: str
    headers: dict[str, str]
    key: str
    expires_at_ms: int


class ObjectInfo:
    """What is known of an object without reading it."""

    __slots__ = ("created_ms", "key", "media_type", "metadata", "sha256", "size_bytes")

    def __init__(self, row: ObjectRow) -> None:
        self.key = row.key
        self.size_bytes = row.size_bytes
        self.sha256 = row.sha256
        self.media_type = row.media_type
        self.metadata = row.metadata
        self.created_ms = row.created_ms


class StoredObject(ObjectInfo):
    """An object to read: whole with `read()`, or in pieces by iterating; its checksum is held."""

    __slots__ = ("_open",)

    def __init__(self, row: ObjectRow, opener: Any) -> None:
        super().__init__(row)
        self._open = opener

    def read(self) -> bytes:
        """Return the whole content."""
        return b"".join(self)

    def __iter__(self) -> Iterator[bytes]:
        with self._open() as reader:
            yield from reader


class Bucket:
    """A bucket of objects."""

    def __init__(
        self,
        *,
        name: str,
        max_bytes: int = limits.OBJECT_BYTES,
        media_types: tuple[str, ...] = (),
        place: Place | None = None,
        declare: Declare | None = None,
    ) -> None:
        self._declare = declare
        self.name = name
        self.max_bytes = max_bytes
        self.media_types = media_types
        self.place = place
        self.read = Grant(kind="bucket", resource=name, action="read")
        self.create = Grant(kind="bucket", resource=name, action="create")
        self.write = Grant(kind="bucket", resource=name, action="write")
        self.delete = _Deleter(self)

    def __repr__(self) -> str:
        return f"Bucket({self.name!r})"

    def put(
        self,
        key: str,
        content: bytes | IO[bytes] | Iterable[bytes],
        *,
        media_type: str = _UNKNOWN,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
        commit: bool = False,
    ) -> ObjectInfo:
        """Stage content durably; it is seen under `key` when the run commits.

        With the grant `create` only, an object that is there is not replaced (409).

        Args:
            content: Bytes, an open file, or pieces; at most the bucket's `max_bytes`.
            media_type: What a download says it is; an empty one is bytes of no known type.
            metadata: Short texts that a download has in headers, `x-amz-meta-<name>`.
            commit: Where objects are written at once (S3), and may be seen without their commit,
                stage this one there too and copy it after the commit. Here every put is so.

        Raises:
            BoundExceeded: There is more content than the bucket takes; no more of it was read.
        """
        scope = self._scope("create", "write")
        only_new = if_absent or not self._may(scope, "write")
        media_type = self._check(key, media_type, metadata)
        scope.charge(len(key), count=0 if (self.name, key) in scope.objects else 1)
        blob = scope.next_blob()
        with scope.link.stage(self.name, blob) as writer:
            left = self.max_bytes
            for piece in _pieces(content):
                left -= memoryview(piece).nbytes
                if left < 0:
                    raise BoundExceeded(
                        f"The content of {self.name}/{key} has more than {self.max_bytes} bytes.",
                        advice=f"Raise max_bytes of the bucket {self.name!r}, or put less.",
                    )
                writer.write(piece)
            ref = writer.seal()
        effect = effects.PutObject(
            self.name, key, ref.blob, ref.size_bytes, ref.sha256, media_type,
            dict(metadata or {}), only_new, commit,
        )  # fmt: skip
        scope.objects[self.name, key] = effect
        scope.marks.append(f"put {self.name}/{key} ({ref.size_bytes} bytes)")
        now_ms = scope.invocation.started_ms
        return ObjectInfo(
            ports.ObjectRow(self.name, key, ref.blob, ref.size_bytes, ref.sha256, media_type,
                      dict(metadata or {}), now_ms)
        )  # fmt: skip

    def get(self, key: str) -> StoredObject | None:
        """Return the object under `key`, or None. This run's own put is read back."""
        scope = self._scope("read")
        row = self._row(scope, key)
        if row is None:
            return None
        return StoredObject(row, lambda: scope.link.open_blob(self.name, row))

    def head(self, key: str) -> ObjectInfo | None:
        """Return what is known of the object under `key`, or None."""
        row = self._row(self._scope("read"), key)
        return None if row is None else ObjectInfo(row)

    def list(
        self, prefix: str = "", *, limit: int = limits.LIST_LIMIT, cursor: str | None = None
    ) -> Page[ObjectInfo]:
        """Return objects whose key begins with `prefix`, in key order; committed ones only."""
        from wherry.handles.cursors import read_cursor, write_cursor
        from wherry.handles.tables import Page

        scope = self._scope("read")
        if not 1 <= limit <= limits.LIST_LIMIT:
            raise Refused(f"limit={limit} is not in 1..{limits.LIST_LIMIT}.")
        bound = ("list", self.name, prefix)
        after = read_cursor(cursor, bound, bytes.decode)
        page = scope.ask(ports.ListObjects(self.name, prefix, limit, after))
        scope.marks.append(f"list {self.name}/{prefix} ({len(page.rows)})")
        after_key = None if page.after is None else page.after.encode()
        return Page([ObjectInfo(row) for row in page.rows], write_cursor(after_key, bound))

    def presign_upload(
        self,
        key: str,
        *,
        size_bytes: int,
        media_type: str = _UNKNOWN,
        sha256: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_s: int = limits.PRESIGN_S,
    ) -> UploadTicket:
        """Return a ticket to upload exactly this content under exactly this key, until it expires.

        Method, key, size, type, metadata and expiry are signed, the checksum too where it is given
        (64 hexadecimal digits). With the grant `create` only, an object that is there stays.
        """
        from base64 import b64encode

        scope = self._scope("create", "write")
        media_type = self._check(key, media_type, metadata)
        if not 0 <= size_bytes <= self.max_bytes:
            raise BadRequest(f"{size_bytes} bytes: {self.name} takes 0 to {self.max_bytes}.")
        headers = {"content-length": str(size_bytes), "content-type": media_type}
        if sha256 is not None:
            if len(sha256) != 64 or not _HEX.issuperset(sha256):
                raise BadRequest("sha256 is not 64 hexadecimal digits.")
            headers["x-amz-checksum-sha256"] = b64encode(bytes.fromhex(sha256)).decode()
        if not self._may(scope, "write"):
            headers["if-none-match"] = "*"
        headers |= {f"x-amz-meta-{name}": value for name, value in (metadata or {}).items()}
        signed = self._sign(scope, "PUT", key, headers, {}, expires_s)
        return UploadTicket(signed.url, "PUT", signed.headers, key, signed.expires_at_ms)

    def presign_download(
        self, key: str, *, expires_s: int = limits.PRESIGN_S, filename: str | None = None
    ) -> str:
        """Return a URL from which the object can be read until it expires."""
        scope = self._scope("read")
        names.check_key(key)
        query = {}
        if filename is not None:
            from urllib.parse import quote

            shown = quote(filename, safe="")
            query["response-content-disposition"] = f"attachment; filename*=UTF-8''{shown}"
        url: str = self._sign(scope, "GET", key, {}, query, expires_s).url
        return url

    # -- declaring -------------------------------------------------------------------------------

    def on_created(
        self, *, prefix: str = "", suffix: str = "", **options: Unpack[BatchOptions]
    ) -> Callable[[F], F]:
        """Declare a function that is called with an `ObjectCreated` for each that appears.

        Args:
            prefix, suffix: Only keys that begin and end so.
            options: What the function may do and use (`wherry.handles.options`).
        """
        return self._on("created", prefix, suffix, options)

    def on_removed(
        self, *, prefix: str = "", suffix: str = "", **options: Unpack[BatchOptions]
    ) -> Callable[[F], F]:
        """Declare a function that is called with an `ObjectRemoved` for each that goes."""
        return self._on("removed", prefix, suffix, options)

    # -- inside ------------------------------------------------------------------------------------

    def _on(
        self, kind: str, prefix: str, suffix: str, options: Mapping[str, Any]
    ) -> Callable[[F], F]:
        if self._declare is None:
            raise Refused(f"{self!r} is of no app.", advice="Make it with app.bucket(...).")
        source = {"bucket": self.name, "kind": kind, "prefix": prefix, "suffix": suffix}
        return self._declare("object", source, options)

    def _sign(
        self,
        scope: Scope,
        method: str,
        key: str,
        headers: dict[str, str],
        query: dict[str, str],
        expires_s: int,
    ) -> Any:
        if not 1 <= expires_s <= limits.PRESIGN_MAX_S:
            raise Refused(f"expires_s={expires_s} is not in 1..{limits.PRESIGN_MAX_S}.")
        return scope.ask(ports.SignUrl(self.name, key, method, headers, query, expires_s))

    def _may(self, scope: Scope, action: str) -> bool:
        return scope.grants is None or (self.name, action) in scope.grants

    def _scope(self, *actions: str) -> Scope:
        scope = scope_for(f"The bucket {self.name!r}")
        if not any(self._may(scope, action) for action in actions):
            raise refusal(scope, self.name, actions[0])
        return scope

    def _check(self, key: str, media_type: str, metadata: Mapping[str, str] | None) -> str:
        """Hold what is to be stored against what can be served; return its media type."""
        names.check_key(key)
        media_type = names.check_media_type(
            media_type or _UNKNOWN
        )  # as HTTP reads a body of no type
        if self.media_types and media_type not in self.media_types:
            raise BadRequest(
                f"{media_type} is not taken by {self.name}: {', '.join(self.media_types)}."
            )
        size = sum(len(name) + len(value) for name, value in (metadata or {}).items())
        if size > limits.OBJECT_METADATA_BYTES:
            raise BadRequest(f"The metadata has {size} bytes: {limits.OBJECT_METADATA_BYTES}.")
        names.check_metadata(metadata or {})
        return media_type

    def _row(self, scope: Scope, key: str) -> ObjectRow | None:
        names.check_key(key)
        match scope.objects.get((self.name, key)):
            case effects.PutObject() as put:
                return ports.ObjectRow(
                    put.bucket, put.key, put.blob, put.size_bytes, put.sha256, put.media_type,
                    put.metadata, scope.invocation.started_ms,
                )  # fmt: skip
            case effects.DeleteObject():
                return None
            case None:
                answer = scope.ask(ports.GetObject(self.name, key))
                found = isinstance(answer, ports.ObjectRow)
                scope.marks.append(f"read {self.name}/{key}" + ("" if found else " (absent)"))
                return answer if found else None


class _Deleter:
    """`assets.delete`: called, it deletes; among `grants=[...]`, it is the grant to delete."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.grant = Grant(kind="bucket", resource=bucket.name, action="delete")

    def __call__(self, key: str) -> None:
        """Remove an object at the commit. Removing one that is not there is no error."""
        bucket = self._bucket
        scope = bucket._scope("delete", "write")
        names.check_key(key)
        scope.charge(len(key), count=0 if (bucket.name, key) in scope.objects else 1)
        scope.objects[bucket.name, key] = effects.DeleteObject(bucket.name, key)
        scope.marks.append(f"delete {bucket.name}/{key}")


def _pieces(content: Any) -> Iterable[bytes]:
    if isinstance(content, bytes | bytearray | memoryview):
        return (bytes(content),)
    if isinstance(content, str):
        raise TypeError("content is text; encode it: text.encode()")
    read = getattr(content, "read", None)
    if read is not None:
        return iter(lambda: read(256 * 1024), b"")
    return content  # type: ignore[no-any-return]
