"""Reads: what a handler asks for while it runs, and what answers it."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from wherry.ports.executions import FindExecution, ListExecutions


class GetItem(Struct, frozen=True, array_like=True, tag="get"):
    """Read one item, strongly consistent. Answered by `Item` or `Nothing`."""

    table: str
    pk: bytes
    sk: bytes


class QueryItems(Struct, frozen=True, array_like=True, tag="query"):
    """Read items of one partition in key order. Answered by `Page` or `NotReady`.

    `low` is inclusive, `high` exclusive, both sort keys (None: open). `after` is a cursor.
    """

    table: str
    index: str | None
    pk: bytes
    low: bytes | None
    high: bytes | None
    limit: int
    descending: bool
    after: bytes | None


class GetObject(Struct, frozen=True, array_like=True, tag="getobject"):
    """Look up one object. Answered by `ObjectRow` or `Nothing`."""

    bucket: str
    key: str


class ListObjects(Struct, frozen=True, array_like=True, tag="listobjects"):
    """List objects whose key begins with `prefix`, in key order. Answered by `ObjectPage`."""

    bucket: str
    prefix: str
    limit: int
    after: str | None


class GetReply(Struct, frozen=True, array_like=True, tag="getreply"):
    """Look up what was committed under a key. Answered by `StoredReply` or `Nothing`."""

    key: str


# What a function's environment may ask for besides; the engine answers these, not the store.


class GetSecret(Struct, frozen=True, array_like=True, tag="secret"):
    """Read a secret. Answered by `SecretValue` or `Nothing`."""

    name: str


class SignUrl(Struct, frozen=True, array_like=True, tag="sign"):
    """Make a presigned URL. Answered by `SignedUrl`."""

    bucket: str
    key: str
    method: str
    headers: dict[str, str]
    query: dict[str, str]
    expires_s: int


class KeepBlob(Struct, frozen=True, array_like=True, tag="keep"):
    """Store what this environment has sealed where objects lie. Answered by `Done`."""

    bucket: str
    blob: str
    size_bytes: int
    sha256: str


class FetchBlob(Struct, frozen=True, array_like=True, tag="fetch"):
    """Bring the content of an object here, to be read. Answered by `Done`.

    `damaged`: what is here does not match its checksum; it is looked at, and brought again.
    """

    bucket: str
    blob: str
    size_bytes: int
    sha256: str
    damaged: bool = False


Read: TypeAlias = (
    GetItem
    | QueryItems
    | GetObject
    | ListObjects
    | GetReply
    | GetSecret
    | SignUrl
    | KeepBlob
    | FetchBlob
    | FindExecution
    | ListExecutions
)


class Item(Struct, frozen=True, array_like=True, tag="item"):
    """An item's JSON and the version that a later write checks."""

    body: bytes
    version: int


class Row(Struct, frozen=True, array_like=True, tag="row"):
    """An item of a page."""

    pk: bytes
    sk: bytes
    body: bytes
    version: int


class Page(Struct, frozen=True, array_like=True, tag="page"):
    """Items in order; `after` continues where more follow."""

    rows: list[Row]
    after: bytes | None


class ObjectRow(Struct, frozen=True, array_like=True, tag="objectrow"):
    """An object's description; its bytes lie in the blob."""

    bucket: str
    key: str
    blob: str
    size_bytes: int
    sha256: str
    media_type: str
    metadata: dict[str, str]
    created_ms: int


class ObjectPage(Struct, frozen=True, array_like=True, tag="objectpage"):
    """Objects in key order; `after` continues where more follow."""

    rows: list[ObjectRow]
    after: str | None


class StoredReply(Struct, frozen=True, array_like=True, tag="storedreply"):
    """What an earlier run committed under this key: an encoded `Reply`, or a step's value."""

    fingerprint: str
    body: bytes


class SecretValue(Struct, frozen=True, array_like=True, tag="secretvalue"):
    """A secret. Its representation hides it."""

    value: str

    def __repr__(self) -> str:
        return "SecretValue(***)"


class SignedUrl(Struct, frozen=True, array_like=True, tag="signedurl"):
    """A presigned URL, the headers that its user must send, and when it ends."""

    url: str
    headers: dict[str, str]
    expires_at_ms: int


class Nothing(Struct, frozen=True, array_like=True, tag="nothing"):
    """There is no such thing."""


class NotReady(Struct, frozen=True, array_like=True, tag="notready"):
    """The index is not filled, or not kept any more; queries on it are refused."""

    table: str
    index: str


class Denied(Struct, frozen=True, array_like=True, tag="denied"):
    """The function has no grant for this."""

    resource: str
    action: str
