"""From handles to their records in the blueprint, with what is wrong with their types."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from enum import Enum
from typing import Any, Literal, TypeAlias, get_args
from uuid import UUID

from wherry import limits
from wherry.app.endpoints import Argument
from wherry.app.fields import Field, fields_of, not_read_back
from wherry.app.kinds import field_scalar, shown, unwrap, without_none
from wherry.app.schemas import has_serializers, written_schema_of
from wherry.blueprint.parts import Finding, Place
from wherry.blueprint.records import (
    BucketSpec,
    EventSpec,
    IndexSpec,
    QueueSpec,
    SecretSpec,
    TableSpec,
)
from wherry.handles import Bucket, Queue, Secret, Table
from wherry.handles.events import EventType
from wherry.handles.keys import KeyField

Kind: TypeAlias = Literal["text", "number", "moment"]


def table_spec(table: Table[Any]) -> tuple[TableSpec, list[Finding]]:
    """Return a table's record; fields that do not fit are findings, and absent from `kinds`."""
    findings: list[Finding] = []
    schema = _schema(
        table.item_type, f"The item type of table {table.name!r}", table.place, findings
    )
    kinds: dict[str, Kind] = {}
    fields = _fields(table, findings)
    if fields is not None:
        findings.extend(_field_faults(table, fields, kinds))
        table.accept(*_key_fields(table, fields, kinds))
    indexes = tuple(
        IndexSpec(name=name, key=parts[0] if parts else "", sort=parts[1] if parts[1:] else None)
        for name, parts in table.indexes.items()
    )
    spec = TableSpec(
        name=table.name,
        item=shown(table.item_type),
        schema=schema,
        key=table.key,
        sort=table.sort,
        indexes=indexes,
        expires=table.expires,
        kinds=kinds,
        place=table.place,
    )
    return spec, findings


def event_spec(event: EventType[Any]) -> tuple[EventSpec, list[Finding]]:
    """Return an event's record."""
    findings: list[Finding] = []
    whose = f"The class {shown(event.kind)} of event {event.name!r}"
    schema = _schema(event.kind, whose, event.place, findings)
    if not findings and not has_fields(event.kind):
        findings.append(
            Finding(
                code="event_not_record",
                message=f"{whose} is no object with fields.",
                fix="Use a Struct, a dataclass or a Pydantic model.",
                place=event.place,
            )
        )
    spec = EventSpec(
        name=event.name,
        version=event.version,
        payload=shown(event.kind),
        schema=schema,
        downgrades=event.downgrade is not None,
        serializes=not findings and has_serializers(event.kind),
        place=event.place,
    )
    return spec, findings


def queue_spec(
    queue: Queue[Any], sent: tuple[Argument, ...] | None = None, fed: str = ""
) -> tuple[QueueSpec, list[Finding]]:
    """Return a queue's record.

    `sent`: it carries these arguments, not a payload of one type; `fed`: what wherry puts there.
    """
    findings: list[Finding] = [] if fed else list(_queue_faults(queue))
    if fed:
        payload, schema = fed, {"type": "object"}
    elif sent is None:
        payload = shown(queue.payload_type)
        whose = f"The payload type of queue {queue.name!r}"
        schema = _schema(queue.payload_type, whose, queue.place, findings)
    else:
        payload = ", ".join(f"{one.name}: {shown(one.type)}" for one in sent)
        schema = _arguments_schema(queue, sent, findings)
    spec = QueueSpec(
        name=queue.name,
        payload=f"({payload})" if sent is not None else payload,
        schema=schema,
        max_attempts=queue.max_attempts,
        retry_base_s=queue.retry_base_s,
        retry_max_s=queue.retry_max_s,
        retention_s=queue.retention_s,
        fifo=queue.fifo,
        on_failure=queue.on_failure,
        fair=queue.fair_by is not None,
        claim_check=queue.claim_check,
        place=queue.place,
    )
    return spec, findings


