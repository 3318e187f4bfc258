"""Records as JSON for people's programs: fields by name, payloads as the JSON they are."""

from __future__ import annotations

from typing import Any

import msgspec


def as_fields(value: Any) -> Any:
    """Return a record as mappings and lists, with the names of its fields.

    On the wire records are arrays, which only wherry can read. Bytes that hold JSON are given as
    that JSON, other bytes as text.
    """
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        return {name: as_fields(getattr(value, name)) for name in names}
    if isinstance(value, list | tuple):
        return [as_fields(one) for one in value]
    if isinstance(value, dict):
        return {key: as_fields(one) for key, one in value.items()}
    if isinstance(value, bytes):
        return payload(value)
    return value


def payload(body: bytes) -> Any:
    """Return the JSON in a payload, or its text where it is none."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")
