"""What was to happen to an execution, and was given up: the execution ends by it."""

from __future__ import annotations

import msgspec

from wherry.codec import to_json
from wherry.platforms.shared.origins import Standing
from wherry.ports import Happened

_happened = msgspec.json.Decoder(Happened)


def lost_execution(body: bytes) -> int | None:
    """Return which execution waits for what was given up in the inbox; None: none does."""
    try:
        happened = _happened.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if happened.event == "redrive" else happened.execution


def given_up(body: bytes, row: Standing) -> tuple[str, bytes]:
    """Return the message, ID and body, that ends an execution to which this was to happen."""
    event = _happened.decode(body).event
    cause = f"What was to happen to it ({event}) was given up in the inbox."
    stop = Happened(row.id, "stop", error="States.Runtime", cause=cause)
    return f"{row.id}.given_up.{row.version}", to_json(stop)
