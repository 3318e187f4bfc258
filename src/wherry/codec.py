"""Bytes in and out: strict JSON, canonical JSON, digests, and keys that sort as bytes.

A key of a table is stored as bytes whose order is the order of the values, so that every
database can hold and range over it: text by its UTF-8 (DynamoDB's order), numbers by value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from enum import Enum
from math import isfinite
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from wherry import limits

KeyValue: TypeAlias = str | int | float | datetime | date | UUID | Enum

to_json = msgspec.json.encode
from_json = msgspec.json.decode
to_msgpack = msgspec.msgpack.encode
from_msgpack = msgspec.msgpack.decode

_canonical = msgspec.json.Encoder(order="deterministic")


def canonical_json(value: object) -> bytes:
    """Return one form for one value: keys sorted, no spaces."""
    return _canonical.encode(value)


class NotFinite(ValueError):
    """NaN or Infinity, which JSON cannot say: encoders write null in its place, without a word."""

    def __init__(self, found: str) -> None:
        super().__init__(f"{found}, which JSON cannot say")


_NOT_FINITE = re.compile(rb"\xcb[\x7f\xff][\xf0-\xff]")  # how a float64 of MessagePack begins


def refuse_lost_numbers(value: Any, hook: Callable[[Any], Any] | None = None) -> None:
    """Raise `NotFinite` where this value, whose JSON says null somewhere, holds NaN or Infinity.

    MessagePack keeps them, and is cheap to look through; what it shows is then looked for. `hook`
    encodes what msgspec does not know.
    """
    with suppress(Exception):  # what has no such form is looked through
        if not _NOT_FINITE.search(msgspec.msgpack.encode(value, enc_hook=hook)):
            return
    found = not_finite(msgspec.to_builtins(value, enc_hook=hook))
    if found:
        at, number = found
        raise NotFinite(f"{at} is {number}")


def _is_endless(value: Any) -> bool:
    return isinstance(value, float) and not isfinite(value)


def not_finite(
    value: Any, is_endless: Callable[[Any], bool] = _is_endless
) -> tuple[str, Any] | None:
    """Return where the first NaN or Infinity is among builtins, and which of them it is."""
    nodes = [("$", value)]
    while nodes:
        at, node = nodes.pop()
        if is_endless(node):
            return at, node
        if isinstance(node, dict):
            nodes += [(f"{at}.{key}", one) for key, one in node.items()][::-1]
        elif isinstance(node, list | tuple):
            nodes += [(f"{at}[{number}]", one) for number, one in enumerate(node)][::-1]
    return None


def within(number: float, bounds: dict[str, float]) -> bool:
    """Whether a number keeps bounds: "ge", "gt", "le", "lt", "multiple_of"."""
    return (
        number >= bounds.get("ge", number)
        and number <= bounds.get("le", number)
        and ("gt" not in bounds or number > bounds["gt"])
        and ("lt" not in bounds or number < bounds["lt"])
        and ("multiple_of" not in bounds or number % bounds["multiple_of"] == 0)
    )


def digest(*parts: bytes | str) -> str:
    """Return 32 hexadecimal digits of SHA-256 over length-prefixed parts."""
    import hashlib

    hasher = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "big"))
        hasher.update(data)
    return hasher.hexdigest()[:32]


class DuplicateKey(ValueError):
    """A JSON object names a key twice; which one counts differs from parser to parser."""


def refuse_duplicate_keys(text: bytes) -> None:
    """Raise `DuplicateKey` where an object of this (already decoded) JSON names a key twice."""
    import json

    def pairs(found: list[tuple[str, Any]]) -> None:
        if len(found) > 1 and len({key for key, _ in found}) != len(found):
            seen: set[str] = set()
            for key, _ in found:
                if key in seen:
                    raise DuplicateKey(f"the key {key!r} is there twice")
                seen.add(key)

    json.loads(text, object_pairs_hook=pairs)


# --- keys -------------------------------------------------------------------------------------

_TEXT = b"s"
_NUMBER = b"n"
_DOUBLE = ">d"

ENCODED_PARTITION_KEY_BYTES = limits.PARTITION_KEY_BYTES + 1  # the kind stands before the value
ENCODED_SORT_KEY_BYTES = limits.SORT_KEY_BYTES + 1


def key_bytes(value: object) -> bytes:
    """Encode one key value to bytes that sort as the value does.

    Raises:
        TypeError: For a type that no key can have (bool, bytes, None, containers), and a datetime
            without a time zone.
        ValueError: For NaN, or a whole number that a double cannot hold exactly.
    """
    if type(value) is str:  # as most keys are
        return _TEXT + value.encode()
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        return _TEXT + value.encode()
    if isinstance(value, bool):
        raise TypeError("a key cannot be a bool")
    if isinstance(value, int | float):
        return _NUMBER + _number_bytes(value)
    if isinstance(value, datetime):
        return _TEXT + _moment_text(value).encode()
    if isinstance(value, date):
        return _TEXT + value.isoformat().encode()
    if isinstance(value, UUID):
        return _TEXT + str(value).encode()
    raise TypeError(f"a key cannot be a {type(value).__name__}")


def _number_bytes(value: int | float) -> bytes:
    from struct import pack  # here: few have keys that are numbers, and everybody imports this

    number = float(value)
    if number != value:
        raise ValueError(f"{value} cannot be held exactly in a key; use text")
    if number == 0.0:
        number = 0.0
    raw = int.from_bytes(pack(_DOUBLE, number), "big")
    raw = raw ^ 0xFFFF_FFFF_FFFF_FFFF if raw >> 63 else raw | 1 << 63
    return raw.to_bytes(8, "big")


def _moment_text(value: datetime) -> str:
    if value.tzinfo is None:
        raise TypeError("a key cannot be a datetime without a time zone")
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def is_text_key(key: bytes) -> bool:
    """Whether an encoded key value, or the beginning of one, is text."""
    return key[:1] == _TEXT


def keyed_by(key: str, sort: str | None, kinds: Mapping[str, str]) -> str:
    """Say where a table's items lie, to compare and to show: "key=id (text), sort=at (moment)".

    Items that were stored are found only by what they were stored under.
    """
    parts = [("key", key), *([("sort", sort)] if sort is not None else [])]
    return ", ".join(
        f"{part}={field} ({kinds[field]})" if field in kinds else f"{part}={field}"
        for part, field in parts
    )


def key_text(key: bytes) -> str:
    """Show an encoded key value to a person."""
    if key[:1] == _TEXT:
        return key[1:].decode("utf-8", "replace")
    if key[:1] == _NUMBER and len(key) == 9:
        from struct import unpack

        raw = int.from_bytes(key[1:], "big")
        raw = raw & ~(1 << 63) if raw >> 63 else raw ^ 0xFFFF_FFFF_FFFF_FFFF
        number = float(unpack(_DOUBLE, raw.to_bytes(8, "big"))[0])
        return str(int(number)) if number.is_integer() else str(number)
    return key.hex()


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the least key above every key that begins with `prefix` (None: there is none)."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes([stripped[-1] + 1]) if stripped else None


def field_key(value: object, kind: str) -> bytes | None:
    """Encode a field of an item's JSON for an index; None where the item is absent from it.

    `kind` is "text", "number" or "moment": a date and time, whose text has many forms, is brought
    to one, so that it sorts.
    """
    if value is None or isinstance(value, bool):
        return None
    if kind == "moment" and isinstance(value, str):
        try:
            return key_bytes(datetime.fromisoformat(value))
        except (TypeError, ValueError):
            return None
    if kind == "number":
        return key_bytes(value) if isinstance(value, int | float) else None
    return key_bytes(value) if isinstance(value, str) else None
