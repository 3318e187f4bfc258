"""`once_per`: of messages with the same key one is done, however often they come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from wherry import limits
from wherry.blueprint.records import QueueTrigger
from wherry.codec import digest
from wherry.errors import Refused
from wherry.handles.shapes import is_pydantic, to_json
from wherry.invocation import Once
from wherry.ports import GetReply, StoredReply

if TYPE_CHECKING:
    from wherry.app.endpoints import Endpoint
    from wherry.handles.scope import Scope

_ordered = msgspec.json.Encoder(order="deterministic").encode
DONE_BEFORE = "done before"


def once_of(endpoint: Endpoint, payload: Any) -> Once | None:
    """Return the key of a message's payload, or None where the consumer asks for none.

    Raises:
        Refused: `once_per` gave nothing, or what has no JSON form.
    """
    if endpoint.once_per is None:
        return None
    key = endpoint.once_per(payload)
    try:
        text = to_json(key)
        if not is_pydantic(type(key)):
            text = _ordered(key)  # a set, and what is in a dict, has no order of its own
    except (TypeError, ValueError) as error:
        raise Refused(f"once_per of {endpoint.name!r} gave what is no key: {error}.") from None
    if key is None or key == "":
        raise Refused(
            f"once_per of {endpoint.name!r} gave {key!r}, which would be the key of every message.",
            advice="Return what tells one message from another: once_per=lambda job: job.order_id.",
        )
    trigger = endpoint.trigger
    keep_s = trigger.once_s if isinstance(trigger, QueueTrigger) else None
    return Once(f"once/{endpoint.function}/{digest(text)}", keep_s or limits.ONCE_S)


def is_done(scope: Scope, once: Once | None) -> bool:
    """Whether a commit has stored this key."""
    return once is not None and isinstance(scope.ask(GetReply(once.key)), StoredReply)
