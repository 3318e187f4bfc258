"""What is moved, kind by kind: which rows of SQLite become which rows of Postgres.

Numbers stay what they are, those that stand for names too: nothing that refers to another row is
changed. What Postgres keeps in another form is made here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import msgspec

from wherry.codec import from_msgpack, to_msgpack
from wherry.platforms.postgres.keys import indexed, whole
from wherry.platforms.postgres.messages import plain
from wherry.platforms.shared.shapes import PARKED
from wherry.telemetry import InvocationRecord

if TYPE_CHECKING:
    from wherry.platforms.postgres.catalog import Catalog

Position: TypeAlias = Sequence[int | str | bytes]
Row: TypeAlias = tuple[Any, ...]

OWN_STATE = ("engine/objects", "engine/signing-key", "engine/moved")  # written at the end
READY = "SELECT id FROM indexes WHERE ready = 1 AND dropped = 0"
_record = msgspec.msgpack.Decoder(InvocationRecord)
_MASK = (1 << 64) - 1


class Kind(NamedTuple):
    """Rows of one table.

    Attributes:
        table: In both databases.
        columns: In Postgres.
        key: What orders the rows in SQLite.
        make: Makes of a row of SQLite (`read`) one of Postgres.
        read: Columns in SQLite.
        where: Which rows.
    """

    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    make: Callable[[Row, Catalog], Row]
    read: tuple[str, ...]
    where: str = "1"


def checksum(rows: Sequence[Row]) -> int:
    """Return a sum that does not depend on the order of rows."""
    total = 0
    for row in rows:
        digest = hashlib.blake2b(to_msgpack(row), digest_size=8).digest()
        total += int.from_bytes(digest, "big")
    return total & _MASK


def added(one: int, other: int) -> int:
    """Return the checksum of the rows of two."""
    return (one + other) & _MASK


def _same(row: Row, catalog: Catalog) -> Row:
    return tuple(plain(one) if isinstance(one, str) else one for one in row)


def _index(row: Row, catalog: Catalog) -> Row:
    number, table, name, definition, ready = row
    return number, table, name, definition, bool(ready), False, b"", b""


def _item(row: Row, catalog: Catalog) -> Row:
    tbl, pk, sk, version, writer, expires, body = row
    table = catalog.tables_by_id.get(tbl)
    entries: list[Row] = []
    if table is not None and table.indexes:
        ready = {index.id for index in table.indexes if index.ready}
        found = table.entries(body)
        entries = [(idx, indexed(key), sort) for idx, key, sort in found if idx in ready]
    if expires == 0:  # which says of a row in Postgres that it was deleted
        expires = 1
    return tbl, indexed(pk), sk, whole(pk), version, writer, expires, body, entries


def _entry(row: Row, catalog: Catalog) -> Row:
    idx, key, sort, pk, sk = row
    return idx, indexed(key), sort, indexed(pk), sk


def _message(row: Row, catalog: Catalog) -> Row:
    """Make a leased one one whose lease has ended: what that means is settled at the end."""
    id, queue, slot, due, seq, token, *counts = row
    leased = slot < 0
    head = (id, queue, slot >= PARKED, due, abs(seq), token if leased else 0, int(leased), "")
    return _same((*head, *counts), catalog)


def _stored(row: Row, catalog: Catalog) -> Row:
    number, at_ms, body, sent = row
    record = _record.decode(body)
    names = (record.correlation_id, record.function, record.request_id)
    ids = [plain(id) for id in from_msgpack(sent)] if sent else None
    return number, at_ms, *map(plain, names), body, ids


def _token(row: Row, catalog: Catalog) -> Row:
    return indexed(row[0].encode()), row[1]


def _plain_kind(table: str, columns: str, key: str, where: str = "1") -> Kind:
    names = tuple(columns.split())
    return Kind(table, names, tuple(key.split()), _same, names, where)


_MESSAGE = (
    "attempts redrives sent_ms started_ms expires_ms place grp correlation traceparent error body"
)
_ITEM = ("tbl", "pk", "sk", "version", "writer", "expires_ms", "body")
_FAILURE = (
    "seq id queue function code error attempts redrives sent_ms started_ms failed_ms correlation "
    "traceparent note body grp place"
)
_SCHEDULE = (
    "id name queue expression timezone window_s overlap missed missed_max start_ms handled_ms "
    "next_ms fired_ms fired skipped"
)
_OBJECT = "bucket key blob size_bytes sha256 media_type metadata created_ms"
_EXECUTION = (
    "id workflow name listed version definition status wake_ms started_ms ended_ms parent "
    "parent_call events redrives correlation traceparent states error cause output head"
)

NAMES = (
    _plain_kind("names", "id kind name keyed", "id"),
    _plain_kind("releases", "digest configured activated_ms activation blueprint", "digest"),
    Kind(
        "indexes",
        ("id", "tbl", "name", "definition", "ready", "dropped", "at_pk", "at_sk"),
        ("id",),
        _index,
        ("id", "tbl", "name", "definition", "ready"),
        "dropped = 0",
    ),
    _plain_kind("pauses", "function since_ms actor resumed_ms", "function"),
)
"""What declares the others: it comes first."""

ENTRIES = Kind(
    "entries",
    ("idx", "key", "sort", "pk", "sk"),
    ("idx", "key", "sort", "pk", "sk"),
    _entry,
    ("idx", "key", "sort", "pk", "sk"),
    f"idx IN ({READY})",
)
ITEMS = Kind(
    "items",
    (*_ITEM[:3], "pk_whole", *_ITEM[3:], "entries"),
    ("id",),
    _item,
    _ITEM,
)
OBJECTS = _plain_kind("objects", _OBJECT, "bucket key")

OTHERS = (
    _plain_kind("schedules", _SCHEDULE, "id"),
    _plain_kind("redrives", "queue through per_s next_ms done begun_ms actor", "queue"),
    ITEMS,
    ENTRIES,
    Kind(
        "messages",
        tuple(f"id queue parked due_ms seq token leased_until owner {_MESSAGE}".split()),
        ("seq",),
        _message,
        tuple(f"id queue slot due_ms seq token {_MESSAGE}".split()),
    ),
    _plain_kind("failures", _FAILURE, "seq"),
    _plain_kind("dedups", "queue dedup expires_ms", "queue dedup"),
    _plain_kind("replies", "key expires_ms fingerprint body", "id"),
    Kind(
        "records",
        ("number", "at_ms", "correlation", "function", "request_id", "body", "sent"),
        ("number",),
        _stored,
        ("number", "at_ms", "body", "sent"),
    ),
    OBJECTS,
    _plain_kind("garbage", "id bucket blob since_ms", "id"),
    _plain_kind("state", "key value expires_ms", "key", f"key NOT IN {OWN_STATE}"),
    _plain_kind("audit", "id at_ms actor action subject detail", "id"),
    _plain_kind("definitions", "id digest body", "id"),
    _plain_kind("executions", _EXECUTION, "id"),
    _plain_kind("execution_inputs", "execution body", "execution"),
    _plain_kind("execution_parts", "execution kind key body", "execution kind key"),
    _plain_kind("execution_events", "execution first body", "id"),
    Kind("tokens", ("token", "execution"), ("token",), _token, ("token", "execution")),
    _plain_kind("stops", "parent at through", "parent"),
)
ALL = (*NAMES, *OTHERS)
