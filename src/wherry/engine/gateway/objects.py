"""Objects over HTTP: presigned uploads and downloads, streamed between socket and disk."""

from __future__ import annotations

from base64 import b64decode
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Raw

from wherry import errors
from wherry.codec import to_msgpack
from wherry.effects import PutObject
from wherry.engine.gateway.uploads import Upload, storage_problem
from wherry.engine.http.messages import FileSlice, Request, Responder, Response
from wherry.engine.http.wire import can_send
from wherry.platforms.files.blobs import Blobs
from wherry.platforms.files.presign import Verified, split_object_path, verify
from wherry.platforms.files.refs import BlobRef
from wherry.platforms.files.sigv4 import SigningKey
from wherry.ports import Broken, Commit, Committed, GetObject, ObjectRow, Unmet
from wherry.runtime.problems import store_trouble
from wherry.telemetry import InvocationRecord

if TYPE_CHECKING:
    from collections.abc import Callable

    from wherry.engine.numbers import Numbers
    from wherry.engine.offload import Offload
    from wherry.engine.store import Store
    from wherry.platforms.files.writer import BlobWriter
    from wherry.world import Clock

PREFIX = "/_objects"


class Objects:
    """Serves `/_objects/<bucket>/<key>` to whoever has a signed URL.

    Args:
        content: Seals, checks and brings content, which may take long where it lies elsewhere.
        refuse: Turns a problem into a response, with the correlation ID.
        disk_works: Whether the store can write: else no upload is begun, which might hang too.
        sent: Begins what an upload's commit has sent: messages of those that objects trigger.
        told: Says in the log what a caller is not told of a storage that failed.
    """

    def __init__(
        self,
        blobs: Blobs,
        keys: list[SigningKey],
        store: Store,
        numbers: Numbers,
        offload: Offload,
        content: Offload,
        clock: Clock,
        release: Callable[[], str],
        refuse: Callable[[errors.Problem, str], Response],
        disk_works: Callable[[], bool],
        sent: Callable[[Committed], None],
        told: Callable[[str], None],
    ) -> None:
        self.keys = keys
        self._blobs = blobs
        self._store = store
        self._numbers = numbers
        self._offload = offload
        self._content = content
        self._clock = clock
        self._release = release
        self._refuse = refuse
        self._disk_works = disk_works
        self._sent = sent
        self._told = told
        self._uploads: dict[int, tuple[Upload, Verified]] = {}

    def admit(self, request: Request, correlation: str) -> Response | Upload | None:
        """Check the signature; take an upload's body to its staging file."""
        verdict = verify(
            request.method,
            request.target.partition("?")[0],
            request.query,
            request.headers.items(),
            self.keys,
            self._clock.now_ms(),
        )
        if not isinstance(verdict, Verified):
            denied = errors.Forbidden(f"The URL is not valid: {verdict.reason}")
            return self._refuse(denied, correlation)
        if request.method != "PUT":
            return None
        if not self._disk_works():
            return self._refuse(store_trouble(errors.Passing.code), correlation)
        bucket, _ = split_object_path(verdict.path[len(PREFIX) :])
        blob = f"{self._numbers.next():016x}"
        upload = Upload(
            partial(self._blobs.stage, bucket, blob, limit_bytes=verdict.size_bytes),
            self._offload,
            partial(self._uploads.pop, id(request), None),
            self._content,
        )
        self._uploads[id(request)] = (upload, verdict)
        return upload

    def handle(self, request: Request, responder: Responder, correlation: str) -> None:
        """Finish an upload, or serve a download."""
        if request.method == "PUT":
            self._finish_upload(request, responder, correlation)
        else:
            self._download(request, responder, correlation)

    # -- uploads ---------------------------------------------------------------------------------

    def _finish_upload(self, request: Request, responder: Responder, correlation: str) -> None:
        upload, verdict = self._uploads.pop(id(request))
        checksum = verdict.checksum_sha256

        def seal(writer: BlobWriter) -> BlobRef:
            ref = writer.seal()
            if ref.size_bytes != verdict.size_bytes:
                raise errors.BadRequest(
                    f"{ref.size_bytes} bytes came, {verdict.size_bytes} signed."
                )
            if checksum is not None and b64decode(checksum) != bytes.fromhex(ref.sha256):
                raise errors.BadRequest("The content does not have the signed checksum.")
            return ref

        upload.finish(seal, partial(self._sealed, verdict, responder, correlation))

    def _sealed(self, verdict: Verified, responder: Responder, correlation: str, ref: Any) -> None:
        if isinstance(ref, Exception):
            self._failed(ref, responder, correlation)
            return
        bucket, key = split_object_path(verdict.path[len(PREFIX) :])
        effect = PutObject(
            bucket, key, ref.blob, ref.size_bytes, ref.sha256, verdict.content_type,
            verdict.metadata, verdict.create_only,
        )  # fmt: skip
        number, now_ms = self._numbers.next(), self._clock.now_ms()
        marks = [f"put {bucket}/{key} ({ref.size_bytes} bytes)"]
        record = InvocationRecord(
            number, correlation, "", f"PUT {bucket} object", f"{number:016x}", "", "",
            self._release(), 1, now_ms, 0.0, 0.0, False, "ok", 200, "", "", marks,
        )  # fmt: skip
        commit = Commit("", Raw(to_msgpack([effect])), [], [], record, {}, "", f"object/{ref.blob}")

        def answered(answer: Any) -> None:
            match answer:
                case Committed():
                    headers = [("etag", f'"{ref.sha256}"'), ("x-correlation-id", correlation)]
                    responder.send(Response(200, headers))
                    self._sent(answer)
                case Unmet():
                    gone = errors.Conflict(f"There is an object {bucket}/{key} already.")
                    gone.status, gone.code = 412, "precondition_failed"
                    responder.send(self._refuse(gone, correlation))
                case Broken(message=message):
                    responder.send(self._refuse(errors.Unavailable(message), correlation))
                case _:
                    responder.send(self._refuse(errors.HandlerFailed(), correlation))

        self._store.send("", commit, answered)

    def _failed(self, error: Exception, responder: Responder, correlation: str) -> None:
        if not isinstance(error, errors.Problem):
            self._told(f"content of an object could not be moved ({correlation}): {error}")
        responder.send(self._refuse(storage_problem(error), correlation))

    # -- downloads -------------------------------------------------------------------------------

    def _download(self, request: Request, responder: Responder, correlation: str) -> None:
        verdict = verify(
            request.method, request.target.partition("?")[0], request.query,
            request.headers.items(), self.keys, self._clock.now_ms(),
        )  # fmt: skip
        if not isinstance(verdict, Verified):
            responder.send(self._refuse(errors.Forbidden("The URL is not valid."), correlation))
            return
        bucket, key = split_object_path(verdict.path[len(PREFIX) :])

        def found(row: Any) -> None:
            if isinstance(row, Broken):
                responder.send(self._refuse(errors.Unavailable(row.message), correlation))
                return
            if not isinstance(row, ObjectRow):
                responder.send(self._refuse(errors.NotFound("object", key), correlation))
                return
            checked = partial(self._checked, row, verdict, responder, correlation)
            self._content(lambda: self._check(row), checked)

        self._store.send("", GetObject(bucket, key), found)

    def _check(self, row: ObjectRow) -> str:
        """Read the content once against its checksum: damage is never served."""
        return self._blobs.check(row.bucket, BlobRef(row.blob, row.size_bytes, row.sha256))

    def _checked(
        self, row: ObjectRow, verdict: Verified, responder: Responder, correlation: str, path: Any
    ) -> None:
        if isinstance(path, Exception):
            self._failed(path, responder, correlation)
            return
        kind = ("content-type", row.media_type)
        headers = [
            kind if row.media_type and can_send(*kind) else (kind[0], "application/octet-stream"),
            ("etag", f'"{row.sha256}"'),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox"),
            ("x-correlation-id", correlation),
        ]
        if verdict.disposition:
            headers.append(("content-disposition", verdict.disposition))
        metadata = [(f"x-amz-meta-{name}", value) for name, value in row.metadata.items()]
        sendable = [header for header in metadata if can_send(*header)]
        if len(sendable) < len(metadata):  # put by an older version; said as S3 says it
            headers.append(("x-amz-missing-meta", str(len(metadata) - len(sendable))))
        headers += sendable
        responder.send(Response(200, headers, FileSlice(path, 0, row.size_bytes)))


def signing_path(bucket: str, key: str) -> str:
    """Return the path that a presigned URL of this engine has."""
    return f"{PREFIX}/{bucket}/{key}"