def _queue_faults(queue: Queue[Any]) -> Iterator[Finding]:
    """Yield what is wrong with the options that a record does not hold."""

    def fault(code: str, said: str, fix: str) -> Finding:
        message = f"The queue {queue.name!r} {said}."
        return Finding(code=code, message=message, fix=fix, place=queue.place)

    if queue.fifo and queue.group is None:
        yield fault(
            "fifo_without_group",
            "is FIFO and does not say what belongs together",
            "Say it, group=lambda job: job.order_id; messages of one group are done in order.",
        )
    for name in ("group", "dedup"):
        if getattr(queue, name) is not None and not queue.fifo:
            yield fault(
                f"{name}_without_fifo",
                f"has {name}= and is not FIFO",
                f"Add fifo=True, or leave {name} out"
                + (
                    " (fair_by= lets keys take turns)."
                    if name == "group"
                    else f" (a FIFO queue drops repeats within {limits.DEDUP_S} s)."
                ),
            )
    for name in ("group", "dedup", "fair_by"):
        if getattr(queue, name) is not None and not callable(getattr(queue, name)):
            yield fault(
                "queue_key_kind",
                f"has {name}={getattr(queue, name)!r}, which cannot be called",
                f"Give a function of the payload: {name}=lambda job: job.order_id.",
            )


def _arguments_schema(
    queue: Queue[Any], sent: tuple[Argument, ...], findings: list[Finding]
) -> dict[str, Any]:
    """Return the schema of an object of arguments; what its parts refer to is below `$defs`."""
    properties: dict[str, Any] = {}
    defs: dict[str, Any] = {}
    for one in sent:
        whose = f"The argument {one.name!r} of {queue.name!r}"
        schema = _schema(one.type, whose, queue.place, findings)
        defs.update(schema.pop("$defs", {}))
        properties[one.name] = schema
    required = [one.name for one in sent if one.required]
    found = {"type": "object", "properties": properties, "required": required}
    return found | ({"$defs": defs} if defs else {})


def bucket_spec(bucket: Bucket) -> BucketSpec:
    """Return a bucket's record."""
    return BucketSpec(
        name=bucket.name,
        max_bytes=bucket.max_bytes,
        media_types=bucket.media_types,
        place=bucket.place,
    )


def secret_spec(secret: Secret) -> SecretSpec:
    """Return a secret's record."""
    return SecretSpec(name=secret.name, place=secret.place)


def key_kind(annotation: Any) -> Kind | None:
    """Return how a field of this type is sorted, or None where it cannot be."""
    found = field_scalar(annotation)
    if found in (str, UUID, date):
        return "text"
    if found in (int, float):
        return "number"
    if found is datetime:
        return "moment"
    values: list[Any] = []
    if found is Literal:
        values = list(get_args(unwrap(annotation)))
    elif isinstance(found, type) and issubclass(found, Enum):
        values = [member.value for member in found]
    if values and all(isinstance(value, str) for value in values):
        return "text"
    if values and all(type(value) is int for value in values):
        return "number"
    return None


def _schema(kind: Any, whose: str, place: Place | None, findings: list[Finding]) -> dict[str, Any]:
    lost = not_read_back(kind)
    if lost:
        findings.append(
            Finding(
                code="alias_not_read",
                message=f"{whose} writes {' and '.join(lost)} under a name by which it does not "
                "read it: the value would be lost.",
                fix="Give it one alias for both: Field(alias=...).",
                place=place,
            )
        )
    try:
        return written_schema_of(kind)
    except TypeError as error:
        findings.append(
            Finding(
                code="type_unsupported",
                message=f"{whose} cannot be used: {error}",
                fix="Use a Struct, a dataclass or a Pydantic model with JSON types (not one kind "
                "inside another).",
                place=place,
            )
        )
        return {}


def has_fields(kind: Any) -> bool:
    """Whether JSON of this type is an object with fields."""
    config = getattr(kind, "__struct_config__", None)
    return fields_of(kind) is not None and not (config is not None and config.array_like)


def _fields(table: Table[Any], findings: list[Finding]) -> dict[str, Field] | None:
    try:
        fields = fields_of(table.item_type)
    except (NameError, TypeError):
        return None  # the schema has said so
    config = getattr(table.item_type, "__struct_config__", None)
    if fields is None or (config is not None and config.array_like):
        findings.append(
            Finding(
                code="item_not_record",
                message=f"The items of table {table.name!r} are {shown(table.item_type)}, which "
                "is no object with fields.",
                fix="Use a Struct, a dataclass or a Pydantic model.",
                place=table.place,
            )
        )
        return None
    if config is not None and config.omit_defaults:
        findings.append(
            _fault(
                table,
                "item_omits_defaults",
                f"{shown(table.item_type)} leaves out fields that have their default, and what "
                f"table {table.name!r} does not store is in no index and meets no condition.",
                "Leave omit_defaults out of it; answer with another type where it matters.",
            )
        )
    return fields


