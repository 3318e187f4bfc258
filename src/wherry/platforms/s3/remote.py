"""Blobs in one bucket of S3: `PREFIX<wherry's bucket>/<blob id>`, each written once.

A blob is sent with its SHA-256, which S3 compares; it is kept as metadata too, because a checksum
of several parts is another one. `If-None-Match` keeps a blob that is there: a repeat with the
same content is harmless, another content is refused.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from wherry import limits
from wherry.names import check_blob, check_bucket
from wherry.platforms.files.faults import BlobSealed, ObjectDamaged

from .client import Calls
from .faults import (
    BrokeOff,
    ObjectsUnavailable,
    is_missing,
    is_there,
    is_unknown,
    remote,
    say,
)

if TYPE_CHECKING:
    from wherry.platforms.files.refs import BlobRef
    from wherry.world import Clock

    from .place import Place

_META = "sha256"


class Remote:
    """The blobs below one place. Synchronous; may be used by many threads.

    Raises:
        Refused: boto3 is not installed, or cannot be configured.
    """

    def __init__(self, place: Place, clock: Clock) -> None:
        self.place = place
        self.silent = False  # it has not answered for long: nothing is asked of it but this
        self._calls = Calls(place, clock)
        self._s3 = self._calls.client
        self._clock = clock
        self._conditional = True  # until it turns out that it does not know If-None-Match
        self.answered_s = clock.steady_s()  # when it last did what it was asked to

    def close(self) -> None:
        """Close the connections."""
        self._calls.close()

    # -- one blob --------------------------------------------------------------------------------

    def put(self, bucket: str, ref: BlobRef, file: BinaryIO) -> None:
        """Store a blob; it is durable, and what `ref` says, when this returns.

        Raises:
            BlobSealed: Other content is there under this id; it stays.
            ObjectDamaged: The file does not hold what `ref` says.
            StoreFull, ObjectsUnavailable: It may be there all the same, for the sweeper.
        """
        key, what = self._key(bucket, ref.blob), f"{bucket}/{ref.blob}"
        self._check_silent()
        with remote("store", what), self._calls.bounded(ref.size_bytes):
            try:
                if ref.size_bytes <= limits.S3_PART_BYTES:
                    self._put_whole(key, ref, file, what)
                else:
                    self._put_parts(key, ref, file, what)
            except Exception as error:
                if not is_there(error):
                    raise
                self._check_same(key, ref, what)
            self._answered()

    def _put_whole(self, key: str, ref: BlobRef, file: BinaryIO, what: str) -> None:
        content = file.read(ref.size_bytes + 1)
        checksum = _checksum(content)
        if checksum != _base64(ref.sha256):
            raise _damaged(what)

        def put(**condition: str) -> Any:
            return self._s3.put_object(
                **self._named(key),
                Body=self._calls.body(content),
                ContentLength=len(content),
                ContentType="application/octet-stream",
                ChecksumSHA256=checksum,
                Metadata={_META: ref.sha256},
                **condition,
            )

        answer = self._if_absent(key, put)
        said = answer.get("ChecksumSHA256")
        if said is None:  # a store that tells no checksum: it has the size at least
            said = checksum if self._head(key)["ContentLength"] == ref.size_bytes else ""
        if said != checksum:
            raise ObjectsUnavailable(f"S3 has stored {what} as something else.")

    def _put_parts(self, key: str, ref: BlobRef, file: BinaryIO, what: str) -> None:
        from hashlib import sha256

        named = self._named(key)
        metadata = {_META: ref.sha256}
        begun = self._s3.create_multipart_upload(
            **named,
            ChecksumAlgorithm="SHA256",
            ContentType="application/octet-stream",
            Metadata=metadata,
        )
        named_part = {**named, "UploadId": begun["UploadId"]}
        try:
            found, parts = sha256(), list[dict[str, Any]]()
            while piece := file.read(limits.S3_PART_BYTES):
                found.update(piece)
                part = {"PartNumber": len(parts) + 1, "ChecksumSHA256": _checksum(piece)}
                sent = self._s3.upload_part(**named_part, **part, Body=self._calls.body(piece))
                parts.append({**part, "ETag": sent["ETag"]})
            if found.hexdigest() != ref.sha256:
                raise _damaged(what)
            whole = {"Parts": parts}

            def put(**condition: str) -> Any:
                return self._s3.complete_multipart_upload(
                    **named_part, MultipartUpload=whole, **condition
                )

            self._if_absent(key, put)
        except BaseException:
            with suppress(Exception):  # what is left the sweeper takes
                self._s3.abort_multipart_upload(**named_part)
            raise
        if self._head(key)["ContentLength"] != ref.size_bytes:
            raise ObjectsUnavailable(f"S3 has stored {what} as something else.")

    def _if_absent(self, key: str, put: Callable[..., Any]) -> Any:
        """Call `put` so that it changes nothing where there is an object already.

        Where S3 does not know the condition, it is looked whether there is one: ids are used
        once, so that nobody else writes it meanwhile.
        """
        if self._conditional:
            try:
                return put(IfNoneMatch="*")
            except Exception as error:
                if not is_unknown(error):
                    raise
                self._conditional = False
        try:
            self._head(key)
        except Exception as error:
            if is_missing(error):
                return put()
            raise
        raise _There

    def _check_same(self, key: str, ref: BlobRef, what: str) -> None:
        found = self._head(key)
        same = found.get("Metadata", {}).get(_META) == ref.sha256
        if not (same and found["ContentLength"] == ref.size_bytes):
            raise BlobSealed(
                f"{what} is stored with other content, and a sealed blob never changes.",
                advice="Stage the new content under a new id.",
            )

    def get(self, bucket: str, ref: BlobRef, take: Callable[[bytes], None]) -> None:
        """Hand a blob to `take`, piece by piece; it is whole and right when this returns.

        Raises:
            ObjectDamaged: It is missing, or not what `ref` says.
            BrokeOff: Some of it may have been handed out.
            ObjectsUnavailable: S3 does not give it now.
        """
        from hashlib import sha256

        what, found, size = f"{bucket}/{ref.blob}", sha256(), 0
        self._check_silent()
        with remote("read", what), self._calls.bounded(ref.size_bytes):
            try:
                answer = self._s3.get_object(**self._named(self._key(bucket, ref.blob)))
            except Exception as error:
                if is_missing(error):
                    raise _missing(what, str(self.place)) from error
                raise
            with answer["Body"] as body:
                if answer["ContentLength"] != ref.size_bytes:
                    raise _damaged(what, f"has {answer['ContentLength']} bytes there", self.place)
                while piece := self._piece(body, what):
                    found.update(piece)
                    size += len(piece)
                    take(piece)
            if size == ref.size_bytes and found.hexdigest() != ref.sha256:
                raise _damaged(what, "does not match its checksum there", self.place)
            if size != ref.size_bytes:
                raise BrokeOff(f"S3 broke off after {size} bytes of {what}.")
            self._answered()

    def _piece(self, body: BinaryIO, what: str) -> bytes:
        self._calls.check()
        try:
            return body.read(limits.BLOB_PIECE_BYTES)
        except Exception as error:
            raise BrokeOff(f"S3 broke off {what}: {say(error)}.", advice="Try again.") from error

    def bounded(self, content_bytes: int) -> AbstractContextManager[None]:
        """Let all that this thread asks for in the block end in the time of one call."""
        return self._calls.bounded(content_bytes)

    def delete(self, bucket: str, blob: str) -> None:
        """Remove a blob, if it is there."""
        self._check_silent()
        with remote("delete", f"{bucket}/{blob}"), self._calls.bounded():
            self._s3.delete_object(**self._named(self._key(bucket, blob)))
            self._answered()

    # -- all of them -----------------------------------------------------------------------------

    def buckets(self) -> list[str]:
        """Return wherry's buckets of which something is there."""
        found = []
        for page in self._pages("", Delimiter="/"):
            for one in page.get("CommonPrefixes", ()):
                name = one["Prefix"].removeprefix(self.place.prefix).rstrip("/")
                with suppress(ValueError):
                    found.append(check_bucket(name))
        return found

    def blobs(self, bucket: str) -> Iterator[dict[str, float]]:
        """Yield, a page at a time, the blobs of a bucket and when they were written (ms).

        That is by our own clock, which may be far from S3's.
        """
        prefix = f"{check_bucket(bucket)}/"
        for page in self._pages(prefix, MaxKeys=limits.SWEEP_BATCH):
            ahead_ms, found = self._ahead_ms(page), {}
            for one in page.get("Contents", ()):
                with suppress(ValueError):
                    blob = check_blob(one["Key"].removeprefix(self.place.prefix + prefix))
                    found[blob] = one["LastModified"].timestamp() * 1000 + ahead_ms
            yield found

    def _ahead_ms(self, answer: Any) -> float:
        """Return how far our clock is ahead of S3's, which says when a thing was written."""
        from email.utils import parsedate_to_datetime

        said = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
        try:
            return self._clock.now_ms() - parsedate_to_datetime(said).timestamp() * 1000
        except (TypeError, ValueError):  # a store that does not say
            return 0.0

    def abandoned(self, bucket: str, is_left_over: Callable[[float], bool]) -> int:
        """End uploads in parts that nobody has finished; return how many there were."""
        count, prefix = 0, f"{self.place.prefix}{check_bucket(bucket)}/"
        with remote("list", "unfinished uploads"), self._calls.bounded():
            try:
                page = self._s3.list_multipart_uploads(Bucket=self.place.bucket, Prefix=prefix)
            except Exception as error:
                if is_unknown(error):
                    return 0
                raise
            ahead_ms = self._ahead_ms(page)
            for one in page.get("Uploads", ()):
                if is_left_over(one["Initiated"].timestamp() * 1000 + ahead_ms):
                    self._s3.abort_multipart_upload(
                        Bucket=self.place.bucket, Key=one["Key"], UploadId=one["UploadId"]
                    )
                    count += 1
        return count

    def _pages(self, prefix: str, **how: Any) -> Iterator[Any]:
        more: dict[str, str] = {}
        while True:
            self._check_silent()
            with remote("list", str(self.place)), self._calls.bounded():
                page = self._s3.list_objects_v2(
                    Bucket=self.place.bucket, Prefix=self.place.prefix + prefix, **how, **more
                )
                self._answered()
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    # -- small objects of wherry's own -----------------------------------------------------------

    def write(self, name: str, content: bytes, *, if_absent: bool = False) -> bool:
        """Write a small object; False where `if_absent` and one is there."""
        key = self.place.prefix + name

        def put(**condition: str) -> Any:
            body = self._calls.body(content)
            return self._s3.put_object(**self._named(key), Body=body, **condition)

        with remote("write", name), self._calls.bounded():
            try:
                self._if_absent(key, put) if if_absent else put()
            except Exception as error:
                if is_there(error):
                    return False
                raise
            self._answered()
        return True

    def read(self, name: str) -> bytes | None:
        """Return a small object, or None."""
        with remote("read", name), self._calls.bounded():
            try:
                answer = self._s3.get_object(**self._named(self.place.prefix + name))
            except Exception as error:
                if is_missing(error):
                    return None
                raise
            with answer["Body"] as body:
                content: bytes = body.read(limits.BLOB_PIECE_BYTES)
            self._answered()
        return content

    def remove(self, name: str) -> None:
        """Remove a small object."""
        with remote("delete", name), self._calls.bounded():
            self._s3.delete_object(**self._named(self.place.prefix + name))
            self._answered()

    def look(self) -> None:
        """See that the bucket is there and lists what it has."""
        with remote("list", str(self.place)), self._calls.bounded():
            self._s3.list_objects_v2(Bucket=self.place.bucket, Prefix=self.place.prefix, MaxKeys=1)
            self._answered()

    # -- inside ------------------------------------------------------------------------------------

    def _key(self, bucket: str, blob: str) -> str:
        return f"{self.place.prefix}{check_bucket(bucket)}/{check_blob(blob)}"

    def _named(self, key: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": key}

    def _head(self, key: str) -> Any:
        return self._s3.head_object(**self._named(key))

    def _answered(self) -> None:
        self.answered_s = self._clock.steady_s()

    def _check_silent(self) -> None:
        if self.silent:
            raise ObjectsUnavailable(
                f"{self.place} has not answered for some time.",
                advice="It is asked each second whether it is there again; see `wherry status`.",
            )


class _There(Exception):
    """As S3 says it."""

    response = {"Error": {"Code": "PreconditionFailed"}}  # noqa: RUF012


def _checksum(content: bytes) -> str:
    from hashlib import sha256

    return b64encode(sha256(content).digest()).decode()


def _base64(hexadecimal: str) -> str:
    return b64encode(bytes.fromhex(hexadecimal)).decode()


def _missing(what: str, where: str) -> ObjectDamaged:
    return ObjectDamaged(
        f"The content of {what} is missing from {where}.",
        advice="Restore it there, from a version or a copy of the bucket, or store it again.",
    )


def _damaged(what: str, how: str = "", where: object = None) -> ObjectDamaged:
    if where is None:
        return ObjectDamaged(
            f"The file of {what} is not what was sealed.", advice="Store the object again."
        )
    return ObjectDamaged(
        f"The content of {what} {how} ({where}).",
        advice="Restore it there, from a version or a copy of the bucket, or store it again.",
    )
