"""ResultWriter: what a distributed Map's results look like, in a bucket or as its output."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from wherry import limits
from wherry.statemachine.faults import StatesError
from wherry.statemachine.records import Call
from wherry.statemachine.text import size_bytes, timestamp, to_text

WRITER = "States.ResultWriterFailed"


class Outcome(msgspec.Struct, frozen=True):
    """What is told of one child. One that was not started has only its input."""

    input: Any
    status: str = "PENDING"
    arn: str = ""
    machine_arn: str = ""
    name: str = ""
    output: Any = None
    error: str | None = None
    cause: str | None = None
    started_ms: int = 0
    ended_ms: int = 0
    redrives: int = 0


class File(msgspec.Struct, frozen=True):
    """An object that is to be written."""

    key: str
    body: bytes


def answer(call: Call) -> Any:
    """Return the Map's result: where the results are; without a Resource the results themselves.

    Raises:
        StatesError: States.ResultWriterFailed: there is no place for them.
    """
    if not call.resource:
        return _passed_on(call)
    bucket, prefix = place(call)
    details = {"Bucket": bucket, "Key": f"{prefix}manifest.json"}
    return {"MapRunArn": call.map_run, "ResultWriterDetails": details}


def _passed_on(call: Call) -> Any:
    """Return the results in the form that WriterConfig asks for."""
    config = call.config or {}
    found: list[Any] = []
    for one in call.results:
        flat = config.get("Transformation") == "FLATTEN" and isinstance(one, list)
        found += one if flat else [one]
    return "\n".join(map(to_text, found)) if config.get("OutputType") == "JSONL" else found


def place(call: Call) -> tuple[str, str]:
    """Return the bucket, and what the names of all files begin with.

    Raises:
        StatesError: States.ResultWriterFailed: there is none.
    """
    arguments = call.arguments if isinstance(call.arguments, dict) else {}
    bucket, prefix = arguments.get("Bucket"), arguments.get("Prefix") or ""
    if not isinstance(bucket, str) or not bucket or not isinstance(prefix, str):
        raise StatesError(WRITER, "The field 'Bucket' is required but was missing", final=True)
    run = call.map_run.rsplit(":", 1)[-1]
    parts = [*filter(None, [prefix.rstrip("/")]), run]
    return bucket.removeprefix("arn:aws:s3:::"), "/".join(parts) + "/"


def files(call: Call, outcomes: list[Outcome]) -> Iterator[File]:
    """Yield the result files, and at last the manifest that lists them."""
    bucket, prefix = place(call)
    config = call.config or {}
    lines = config.get("OutputType") == "JSONL"
    listed: dict[str, list[dict[str, Any]]] = {"FAILED": [], "PENDING": [], "SUCCEEDED": []}
    for status, group in listed.items():
        chosen = [one for one in outcomes if _group(one) == status]
        told = (text for one in chosen for text in _told(one, config.get("Transformation", "NONE")))
        for number, body in enumerate(_bodies(told, lines)):
            key = f"{prefix}{status}_{number}.json{'l' if lines else ''}"
            group.append({"Key": key, "Size": len(body)})
            yield File(key, body)
    manifest = {
        "DestinationBucket": bucket,
        "MapRunArn": call.map_run,
        "ResultFiles": listed,
    }
    yield File(f"{prefix}manifest.json", to_text(manifest).encode())


def _group(one: Outcome) -> str:
    return one.status if one.status in ("SUCCEEDED", "PENDING") else "FAILED"


def _told(one: Outcome, transformation: str) -> Iterator[str]:
    """Yield one child's results as JSON; of one that failed all is told, whatever is asked for."""
    if one.status != "SUCCEEDED" or transformation == "NONE":
        yield to_text(_whole(one))
    elif transformation == "FLATTEN" and isinstance(one.output, list):
        yield from map(to_text, one.output)
    else:
        yield to_text(one.output)


def _whole(one: Outcome) -> dict[str, Any]:
    if one.status == "PENDING":
        return {
            "Input": to_text(one.input),
            "InputDetails": {"Included": True},
            "Status": "PENDING",
        }
    told: dict[str, Any] = {}
    if one.cause is not None:
        told["Cause"] = one.cause
    if one.error is not None:
        told["Error"] = one.error
    told["ExecutionArn"] = one.arn
    told["Input"] = to_text(one.input)
    told["InputDetails"] = {"Included": True}
    told["Name"] = one.name
    if one.status == "SUCCEEDED":
        told["Output"] = to_text(one.output)
        told["OutputDetails"] = {"Included": True}
    told["RedriveCount"] = one.redrives
    if one.status == "SUCCEEDED":
        told["RedriveStatus"] = "NOT_REDRIVABLE"
        told["RedriveStatusReason"] = "Execution is SUCCEEDED and cannot be redriven"
    else:
        told["RedriveStatus"] = "REDRIVABLE"
    told["StartDate"] = timestamp(one.started_ms)
    told["StateMachineArn"] = one.machine_arn
    told["Status"] = one.status
    told["StopDate"] = timestamp(one.ended_ms)
    return told


def _bodies(told: Iterator[str], lines: bool) -> Iterator[bytes]:
    """Yield files of at most so many bytes."""
    held: list[str] = []
    size = 0
    for text in told:
        length = size_bytes(text) + 1
        if held and size + length > limits.STATE_RESULT_FILE_BYTES:
            yield _body(held, lines)
            held, size = [], 0
        held.append(text)
        size += length
    if held:
        yield _body(held, lines)


def _body(held: list[str], lines: bool) -> bytes:
    text = "\n".join(held) if lines else f"[{','.join(held)}]"
    return text.encode("utf-8", "replace")