def _field_faults(
    table: Table[Any], fields: dict[str, Field], kinds: dict[str, Kind]
) -> Iterator[Finding]:
    uses: list[tuple[str, Any, bool]] = [("key", table.key, True)]
    if table.sort is not None:
        uses.append(("sort", table.sort, True))
    for index, parts in table.indexes.items():
        uses.extend((f"index {index!r}", part, False) for part in parts)
        if not 1 <= len(parts) <= 2:
            yield _fault(
                table,
                "index_fields",
                f"The index {index!r} of table {table.name!r} has {len(parts)} fields.",
                'Name its key and, if it is to be ordered, its sort field: ("status", "at").',
            )
    if table.sort == table.key:
        yield _fault(
            table,
            "field_twice",
            f"Key and sort of table {table.name!r} are the same field, {table.key!r}.",
            "Leave sort out, or choose another field.",
        )
    for use, name, primary in uses:
        if not isinstance(name, str):
            continue  # which is found in the record
        fault = _use_fault(table, fields, use, name, primary)
        if fault is not None:
            yield fault
        else:
            kind = key_kind(without_none(fields[name].type)[0])
            assert kind is not None
            kinds[name] = kind
    if isinstance(table.expires, str):
        fault = _expires_fault(table, fields, table.expires)
        if fault is not None:
            yield fault


def _key_fields(
    table: Table[Any], fields: dict[str, Field], kinds: dict[str, Kind]
) -> tuple[dict[str, KeyField], tuple[str, ...]]:
    """Return the key fields whose types are known, and what else has to be a moment."""
    types = {name: without_none(fields[name].type)[0] for name in kinds}
    bases = {"text": str, "number": int, "moment": datetime}
    keys = {
        name: KeyField(
            name,
            shown(unwrap(kind)),
            field_scalar(kind) if field_scalar(kind) in (UUID, date) else bases[kinds[name]],
        )
        for name, kind in types.items()
    }
    moments = {name for name, kind in kinds.items() if kind == "moment"}
    expires = fields.get(table.expires) if isinstance(table.expires, str) else None
    if expires is not None and field_scalar(without_none(expires.type)[0]) is datetime:
        moments.add(expires.name)
    return keys, tuple(sorted(name for name in moments if name not in (table.key, table.sort)))


def _use_fault(
    table: Table[Any], fields: dict[str, Field], use: str, name: str, primary: bool
) -> Finding | None:
    field = fields.get(name)
    if field is None:
        return _missing(table, fields, use, name)
    inner, optional = without_none(field.type)
    if optional and primary:
        return _fault(
            table,
            "field_type",
            f"The {use} field {name!r} of table {table.name!r} may be None, and every item needs "
            "its key.",
            f"Annotate it with {shown(inner)} alone.",
        )
    found = field_scalar(inner)
    if key_kind(inner) is None or (primary and found is float):
        why = {
            bool: "has two values only",
            float: "may be NaN or not equal itself after a calculation",
        }.get(found, "does not sort")
        return _fault(
            table,
            "field_type",
            f"The {use} field {name!r} of table {table.name!r} is {shown(inner)}, which {why}.",
            "Use str, int, UUID, date, datetime or an Enum of one of str and int.",
        )
    return _renamed(table, field)


def _expires_fault(table: Table[Any], fields: dict[str, Field], name: str) -> Finding | None:
    field = fields.get(name)
    if field is None:
        return _missing(table, fields, "expires", name)
    inner, _ = without_none(field.type)
    if field_scalar(inner) not in (int, float, datetime):
        return _fault(
            table,
            "field_type",
            f"The expires field {name!r} of table {table.name!r} is {shown(inner)}.",
            "Use datetime, or int for seconds since 1970 (None: never).",
        )
    return _renamed(table, field)


def _missing(table: Table[Any], fields: dict[str, Field], use: str, name: str) -> Finding:
    return _fault(
        table,
        "field_missing",
        f"The {use} of table {table.name!r} names {name!r}, which {shown(table.item_type)} lacks.",
        f"Use one of its fields: {', '.join(fields)}.",
    )


def _renamed(table: Table[Any], field: Field) -> Finding | None:
    if field.wire == field.name:
        return None
    return _fault(
        table,
        "field_renamed",
        f"The field {field.name!r} of table {table.name!r} is called {field.wire!r} in JSON.",
        "Keep the names of key, sort, index and expires fields as they are.",
    )


def _fault(table: Table[Any], code: str, message: str, fix: str) -> Finding:
    return Finding(code=code, message=message, fix=fix, place=table.place)
