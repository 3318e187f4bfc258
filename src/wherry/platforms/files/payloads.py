"""Payloads of messages that travel as objects, for a person who looks at one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry import limits
from wherry.errors import Passing, Refused
from wherry.platforms.files.refs import BlobRef
from wherry.ports import Nothing, ObjectRow

if TYPE_CHECKING:
    from wherry.platforms.files.blobs import Blobs


def content_of(blobs: Blobs, row: Any) -> bytes:
    """Return the content of the object that the store has named.

    Args:
        row: The answer to `GetObject`.

    Raises:
        Refused: There is none, or it is no payload.
        Passing: The store, or the place of objects, does not answer now.
        StorageFault: It cannot be read.
    """
    if isinstance(row, Nothing):
        raise Refused("Its payload is gone.")
    if not isinstance(row, ObjectRow):
        raise Passing("The store does not answer now.", advice="Try again.")
    if row.size_bytes > limits.CLAIM_BYTES:
        raise Refused(f"{row.bucket}/{row.key} is larger than a payload may be.")
    with blobs.open(row.bucket, BlobRef(row.blob, row.size_bytes, row.sha256)) as found:
        return found.read()
