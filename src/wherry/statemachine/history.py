"""AWS's history: how each event is shown by GetExecutionHistory."""

from __future__ import annotations

import re
from typing import Any

from wherry.statemachine.records import HistoryEvent
from wherry.statemachine.text import moment_of

_STATE = re.compile(r"[A-Z][a-z]+State(Entered|Exited)\Z")

WHOLE = {"truncated": False}
"""Of each text in a history: it is complete."""


def shown(event: HistoryEvent) -> dict[str, Any]:
    """Return an event as boto3 gives it: timestamp, type, id, previousEventId and its details."""
    found: dict[str, Any] = {
        "timestamp": moment_of(event.at_ms),
        "type": event.type,
        "id": event.id,
        "previousEventId": event.previous,
    }
    if event.details is not None:
        found[details_name(event.type)] = event.details
    return found


def read(found: dict[str, Any]) -> HistoryEvent:
    """Return the event that `shown` has shown."""
    return HistoryEvent(
        id=found["id"],
        previous=found["previousEventId"],
        type=found["type"],
        at_ms=round(found["timestamp"].timestamp() * 1000),
        details=found.get(details_name(found["type"])),
    )


def details_name(kind: str) -> str:
    """Return the key of an event's details: `taskFailedEventDetails`."""
    if match := _STATE.match(kind):
        return f"state{match.group(1)}EventDetails"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"


def error_details(error: str | None, cause: str | None) -> dict[str, Any]:
    """Return the details of a failure: what is not there is left out."""
    details = {}
    if error is not None:
        details["error"] = error
    if cause is not None:
        details["cause"] = cause
    return details
