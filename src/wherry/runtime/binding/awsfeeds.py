"""Plain handlers of events, schedules, objects and changes: AWS's shapes of what triggers them.

An EventBridge event, EventBridge Scheduler's default payload, an S3 notification, a record of a
DynamoDB stream.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from wherry.app.endpoints import Feed
from wherry.errors import DoNotRetry
from wherry.names import ACCOUNT, REGION
from wherry.runtime.binding.occurrences import Occurrence, read_occurrence

_STREAM_EVENTS = {"insert": "INSERT", "modify": "MODIFY", "remove": "REMOVE"}


def feed_event(feeds: tuple[Feed, ...], messages: list[tuple[str, bytes]]) -> dict[str, Any]:
    """Return the event that AWS would hand over for messages (ID, body) of these feeds.

    An event of the bus and a firing come alone; objects and changes are a list of records.

    Raises:
        DoNotRetry: A body is of no source.
    """
    records = []
    for message_id, body in messages:
        try:
            found = read_occurrence(body)
        except ValueError as error:
            raise DoNotRetry(f"The message {message_id} is of no source: {error}") from error
        if found.event is not None:
            return _bus_event(found)
        if found.schedule is not None:
            return _firing(found, message_id)
        if found.bucket is not None:
            records.append(_object_record(found, message_id))
        elif found.table is not None:
            keys = next((feed.keys for feed in feeds
                         if getattr(feed.source, "table", None) == found.table), ())  # fmt: skip
            records.append(_stream_record(found, message_id, keys))
        else:
            raise DoNotRetry(f"The message {message_id} is of no source.")
    return {"Records": records}


def _time(moment_ms: int, timespec: str = "seconds") -> str:
    moment = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def _bus_event(found: Occurrence) -> dict[str, Any]:
    name = found.event or ""
    return {
        "version": "0",
        "id": found.id,
        "detail-type": name,
        "source": name.partition(".")[0],
        "account": ACCOUNT,
        "time": _time(found.at_ms),
        "region": REGION,
        "resources": [f"version/{found.version}"],
        "detail": msgspec.json.decode(found.detail),
    }


def _firing(found: Occurrence, message_id: str) -> dict[str, Any]:
    return {
        "version": "0",
        "id": message_id,
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": _time(found.at_ms),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{found.schedule}"],
        "detail": "{}",
    }


def _object_record(found: Occurrence, message_id: str) -> dict[str, Any]:
    from urllib.parse import quote_plus

    content: dict[str, Any] = {"key": quote_plus(found.key), "sequencer": message_id}
    if found.kind == "created":
        content |= {"size": found.size_bytes, "eTag": found.sha256[:32]}
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": REGION,
        "eventTime": _time(found.at_ms, "milliseconds"),
        "eventName": "ObjectCreated:Put" if found.kind == "created" else "ObjectRemoved:Delete",
        "userIdentity": {"principalId": "wherry"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": message_id},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "wherry",
            "bucket": {
                "name": found.bucket,
                "ownerIdentity": {"principalId": "wherry"},
                "arn": f"arn:aws:s3:::{found.bucket}",
            },
            "object": content,
        },
    }


def _stream_record(found: Occurrence, message_id: str, keys: tuple[str, ...]) -> dict[str, Any]:
    images = {
        name: {field: _attribute(value) for field, value in image.items()}
        for name, raw in (("NewImage", found.new), ("OldImage", found.old))
        if (image := msgspec.json.decode(raw)) is not None
    }
    item = images.get("NewImage") or images.get("OldImage") or {}
    return {
        "eventID": message_id,
        "eventName": _STREAM_EVENTS[found.kind],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": REGION,
        "dynamodb": {
            "ApproximateCreationDateTime": found.at_ms // 1000,
            "Keys": {name: item[name] for name in keys if name in item},
            **images,
            "SequenceNumber": message_id,
            "SizeBytes": len(memoryview(found.new)) + len(memoryview(found.old)),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{found.table}/stream/wherry",
    }


def _attribute(value: Any) -> dict[str, Any]:
    """Return a JSON value as DynamoDB writes it."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | float():
            return {"N": str(value)}
        case list():
            return {"L": [_attribute(one) for one in value]}
        case _:
            return {"M": {name: _attribute(one) for name, one in value.items()}}
