"""Tasks of workflows: messages whose failure is told to their execution, not to the inbox."""

from __future__ import annotations

import msgspec

from wherry import limits
from wherry.codec import to_json
from wherry.effects import SendMessage
from wherry.platforms.sql.rows import Message
from wherry.ports import Happened, TaskBody

UNKNOWN = "Lambda.Unknown"  # AWS: a function that ended without an answer, for whatever reason
_body = msgspec.json.Decoder(TaskBody)


def given_up(row: Message, code: str, error: str) -> SendMessage | None:
    """Return what tells an execution that its task cannot be done. None: it is no task."""
    try:
        task = _body.decode(row.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    cause = f"{code}: {error}"[: limits.STATE_CAUSE_LENGTH]
    happened = Happened(task.execution, "failed", task.call, error=UNKNOWN, cause=cause)
    id = f"{row.id[: limits.MESSAGE_ID_LENGTH - 7]}.failed"
    return SendMessage(task.workflow, id, to_json(happened))
