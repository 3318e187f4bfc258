"""What the engine asks of the store for itself: releases, indexes, sweeping, small values."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct


class Configure(Struct, frozen=True, array_like=True, tag="configure"):
    """Take over a release: its tables, indexes, queues and grants. Answered by `Configured`.

    `blueprint` is its canonical JSON, `digest` its digest. New indexes of tables that hold items
    are not ready until `Reindex` has filled them. An `owner` says that an engine begins: messages
    leased to any other owner go back to their queues at once, the attempt counted.

    Where engines share the store, `engine` is the one that asks and will serve it, by a name that
    it keeps when it starts again. Of the releases that living engines serve, the one that was
    chosen last is the active one: a release is chosen when the store sees it for the first time,
    and by `chosen`, when somebody asks for it now (`wherry reload`); a mere start chooses nothing,
    so that old code which starts again amid a deploy does not take over from the new one.
    A release of an app whose name none of the stored ones has is refused, unless it is chosen.
    """

    digest: str
    blueprint: bytes
    activate: bool
    owner: str = ""
    chosen: bool = False
    engine: str = ""


class Configured(Struct, frozen=True, array_like=True, tag="configured"):
    """The release is taken over.

    Attributes:
        unready: Indexes that must be filled, as (table, index, items to go).
        beside: The release that stays the active one, chosen later and served by other engines;
            or empty.
    """

    unready: list[tuple[str, str, int]]
    beside: str = ""


class Reindex(Struct, frozen=True, array_like=True, tag="reindex"):
    """Fill up to `limit` items of an index. Answered by `Count` (0: done and ready)."""

    table: str
    index: str
    limit: int


class GetState(Struct, frozen=True, array_like=True, tag="getstate"):
    """Read a small value of wherry's own (issuer keys, accounts). Answered by `State`/`Nothing`."""

    key: str


class PutState(Struct, frozen=True, array_like=True, tag="putstate"):
    """Write one. Answered by `Count`: 0 where `if_absent` and one is there.

    From `expires_at_s` on (epoch seconds; None: never) it is not read and may be swept.
    """

    key: str
    value: bytes
    if_absent: bool = False
    expires_at_s: int | None = None


class State(Struct, frozen=True, array_like=True, tag="state"):
    """A small value."""

    value: bytes


class Sweep(Struct, frozen=True, array_like=True, tag="sweep"):
    """Remove a small batch of what has outlived its retention. Answered by `Swept`."""

    limit: int


class Swept(Struct, frozen=True, array_like=True, tag="swept"):
    """How many rows went, blobs that no object names (bucket, blob), and `queued` as in `Done`.

    `given_up`: how much failed work of each queue went because its time in the inbox was over.
    """

    count: int
    blobs: list[tuple[str, str]]
    queued: dict[str, int] = {}
    given_up: dict[str, int] = {}


class FindOrphans(Struct, frozen=True, array_like=True, tag="findorphans"):
    """Ask which of these blobs of a bucket no object names, nor will. Answered by `Orphans`.

    Only of use for blobs older than `limits.STAGING_S`: a younger one may be committed yet.
    """

    bucket: str
    blobs: list[str]


class Orphans(Struct, frozen=True, array_like=True, tag="orphans"):
    """Blobs that nobody names."""

    blobs: list[str]


class Releases(Struct, frozen=True, array_like=True, tag="releases"):
    """List releases, newest first. Answered by `ReleaseRows`."""


class ReleaseRow(Struct, frozen=True, array_like=True, tag="releaserow"):
    """A release: digest, when it was activated, its blueprint."""

    digest: str
    activated_ms: int
    blueprint: bytes


class ReleaseRows(Struct, frozen=True, array_like=True, tag="releaserows"):
    """Releases."""

    rows: list[ReleaseRow]


class ListUndeclared(Struct, frozen=True, array_like=True, tag="listundeclared"):
    """List what is kept and the activated release does not declare. Answered by `Undeclared`."""


class UndeclaredRow(Struct, frozen=True, array_like=True, tag="undeclaredrow"):
    """A table with items, or a queue with messages that wait, which nobody reaches.

    `count`: how many, counted up to `limits.UNDECLARED_COUNTED`, which means so many or more.
    """

    kind: Literal["table", "queue"]
    name: str
    count: int


class Undeclared(Struct, frozen=True, array_like=True, tag="undeclared"):
    """What no function reaches any more. What is to happen to executions is not among it."""

    rows: list[UndeclaredRow]


class Done(Struct, frozen=True, array_like=True, tag="done"):
    """It is done. `queued`: queues where a message's turn has come, and when the first is due."""

    queued: dict[str, int] = {}


class Broken(Struct, frozen=True, array_like=True, tag="broken"):
    """The platform could not do it: `message` says why.

    `code` is that of an `errors.Passing`, or tells whose fault it is: `Refused` (who asks for
    what cannot be), `BadRequest` (a client, whose cursor it was).
    """

    code: str
    message: str
